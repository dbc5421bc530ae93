"""A DCS that shows its conditions: asyncua's server, which may leave requests unanswered."""

import socket

from asyncua import Server, ua
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_from_binary

from tests.support.soft_plant import NAMESPACE

LIMIT_TYPE = ua.NodeId(ua.ObjectIds.ExclusiveLevelAlarmType)


class Odd(UaProcessor):
    """Counts translated paths; answers named in `unanswered` are not sent, those in `short` lack a
    result.  paged: one reference an answer, then empty ones without end, which are
    counted, as is what was given up.
    """

    unanswered = frozenset()
    short = frozenset()
    paged = False
    pages = 0
    released = 0
    translated = 0

    def send_response(self, requesthandle, seqhdr, response, *more):
        name = type(response).__name__
        if name in Odd.unanswered:
            return
        if name in Odd.short:
            response.Results = response.Results[:-1]
        if isinstance(response, ua.TranslateBrowsePathsToNodeIdsResponse):
            Odd.translated += len(response.Results)
        if Odd.paged and isinstance(response, ua.BrowseResponse):
            for result in response.Results:
                result.References = result.References[:1]
                result.ContinuationPoint = b"1" if result.References else b""
        super().send_response(requesthandle, seqhdr, response, *more)

    async def _process_message(self, typeid, requesthdr, seqhdr, body):
        if typeid != ua.NodeId(ua.ObjectIds.BrowseNextRequest_Encoding_DefaultBinary):
            return await super()._process_message(typeid, requesthdr, seqhdr, body)
        asked = struct_from_binary(ua.BrowseNextParameters, body)
        Odd.released += asked.ReleaseContinuationPoints
        Odd.pages += not asked.ReleaseContinuationPoints
        results = (
            [] if asked.ReleaseContinuationPoints else [ua.BrowseResult(ContinuationPoint=b"1")]
        )
        response = ua.BrowseNextResponse()
        response.Parameters.Results = results
        self.send_response(requesthdr.RequestHandle, seqhdr, response)
        return True


class Dcs:
    """A server whose conditions hang on a measurement or on the object that it is part of."""

    def __init__(self):
        self.server = Server()
        self.url = ""

    async def start(self):
        await self.server.init()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"opc.tcp://127.0.0.1:{port}/"
        self.server.set_endpoint(self.url)
        self.server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await self.server.register_namespace(NAMESPACE)
        self.loop = await self.server.nodes.objects.add_object(index, "R101")
        values = await self.loop.add_object(index, "PV")
        self.pv = await values.add_variable(index, "Temperature", 350.0)
        self.op = await self.loop.add_variable(index, "OP", 50.0)
        await self.loop.add_reference(self.pv, ua.ObjectIds.HasComponent)
        await self.server.start()

    async def condition(self, source, name, watched=None, kind=LIMIT_TYPE, **limits):
        """watched: what InputNode says; None: it has none."""
        made = await self.loop.add_object(ua.NodeId(name, 1), ua.QualifiedName(name, 1))
        await made.delete_reference(
            ua.NodeId(ua.ObjectIds.BaseObjectType), ua.ObjectIds.HasTypeDefinition
        )
        await made.add_reference(kind, ua.ObjectIds.HasTypeDefinition, bidirectional=False)
        await source.add_reference(made, ua.ObjectIds.HasCondition)
        if watched is not None:
            await made.add_property(0, "InputNode", watched, ua.VariantType.NodeId)
        return {key: await made.add_property(0, key, value) for key, value in limits.items()}
