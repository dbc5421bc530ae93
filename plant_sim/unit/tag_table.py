"""The tag table of R101: every node of the soft plant, its id, type, unit, range and writer.

`node_items.py` builds the OPC UA nodes from this table, `checks.py` judges writes by it, and
`trimtab-plant tags` prints it as `docs/address_space.md`. Node ids are numeric and fixed: a tag
keeps its number for ever.
"""

from enum import IntEnum

from plant_sim.plant import LoopMode
from plant_sim.reactor import INPUT_HIGH, INPUT_LOW
from plant_sim.unit.alarm_table import DEFINITIONS
from plant_sim.unit.alarms import Definition
from plant_sim.unit.handshake import ApcMode, ShedOption
from plant_sim.unit.tags import ALARM_PREFIX, MVS, Grade, Kind, Role, Tag

FOLDERS: dict[str, int] = {
    "R101": 1000,
    "R101/PV": 1100,
    "R101/SP": 1200,
    "R101/MV": 1300,
    "R101/MV/InitiatorFeed": 1310,
    "R101/MV/CoolantTemperature": 1330,
    "R101/Alarms": 1400,
    **{f"{ALARM_PREFIX}{alarm.name}": alarm.number for alarm in DEFINITIONS},
    "APC": 2000,
    "APC/Diagnostics": 2100,
    "APC/Diagnostics/Advisory": 2110,
    "Sim": 3000,
    "Sim/Truth": 3100,
    "SIS": 4000,
}
"""Objects, parents first: path -> node id."""
NOTIFIER = "R101"
"""The object whose events clients subscribe to, besides the Server object."""

ENUM_TYPES: dict[type[IntEnum], int] = {
    LoopMode: 9001,
    ApcMode: 9002,
    ShedOption: 9003,
    Grade: 9004,
}
"""Enumeration data types: Python enum -> node id."""

INPUT_RANGES = dict(zip(MVS, zip(INPUT_LOW, INPUT_HIGH, strict=True), strict=True))
"""Range of each MV [kg/h, K]."""
MAX_MOVE = {"InitiatorFeed": 0.5, "CoolantTemperature": 10.0}
"""Largest move of a Target per write that the DCS lets through by default [kg/h, K]."""
SP_P_RANGE = (0.0, 200.0)  # what an operator may enter [kg/m3]
SP_T_RANGE = (300.0, 360.0)  # [K]; leaves 3 K to the high-temperature override
CONC_RANGES = {"MonomerConc": (0.0, 600.0), "PolymerConc": (0.0, 400.0)}  # transmitters [kg/m3]
THERMOMETER_RANGE = (280.0, 420.0)  # [K]

_B, _U, _D, _S, _E = Kind.BOOLEAN, Kind.UINT32, Kind.DOUBLE, Kind.STRING, Kind.ENUM
_APC, _OPERATOR, _ENGINEER = Role.APC, Role.OPERATOR, Role.ENGINEER


def _pv(number: int, name: str, unit: str, span: tuple[float, float], about: str) -> Tag:
    return Tag(number, f"R101/PV/{name}", _D, about, unit, span, scanned=True, history=True)


def _sp(number: int, name: str, unit: str, span: tuple[float, float]) -> Tag:
    path = f"R101/SP/{name}"
    return Tag(number, path, _D, "Setpoint", unit, span, _OPERATOR, history=True)


def _advisory(number: int, name: str, unit: str) -> Tag:
    path = f"APC/Diagnostics/Advisory/{name}"
    return Tag(number, path, _D, "Target the controller would write", unit, writer=_APC)


def _alarm(alarm: Definition) -> tuple[Tag, Tag]:
    path = f"{ALARM_PREFIX}{alarm.name}"
    return (
        Tag(alarm.number + 1, f"{path}/Active", _B, alarm.about),
        Tag(alarm.number + 2, f"{path}/Acked", _B, "Nobody has to acknowledge it"),
    )


def _truth(number: int, name: str, unit: str, about: str = "True state, not a measurement") -> Tag:
    return Tag(number, f"Sim/Truth/{name}", _D, about, unit)


def _mv(name: str, first: int, unit: str) -> tuple[Tag, ...]:
    path = f"R101/MV/{name}"
    low, high = span = INPUT_RANGES[name]
    moves = (0.0, high - low)
    mode = "MAN: Output; AUTO: the DCS's PI; RCAS: Target while APC/Active, else the PI"
    init = "Override or trip has the MV: track Actual, freeze integrators"
    return (
        Tag(first + 1, f"{path}/Target", _D, "Remote target", unit, span, _APC, history=True),
        Tag(
            first + 2,
            f"{path}/Actual",
            _D,
            "What the actuator does",
            unit,
            span,
            scanned=True,
            history=True,
        ),
        Tag(first + 3, f"{path}/Track", _D, "Start of a bumpless Target", unit, span, scanned=True),
        Tag(first + 4, f"{path}/LoLim", _D, "Low limit of Target", unit, span, _OPERATOR),
        Tag(first + 5, f"{path}/HiLim", _D, "High limit of Target", unit, span, _OPERATOR),
        Tag(first + 6, f"{path}/MaxMove", _D, "Largest move per write", unit, moves, _OPERATOR),
        Tag(first + 7, f"{path}/Mode", _E, mode, writer=_OPERATOR, enum=LoopMode),
        Tag(first + 8, f"{path}/Output", _D, "Output while in MAN", unit, span, _OPERATOR),
        Tag(first + 9, f"{path}/Permit", _B, "APC/Permit, and Mode is RCAS"),
        Tag(first + 10, f"{path}/Init", _B, init),
        Tag(first + 11, f"{path}/WindupLo", _B, "No room left downwards"),
        Tag(first + 12, f"{path}/WindupHi", _B, "No room left upwards"),
        Tag(first + 13, f"{path}/Status", _S, "Who drives the MV, and which limit acts"),
    )


_R101 = (
    _pv(1101, "MonomerConc", "kg/m3", CONC_RANGES["MonomerConc"], "Monomer, measured"),
    _pv(1102, "PolymerConc", "kg/m3", CONC_RANGES["PolymerConc"], "Polymer, measured"),
    _pv(1103, "Temperature", "K", THERMOMETER_RANGE, "Reactor temperature, measured"),
    _pv(1104, "JacketTemperature", "K", THERMOMETER_RANGE, "Coolant in the jacket, measured"),
    _sp(1201, "PolymerConc", "kg/m3", SP_P_RANGE),
    _sp(1202, "Temperature", "K", SP_T_RANGE),
    Tag(
        1210,
        "R101/Grade",
        _E,
        "Writes both setpoints; shows CUSTOM where they were set by hand",
        writer=_OPERATOR,
        enum=Grade,
    ),
    *_mv("InitiatorFeed", 1310, "kg/h"),
    *_mv("CoolantTemperature", 1330, "K"),
    *(tag for alarm in DEFINITIONS for tag in _alarm(alarm)),
)

_TIMEOUT = "Age of HeartbeatIn at which the plant sheds, wall time"
_SHED_OPTION = "What a shed does; HOLD is refused, the time to no return is finite"

_APC_TAGS = (
    Tag(2001, "APC/HeartbeatIn", _U, "Heartbeat of the controller; must change", writer=_APC),
    Tag(2002, "APC/HeartbeatOut", _U, "Heartbeat of the plant; one up every server tick"),
    Tag(2003, "APC/HeartbeatTimeout", _D, _TIMEOUT, "s", (0.2, 60.0), _ENGINEER),
    Tag(2004, "APC/Mode", _E, "What the operator wants", writer=_OPERATOR, enum=ApcMode),
    Tag(2005, "APC/Request", _B, "The controller asks for control", writer=_APC),
    Tag(2006, "APC/Permit", _B, "No trip, no override, CVs good, no unacknowledged shed"),
    Tag(2007, "APC/Active", _B, "The plant follows Target on MVs in RCAS"),
    Tag(2008, "APC/ShedReason", _S, "Why the plant shed; empty once acknowledged"),
    Tag(2009, "APC/ShedOption", _E, _SHED_OPTION, writer=_ENGINEER, enum=ShedOption),
    Tag(2010, "APC/LeaseOwner", _S, "Who holds the lease; empty if nobody"),
    Tag(2011, "APC/LeaseUntil", Kind.DATETIME, "When the lease ends unless renewed, UTC"),
    Tag(2101, "APC/Diagnostics/CycleMs", _D, "Duration of the last scan", "ms", writer=_APC),
    Tag(2102, "APC/Diagnostics/AdviceMs", _D, "Duration of the last advice", "ms", writer=_APC),
    Tag(2103, "APC/Diagnostics/CorrectionGap", _D, "Last certificate", writer=_APC),
    Tag(2104, "APC/Diagnostics/DeadlineMisses", _U, "Scans past their deadline", writer=_APC),
    _advisory(2111, "InitiatorFeed", "kg/h"),
    _advisory(2112, "CoolantTemperature", "K"),
)

_SIM = (
    Tag(3001, "Sim/Speed", _D, "Plant time per wall time", "", (0.1, 10000.0), _ENGINEER),
    Tag(3002, "Sim/PlantTime", _D, "Plant time since the last reset", "s", scanned=True),
    Tag(3003, "Sim/Seed", _U, "Seed of this episode"),
    Tag(3004, "Sim/Paused", _B, "Plant time stands still", writer=_ENGINEER),
    Tag(3005, "Sim/Scenario", _S, "Scenario of this episode"),
    _truth(3101, "MonomerConc", "kg/m3"),
    _truth(3102, "InitiatorConc", "kg/m3"),
    _truth(3103, "RadicalConc", "mol/m3"),
    _truth(3104, "PolymerConc", "kg/m3"),
    _truth(3105, "Temperature", "K"),
    _truth(3106, "PeakTemperature", "K", "Highest since the last reset, between ticks included"),
)

_SIS = (
    Tag(4001, "SIS/Tripped", _B, "The interlock has acted; latched"),
    Tag(4002, "SIS/TripCause", _S, "What holds the trip; empty if nothing"),
    Tag(4003, "SIS/FirstOut", _S, "What tripped first; empty if nothing"),
)

TAGS: tuple[Tag, ...] = (*_R101, *_APC_TAGS, *_SIM, *_SIS)
