"""What a mode, a certificate and a silence mean, in words for an operator.  Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from controller.core.state import Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

MODES = {
    Mode.INIT: "The controller is starting",
    Mode.MANUAL: "Manual: no advice is wanted, the DCS controls",
    Mode.SHADOW: "Shadow: moves are computed and recorded, none is written",
    Mode.AUTO: "Auto: the certified move is written on every scan",
    Mode.HOLD: "Hold: the last move stands, for at most two scans",
    Mode.SHED: "Shed: the DCS has the MVs until an operator acts",
}

RUNNING, SILENT, STOPPED, UNKNOWN = "running", "silent", "stopped", "unknown"
"""What is known of a controller."""


def mode_text(mode: str | None, reason: str, controller: str, silence: str) -> str:
    """Why it is in this mode; silence: words for a controller that is not heard."""
    if controller != RUNNING:
        return silence
    if mode is None:
        return "The controller runs; its mode is not known here"
    meaning = MODES[Mode(mode)] if mode in set(Mode) else mode
    return f"{meaning}: {reason}" if reason else meaning


def silence(controller: str, age_s: float | None, stop: Mapping[str, Any] | None) -> str:
    """What is the matter with a controller that is not heard."""
    match controller:
        case "stopped":
            reason = str((stop or {}).get("reason") or "without a reason")
            return f"The controller was stopped ({reason}); the DCS controls"
        case "silent":
            heard = (
                "nothing was heard of it" if age_s is None else f"last scan {duration(age_s)} ago"
            )
            return f"The controller is silent: {heard}. The DCS takes over by itself"
        case "unknown":
            return "Nothing is known of a controller here: no journal, no heartbeat"
        case _:
            return ""


def duration(seconds: float) -> str:
    """A time span in the largest unit that fits."""
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def certificate_text(scan: Mapping[str, Any]) -> str:  # noqa: PLR0911 - one line an answer
    """What the last certificate says, or why there is none."""
    gap, tolerance = scan["gap"], scan["tolerance"]
    match scan["proposal"]:
        case "advised" if scan["certified"] and _positive(tolerance):
            share = 100.0 * float(gap) / float(tolerance)
            return (
                f"Certified: the gap is {share:.2g} % of what is allowed, "
                f"after {scan['iterations']} iterations"
            )
        case "advised" if scan["certified"]:
            return "Certified"
        case "advised":
            return "Not certified: nothing is written"
        case "late":
            return "No certificate: the advice came after the deadline"
        case "refused":
            return f"No certificate: {(scan['refusal'] or ['', 'the model gave no advice'])[1]}"
        case "faulted":
            return f"No certificate: the model failed ({scan['proposal_detail']})"
        case _:
            return f"No certificate: the model was not asked ({scan['proposal_detail']})"


def not_applied(scan: Mapping[str, Any], place: int) -> str:
    """Why the move of one MV was not written in a scan; "" when it was."""
    written = scan["write"]
    if scan["written"] and written is not None and written[place]:
        return ""
    if scan["init"][place]:
        return "the DCS drives this MV itself"
    if not scan["available"][place]:
        return "this MV does not follow the controller"
    if scan["guard"] is not None:
        return f"refused by the guard: {scan['guard'][1] or scan['guard'][0]}"
    if scan["outcome"] != "written" and scan["outcome_detail"] not in {"", "nothing to write"}:
        return str(scan["outcome_detail"])
    return f"{scan['mode_after']}: {scan['reason']}"


def novelty_text(novelty: float | None) -> str:
    """How far the state is from the training data."""
    if novelty is None:
        return "Not assessed"
    if novelty <= 1.0:
        return f"Like the training data ({novelty:.2f} of the threshold)"
    return f"Unlike the training data ({novelty:.2f} times the threshold)"


def no_return_text(value: float | str | None) -> str:
    """What no number of seconds says of the time for which the moves in force may be held.

    value: as the journal has it: null (NaN) where no CV has a ceiling or nothing was computed,
    "inf" beyond the horizon, negative once the ceiling cannot be kept any more.  "" where the
    number says it all, or nothing is known.
    """
    seconds = math.nan if value is None else float(value)
    if seconds < 0.0:
        return "already past: the ceiling cannot be kept"
    return "beyond the horizon" if math.isinf(seconds) else ""


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and value > 0.0
