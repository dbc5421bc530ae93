"""A bundle carries the paper's controllers, and each drives an episode as a pilot."""

import json
import pickle

import gymnasium
import numpy as np
import pytest

import plant_sim.env  # noqa: F401  # registers the environment
from models.baselines.held_pilot import HeldPilot, integrated, pilots
from models.baselines.loaded import loaded
from models.baselines.policy_pilot import PolicyPilot
from models.bundle import BASELINES, BundleError, load_manifest
from models.online.features import ProcessSample
from models.train import train

NAMES = {
    policy + ending
    for policy in ("bc", "iql")
    for ending in ("", "_plus", "_plus_certified", "_plus_discounted")
} | {"held_action"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, small_recipe, silent):
    at = tmp_path_factory.mktemp("baselines")
    train(small_recipe, at / "work", at / "out", jobs=1, progress=silent)
    return at / "out"


def drive(pilot, samples=12, seed=3):
    env = gymnasium.make("plant_sim/PolymerCSTR-v0", scenario="grade_up").unwrapped
    seen, info = env.reset(seed=seed, options=pilot.reset_options())
    pilot.begin(env, seen, info)
    targets = []
    for _ in range(samples):
        targets.append(pilot.decide(seen, info))
        seen, _, _, _, info = env.step(targets[-1])
    return np.array(targets)


def test_every_pilot_of_the_paper_drives(bundle, small_recipe):
    found = {pilot.name: pilot for pilot in pilots(bundle, small_recipe.source)}
    assert set(found) == NAMES
    moves = {name: drive(pilot) for name, pilot in found.items()}
    for name, targets in moves.items():
        assert np.isfinite(targets).all(), name
        assert np.all((targets >= [0.0, 300.0]) & (targets <= [2.5, 350.0])), name
    # Where the trust radius leaves the whole range, the certified move knows no policy.
    assert len({targets.tobytes() for targets in moves.values()}) >= len(NAMES) - 1
    assert len({pilot.digest for pilot in found.values()}) == len(NAMES)


def test_a_pilot_forgets_between_episodes_and_survives_a_pickle(bundle, small_recipe):
    pilot = pilots(bundle, small_recipe.source)[1]
    first = drive(pilot)
    np.testing.assert_array_equal(drive(pilot), first)
    np.testing.assert_array_equal(drive(pickle.loads(pickle.dumps(pilot))), first)  # noqa: S301


def test_the_correction_stays_within_the_trust_radius(bundle, small_recipe):
    increment = np.array(loaded(str(bundle)).section.policies["iql"].increment_scale)
    for correction in ("descent", "certified"):
        plain, corrected = (
            PolicyPilot(
                name="x",
                bundle=str(bundle),
                source=small_recipe.source,
                policy="iql",
                correction=way,
                trust_radius=0.01,
            )
            for way in ("none", correction)
        )
        away = np.abs(drive(plain, 1) - drive(corrected, 1)) / increment
        assert 0.0 < away.max() <= 0.01 + 1e-9


def test_one_held_action_drives_and_repeats(bundle, small_recipe):
    pilot = HeldPilot(bundle=str(bundle), source=small_recipe.source)
    first = drive(pilot)
    assert np.all((first >= [0.0, 300.0]) & (first <= [2.5, 350.0]))
    assert pilot.noted == {"refused": 0.0}
    np.testing.assert_array_equal(drive(pickle.loads(pickle.dumps(pilot))), first)  # noqa: S301


def test_the_integrators_move_near_the_setpoint_only(bundle):
    held = loaded(str(bundle)).section.held

    def after(error, integral=(0.0, 0.0)):
        sample = ProcessSample(
            plant_time_s=0.0,
            cv=np.array([100.0, 350.0]) - error,
            sp=np.array([100.0, 350.0]),
            mv=np.array([1.0, 340.0]),
            dv=np.array([200.0]),
        )
        return integrated(np.array(integral), held, sample)

    np.testing.assert_allclose(after(np.array([1.0, -0.5])), [0.03, -0.015])
    np.testing.assert_allclose(after(np.array([5.0, -2.0])), 0.0)
    np.testing.assert_allclose(after(np.array([1.0, -0.5]), (6.0, -2.0)), [6.0, -2.0])


def test_a_bundle_without_baselines_says_how_to_get_them(bundle, small_recipe, tmp_path):
    for file in bundle.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = json.loads((tmp_path / "manifest.json").read_text())
    text["baselines"] = None
    (tmp_path / "manifest.json").write_text(json.dumps(text))
    with pytest.raises(BundleError, match="trimtab-models train"):
        pilots(tmp_path, small_recipe.source)


def test_baselines_without_their_hash_are_refused(bundle, tmp_path):
    for file in bundle.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = json.loads((tmp_path / "manifest.json").read_text())
    del text["files"][BASELINES]
    (tmp_path / "manifest.json").write_text(json.dumps(text))
    with pytest.raises(BundleError, match=BASELINES):
        load_manifest(tmp_path)
