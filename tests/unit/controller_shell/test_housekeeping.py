"""Tag metrics follow the image, also where a pass skips what has not changed."""

from datetime import UTC, datetime
from math import isnan, nan
from types import SimpleNamespace

import pytest

from controller.core.types import Measurement, Quality
from controller.housekeeping import Housekeeping
from controller.metrics import Labelling, Metrics

EARLY, LATE = (datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC) for second in (1, 2))
HEALTHY = SimpleNamespace(failing=False, lost=0, waiting=0, error="")


def metrics():
    return Metrics(
        Labelling(
            cvs=[],
            mvs=[],
            tags=["a", "b"],
            modes=["INIT"],
            outcomes=[],
            refusals=[],
            period_s=1.0,
            deadline_s=0.5,
            version="0",
            model_name="m",
            model_version="1",
            model_sha256="0",
        )
    )


def held(tag, quality, source_time):
    return Measurement(
        tag=tag, value=1.0, quality=quality, source_time=source_time, received_s=0.0, status=""
    )


async def no_alarms():
    return None


async def test_quality_and_time_follow_every_change():
    image = {"a": held("a", Quality.GOOD, EARLY), "b": held("b", Quality.GOOD, None)}
    link = SimpleNamespace(connected=True, image=lambda: image, alarms=no_alarms)
    reporter = SimpleNamespace(quality={})
    found = metrics()
    keeping = Housekeeping(
        link=link,
        metrics=found,
        journal=SimpleNamespace(health=lambda: HEALTHY),
        reporter=reporter,
    )

    async def shown():
        await keeping.run(None)
        value = found.registry.get_sample_value
        labels = [{"tag": tag} for tag in ("a", "b")]
        return (
            [value("trimtab_tag_quality", each) for each in labels],
            [value("trimtab_tag_source_timestamp_seconds", each) for each in labels],
        )

    assert await shown() == ([2.0, 2.0], [EARLY.timestamp(), pytest.approx(nan, nan_ok=True)])
    assert await shown() == ([2.0, 2.0], [EARLY.timestamp(), pytest.approx(nan, nan_ok=True)])
    image["a"] = held("a", Quality.GOOD, LATE)
    assert await shown() == ([2.0, 2.0], [LATE.timestamp(), pytest.approx(nan, nan_ok=True)])
    image["b"] = held("b", Quality.UNCERTAIN, EARLY)
    assert await shown() == ([2.0, 1.0], [LATE.timestamp(), EARLY.timestamp()])
    reporter.quality = {"a": Quality.BAD, "b": Quality.GOOD}
    assert await shown() == ([0.0, 1.0], [LATE.timestamp(), EARLY.timestamp()])
    reporter.quality = {"a": Quality.GOOD, "b": Quality.BAD}
    image["a"] = held("a", Quality.BAD, LATE)
    assert await shown() == ([0.0, 0.0], [LATE.timestamp(), EARLY.timestamp()])
    image["a"] = held("a", Quality.GOOD, LATE)
    reporter.quality, link.connected = {}, False
    assert await shown() == ([0.0, 0.0], [LATE.timestamp(), EARLY.timestamp()])
    link.connected = True
    assert await shown() == ([2.0, 1.0], [LATE.timestamp(), EARLY.timestamp()])


async def test_alarms_are_counted_and_unknown_without_a_plant_that_tells_of_them():
    told = None

    async def alarms():
        return told

    found = metrics()
    keeping = Housekeeping(
        link=SimpleNamespace(connected=True, image=dict, alarms=alarms),
        metrics=found,
        journal=SimpleNamespace(health=lambda: HEALTHY),
        reporter=SimpleNamespace(quality={}),
    )

    async def shown(priority, state):
        await keeping.run(None)
        labels = {"priority": priority, "state": state}
        return found.registry.get_sample_value("trimtab_alarms_active", labels)

    assert isnan(await shown("high", "unacknowledged"))
    told = {}
    assert await shown("high", "unacknowledged") == 0.0
    told = {("high", "unacknowledged"): 2}
    assert await shown("high", "unacknowledged") == 2.0
    assert await shown("low", "returned") == 0.0
    told = {("high", "acknowledged"): 1}
    assert await shown("high", "unacknowledged") == 0.0
    told = None
    assert isnan(await shown("high", "acknowledged"))
