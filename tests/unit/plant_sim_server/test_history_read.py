"""Spans and pages against the examples of OPC 10000-11, table 1 (bounding values)."""

import pytest

from plant_sim.history import HistoryStore, Sample
from plant_sim.opcua.history_read import Domain, read_page, span_of

TAG = 7
BOUND_NOT_FOUND = 0x80D70000
STORED = (500, 502, 503, 505, 506)  # hour and minute, as in the table


@pytest.fixture
def store():
    opened = HistoryStore(None, retention_s=1e6, max_values=1000)
    opened.write([Sample(TAG, time_us, float(time_us), 0) for time_us in STORED], 600)
    yield opened
    opened.close()


def domain(start, end, count, *, bounds):
    origin, far = (end, None) if start is None else (start, end)
    forward = start is not None and (end is None or end >= start)
    return Domain(
        tag=TAG, origin_us=origin, far_us=far, forward=forward, count=count, bounds=bounds
    )


def pages(store, asked, room=100):
    """Every answer, each a list of times; a bound that is missing is its negative time."""
    span, answers = span_of(store, asked), []
    while span is not None:
        answer = read_page(store, span, room)
        span = answer.rest
        answers.append(
            [
                -one.time_us if one.status == BOUND_NOT_FOUND else one.time_us
                for one in answer.samples
            ]
        )
    return answers


@pytest.mark.parametrize(
    ("start", "end", "count", "bounds", "expected"),
    [
        (500, 505, 0, True, [[500, 502, 503, 505]]),
        (500, 505, 0, False, [[500, 502, 503]]),
        (501, 504, 0, True, [[500, 502, 503, 505]]),
        (501, 504, 0, False, [[502, 503]]),
        (505, 500, 0, True, [[505, 503, 502, 500]]),
        (505, 500, 0, False, [[505, 503, 502]]),
        (504, 501, 0, True, [[505, 503, 502, 500]]),
        (504, 501, 0, False, [[503, 502]]),
        (504, 501, 3, True, [[505, 503, 502], [500]]),
        (501, 504, 3, True, [[500, 502, 503], [505]]),
        (500, 505, 3, False, [[500, 502, 503]]),
        (500, 506, 3, False, [[500, 502, 503], [505]]),
        (459, 504, 0, True, [[-459, 500, 502, 503, 505]]),
        (501, 507, 0, True, [[500, 502, 503, 505, 506, -507]]),
        (459, 507, 6, True, [[-459, 500, 502, 503, 505, 506], [-507]]),
        (507, 459, 0, True, [[-507, 506, 505, 503, 502, 500, -459]]),
        (501, None, 3, False, [[502, 503, 505]]),
        (501, None, 3, True, [[500, 502, 503]]),
        (504, None, 9, False, [[505, 506]]),
        (None, 504, 2, False, [[503, 502]]),
        (None, 504, 2, True, [[505, 503]]),
        (None, 499, 2, True, [[500]]),
        (503, 503, 0, False, [[503]]),
        (503, 503, 0, True, [[503]]),
        (501, 501, 0, False, [[]]),
        (501, 501, 0, True, [[500, 502]]),
        (600, 700, 0, False, [[]]),
        (600, 700, 0, True, [[506, -700]]),
        (100, 200, 0, True, [[-100, 500]]),
    ],
)
def test_what_a_request_is_answered_with(store, start, end, count, bounds, expected):  # noqa: PLR0917
    assert pages(store, domain(start, end, count, bounds=bounds)) == expected


@pytest.mark.parametrize("bounds", [True, False])
@pytest.mark.parametrize("room", [1, 2, 3, 100])
@pytest.mark.parametrize(
    ("start", "end", "count"),
    [(459, 507, 0), (507, 459, 0), (500, None, 4), (None, 600, 4), (501, 504, 2), (504, 501, 9)],
)
def test_small_answers_add_up_to_the_large_one(store, start, end, count, bounds, room):  # noqa: PLR0917
    asked = domain(start, end, count, bounds=bounds)
    whole = [time for page in pages(store, asked) for time in page]
    parts = pages(store, asked, room)
    assert [time for page in parts for time in page] == whole
    assert all(0 < len(page) <= room for page in parts)


def test_nothing_is_stored(store):
    asked = Domain(tag=8, origin_us=500, far_us=505, forward=True, count=0, bounds=True)
    assert pages(store, asked) == [[-500, -505]]
    asked = Domain(tag=8, origin_us=500, far_us=None, forward=True, count=5, bounds=False)
    assert pages(store, asked) == [[]]


def test_values_that_come_while_reading_do_not_disturb(store):
    span = span_of(store, domain(500, 600, 2, bounds=False))
    first = read_page(store, span, 100)
    store.write([Sample(TAG, 504, 504.0, 0), Sample(TAG, 700, 700.0, 0)], 700)
    rest = read_page(store, first.rest, 100)
    assert [one.time_us for one in (*first.samples, *rest.samples)] == [500, 502, 503, 504]
