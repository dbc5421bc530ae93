"""The hand-shake as lamps.  Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from controller.hmi.words import duration

if TYPE_CHECKING:
    from controller.hmi.fleet import Unit
    from controller.hmi.values import Seen

BEAT_AT_LEAST_S = 2.5
"""The plant publishes and is polled within a second: a younger heartbeat is never called still."""

_FLAGS = {
    "permit": ("Permit", "the DCS allows AUTO", "the DCS gives no permit"),
    "request": ("Request", "the controller asks for the MVs", "the controller asks for nothing"),
    "active": ("Active", "the DCS follows the targets", "the DCS follows its own PI"),
}


def limit_s(unit: Unit) -> float:
    """Age from which on a heartbeat stands still [s]."""
    return max(unit.settings.scan.heartbeat_limit_s, BEAT_AT_LEAST_S)


def lamps(unit: Unit, seen: Seen) -> list[dict[str, Any]]:
    """What each part of the hand-shake says; `on` is None where that is not known."""
    keys = unit.binding.handshake
    found = [_flag(name, seen.truth(keys[name])) for name in _FLAGS if name in keys]
    if "heartbeat_in" in keys:
        found.append(_beat("heartbeat_in", "Controller's heartbeat", seen.beat_s, unit, seen))
    if "heartbeat_out" in keys:
        found.append(_beat("heartbeat_out", "DCS's heartbeat", seen.dcs_beat_s, unit, seen))
    if "shed_reason" in keys:
        reason = seen.text(keys["shed_reason"])
        on = None if reason is None or not seen.connected else bool(reason)
        text = "not known" if on is None else reason or "nothing was shed"
        found.append({"name": "shed", "label": "Shed", "on": on, "text": text})
    return found


def lease(unit: Unit, seen: Seen, *, heard: bool) -> dict[str, Any]:
    """Whether the controller holds the DCS's lease, as far as its journal tells.

    heard: the controller runs; the last word of one that does not is no longer so.
    """
    if unit.tags.handshake.take_lease is None:
        return {"held": None, "text": "This DCS has no lease"}
    scan = seen.tail.scan
    if scan is None or not heard:
        return {"held": None, "text": "Not known here"}
    held = "lease_lost" not in scan["conditions"]
    return {"held": held, "text": "Held" if held else "Not held"}


def _flag(name: str, on: bool | None) -> dict[str, Any]:  # noqa: FBT001 - it is the value
    label, yes, no = _FLAGS[name]
    text = "not known" if on is None else yes if on else no
    return {"name": name, "label": label, "on": on, "text": text}


def _beat(name: str, label: str, age_s: float | None, unit: Unit, seen: Seen) -> dict[str, Any]:
    if age_s is None or not seen.connected:
        return {"name": name, "label": label, "on": None, "text": "not known"}
    on = age_s <= limit_s(unit)
    text = "beats" if on else f"stands still for {duration(age_s)}"
    return {"name": name, "label": label, "on": on, "text": text}
