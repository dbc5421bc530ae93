from plant_sim.opcua.continuation import ContinuationPoints


def test_a_point_is_taken_once_and_by_its_name_only():
    points = ContinuationPoints[str](3)
    points.begin_request()
    name = points.keep("rest")
    assert points.take(b"other") is None
    assert points.take(name) == "rest"
    assert points.take(name) is None


def test_a_request_frees_what_older_ones_left_but_not_its_own():
    points = ContinuationPoints[int](2)
    points.begin_request()
    old = [points.keep(1), points.keep(2)]
    assert None not in old
    assert points.keep(3) is None
    points.begin_request()
    new = [points.keep(4), points.keep(5)]
    assert points.keep(6) is None
    assert [points.take(name) for name in old + new] == [None, None, 4, 5]
