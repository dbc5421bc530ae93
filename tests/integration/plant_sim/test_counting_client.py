"""The client of the load benchmark counts what really comes, beside asyncua's own."""

from types import SimpleNamespace

from benchmarks.full_rate import CHANGING, Counter, watched
from benchmarks.load_rows import Row
from plant_sim.unit.tags import Role

ITEMS = 25


async def test_every_value_of_every_message_is_counted_and_new(plant, fresh):
    served = SimpleNamespace(endpoints=[fresh.endpoint], passwords=plant.passwords)
    nodes = watched(1, ITEMS, wide=False)
    assert nodes[0] == [*CHANGING, *CHANGING, *CHANGING[: ITEMS - 2 * len(CHANGING)]]
    async with Counter.running(served, Role.OBSERVER, nodes, queue=1) as counter:
        first = await counter.mark()
        later = await counter.until(first.at_s + 2.0)
    messages = later.messages - first.messages
    assert messages > 1
    assert later.values - first.values == ITEMS * messages
    assert later.repeated == 0


async def test_what_stands_still_brings_one_message_only(plant, fresh):
    served = SimpleNamespace(endpoints=[fresh.endpoint], passwords=plant.passwords)
    async with plant.peer("engineer") as engineer:
        number = engineer.ids["APC/HeartbeatTimeout"].Identifier
    async with Counter.running(served, Role.OBSERVER, [[number]], queue=1) as counter:
        first = await counter.mark()
        later = await counter.until(first.at_s + 1.0)
        assert (later.messages, later.values) == (1, 1)
        async with plant.peer("engineer") as engineer:
            assert await engineer.write([("APC/HeartbeatTimeout", 4.0)]) == ["Good"]
        while (mark := await counter.mark()).values == later.values:
            pass
    assert (mark.messages, mark.values, mark.repeated) == (2, 2, 0)


def test_a_goal_is_missed_above_it_and_a_floor_below_it():
    row = {"name": "", "size": "", "unit": ""}
    assert [Row(value=v, goal=5.0, **row).missed for v in (-6.0, -5.0, 5.0, 6.0)] == [
        True,
        False,
        False,
        True,
    ]
    assert [Row(value=v, floor=5.0, **row).missed for v in (4.0, 5.0)] == [True, False]
