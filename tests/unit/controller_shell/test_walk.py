"""The walk through a server that pages: whole, within its limits, and nothing left open there."""

import pytest
from asyncua import ua

from controller.commissioning.walk import PAGE, Limits, walk
from controller.opcua.survey import CHUNK

OBJECTS = ua.NodeId(ua.ObjectIds.ObjectsFolder)


class PagingServer:
    """The services that a walk uses, over a tree of names: pages, and few of them kept open.

    asyncua's own server neither pages nor knows BrowseNext.
    """

    def __init__(self, tree, *, kept=5, nodes_per_browse=0, endless=False):
        self.tree = tree
        self.kept = kept
        self.limit = nodes_per_browse
        self.endless = endless
        self.open = {}
        self.points = 0
        self.sent = 0
        self.uaclient = self

    async def read_attributes(self, ids, _attribute):
        return [ua.DataValue(ua.Variant(self.limit, ua.VariantType.UInt32)) for _ in ids]

    async def browse(self, request):
        if self.limit:
            assert len(request.NodesToBrowse) <= self.limit
        return [
            self._page(self._below(item.NodeId), request.RequestedMaxReferencesPerNode)
            for item in request.NodesToBrowse
        ]

    async def browse_next(self, request):
        results = []
        for point in request.ContinuationPoints:
            rest, page = self.open.pop(point)
            if not request.ReleaseContinuationPoints:
                results.append(self._page(rest, page))
        return results

    def _below(self, node):
        name = () if node == OBJECTS else tuple(node.Identifier.split("/"))
        inside = self.tree
        for part in name:
            inside = inside[part]
        return [self._reference((*name, part), inside[part]) for part in inside or ()]

    def _reference(self, path, inside):
        return ua.ReferenceDescription(
            ReferenceTypeId=ua.NodeId(ua.ObjectIds.Organizes),
            IsForward=True,
            NodeId=ua.ExpandedNodeId("/".join(path), 1),
            BrowseName=ua.QualifiedName(path[-1], 1),
            NodeClass=ua.NodeClass.Variable if inside is None else ua.NodeClass.Object,
        )

    def _page(self, references, page):
        assert 0 < page <= PAGE
        now, rest = references[:page], references if self.endless else references[page:]
        if rest and len(self.open) >= self.kept:
            bad = ua.StatusCode(ua.StatusCodes.BadNoContinuationPoints)
            return ua.BrowseResult(StatusCode=bad)
        self.sent += len(now)
        result = ua.BrowseResult(StatusCode=ua.StatusCode(), References=now)
        if rest:
            self.points += 1
            result.ContinuationPoint = str(self.points).encode()
            self.open[result.ContinuationPoint] = (rest, page)
        return result


def folders(count, variables):
    return {f"F{i}": {f"V{j}": None for j in range(variables)} for i in range(count)}


async def test_every_page_of_every_folder_is_walked():
    server = PagingServer(folders(3, 2 * PAGE + 7))
    found = await walk(server, Limits())
    assert len(found.places) == 3 * (2 * PAGE + 7)
    assert len({place.node for place in found.places}) == len(found.places)
    assert not found.truncated
    assert not server.open


@pytest.mark.parametrize("kept", [1, 5])
async def test_a_server_that_keeps_few_pages_open_is_asked_folder_by_folder(kept):
    server = PagingServer(folders(20, PAGE + 1), kept=kept)
    found = await walk(server, Limits(variables=100_000))
    assert len(found.places) == 20 * (PAGE + 1)
    assert not found.truncated
    assert not server.open


async def test_a_server_that_keeps_no_pages_is_said_to_be_listed_in_part():
    found = await walk(PagingServer(folders(2, PAGE + 1), kept=0), Limits())
    assert found.truncated


async def test_a_large_server_is_not_fetched_beyond_the_limits_and_its_pages_are_given_back():
    server = PagingServer(folders(50, 40 * PAGE), kept=100)
    limits = Limits(variables=1000)
    found = await walk(server, limits)
    assert len(found.places) == 1000
    assert found.truncated
    assert not server.open
    assert server.sent <= limits.nodes + (CHUNK + 2) * PAGE


async def test_many_empty_folders_are_bounded_too():
    server = PagingServer(folders(30 * PAGE, 0))
    found = await walk(server, Limits(variables=100))
    assert found.truncated
    assert found.places == ()
    assert server.sent <= Limits(variables=100).nodes + PAGE


async def test_pages_without_end_have_one():
    server = PagingServer(folders(1, 3), endless=True)
    found = await walk(server, Limits(variables=10))
    assert found.truncated
    assert len(found.places) <= 10
    assert not server.open


async def test_the_servers_own_limit_of_a_request_is_kept():
    server = PagingServer(folders(40, 2), nodes_per_browse=7)
    found = await walk(server, Limits())
    assert len(found.places) == 80
