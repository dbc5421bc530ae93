"""Work in pieces, on threads: all of it, once, whatever the threads."""

import threading

import pytest

from plant_sim.threads import checked_threads, default_threads, share


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 16, 17, 1000])
def test_every_item_is_worked_on_once_in_whole_pieces(count, threads):
    seen, lock = [], threading.Lock()

    def work(first, end):
        with lock:
            seen.append((first, end))
        return end - first

    assert share(count, work, threads=threads, least=16) == count
    assert sorted(i for first, end in seen for i in range(first, end)) == list(range(count))
    assert all(first % 16 == 0 for first, _ in seen)


def test_threads_work_at_the_same_time():
    """Each piece waits for another: one thread alone would wait for ever."""
    barrier = threading.Barrier(2, timeout=30.0)

    def work(first, end):
        barrier.wait()
        return end - first

    assert share(8, work, threads=2, least=1) == 8


def test_an_error_reaches_the_caller():
    def work(first, _end):
        if first >= 16:
            raise ArithmeticError("piece")
        return 0

    for threads in (1, 2):
        with pytest.raises(ArithmeticError, match="piece"):
            share(
                64, work if threads == 2 else lambda _f, _e: work(16, 32), threads=threads, least=16
            )


def test_none_stands_for_all_cores():
    assert checked_threads(None) == default_threads() >= 1
    assert checked_threads(3) == 3
    with pytest.raises(ValueError, match="threads: -1"):
        checked_threads(-1)
