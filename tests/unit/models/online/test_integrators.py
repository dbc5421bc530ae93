"""The integrators stand still where a limit, or an operator, leaves no room: no windup."""

import numpy as np
import pytest

from models.bundle import default_bundle, load_manifest, load_weights
from models.online.prediction import Tracker
from models.online.sequence import SequenceModel

FREE = np.array([False, False])
SHUT = np.array([True, True])
ERROR = np.array([1.0, 0.5])


@pytest.fixture(scope="module")
def tracker():
    """Of the shipped bundle, whose own integrators are switched off, with integrators."""
    manifest = load_manifest(default_bundle())
    figures = {"integral_gain": 0.1, "integral_limit": 6.0, "integral_band": 2.0}
    manifest = manifest.model_copy(
        update={"cvs": [cv.model_copy(update=figures) for cv in manifest.cvs]}
    )
    return Tracker(manifest, SequenceModel(manifest, load_weights(default_bundle())))


def integrated(tracker, error, scans, *, high=FREE, low=FREE, memory=None):
    memory = memory or tracker.empty()
    for _ in range(scans):
        memory = tracker.integrate(memory, error, 300.0, blocked_high=high, blocked_low=low)
    return memory


def test_with_room_they_follow_the_error_and_stay_in_their_limit(tracker):
    assert integrated(tracker, ERROR, 3).integral == pytest.approx(0.3 * ERROR)
    assert integrated(tracker, ERROR, 1000).integral == pytest.approx([6.0, 6.0])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_fifty_scans_at_a_limit_leave_nothing_to_unwind(tracker, sign):
    """Every gain of this model is positive: what shuts the way up is the high limit."""
    shut = {"high": SHUT} if sign > 0 else {"low": SHUT}
    started = integrated(tracker, sign * ERROR, 2)
    saturated = integrated(tracker, sign * ERROR, 50, memory=started, **shut)
    assert np.array_equal(saturated.integral, started.integral)
    back = integrated(tracker, -sign * ERROR, 1, memory=saturated, **shut)
    fresh = integrated(tracker, -sign * ERROR, 1, memory=started)
    assert np.array_equal(back.integral, fresh.integral), "the way back is open at once"


def test_an_mv_that_the_operator_has_is_shut_both_ways(tracker):
    taken = np.array([True, False])
    started = integrated(tracker, ERROR, 2)
    for error in (ERROR, -ERROR):
        after = integrated(tracker, error, 10, high=taken, low=taken, memory=started)
        assert np.array_equal(after.integral, started.integral)
