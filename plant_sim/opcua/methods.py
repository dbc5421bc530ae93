"""The methods of the soft plant: ids, arguments, and who may call them."""

from plant_sim.unit.tags import Argument, Kind, Method, Role

MAX_TEXT = 200
"""Longest String argument [characters]."""
DAY_S = 86400.0

METHODS: tuple[Method, ...] = (
    Method(
        path="APC/TakeLease",
        number=2201,
        about="Take or renew the right to drive the plant, for the calling session",
        callers=(Role.APC,),
        inputs=(
            Argument(name="owner", kind=Kind.STRING, about="Name to show, not empty"),
            Argument(
                name="ttl_s",
                kind=Kind.DOUBLE,
                about="Wall seconds it lasts without a call or a heartbeat",
                range=(0.1, 3600.0),
            ),
        ),
        outputs=(
            Argument(name="granted", kind=Kind.BOOLEAN, about="False while another session has it"),
        ),
    ),
    Method(
        path="APC/ReleaseLease",
        number=2202,
        about="Give the lease back; sheds if Active",
        callers=(Role.APC,),
    ),
    Method(
        path="APC/Shed",
        number=2203,
        about="Take control from the APC at once; without control, withdraw its request",
        callers=(Role.APC, Role.OPERATOR),
        inputs=(Argument(name="reason", kind=Kind.STRING, about="Shown in ShedReason"),),
    ),
    Method(
        path="APC/Acknowledge",
        number=2204,
        about="Clear an unacknowledged shed",
        callers=(Role.OPERATOR,),
    ),
    Method(
        path="Sim/Reset",
        number=3201,
        about="Begin a new episode: new plant, plant time 0, the DCS in control",
        callers=(Role.ENGINEER,),
        inputs=(
            Argument(name="scenario", kind=Kind.STRING, about="Name, see trimtab-plant scenarios"),
            Argument(name="seed", kind=Kind.UINT32, about="Seed of everything random"),
        ),
    ),
    Method(
        path="Sim/Step",
        number=3202,
        about="Move plant time on at once; only while paused",
        callers=(Role.ENGINEER,),
        inputs=(
            Argument(name="seconds", kind=Kind.DOUBLE, about="Plant seconds", range=(0.001, DAY_S)),
        ),
    ),
    Method(
        path="Sim/Snapshot",
        number=3203,
        about="Everything the tags show, the true state included, as JSON",
        callers=(Role.ENGINEER,),
        outputs=(Argument(name="snapshot", kind=Kind.STRING, about="One JSON object"),),
    ),
    Method(
        path="Sim/InjectFault",
        number=3204,
        about="Give an instrument a fault",
        callers=(Role.ENGINEER,),
        inputs=(
            Argument(name="tag", kind=Kind.STRING, about="PV, as R101/PV/X or X, or * for all"),
            Argument(
                name="kind",
                kind=Kind.STRING,
                about="freeze drift spike nan bad_quality stale_time communication_loss clear",
            ),
            Argument(
                name="magnitude",
                kind=Kind.DOUBLE,
                about="Unit of the tag; drift: per hour of plant time",
                range=(-1e4, 1e4),
            ),
            Argument(
                name="duration_s", kind=Kind.DOUBLE, about="Plant seconds", range=(0.0, 30 * DAY_S)
            ),
        ),
    ),
)
