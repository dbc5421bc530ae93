from hypothesis import given
from hypothesis import strategies as st

from plant_sim.unit.clock import SimulationClock, due, plant_seconds, wake_s


def test_ticks_fall_on_the_absolute_grid():
    clock = SimulationClock(origin_s=100.0, tick_s=0.05)
    assert wake_s(clock) == 100.05
    assert due(clock, 100.049) == (clock, 0)
    clock, ticks = due(clock, 100.0512)
    assert (clock.index, ticks) == (1, 1)
    assert abs(wake_s(clock) - 100.10) < 1e-9


def test_a_stall_is_caught_up_by_a_bounded_number_of_ticks():
    clock, ticks = due(SimulationClock(origin_s=0.0, tick_s=0.05), 1.001)
    assert ticks == 4
    assert clock.slipped == 16
    assert clock.index == 20


def test_a_clock_that_goes_back_runs_nothing():
    clock, _ = due(SimulationClock(origin_s=0.0, tick_s=0.05), 1.0)
    assert due(clock, 0.2) == (clock, 0)


def test_one_tick_at_speed_3000_is_150_plant_seconds():
    clock = SimulationClock(origin_s=0.0, tick_s=0.05)
    assert abs(plant_seconds(clock, 1, 3000.0) - 150.0) < 1e-9


@given(st.lists(st.floats(0.0, 0.3), max_size=50))
def test_every_tick_is_served_once_or_counted_as_slipped(pauses):
    clock, now_s, served = SimulationClock(origin_s=0.0, tick_s=0.05), 0.0, 0
    for pause in pauses:
        now_s += pause
        clock, ticks = due(clock, now_s)
        assert 0 <= ticks <= 4
        served += ticks
        assert wake_s(clock) > now_s - 1e-9
    assert served + clock.slipped == clock.index
