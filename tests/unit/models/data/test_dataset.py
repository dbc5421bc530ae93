"""Historical data: seeded, saved without loss, and inside the limits that are promised."""

import dataclasses

import numpy as np

from models.data import simulated
from models.data.dataset import Dataset
from models.data.simulated import Episode, generate


def test_the_number_of_processes_does_not_matter(small_recipe, small_data):
    assert generate(small_recipe, jobs=2).digest() == small_data.digest()


def test_another_seed_gives_other_data(small_recipe, small_data):
    other = small_recipe.model_copy(update={"seed": small_recipe.seed + 1})
    assert generate(other, jobs=1).digest() != small_data.digest()


def test_saved_data_come_back_bit_by_bit(tmp_path, small_recipe, small_data):
    turned = dataclasses.replace(small_data, cv=np.asfortranarray(small_data.cv))
    turned.save(tmp_path / "data.safetensors", small_recipe)
    assert Dataset.load(tmp_path / "data.safetensors").digest() == small_data.digest()


def test_episodes_are_whole_and_cool(small_recipe, small_data):
    bounds = small_data.bounds()
    samples = round(small_recipe.source.hours * 3600 / small_recipe.source.sample_time_s)
    assert len(bounds) == 6
    assert all(end - begin == samples + 1 for begin, end in bounds)
    assert small_data.peak.max() < 365.0


def test_moves_are_the_means_over_the_samples(small_data):
    """A dither step that is held for 18 samples shows as a plateau of the PI plus an offset."""
    assert np.all(np.isfinite(small_data.mv))
    assert small_data.mv[:, 0].min() >= 0.0
    assert small_data.mv[:, 0].max() <= 2.5
    moved = np.abs(np.diff(small_data.mv[:, 0]))
    assert np.count_nonzero(moved > 1e-3) > 20


def test_progress_counts_the_episodes(small_recipe):
    seen = []
    generate(small_recipe, jobs=1, advance=seen.append)
    assert sum(seen) == 6


def test_episodes_side_by_side_are_those_made_alone(small_recipe):
    """The vectorised environment and a single one give the same record."""
    seeds = np.random.SeedSequence(small_recipe.seed).spawn(3)
    episodes = [Episode(scenario="startup", number=i, seed=seed) for i, seed in enumerate(seeds)]
    together = simulated._together(small_recipe, episodes)
    for episode, rows in zip(episodes, together, strict=True):
        alone = simulated._alone(small_recipe, episode)
        assert len(rows) == len(alone)
        for row, other in zip(rows, alone, strict=True):
            assert np.array_equal(row[0], other[0])
            assert np.array_equal(row[1], other[1])
            assert row[2:] == other[2:]
