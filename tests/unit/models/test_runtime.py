"""One scan of the runtime: memory, refusals, certificate, offset, determinism."""

import dataclasses

import numpy as np
import pytest

from models.bundle import default_bundle, load_weights
from models.evaluation.bundle_pilots import pilots_of
from models.evaluation.episode import fly
from models.evaluation.metrics import measures
from models.evaluation.suites import cases_of, setting_of
from models.recipe import load_recipe
from models.runtime import (
    CLOCK_JITTER_S,
    Advice,
    AdviceRequest,
    ProcessSample,
    Refusal,
    RefusalReason,
    Runtime,
)


@pytest.fixture(scope="module")
def runtime():
    return Runtime.load(default_bundle())


def request(time_s=0.0, **changes):
    sample = ProcessSample(
        plant_time_s=time_s,
        cv=np.array([100.0, 350.0]),
        sp=np.array([100.0, 350.0]),
        mv=np.array([1.79, 339.9]),
        dv=np.array([430.0]),
    )
    inside = {f.name for f in dataclasses.fields(ProcessSample)}
    sample = dataclasses.replace(sample, **{k: v for k, v in changes.items() if k in inside})
    plain = AdviceRequest(
        sample=sample,
        low=np.array([1.29, 329.9]),
        high=np.array([2.29, 349.9]),
        range_low=np.array([0.0, 300.0]),
        range_high=np.array([2.5, 350.0]),
        windup_low=np.zeros(2, dtype=bool),
        windup_high=np.zeros(2, dtype=bool),
        freeze=False,
    )
    return dataclasses.replace(plain, **{k: v for k, v in changes.items() if k not in inside})


def test_advice_is_certified_and_inside_the_box(runtime):
    advice, _ = runtime.advise(request(), runtime.initial_memory())
    assert isinstance(advice, Advice)
    assert advice.certified
    assert np.all((advice.move >= [1.29, 329.9]) & (advice.move <= [2.29, 349.9]))
    assert np.array_equal(advice.plan[0], advice.move)


def test_the_same_requests_give_the_same_bits(runtime):
    def run():
        memory, bits = runtime.initial_memory(), b""
        for k in range(30):
            asked = request(300.0 * k, cv=np.array([100.0 + np.sin(k), 350.0]))
            advice, memory = runtime.advise(asked, memory)
            bits += advice.move.tobytes() + advice.plan.tobytes()
        return bits

    assert run() == run()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["cv", "sp", "mv", "dv", "low", "high", "range_low"])
def test_input_that_is_not_finite_is_refused_and_forgotten(runtime, where, bad):
    memory = runtime.initial_memory()
    _, memory = runtime.advise(request(), memory)
    plain = request(300.0)
    field = getattr(plain.sample, where, None)
    value = (getattr(plain, where) if field is None else field).copy()
    value[-1] = bad
    answer, after = runtime.advise(request(300.0, **{where: value}), memory)
    assert isinstance(answer, Refusal)
    assert answer.reason is RefusalReason.NON_FINITE_INPUT
    assert after is memory


def test_the_move_of_a_foreign_policy_is_cut_and_corrected_like_the_bundles_own(runtime):
    memory = runtime.initial_memory()
    own, _ = runtime.advise(request(), memory)
    same, _ = runtime.advise(request(policy_move=own.policy_move), memory)
    assert same.move.tobytes() == own.move.tobytes()
    assert (same.cost, same.gap) == (own.cost, own.gap)
    foreign, _ = runtime.advise(request(policy_move=np.array([9.0, 0.0])), memory)
    assert foreign.policy_move.tolist() == [2.5, 300.0]
    assert foreign.certified
    assert np.all((foreign.move >= [1.29, 329.9]) & (foreign.move <= [2.29, 349.9]))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_foreign_move_that_is_not_finite_is_refused_and_forgotten(runtime, bad):
    memory = runtime.initial_memory()
    answer, after = runtime.advise(request(policy_move=np.array([1.8, bad])), memory)
    assert isinstance(answer, Refusal)
    assert answer.reason is RefusalReason.NON_FINITE_INPUT
    assert "policy move" in answer.detail
    assert after is memory


def test_plant_time_that_is_not_finite_is_refused(runtime):
    answer, _ = runtime.advise(request(np.nan), runtime.initial_memory())
    assert answer.reason is RefusalReason.NON_FINITE_INPUT


def test_an_empty_box_is_refused(runtime):
    answer, _ = runtime.advise(request(low=np.array([2.4, 329.9])), runtime.initial_memory())
    assert isinstance(answer, Refusal)
    assert answer.reason is RefusalReason.EMPTY_BOX


def test_a_box_without_width_is_answered_by_its_point(runtime):
    fixed = np.array([1.5, 340.0])
    asked = request(low=fixed, high=fixed, range_low=fixed, range_high=fixed)
    advice, _ = runtime.advise(asked, runtime.initial_memory())
    assert isinstance(advice, Advice)
    assert np.array_equal(advice.move, fixed)


def test_an_mv_that_is_not_ours_stays_and_the_other_is_optimised(runtime):
    asked = request(
        cv=np.array([90.0, 350.0]),
        low=np.array([1.79, 329.9]),
        high=np.array([1.79, 349.9]),
        range_low=np.array([1.79, 300.0]),
        range_high=np.array([1.79, 350.0]),
    )
    advice, _ = runtime.advise(asked, runtime.initial_memory())
    assert isinstance(advice, Advice)
    assert advice.move[0] == 1.79
    assert np.all(advice.plan[:, 0] == 1.79)
    assert advice.move[1] != 339.9


def test_a_setpoint_that_cannot_be_reached_is_refused_with_the_reason(runtime):
    answer, _ = runtime.advise(request(sp=np.array([135.0, 350.0])), runtime.initial_memory())
    assert isinstance(answer, Refusal)
    assert answer.reason is RefusalReason.OUTSIDE_ENVELOPE
    assert "PolymerConc = 135 kg/m3" in answer.detail


@pytest.mark.parametrize("setpoint", [(100, 350), (70, 345), (140, 355), (85, 347), (120, 353)])
def test_setpoints_that_can_be_reached_are_in_the_envelope(runtime, setpoint):
    assert runtime.manifest.setpoint_in_envelope(np.array(setpoint, dtype=float)) is None


def test_memory_starts_afresh_when_the_plant_clock_turns_back(runtime):
    memory = runtime.initial_memory()
    for k in range(10):
        _, memory = runtime.advise(request(300.0 * k, cv=np.array([90.0, 349.0])), memory)
    assert memory.filled == 10
    _, memory = runtime.advise(request(0.0), memory)
    assert memory.filled == 1
    assert memory.estimate.tolist() == [100.0, 350.0]
    _, memory = runtime.advise(request(1e6), memory)
    assert memory.filled == 1


def test_a_jitter_of_the_plant_clock_is_no_elapsed_time(runtime):
    memory = runtime.initial_memory()
    for k in range(40):
        _, memory = runtime.advise(request(300.0 * k, cv=np.array([95.0, 349.0])), memory)
    assert np.any(memory.bias != 0.0)
    last = 300.0 * 39
    again, same = runtime.advise(request(last, cv=np.array([95.0, 349.0])), memory)
    back, jittered = runtime.advise(
        request(last - CLOCK_JITTER_S, cv=np.array([95.0, 349.0])), memory
    )
    assert back.move.tobytes() == again.move.tobytes()
    for name in (field.name for field in dataclasses.fields(memory)):
        assert np.array_equal(getattr(jittered, name), getattr(same, name)), name
    _, fresh = runtime.advise(request(last - 1.01 * CLOCK_JITTER_S), memory)
    assert not fresh.bias.any()
    _, drifted = runtime.advise(request(last - 1.2 * CLOCK_JITTER_S), jittered)
    assert not drifted.bias.any()


def test_a_late_scan_counts_as_the_samples_that_passed(runtime):
    memory = runtime.initial_memory()
    _, memory = runtime.advise(request(0.0), memory)
    _, memory = runtime.advise(request(910.0), memory)
    assert memory.filled == 4


def test_filters_follow_elapsed_time_not_the_count_of_scans(runtime):
    def after(times):
        memory = runtime.initial_memory()
        for k in times:
            _, memory = runtime.advise(request(float(k), mv=np.array([2.0, 340.0])), memory)
        return memory.cost_filters

    np.testing.assert_allclose(after([0, 300, 600, 900]), after([0, 900]), rtol=1e-12)


def test_the_model_predicts_the_plant(runtime):
    """Predictions of the rise after a step up of both MVs have the process's signs."""
    up = request(low=np.array([2.2, 349.0]), high=np.array([2.2, 349.0]))
    down = request(low=np.array([1.3, 330.0]), high=np.array([1.3, 330.0]))
    high, _ = runtime.advise(up, runtime.initial_memory())
    low, _ = runtime.advise(down, runtime.initial_memory())
    assert np.all(high.predicted[0] > low.predicted[0])


@pytest.mark.parametrize("scenario", ["startup", "grade_down", "grade_up"])
def test_the_shipped_bundle_settles_every_scenario(scenario):
    """One held-out start each, with measurement noise: on spec after a day, never hot."""
    recipe = load_recipe("polymer-cstr")
    setting = setting_of(recipe, 300.0, hours=24.0)
    case = next(case for case in cases_of(recipe, ["noise"]) if case.name == scenario)
    pilots = {pilot.name: pilot for pilot in pilots_of(default_bundle(), recipe.source)}
    pilot = dataclasses.replace(pilots["sequence"], move_limit=(0.5, 10.0))
    found = measures(fly(pilot, setting, case, 907), setting)
    assert found["refused"] == 0
    assert not found["violated"]
    assert abs(found["offset_P"]) <= 1.0
    assert abs(found["offset_T"]) <= 0.3


def test_a_later_move_goes_no_further_than_so_many_scans_could(runtime):
    """A slow actuator: what one scan may do bounds every later block by its number of scans."""
    step = np.array([0.05, 1.0])
    here = np.array([1.79, 339.9])
    narrow = request(sp=np.array([140.0, 355.0]), low=here - step, high=here + step)
    answer, _ = runtime.advise(narrow, runtime.initial_memory())
    assert isinstance(answer, Advice)
    blocks = runtime.manifest.cost.blocks
    scans = np.cumsum([0, *blocks[:-1]]) + 1
    assert np.all(np.abs(answer.plan - here) <= scans[:, None] * step + 1e-9)
    wide, _ = runtime.advise(request(sp=np.array([140.0, 355.0])), runtime.initial_memory())
    assert np.any(np.abs(wide.plan - here) > scans[:, None] * step + 1e-9)


def test_moves_outside_their_range_still_have_a_box(runtime):
    """An operator left the coolant below the model's range: the plan may stay there or come in."""
    outside = request(
        mv=np.array([1.79, 299.0]),
        low=np.array([1.74, 299.0]),
        high=np.array([1.84, 299.5]),
    )
    answer, _ = runtime.advise(outside, runtime.initial_memory())
    assert isinstance(answer, Advice)
    assert answer.certified
    assert np.all(answer.plan[1:, 1] >= 300.0)


def test_the_ceiling_counts_over_the_first_blocks_only(runtime):
    """Hot, and too slow to cool: each further block that counts costs more."""
    hot = request(
        cv=np.array([110.0, 361.0]),
        mv=np.array([2.4, 349.0]),
        low=np.array([2.39, 348.9]),
        high=np.array([2.41, 349.1]),
    )

    def cost_with(blocks):
        cost = runtime.manifest.cost.model_copy(update={"ceiling_blocks": blocks})
        manifest = runtime.manifest.model_copy(update={"cost": cost})
        other = Runtime(manifest, load_weights(default_bundle()))
        return other.advise(hot, other.initial_memory())[0].cost

    assert cost_with(1) < cost_with(4) < cost_with(None)
