"""What a write to a tag does to the unit; type, range and role were judged by `checks.py`."""

from plant_sim.plant import LoopMode
from plant_sim.unit import handshake, remote_loop
from plant_sim.unit.handshake import ApcMode, ShedOption
from plant_sim.unit.reactor_unit import ReactorUnit, Refusal
from plant_sim.unit.tag_table import TAGS
from plant_sim.unit.tags import CVS, GRADE_SETPOINTS, MVS, Grade, Role

Value = float | int | bool | str

LEASED = frozenset(tag.path for tag in TAGS if tag.writer is Role.APC)
"""What a controller writes: only the session with the lease may, while there is a lease.

The diagnostics too: an operator reads them as those of the controller that drives the plant.
"""


def apply_write(  # noqa: PLR0911  (one line a kind of tag)
    unit: ReactorUnit, path: str, value: Value, session: str, now_s: float
) -> Refusal | None:
    """Let `value` take effect on the tag at `path`, or say why not."""
    if path in LEASED and not handshake.owns(unit.hand, session):
        return Refusal.ACCESS_DENIED
    match path.split("/"):
        case ["R101", "SP", name]:
            unit.setpoint[CVS.index(name)] = float(value)
        case ["R101", "Grade"]:
            return _write_grade(unit, Grade(int(value)))
        case ["R101", "MV", name, item]:
            return _write_loop(unit, MVS.index(name), item, value, now_s)
        case ["APC", "Diagnostics", *_]:
            unit.diagnostics[path] = value if isinstance(value, int) else float(value)
        case ["APC", item]:
            return _write_apc(unit, item, value, session, now_s)
        case ["Sim", "Speed"]:
            unit.speed = float(value)
        case ["Sim", "Paused"]:
            return _write_paused(unit, paused=bool(value))
        case _:
            return Refusal.NOT_WRITABLE
    return None


def _write_grade(unit: ReactorUnit, grade: Grade) -> Refusal | None:
    if grade not in GRADE_SETPOINTS:
        return Refusal.OUT_OF_RANGE
    unit.setpoint = list(GRADE_SETPOINTS[grade])
    return None


def _write_loop(
    unit: ReactorUnit, index: int, item: str, value: Value, now_s: float
) -> Refusal | None:
    loop = unit.loops[index]
    number = float(value)
    match item:
        case "Target":
            following = unit.following(index)
            unit.loops[index] = remote_loop.offer(loop, number, following=following, now_s=now_s)
        case "LoLim" if number <= loop.hi_lim:
            unit.replace_loop(index, lo_lim=number)
        case "HiLim" if number >= loop.lo_lim:
            unit.replace_loop(index, hi_lim=number)
        case "LoLim" | "HiLim":
            return Refusal.OUT_OF_RANGE  # crossed
        case "MaxMove":
            unit.replace_loop(index, max_move=number)
        case "Mode":
            unit.replace_loop(index, mode=LoopMode(int(value)))
        case "Output":
            if loop.mode is not LoopMode.MAN:
                return Refusal.INVALID_STATE
            unit.replace_loop(index, output=number)
        case _:
            return Refusal.NOT_WRITABLE
    return None


def _write_apc(
    unit: ReactorUnit, item: str, value: Value, session: str, now_s: float
) -> Refusal | None:
    match item:
        case "HeartbeatIn":
            unit.hand = handshake.beat(unit.hand, int(value), session, now_s)
        case "Request":
            unit.hand = handshake.ask(unit.hand, session, wanted=bool(value))
        case "Mode":
            unit.hand = handshake.operate(unit.hand, ApcMode(int(value)))
        case "HeartbeatTimeout":
            unit.hand = handshake.with_timeout(unit.hand, float(value))
        case "ShedOption":
            option = ShedOption(int(value))
            if option is ShedOption.HOLD:
                return Refusal.OUT_OF_RANGE
            unit.hand = handshake.with_shed_option(unit.hand, option)
        case _:
            return Refusal.NOT_WRITABLE
    return None


def _write_paused(unit: ReactorUnit, *, paused: bool) -> Refusal | None:
    if unit.failure and not paused:
        return Refusal.INVALID_STATE
    unit.paused = paused
    return None
