"""What a tag and a method of the soft plant are: roles, types, grades, names. No protocol."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

NAMESPACE = "urn:trimtab:softplant"

CVS = ("PolymerConc", "Temperature")
"""Controlled variables, in the order of every setpoint vector [kg/m3, K]."""
MVS = ("InitiatorFeed", "CoolantTemperature")
"""Manipulated variables, in the order of every input vector [kg/h, K]."""
PV_PREFIX = "R101/PV/"
ALARM_PREFIX = "R101/Alarms/"


class Role(StrEnum):
    """Who a user is. Everybody reads everything; a tag has at most one role that writes it."""

    OBSERVER = "observer"
    OPERATOR = "operator"
    ENGINEER = "engineer"
    APC = "apc"


class Grade(IntEnum):
    """Product grades; writing one writes both setpoints (numbers: `GRADE_SETPOINTS`)."""

    CUSTOM = 0
    G70 = 1
    G100 = 2
    G140 = 3


GRADE_SETPOINTS: dict[Grade, tuple[float, float]] = {
    Grade.G70: (70.0, 345.0),
    Grade.G100: (100.0, 350.0),
    Grade.G140: (140.0, 355.0),
}
"""(PolymerConc [kg/m3], Temperature [K]): the targets of the three scenarios."""


class Kind(StrEnum):
    """Built-in OPC UA type of a value. ENUM is an Int32 with a named enumeration as data type."""

    BOOLEAN = "Boolean"
    UINT32 = "UInt32"
    DOUBLE = "Double"
    STRING = "String"
    DATETIME = "DateTime"
    ENUM = "Int32"


@dataclass(frozen=True, slots=True)
class Tag:
    """One variable.

    number: node id.  path: browse path below Objects.  range: EURange and, where the tag is
    writable, what a write must lie in.  scanned: published every server tick, changed or not (a
    measurement has an age).  history: kept in the history, HistoryRead answers it.
    """

    number: int
    path: str
    kind: Kind
    about: str
    unit: str = ""
    range: tuple[float, float] | None = None
    writer: Role | None = None
    enum: type[IntEnum] | None = None
    scanned: bool = False
    history: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One argument of a method; `range` bounds a Double, `choices` a String."""

    name: str
    kind: Kind
    about: str
    range: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method, the roles that may call it, its arguments."""

    path: str
    number: int
    about: str
    callers: tuple[Role, ...]
    inputs: tuple[Argument, ...] = ()
    outputs: tuple[Argument, ...] = ()
