"""Draws ahead of time are the draws that a plant alone would make."""

import numpy as np

from plant_sim.noise import NormalDraws


def rng(seed):
    return np.random.default_rng(seed)


def taken(draws, index, instants):
    begin = draws.take(instants)
    return draws.numbers[draws.row[index], begin : begin + instants].copy()


def test_every_plant_has_its_own_stream_whatever_the_steps():
    draws, alone = NormalDraws([rng(1), None, rng(2)]), rng(2)
    for instants in (30, 1, 100, 7, 500, 30, 119, 120, 121):
        assert np.array_equal(taken(draws, 2, instants), alone.standard_normal((instants, 3)))


def test_without_noise_all_is_zero():
    draws = NormalDraws([None, None])
    assert not taken(draws, 1, 400).any()


def test_a_new_stream_begins_at_the_next_instant():
    draws = NormalDraws([rng(1), None])
    draws.take(50)
    draws.replace(1, rng(5))
    alone, other = rng(5), rng(1)
    other.standard_normal((50, 3))
    for instants in (60, 60, 60):
        begin = draws.take(instants)
        rows = draws.numbers[draws.row, begin : begin + instants]
        assert np.array_equal(rows[0], other.standard_normal((instants, 3)))
        assert np.array_equal(rows[1], alone.standard_normal((instants, 3)))
    draws.replace(0, None)
    assert not taken(draws, 0, 30).any()


def test_a_plant_with_noise_may_join_plants_without():
    draws = NormalDraws([None, None, None])
    draws.take(7)
    draws.replace(2, rng(3))
    alone = rng(3)
    assert np.array_equal(taken(draws, 2, 40), alone.standard_normal((40, 3)))
    assert np.array_equal(taken(draws, 2, 200), alone.standard_normal((200, 3)))
    assert not taken(draws, 0, 30).any()


def test_threads_draw_what_one_thread_draws():
    draws = NormalDraws([rng(seed) for seed in range(600)], threads=3)
    begin = draws.take(20)
    for seed in (0, 299, 599):
        wanted = rng(seed).standard_normal((20, 3))
        assert np.array_equal(draws.numbers[draws.row[seed], begin : begin + 20], wanted)
