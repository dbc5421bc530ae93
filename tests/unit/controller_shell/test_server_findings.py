"""`trimtab check`, the server as a whole: limits and subscriptions that are told of, or not."""

import pytest
from asyncua import ua

from controller.commissioning.comparison import Verdict
from controller.commissioning.server import (
    compare_clock,
    compare_limits,
    compare_subscription,
)
from controller.opcua.operation_limits import UNLIMITED, OperationLimits, operation_limits
from controller.opcua.subscription import Granted


def found(findings):
    listed = list(findings)
    assert all(item.verdict is Verdict.NOTE for item in listed)
    assert all(item.action for item in listed)
    return [item.found for item in listed]


@pytest.mark.parametrize("offset", [0.0, 4.9, -4.9])
def test_clocks_that_agree_are_not_told_of(offset):
    assert found(compare_clock(offset)) == []


def test_a_clock_that_is_off_is_told_with_its_direction():
    assert found(compare_clock(90.0)) == ["90 s ahead of this machine's"]
    assert found(compare_clock(-90.0)) == ["90 s behind this machine's"]


def test_limits_are_told_of_where_a_request_is_split():
    assert found(compare_limits(OperationLimits(), tags=24, written=4)) == []
    roomy = OperationLimits(read=25, write=4, monitor=24)
    assert found(compare_limits(roomy, tags=24, written=4)) == []
    narrow = OperationLimits(read=24, write=3, monitor=5)
    assert found(compare_limits(narrow, tags=24, written=4)) == [
        "MaxNodesPerRead 24: the image is read in 2 requests",
        "MaxNodesPerWrite 3: at most, a write goes out in 2 requests",
        "MaxMonitoredItemsPerCall 5: the tags are subscribed in 5 requests",
    ]


def test_a_subscription_is_told_of_where_it_is_not_as_asked():
    asked = Granted(publishing_s=0.12, sampling_s=0.1)
    assert found(compare_subscription(asked, 0.1)) == []
    slow = Granted(publishing_s=2.0, sampling_s=0.1, missing=3)
    assert found(compare_subscription(slow, 0.1)) == [
        "published every 2 s, asked for 0.1 s",
        "3 tags are not sampled",
    ]
    none = Granted(refused="BadServiceUnsupported")
    assert found(compare_subscription(none, 0.1)) == ["none: BadServiceUnsupported"]


class LimitedServer:
    """Answers reads of its limits, each no larger than the first of them allows."""

    def __init__(self, *limits):
        self.limits = list(limits)
        self.largest = 0
        self.uaclient = self

    async def read_attributes(self, nodes, _attribute):
        self.largest = max(self.largest, len(nodes))
        taken, self.limits = self.limits[: len(nodes)], self.limits[len(nodes) :]
        kind = ua.VariantType.UInt32
        return [ua.DataValue(None if n is None else ua.Variant(n, kind)) for n in taken]


async def test_the_limits_are_asked_for_within_the_first_of_them():
    server = LimitedServer(2, 7, None, 0, 9)
    assert await operation_limits(server) == OperationLimits(
        read=2, write=7, browse=UNLIMITED, translate=UNLIMITED, monitor=9
    )
    assert server.largest == 2
