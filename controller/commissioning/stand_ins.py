"""What stands in for the parts of a hand-shake that a DCS lacks, in words for the person there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.commissioning.comparison import Finding, Verdict
from controller.configuration.choices import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from controller.configuration.handshake import HandshakeTags
    from controller.configuration.tags import Tags

STAND_INS = {
    "handshake.heartbeat_in": "the DCS cannot see this controller die: AUTO needs another "
    "watchdog in the DCS",
    "handshake.heartbeat_out": "a DCS that stands still is seen by stale values only",
    "handshake.mode": "no operator's selector: AUTO cannot be entered, [mode] operator_mode rules",
    "handshake.permit": "the DCS's permit is taken for granted",
    "handshake.active": "whether the DCS follows is judged by reading Target back",
    "handshake.take_lease": "two controllers are not kept apart by the DCS",
    "clock.plant_time": "plant time is this controller's monotonic clock",
}
STAND_INS_MV = {
    "track": "AUTO starts from Actual",
    "mode": "whether the MV follows is taken for granted",
    "lo_lim": "the low limit is that of tags.toml",
    "hi_lim": "the high limit is that of tags.toml",
}
NOT_STATED = "not stated: name its tag, or list it in [handshake] without; "


def stand_ins(tags: Tags) -> Iterator[Finding]:
    """What this DCS does not have according to tags.toml, and what follows."""
    given = {key for key, _ in tags.texts()}
    shake = tags.handshake
    words = {**STAND_INS, "handshake.request": _request(shake), "handshake.shed": _shed(shake)}
    for key, consequence in words.items():
        if key not in given:
            section, name = key.split(".")
            stated = section != "handshake" or name in shake.without
            yield _absent(key, consequence if stated else NOT_STATED + consequence)
    for name in tags.mv:
        for part, consequence in STAND_INS_MV.items():
            if f"mv.{name}.{part}" not in given:
                yield _absent(f"mv.{name}.{part}", consequence)


def _absent(key: str, consequence: str) -> Finding:
    return Finding(key=key, verdict=Verdict.NOTE, found="absent", action=consequence)


def _request(shake: HandshakeTags) -> str:
    if shake.mode is None:
        return "nothing tells the DCS to follow: it must follow Target by itself"
    shows = shown(shake.mode_values.auto)
    return f"the DCS must follow Target by itself while its selector shows {shows}"


def _shed(shake: HandshakeTags) -> str:
    if shake.mode_on_shed is not None:
        return f"a shed writes {shown([shake.mode_on_shed])} to the selector"
    if shake.request is not None:
        return "a shed withdraws Request, without a reason"
    return (
        "a shed tells the DCS nothing: the last target stands until an operator acts; "
        "give mode_on_shed, or a watchdog in the DCS"
    )
