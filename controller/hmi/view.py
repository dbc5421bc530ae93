"""What pages show of a unit, as one document: a pure function of what is seen at an instant.

Numbers are in the model's unit; one that does not exist is null, never 0.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from controller.configuration.choices import among
from controller.hmi import cv_alarms, words
from controller.hmi.handshake import lamps, lease, limit_s
from controller.hmi.offers import actions, selector
from controller.hmi.values import at, digits, finite

if TYPE_CHECKING:
    from controller.configuration.binding import BoundMv
    from controller.hmi.fleet import Unit
    from controller.hmi.values import Seen
    from controller.journal.document import Document

FRESH_PERIODS, FRESH_AT_LEAST_S = 1.5, 5.0
"""A controller whose last scan is younger than the longer of these is running."""

IN_COMMAND = frozenset({"AUTO", "HOLD"})
JOURNAL, PLANT = "journal", "plant"
"""Where what is said of the controller comes from."""


def summary(unit: Unit, seen: Seen) -> dict[str, Any]:
    """What the overview shows of a unit."""
    scan = seen.tail.scan
    state, age_s = controller(unit, seen)
    mode, reason = mode_of(unit, seen)
    silence = words.silence(state, age_s, seen.tail.stop)
    return {
        "unit": unit.name,
        "title": unit.title,
        "connected": seen.connected,
        "link_text": link_text(unit, seen),
        "controller": state,
        "mode": mode,
        "mode_stale": state != words.RUNNING,
        "mode_text": words.mode_text(mode, reason, state, silence),
        "source": PLANT if scan is None else JOURNAL,
        "cvs": [_cv(unit, place, seen) for place in range(len(unit.binding.cvs))],
        "mvs": [_mv(mv, seen) for mv in unit.binding.mvs],
        "alarms": dict(seen.alarms),
        "scan": _scan(unit, seen, age_s),
    }


def view(unit: Unit, seen: Seen) -> dict[str, Any]:
    """What the page of a unit shows: the summary and more."""
    return {**summary(unit, seen), **details(unit, seen)}


def details(unit: Unit, seen: Seen) -> dict[str, Any]:
    """What the page of a unit shows beside the summary."""
    scan = seen.tail.scan
    no_return = None if scan is None else scan.get("time_to_no_return_s")
    return {
        "time": seen.now.isoformat(timespec="milliseconds"),
        "plant_time_s": seen.number("clock.plant_time"),
        "journal_text": seen.tail.problem,
        "missing": list(seen.missing),
        "handshake": lamps(unit, seen),
        "lease": lease(unit, seen, heard=controller(unit, seen)[0] == words.RUNNING),
        "moves": [_move(unit, place, seen) for place in range(len(unit.binding.mvs))],
        "certificate": _certificate(seen),
        "conditions": [] if scan is None else scan["conditions"],
        "time_to_no_return_s": finite(no_return),
        "no_return_text": words.no_return_text(no_return),
        "model": _model(unit, scan),
        "actions": actions(unit, seen),
    }


def controller(unit: Unit, seen: Seen) -> tuple[str, float | None]:
    """(running, silent, stopped or unknown; age of the last scan [s], None without one)."""
    scan = seen.tail.scan
    age_s = None if scan is None else max(0.0, (seen.now - _time(scan)).total_seconds())
    limit = max(FRESH_PERIODS * unit.settings.scan.period_s, FRESH_AT_LEAST_S)
    beats = seen.connected and seen.beat_s is not None and seen.beat_s <= limit_s(unit)
    if seen.tail.stop is not None and not beats:
        return words.STOPPED, age_s
    if beats:
        return words.RUNNING, age_s
    quiet = seen.connected and seen.beat_s is not None
    reads = scan is not None and "read_only" in scan["conditions"]
    if age_s is not None and age_s <= limit and (reads or not quiet):
        return words.RUNNING, age_s
    return (words.UNKNOWN if age_s is None and not quiet else words.SILENT), age_s


def mode_of(unit: Unit, seen: Seen) -> tuple[str | None, str]:
    """(mode, reason): of the journal; without one what the hand-shake says of it."""
    tail = seen.tail
    if tail.mode is not None:
        return str(tail.mode.get("after")), str(tail.mode.get("reason") or "")
    if tail.scan is not None:
        return str(tail.scan["mode_after"]), str(tail.scan["reason"])
    if seen.truth(unit.binding.handshake.get("active")):
        return "AUTO", "so says the DCS; the controller's journal is not on this machine"
    selected = selector(unit, seen)
    return selected, "" if selected is None else "selected in the DCS"


def link_text(unit: Unit, seen: Seen) -> str:
    """How the line to the plant is."""
    if seen.connected:
        lacking = f"; the server lacks {', '.join(seen.missing)}" if seen.missing else ""
        return f"Connected to {unit.settings.server.url}{lacking}"
    return f"No connection to {unit.settings.server.url}: {seen.problem}"


def _cv(unit: Unit, place: int, seen: Seen) -> dict[str, Any]:
    cv, model = unit.binding.cvs[place], unit.manifest.cvs[place]
    pv = seen.number(cv.pv.key, cv.pv.conversion)
    sp = seen.number(cv.sp.key, cv.sp.conversion)
    off = None if pv is None or sp is None else (pv - sp) / (model.high - model.low)
    return {
        "tag": cv.name,
        "title": _spaced(cv.name),
        "unit": cv.unit,
        "pv": pv,
        "sp": sp,
        "low": finite(max(model.low, cv.pv.low)),
        "high": finite(min(model.high, cv.pv.high)),
        "safe_high": finite(model.safe_high),
        "limits": cv_alarms.limits(cv, seen),
        "alarm": cv_alarms.alarm(cv, seen),
        "digits": digits(model.low, model.high),
        "quality": seen.quality(cv.pv.key),
        **_staleness(seen, cv.pv.key, cv.pv.stale_after_s),
        "deviation_share": finite(off),
    }


def _mv(mv: BoundMv, seen: Seen) -> dict[str, Any]:
    key = mv.keys.get("mode")
    held = None if key is None else seen.image.get(key)
    follows = None if held is None else among(held.value, mv.remote)
    return {
        "tag": mv.name,
        "title": _spaced(mv.name),
        "unit": mv.unit,
        "actual": seen.number(mv.actual.key, mv.conversion),
        "low": finite(mv.low),
        "high": finite(mv.high),
        "digits": digits(mv.low, mv.high),
        "mode": None if follows is None else "remote" if follows else "local",
        "status": seen.text(mv.keys.get("status")),
        "quality": seen.quality(mv.actual.key),
        **_staleness(seen, mv.actual.key),
    }


def _staleness(seen: Seen, key: str, limit_s: float | None = None) -> dict[str, Any]:
    """Whether a value is stale, and since when [s]; of a fresh one no age, which ever changes."""
    stale = seen.stale(key, limit_s)
    return {"stale": stale, "age_s": seen.age_s(key) if stale else None}


def _scan(unit: Unit, seen: Seen, age_s: float | None) -> dict[str, Any]:
    scan, settings = seen.tail.scan, unit.settings.scan
    if scan is None:
        told = seen.number("diagnostics.cycle_ms")
        duration_s = None if told is None else told / 1e3
    else:
        duration_s = finite(scan["duration_s"])
    deadline_s = settings.deadline_s if scan is None else finite(scan["deadline_s"])
    return {
        "run": None if scan is None else scan["run"],
        "id": None if scan is None else scan["scan_id"],
        "time": None if scan is None else scan["utc"],
        "age_s": None if age_s is None else round(age_s, 1),
        "period_s": settings.period_s,
        "duration_s": finite(duration_s),
        "deadline_s": finite(deadline_s),
        "lateness_s": None if scan is None else finite(scan["lateness_s"]),
        "late": bool(scan is not None and scan["overrun"]),
        "skipped": 0 if scan is None else scan["skipped"],
        "scans": None if scan is None else scan["scan_id"] + 1,
        "overruns": seen.number("diagnostics.deadline_misses"),
    }


def _move(unit: Unit, place: int, seen: Seen) -> dict[str, Any]:
    mv, scan = unit.binding.mvs[place], seen.tail.scan
    low = seen.number(mv.keys.get("lo_lim"), mv.conversion)
    high = seen.number(mv.keys.get("hi_lim"), mv.conversion)
    advisory = f"diagnostics.advisory.{mv.name}"
    corrected = seen.number(advisory, mv.conversion) if scan is None else at(scan["move"], place)
    applied = None if scan is None or not scan["written"] else at(scan["target"], place)
    reason = "" if scan is None else words.not_applied(scan, place)
    mode, why = mode_of(unit, seen)
    if applied is not None and mode not in IN_COMMAND:  # a tick let go since the scan
        applied, reason = None, f"{mode}: {why}"
    return {
        "tag": mv.name,
        "unit": mv.unit,
        "digits": digits(mv.low, mv.high),
        "low": finite(mv.low if low is None else max(low, mv.low)),
        "high": finite(mv.high if high is None else min(high, mv.high)),
        "policy": None if scan is None else at(scan["policy_move"], place),
        "corrected": corrected,
        "applied": applied,
        "actual": seen.number(mv.actual.key, mv.conversion),
        "target": seen.number(mv.target_key, mv.conversion),
        "track": seen.number(mv.keys.get("track"), mv.conversion),
        "reason": reason,
    }


def _certificate(seen: Seen) -> dict[str, Any]:
    scan = seen.tail.scan
    if scan is None:
        gap = seen.number("diagnostics.correction_gap")
        told = "The controller's journal is not on this machine: only the gap is known"
        return {
            "certified": None,
            "gap": gap,
            "tolerance": None,
            "iterations": None,
            "text": "No certificate yet" if gap is None else told,
        }
    return {
        "certified": scan["certified"],
        "gap": finite(scan["gap"]),
        "tolerance": finite(scan["tolerance"]),
        "iterations": scan["iterations"],
        "text": words.certificate_text(scan),
    }


def _model(unit: Unit, scan: Document | None) -> dict[str, Any]:
    novelty = None if scan is None else finite(scan.get("novelty"))
    return {
        "name": unit.manifest.name,
        "version": unit.manifest.version,
        "novelty": novelty,
        "outside_bands": None if scan is None else finite(scan.get("outside_bands")),
        "text": words.novelty_text(novelty),
    }


def _time(scan: Document) -> datetime:
    return datetime.fromisoformat(scan["utc"])


def _spaced(name: str) -> str:
    """PolymerConc -> "Polymer Conc", for people."""
    text = "".join(
        f" {letter}" if letter.isupper() and place and not name[place - 1].isupper() else letter
        for place, letter in enumerate(name.replace("_", " "))
    )
    return " ".join(text.split())
