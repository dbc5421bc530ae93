"""Novelty and recent misses of a scan, told and never acted on."""

import dataclasses
import json
import math
import shutil
import timeit
from itertools import pairwise
from time import process_time

import numpy as np
import pytest
from scipy.optimize import linprog

from models.online.watch import ConformalWatch
from models.runtime import Advice, AdviceRequest, ProcessSample, Runtime

FREE = [(None, None)] * 3


def setpoint_of(runtime):
    """The recorded states come with setpoints that a small dataset may not reach at rest."""
    planes = runtime.manifest.setpoint_envelope
    normals, limits = np.array([p.normal for p in planes]), np.array([p.limit for p in planes])
    inside = linprog([0.0, 0.0, -1.0], np.c_[normals, np.ones(len(planes))], limits, bounds=FREE)
    return inside.x[:2]


def asked(runtime, data, row, **changes):
    """A scan at one row of the data, everything inside its range allowed."""
    mvs = runtime.manifest.mvs
    low, high = (np.array([getattr(mv, side) for mv in mvs]) for side in ("low", "high"))
    sample = ProcessSample(
        plant_time_s=data.time_s[row],
        cv=data.cv[row],
        sp=setpoint_of(runtime),
        mv=data.mv[row],
        dv=data.dv[row],
    )
    return AdviceRequest(
        sample=dataclasses.replace(sample, **changes),
        low=low,
        high=high,
        range_low=low,
        range_high=high,
        windup_low=np.zeros(len(mvs), dtype=bool),
        windup_high=np.zeros(len(mvs), dtype=bool),
        freeze=False,
    )


def followed(runtime, data, scans):
    """Advice and memory after the first scans of the last episode."""
    begin, _ = data.episodes()[-1]
    memory = runtime.initial_memory()
    for row in range(begin, begin + scans):
        answer, memory = runtime.advise(asked(runtime, data, row), memory)
    return answer, memory


@pytest.mark.parametrize(("n_features", "n_blocks", "n_cv"), [(1, 1, 1), (4, 3, 5)])
def test_the_section_has_the_sizes_of_any_plant(calibrated, n_features, n_blocks, n_cv):
    _, manifest = calibrated
    section = manifest.conformal.model_copy(
        update={
            "bands": np.ones((n_blocks, n_cv)).tolist(),
            "ood_centres": np.zeros((1, n_features)).tolist(),
            "ood_whitening": np.eye(n_features).tolist(),
        }
    )
    lengths = section.lengths(n_blocks, n_cv, n_features)
    assert all(got == wanted for got, wanted in lengths.values())
    assert any(got != wanted for got, wanted in section.lengths(9, n_cv, n_features).values())
    cost = manifest.cost.model_copy(update={"blocks": [1] * n_blocks})
    other = manifest.model_copy(update={"conformal": section, "cost": cost})

    class Model:
        shared = np.zeros((1, n_blocks, n_cv, n_blocks, len(manifest.mvs)))

    watch = ConformalWatch(other, Model())
    far = np.full(n_features, 2.0 * section.ood_threshold)
    assert watch.novelty(far) == pytest.approx(2.0 * math.sqrt(n_features))


def test_a_state_of_the_data_is_not_novel_and_an_absurd_one_is(calibrated, small_data):
    runtime = Runtime.load(calibrated[0])
    answer, _ = followed(runtime, small_data, 20)
    assert 0.0 < answer.novelty < 1.5
    begin, _ = small_data.episodes()[-1]
    absurd = asked(runtime, small_data, begin, dv=np.array([5000.0]))
    answer, _ = runtime.advise(absurd, runtime.initial_memory())
    assert isinstance(answer, Advice)
    assert answer.certified  # it only informs
    assert answer.novelty > 1.0


def test_recent_misses_are_counted_against_the_bands(calibrated, small_data):
    at, manifest = calibrated
    runtime = Runtime.load(at)
    answer, memory = followed(runtime, small_data, 130)
    half = np.array([(mv.high - mv.low) / 2.0 for mv in manifest.mvs])
    outside = []
    for now, later in pairwise(range(len(memory.past_cv) - memory.filled, len(memory.past_cv))):
        factors = memory.past_factors[now, :, 0]
        gains = (runtime.model.shared[:, 0, :, 0] * factors).mean(axis=0)
        moved = (memory.past_mv[later] - memory.past_mv[now]) / half
        expected = memory.past_cv[now] + memory.past_free[now, 0] + gains @ moved
        miss = np.abs(memory.past_cv[later] - expected)
        outside.append(np.any(miss > np.array(manifest.conformal.bands[0])))
    assert manifest.cost.blocks[0] == 1
    assert answer.outside_bands == pytest.approx(np.mean(outside))
    first, _ = followed(runtime, small_data, 1)
    assert math.isnan(first.outside_bands)
    late = dataclasses.replace(memory, past_cv=memory.past_cv + 50.0 * np.arange(97)[:, None])
    assert runtime.watch.outside_bands(late) == 1.0


def test_a_bundle_without_the_section_loads_and_knows_no_novelty(calibrated, small_data, tmp_path):
    copy = shutil.copytree(calibrated[0], tmp_path / "old")
    text = json.loads((copy / "manifest.json").read_text())
    del text["conformal"]
    (copy / "manifest.json").write_text(json.dumps(text))
    runtime = Runtime.load(copy)
    answer, _ = followed(runtime, small_data, 3)
    assert isinstance(answer, Advice)
    assert math.isnan(answer.novelty)
    assert math.isnan(answer.outside_bands)
    with_it, _ = followed(Runtime.load(calibrated[0]), small_data, 3)
    assert answer.move.tobytes() == with_it.move.tobytes()


def test_novelty_costs_microseconds(calibrated):
    runtime = Runtime.load(calibrated[0])
    features = np.zeros(len(calibrated[1].cost.features))
    seconds = min(
        timeit.repeat(lambda: runtime.watch.novelty(features), timer=process_time, number=200)
    )
    assert seconds / 200 < 100e-6  # about 6 us of processor time
