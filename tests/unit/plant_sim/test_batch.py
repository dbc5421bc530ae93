"""A batch is its plants: the same bits as each plant alone, whatever the others do."""

import numpy as np
import pytest

from plant_sim.batch import PlantBatch
from plant_sim.plant import LoopCommand, LoopMode, Plant, PlantOptions
from plant_sim.regulatory import PiTuning
from plant_sim.scenarios import SCENARIOS

OPTIONS = [
    PlantOptions(noise=True),
    PlantOptions(mismatch=True, disturbance=True, disturbance_at_s=3600.0),
    PlantOptions(noise=True, mismatch=True, actuators=True),
    PlantOptions(flow_lag=True, tuning=PiTuning(kp=(0.002, 0.1), ki=(1e-6, 2e-5))),
]
KINDS = [(name, seed, options) for name in SCENARIOS for seed, options in enumerate(OPTIONS)]


def plants():
    return [Plant(SCENARIOS[name], seed=seed, options=options) for name, seed, options in KINDS]


def commands(count, step):
    """Modes and commands that change from step to step and differ from plant to plant."""
    rng = np.random.default_rng(step)
    modes = rng.integers(0, 3, (count, 2))
    command = np.empty((count, 4, 2))
    command[:, 0] = [100.0, 350.0]
    command[:, 1] = rng.uniform([0.0, 300.0], [2.5, 350.0], (count, 2))
    command[:, 2] = rng.uniform([0.0, 300.0], [2.5, 350.0], (count, 2))
    command[:, 3] = rng.normal(size=(count, 2)) * [0.1, 1.0]
    return modes, command


def one_by_one(plant, modes, command, dt):
    return plant.step(
        dt,
        LoopCommand(
            mode=tuple(LoopMode(m) for m in modes),
            setpoint=command[0],
            target=command[1],
            output=command[2],
            bias_offset=command[3],
        ),
    )


def test_a_batch_has_the_bits_of_its_plants():
    alone, batch = plants(), PlantBatch(plants())
    assert np.array_equal(batch.measured[:, 2], [plant.measure().T for plant in alone])
    for step in range(40):
        dt = (300.0, 60.0, 1800.0, 7.5)[step % 4]
        modes, command = commands(len(alone), step)
        seen = batch.step(dt, modes, command)
        for i, plant in enumerate(alone):
            summary = one_by_one(plant, modes[i], command[i], dt)
            assert np.array_equal(plant.state, batch.state[i])
            assert np.array_equal(plant.actual, batch.actual[i])
            assert summary.peak_T == seen.peak_T[i]
            assert np.array_equal(summary.mean_actual, seen.mean_actual[i])
            assert summary.override_s == seen.override_s[i]
            assert summary.tripped == seen.tripped[i]
        measured = [[m.A, m.P, m.T] for m in (plant.measure() for plant in alone)]
        assert np.array_equal(batch.measured, measured)


@pytest.mark.parametrize(
    ("row", "mode", "name"),
    [
        (0, LoopMode.AUTO, "setpoint"),
        (1, LoopMode.RCAS, "target"),
        (2, LoopMode.MAN, "output"),
        (3, LoopMode.AUTO, "bias_offset"),
    ],
)
def test_a_command_that_is_not_finite_moves_no_plant(row, mode, name):
    batch = PlantBatch(plants())
    before = batch.state.copy()
    modes, command = np.full((len(batch), 2), int(mode)), np.zeros((len(batch), 4, 2))
    command[5, row, 1] = np.nan
    with pytest.raises(ValueError, match=f"{name} of plant 5"):
        batch.step(300.0, modes, command)
    assert np.array_equal(batch.state, before)
    assert not batch.time_s.any()


@pytest.mark.parametrize("dt", [0.0, -1.0, np.nan, 1e9])
def test_a_step_of_no_length_is_refused(dt):
    batch = PlantBatch(plants()[:1])
    modes, command = commands(1, 0)
    with pytest.raises(ValueError, match="dt_s"):
        batch.step(dt, modes, command)


def test_plants_may_be_at_different_times_and_be_replaced():
    """A plant that joins later has the disturbance when its own clock says so."""
    alone = plants()[:3]
    batch = PlantBatch(plants()[:3])
    for step in range(20):
        if step == 8:
            alone[1] = plants()[5]
            batch.replace(1, plants()[5])
        modes, command = commands(3, step)
        batch.step(300.0, modes, command)
        for i, plant in enumerate(alone):
            one_by_one(plant, modes[i], command[i], 300.0)
            assert np.array_equal(plant.state, batch.state[i])
            assert plant.time_s == batch.time_s[i]


def test_a_batch_of_nothing_is_refused():
    with pytest.raises(ValueError, match="one or more"):
        PlantBatch([])


@pytest.mark.parametrize("kind", [LoopMode.AUTO, LoopMode.RCAS])
def test_the_fast_arithmetic_stays_within_its_error_over_an_episode(kind):
    """Day and night of 24 plants, under the PI or under targets that change every sample."""
    exact, fast = (
        PlantBatch(plants() + plants()),
        PlantBatch(plants() + plants(), arithmetic="fast"),
    )
    rng, size = np.random.default_rng(0), np.array([1e-3, 1e-3, 1e-9, 1e-3, 1.0])
    modes, command = np.full((len(exact), 2), int(kind)), np.zeros((len(exact), 4, 2))
    command[:, 0] = [100.0, 350.0]
    differs = False
    for _ in range(288):
        command[:, 1] = rng.uniform([1.0, 336.0], [1.9, 342.0], (len(exact), 2))
        wanted, seen = exact.step(300.0, modes, command), fast.step(300.0, modes, command)
        assert np.all(np.abs(fast.state - exact.state) <= 1e-6 * np.maximum(exact.state, size))
        assert np.all(np.abs(fast.actual - exact.actual) <= 1e-6 * exact.actual)
        assert seen.peak_T == pytest.approx(wanted.peak_T, rel=1e-8)
        assert np.array_equal(seen.override_s, wanted.override_s)
        differs |= not np.array_equal(fast.state, exact.state)
    assert differs


def test_threads_change_nothing():
    one, many = (
        PlantBatch([plant for _ in range(12) for plant in plants()], threads=threads)
        for threads in (1, 3)
    )
    for step in range(5):
        modes, command = commands(len(one), step)
        one.step(300.0, modes, command)
        many.step(300.0, modes, command)
        assert np.array_equal(one.state, many.state)
        assert np.array_equal(one.measured, many.measured)
    with pytest.raises(ValueError, match="threads: 0; allowed: 1 and above"):
        PlantBatch(plants(), threads=0)


def test_an_arithmetic_that_is_none_is_refused():
    with pytest.raises(ValueError, match="arithmetic: 'rough'; allowed: exact, fast"):
        PlantBatch(plants()[:1], arithmetic="rough")
