"""The vectorised environment: the bits of the single one, and its autoreset."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import plant_sim.env  # noqa: F401 - registers the environment
from plant_sim.vector_env import PolymerCSTRVectorEnv

ID = "plant_sim/PolymerCSTR-v0"
OPTIONS = {"scenario": "grade_up", "noise": True, "mismatch": True, "episode_hours": 1.0}


def made(count, **changes):
    return gymnasium.make_vec(
        ID, num_envs=count, vectorization_mode="vector_entry_point", **(OPTIONS | changes)
    )


def test_make_vec_makes_it():
    env = made(3)
    assert isinstance(env.unwrapped, PolymerCSTRVectorEnv)
    seen, _ = env.reset(seed=4)
    assert env.observation_space.contains(seen)
    assert env.action_space.shape == (3, 2)


@pytest.mark.parametrize("changes", [{}, {"scenario": "startup", "disturbance": True}])
def test_it_gives_the_bits_of_single_environments_over_resets(changes):
    """Gymnasium's own loop over single environments is the reference, infos and all."""
    ours = made(4, **changes)
    loop = gymnasium.make_vec(
        ID,
        num_envs=4,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": gymnasium.vector.AutoresetMode.NEXT_STEP},
        **(OPTIONS | changes),
    )
    rng = np.random.default_rng(0)
    for (seen, info), (wanted, told) in [(ours.reset(seed=9), loop.reset(seed=9))]:
        assert np.array_equal(seen, wanted)
        assert info.keys() == told.keys()
    for _ in range(30):
        action = rng.uniform([0.0, 300.0], [2.5, 350.0], (4, 2))
        found, wanted = ours.step(action), loop.step(action)
        for mine, theirs in zip(found[:4], wanted[:4], strict=True):
            assert np.array_equal(mine, theirs)
        for name, value in wanted[4].items():
            assert np.array_equal(found[4][name], value), name


def test_the_pi_acts_as_in_the_single_environment():
    ours = made(2).unwrapped
    single = gymnasium.make(ID, **OPTIONS).unwrapped
    ours.reset(seed=1)
    single.reset(seed=2)
    for k in range(8):
        offset = np.array([0.05 * k, -0.5])
        seen, reward, *_ = ours.step_regulatory(offset)
        wanted, earned, *_ = single.step_regulatory(offset)
        assert np.array_equal(seen[1], wanted)
        assert reward[1] == earned


@pytest.mark.parametrize("bad", [np.zeros((3, 2)), np.full((2, 2), np.nan), np.zeros(2)])
def test_actions_that_are_none_are_refused(bad):
    env = made(2)
    env.reset(seed=1)
    with pytest.raises(ValueError, match="actions"):
        env.unwrapped.step(bad)


def test_before_reset_there_is_nothing_to_step():
    with pytest.raises(RuntimeError, match="reset"):
        PolymerCSTRVectorEnv(2).step(np.zeros((2, 2)))


def test_seeds_are_one_or_as_many_as_environments():
    env = PolymerCSTRVectorEnv(3)
    with pytest.raises(ValueError, match="one number, or 3"):
        env.reset(seed=[1, 2])
    with pytest.raises(ValueError, match="num_envs"):
        PolymerCSTRVectorEnv(0)


def test_each_environment_may_have_options_of_its_own():
    env = PolymerCSTRVectorEnv(2)
    each = [{"setpoint": (90.0, 348.0)}, {}]
    seen, _ = env.reset(seed=1, options={"each": each})
    assert np.array_equal(seen[:, 3:5], [[90.0, 348.0], [100.0, 350.0]])
    with pytest.raises(ValueError, match="reset option each: 1 of them; allowed: 2"):
        env.reset(seed=1, options={"each": each[:1]})


def test_the_fast_arithmetic_is_asked_for_by_name():
    exact, fast = made(3), made(3, arithmetic="fast")
    exact.reset(seed=1)
    fast.reset(seed=1)
    for _ in range(12):
        (wanted, *_), (seen, *_) = exact.step([[1.8, 340.0]] * 3), fast.step([[1.8, 340.0]] * 3)
    assert not np.array_equal(seen, wanted)
    assert seen == pytest.approx(wanted, rel=1e-6)
    with pytest.raises(ValueError, match="arithmetic: 'rough'; allowed: exact, fast"):
        made(1, arithmetic="rough")


def test_without_autoreset_an_ended_episode_goes_on_as_in_the_single_environment():
    ours = made(3, autoreset_mode=AutoresetMode.DISABLED)
    assert ours.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    single = gymnasium.make(ID, **OPTIONS).unwrapped
    ours.reset(seed=[1, 2, 3])
    single.reset(seed=2)
    for k in range(20):  # an episode has 12 samples
        seen, reward, _, truncated, info = ours.step([[1.8, 340.0]] * 3)
        wanted, earned, _, over, told = single.step([1.8, 340.0])
        assert np.array_equal(seen[1], wanted)
        assert reward[1] == earned != 0.0
        assert truncated[1] == over == (k >= 11)
        assert info["time_s"][1] == told["time_s"]


def test_a_mask_resets_some_environments():
    ours = made(3, autoreset_mode=AutoresetMode.DISABLED)
    ours.reset(seed=1)
    before, *_ = ours.step([[1.8, 340.0]] * 3)
    mask = np.array([False, True, False])
    seen, info = ours.reset(seed=[7, 8, 9], options={"reset_mask": mask})
    assert np.array_equal(seen[~mask], before[~mask])
    assert info["time_s"].tolist() == [300.0, 0.0, 300.0]
    single = gymnasium.make(ID, **OPTIONS).unwrapped
    assert np.array_equal(seen[1], single.reset(seed=8)[0])
    assert np.array_equal(ours.step([[1.8, 340.0]] * 3)[0][1], single.step([1.8, 340.0])[0])
    with pytest.raises(ValueError, match=r"reset_mask: .* allowed: bool of shape \(3,\)"):
        ours.reset(options={"reset_mask": np.array([0, 1])})


def test_an_autoreset_that_it_does_not_have_is_refused():
    with pytest.raises(ValueError, match="autoreset_mode"):
        made(1, autoreset_mode=AutoresetMode.SAME_STEP)
