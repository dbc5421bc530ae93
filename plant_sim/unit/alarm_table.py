"""The alarms of R101: limits, delays, severities. What raises each is in `alarm_causes.py`."""

from plant_sim.interlock import HARD_LIMIT_K
from plant_sim.unit.alarms import Definition, Limit

T_HH = Definition(
    name="T_HH",
    number=1420,
    about="Reactor at its hard limit, the override did not hold it",
    severity=900,
    source="R101/PV/Temperature",
    off_delay_s=60.0,
    limit=Limit(value=HARD_LIMIT_K, deadband=1.5, unit="K"),
)
T_H = Definition(
    name="T_H",
    number=1410,
    about="Reactor hot, 2 K below the override",
    severity=600,
    source="R101/PV/Temperature",
    on_delay_s=30.0,
    off_delay_s=60.0,
    limit=Limit(value=361.0, deadband=1.5, unit="K"),  # 5 standard deviations of the transmitter
)
SHED = Definition(
    name="ShedEvent",
    number=1430,
    about="The plant took control from the APC and nobody has acknowledged that",
    severity=500,
    source="APC/Active",
)
WATCHDOG = Definition(
    name="WatchdogTimeout",
    number=1440,
    about="Shed because the heartbeat stood still; over when it moves or the shed is acknowledged",
    severity=550,
    source="APC/HeartbeatIn",
    off_delay_s=1.0,
    wall=True,
)
BAD_PV = Definition(
    name="BadPV",
    number=1450,
    about="A PV is bad, no number or out of range",
    severity=500,
    source="R101/PV",
    off_delay_s=60.0,
)
DEADLINE = Definition(
    name="DeadlineMiss",
    number=1460,
    about="APC/Diagnostics/DeadlineMisses went up; over after a minute without",
    severity=200,
    source="APC/Diagnostics/DeadlineMisses",
    off_delay_s=60.0,
    wall=True,
)
DEFINITIONS = (T_H, T_HH, SHED, WATCHDOG, BAD_PV, DEADLINE)
"""Every alarm of R101. Limits are ours; deadband and off-delay are what practice begins with for
temperatures (EEMUA 191: 1 % of the range, 60 s)."""
