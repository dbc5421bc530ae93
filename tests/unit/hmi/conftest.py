"""Units, images and scans as the pure parts of the HMI are given them."""

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest

from controller.configuration.tags import parse_tags
from controller.core.report import CycleReport
from controller.core.state import Mode, ModeState
from controller.core.types import (
    Advised,
    Measurement,
    Move,
    MoveOrigin,
    Quality,
    Tick,
    Written,
    flags,
    vector,
)
from controller.hmi.fleet import prepare
from controller.hmi.journal_tail import Tail
from controller.hmi.settings import for_units
from controller.hmi.values import Seen
from controller.journal.document import scan_document
from controller.testing import plain_advice, plain_binding, plain_readings, plain_tags

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
MONOTONIC_S = 5000.0
CONTROLLER = """
[security]
policy = "None"
insecure = true
[scan]
period_s = 1.0
[tags]
path = {tags}
[journal]
path = {journal}
"""


@pytest.fixture
def unit(tmp_path, monkeypatch):
    """The shipped plant and bundle, in clear."""
    from controller.configuration.settings import default_config_dir

    monkeypatch.setenv("TRIMTAB_HMI_PASSWORD", "secret")
    config = tmp_path / "controller.toml"
    tags = default_config_dir() / "tags.toml"
    journal = tmp_path / "journal.db"
    config.write_text(CONTROLLER.format(tags=f'"{tags}"', journal=f'"{journal}"'))
    (made,) = prepare(for_units([config], None)).values()
    return made


@pytest.fixture
def plain_unit(unit):
    """Makes units of any dimension: CV0 ..., MV0 ..."""

    def make(n_cv: int, n_mv: int):
        signals = [
            SimpleNamespace(name=f"CV{k}", unit="kg/m3", low=0.0, high=100.0, safe_high=None)
            for k in range(n_cv)
        ]
        manifest = SimpleNamespace(cvs=signals, name="plain", version="1")
        tags = parse_tags(plain_tags(n_cv, n_mv), file="tags.toml")
        return replace(
            unit, tags=tags, binding=plain_binding(n_cv, n_mv), manifest=manifest, name="U1"
        )

    return make


def held(key, value, *, quality=Quality.GOOD, age_s=0.1, source=NOW, status="Good"):
    return Measurement(
        tag=key,
        value=value,
        quality=quality,
        source_time=source,
        received_s=MONOTONIC_S - age_s,
        status=status,
    )


@pytest.fixture
def seen():
    """Makes what is seen of a unit; values: key -> value, or a Measurement."""

    def make(values=None, **changes):
        image = {
            key: value if isinstance(value, Measurement) else held(key, value)
            for key, value in (values or {}).items()
        }
        whole = {
            "image": image,
            "connected": True,
            "problem": "",
            "now": NOW,
            "monotonic_s": MONOTONIC_S,
            "alarms": {"unacknowledged": 0, "active": 0, "highest": None},
        }
        return Seen(**{**whole, **changes})

    return make


@pytest.fixture
def scan():
    """Makes the journal's document of a scan in AUTO, `age_s` old."""

    def make(n_cv=2, n_mv=2, *, age_s=0.5, mode=Mode.AUTO, reason="in command", **changes):
        from datetime import timedelta

        move = vector(np.linspace(40.0, 60.0, n_mv))
        report = CycleReport(
            tick=Tick(scan_id=7, due_s=10.0, started_s=10.001, budget_s=0.5),
            utc=NOW - timedelta(seconds=age_s),
            before=ModeState(mode=mode),
            after=ModeState(mode=mode, reason=reason, acknowledged=True),
            readings=plain_readings(n_cv, n_mv),
            proposal=Advised(
                advice=plain_advice(move, gap=1e-8), request=_request(n_cv, n_mv), elapsed_s=0.001
            ),
            move=Move(
                targets=move,
                write=flags([True] * n_mv),
                request=True,
                origin=MoveOrigin.CORRECTION,
            ),
            outcome=Written(elapsed_s=0.002),
            conditions=(),
            duration_s=0.004,
            deadline_s=0.5,
        )
        return scan_document(replace(report, **changes), run=3)

    return make


@pytest.fixture
def tail(scan):
    """Makes a journal's end with one scan."""

    def make(mode=None, stop=None, **changes):
        return Tail(scan=scan(**changes), mode=mode, stop=stop, problem="", seq=1)

    return make


def _request(n_cv, n_mv):
    from controller.core.box import move_box, no_targets
    from controller.core.observe import advice_request

    readings = plain_readings(n_cv, n_mv)
    return advice_request(readings, move_box(readings, no_targets(n_mv)), freeze=False)
