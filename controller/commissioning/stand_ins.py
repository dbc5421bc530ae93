"""What stands in for the parts of the hand-shake that a DCS lacks, in words for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from controller.configuration.choices import shown
from controller.configuration.handshake import Part

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from controller.configuration.handshake import HandshakeTags
    from controller.configuration.tags import Tags

STAND_INS = {
    "handshake.heartbeat_in": "the DCS cannot see this controller die: AUTO needs another "
    "watchdog in the DCS",
    "handshake.heartbeat_out": "a DCS that stands still is seen by stale values only",
    "handshake.heartbeat_timeout": "how long the DCS waits for a heartbeat is not known here: it "
    "must be at least two of [scan] tick_s",
    "handshake.mode": "no operator's selector: AUTO cannot be entered, [mode] operator_mode rules",
    "handshake.request": "nothing tells the DCS to follow: it must follow Target by itself",
    "handshake.permit": "the DCS's permit is taken for granted",
    "handshake.active": "whether the DCS follows is judged by reading Target back",
    "handshake.shed_reason": "why the DCS shed is not told",
    "handshake.take_lease": "two controllers are not kept apart by the DCS",
    "handshake.shed": "a shed withdraws Request, without a reason",
    "clock.plant_time": "plant time is this controller's monotonic clock",
}
"""Tag of the whole controller -> what its absence means."""

STAND_INS_MV = {
    "track": "AUTO starts from Actual",
    "lo_lim": "the low limit is that of tags.toml",
    "hi_lim": "the high limit is that of tags.toml",
    "max_move_node": "the largest move is max_move of tags.toml",
    "mode": "whether the MV follows is taken for granted",
    "permit": "the permit of the whole hand-shake holds for this MV",
    "init": "an override of the DCS is not seen; a target that reads back otherwise sheds",
    "windup_lo": "no room downwards is seen from Actual at its low limit",
    "windup_hi": "no room upwards is seen from Actual at its high limit",
}
"""Tag of an MV -> what its absence means."""


def stand_ins(given: Iterable[str], mvs: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(logical key, what stands in) of every part that is not among the given keys."""
    present = set(given)
    wanted = dict(STAND_INS)
    for name in mvs:
        wanted |= {f"mv.{name}.{part}": words for part, words in STAND_INS_MV.items()}
    return ((key, words) for key, words in wanted.items() if key not in present)


NOT_STATED = "not stated: name its tag, or list it in [handshake] without; "


def absences(tags: Tags) -> Iterator[tuple[str, str]]:
    """(logical key, what follows) of every part that this tags.toml does not name.

    Where the absence of a part changes how the controller works, and nobody said that it is
    meant, the words begin with that.
    """
    shake = tags.handshake
    better = {"handshake.request": _request(shake), "handshake.shed": _shed(shake)}
    for key, words in stand_ins((key for key, _ in tags.texts()), tags.mv):
        section, name = key.split(".", maxsplit=1)
        stated = section != "handshake" or name in shake.without or name not in get_args(Part)
        said = better.get(key, words)
        yield key, said if stated else NOT_STATED + said


def _request(shake: HandshakeTags) -> str:
    if shake.mode is None:
        return STAND_INS["handshake.request"]
    shows = shown(shake.mode_values.auto)
    return f"the DCS must follow Target by itself while its selector shows {shows}"


def _shed(shake: HandshakeTags) -> str:
    if shake.mode_on_shed is not None:
        return f"a shed writes {shown([shake.mode_on_shed])} to the selector"
    if shake.request is not None:
        return STAND_INS["handshake.shed"]
    return (
        "a shed tells the DCS nothing: the last target stands until an operator acts; "
        "give mode_on_shed, or a watchdog in the DCS"
    )
