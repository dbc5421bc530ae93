"""The disturbance: what the last predictions missed, taken for a rate that nobody measures."""

import dataclasses

import numpy as np
import pytest

from models.bundle import default_bundle, load_manifest, load_weights
from models.online.features import ProcessSample, values
from models.online.prediction import Tracker
from models.online.sequence import SequenceModel, lasting

DRIFT = np.array([0.2, -0.1])
MV = np.array([1.79, 339.9])


def tracker(gain, limit=100.0):
    """Of the shipped bundle, without bias, so that the disturbance alone explains the misses."""
    manifest = load_manifest(default_bundle())
    figures = {"disturbance_gain": gain, "disturbance_limit": limit, "bias_gain": 0.0}
    manifest = manifest.model_copy(
        update={"cvs": [cv.model_copy(update=figures) for cv in manifest.cvs]}
    )
    return Tracker(manifest, SequenceModel(manifest, load_weights(default_bundle())))


def followed(track, samples, drift):
    """Memory after a plant that does what the model says, and drifts besides."""
    memory, model = track.empty(), track._model
    cv = np.array([100.0, 350.0])
    for k in range(samples):
        sample = ProcessSample(plant_time_s=300.0 * k, cv=cv, sp=cv, mv=MV, dv=np.array([430.0]))
        memory = track.observe(memory, sample)
        estimated = dataclasses.replace(sample, cv=memory.estimate)
        nominal = model.response(
            track.cost_map.vector(values(estimated), np.zeros(2), memory.cost_filters)
        )
        memory = track.learn(memory, sample, nominal.under(memory.disturbance))
        cv = cv + nominal.free[0] + drift
    return memory


def test_a_steady_drift_is_found():
    found = followed(tracker(0.02), 400, DRIFT).disturbance
    assert found == pytest.approx(DRIFT, rel=0.05)


def test_without_a_drift_there_is_none():
    assert np.abs(followed(tracker(0.02), 100, 0.0 * DRIFT).disturbance).max() < 1e-12


def test_a_gain_of_zero_keeps_it_at_zero():
    assert np.array_equal(followed(tracker(0.0), 50, DRIFT).disturbance, [0.0, 0.0])


def test_it_stays_inside_its_limit():
    """1.2 CV units an hour are 0.1 a sample of 300 s."""
    found = followed(tracker(0.05, limit=1.2), 200, DRIFT).disturbance
    assert found == pytest.approx([0.1, -0.1])


def test_a_disturbance_counts_as_long_as_it_lasts():
    ends = np.array([1, 2, 4])
    one_by_one = [sum(0.9**i for i in range(end)) for end in ends]
    assert lasting(ends, 0.9) == pytest.approx(one_by_one)


def test_a_disturbance_moves_the_predictions_its_way():
    """After one sample by itself; after an hour a warming still warms and makes polymer."""
    model = tracker(0.0)._model
    rest = model.response(np.zeros(6))
    warmer = rest.under(np.array([0.0, 0.1])).free - rest.free
    assert warmer[0, 1] == pytest.approx(0.1, abs=0.02)
    hour = int(np.searchsorted(model.ends, 12))
    assert warmer[hour, 1] > 0.1
    assert warmer[hour, 0] > 0.0
