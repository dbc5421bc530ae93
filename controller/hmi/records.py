"""Runs and scans of a journal, and the model: what the detail pages show.

The functions read files and run in a thread.
"""

from __future__ import annotations

import sqlite3
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from controller.errors import ConfigError
from controller.hmi.card import card_tree
from controller.hmi.placeless import placeless, placeless_document
from controller.hmi.tallies import Tally, count
from controller.hmi.values import finite
from controller.journal.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from controller.hmi.fleet import Unit
    from controller.hmi.tallies import Tallies
    from controller.journal.document import Document

LISTED = 500
"""Runs that are listed: the last ones."""

FAULTS = (sqlite3.Error, ConfigError, OSError, ValueError, KeyError)
"""What a journal that is absent, damaged or being replaced raises."""


class NoRecordError(Exception):
    """There is no such run or scan, or no journal; the message says which."""


def runs(path: Path, counted: Tallies) -> list[dict[str, Any]]:
    """Every run, the latest first.  Raises NoRecordError.

    counted: what earlier questions have counted; added to here.
    """
    try:
        with Reader.open(path) as reader:
            return list(_runs(reader, counted))
    except FAULTS as error:
        raise NoRecordError(_told(path, error)) from None


def page(path: Path, run: int, *, before: int | None, limit: int) -> dict[str, Any]:
    """{"scans": rows, the latest first, "next": before of the next page or None}."""
    try:
        with Reader.open(path) as reader:
            if run not in {int(document["run"]) for document in reader.runs()}:
                raise NoRecordError(f"there is no run {run}")
            scans = reader.page(run, before=before, limit=limit)
            events = [_event(event) for event in reader.events(run)[-200:]]
    except FAULTS as error:
        raise NoRecordError(_told(path, error)) from None
    more = bool(scans) and int(scans[-1]["scan_id"]) > 0 and len(scans) == limit
    return {
        "scans": [row(scan) for scan in scans],
        "next": scans[-1]["scan_id"] if more else None,
        "events": events,
    }


def scan(path: Path, run: int, number: int) -> Document:
    """One scan, whole.  Raises NoRecordError."""
    try:
        with Reader.open(path) as reader:
            found = reader.scan(number, run)
    except FAULTS as error:
        raise NoRecordError(_told(path, error)) from None
    if found is None:
        raise NoRecordError(f"there is no scan {number} in run {run}")
    whole: Document = placeless_document(found)
    return whole


def row(scan: Document) -> dict[str, Any]:
    """A line of the list of scans."""
    return {
        "scan": scan["scan_id"],
        "time": scan["utc"],
        "plant_time_s": finite(scan["plant_time_s"]),
        "mode": scan["mode_after"],
        "reason": placeless(scan["reason"]),
        "cv": scan["cv"],
        "sp": scan["sp"],
        "mv": scan["mv"],
        "policy": scan["policy_move"],
        "corrected": scan["move"],
        "applied": scan["target"] if scan["written"] else None,
        "written": scan["written"],
        "certified": scan["certified"],
        "gap": finite(scan["gap"]),
        "tolerance": finite(scan["tolerance"]),
        "duration_s": finite(scan["duration_s"]),
        "deadline_s": finite(scan["deadline_s"]),
        "late": scan["overrun"],
        "skipped": scan["skipped"],
        "conditions": placeless_document(scan["conditions"]),
    }


def model(unit: Unit, newest: Document | None) -> dict[str, Any]:
    """The bundle, its card and its envelope; newest: the last scan, for novelty and bands."""
    manifest = unit.manifest
    card = unit.bundle / "README.md"
    text = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    return {
        "name": manifest.name,
        "version": manifest.version,
        "sha256": unit.manifest_sha256,
        "card": card_tree(text),
        "sample_time_s": manifest.sample_time_s,
        "horizon_s": manifest.sample_time_s * sum(manifest.cost.blocks),
        "cvs": [
            {
                "tag": cv.name,
                "unit": cv.unit,
                "low": cv.low,
                "high": cv.high,
                "safe_high": cv.safe_high,
            }
            for cv in manifest.cvs
        ],
        "mvs": [
            {"tag": mv.name, "unit": mv.unit, "low": mv.low, "high": mv.high} for mv in manifest.mvs
        ],
        "envelope": [
            {"tag": cv.name, "unit": cv.unit, "low": cv.low, "high": cv.high} for cv in manifest.cvs
        ],
        "envelope_sides": [
            {"normal": side.normal, "limit": side.limit} for side in manifest.setpoint_envelope
        ],
        "metrics": placeless_document(
            {"dataset": dict(manifest.dataset), "training": dict(manifest.training)}
        ),
        "data_checks": [placeless_document(check.model_dump()) for check in manifest.data_checks],
        "files": dict(manifest.files),
        "pinned": unit.settings.bundle.manifest_sha256 is not None,
        "signed": False,
        "novelty": None if newest is None else finite(newest.get("novelty")),
        "outside_bands": None if newest is None else finite(newest.get("outside_bands")),
    }


def _runs(reader: Reader, counted: Tallies) -> Iterator[dict[str, Any]]:
    counts = reader.counts()
    stops = reader.last_events("stop")
    documents = reader.runs()[-LISTED:]
    count(reader, [_key(document) for document in reversed(documents)], counted)
    for document in reversed(documents):
        tally = counted.get(_key(document), Tally())
        run = int(document["run"])
        scans, stop = counts.get(run, 0), stops.get(run)
        ended = None if stop is None else stop["utc"]
        reason = "" if stop is None else placeless(str(stop["detail"].get("reason", "")))
        latest = document is documents[-1]
        if ended is None and not latest:
            last = reader.tail(1, run)
            ended = last[0]["utc"] if last else document["utc"]
            reason = "ended without a word"
        yield {
            "id": run,
            "started": document["utc"],
            "ended": ended,
            "scans": scans,
            "auto_scans": tally.auto if tally.whole else None,
            "overruns": tally.overruns if tally.whole else None,
            "reason": reason,
            "host": document["host"],
            "bundle": PurePath(document["bundle"]).name,  # the folder's place is the machine's
            "manifest_sha256": document["manifest_sha256"],
            "versions": document["versions"],
        }


def _key(document: Document) -> tuple[int, str]:
    return int(document["run"]), str(document["utc"])


def _event(event: Document) -> dict[str, Any]:
    return {
        "time": event["utc"],
        "kind": event["kind"],
        "detail": placeless_document(event["detail"]),
    }


def _told(path: Path, error: Exception) -> str:
    """What is wrong, without the path: everybody may read it."""
    said = str(error.received) if isinstance(error, ConfigError) else str(error)
    return f"the journal cannot be read: {placeless(said, path)}"
