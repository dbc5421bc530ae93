"""A foreign vendor's server, in process, over real loopback OPC UA.

Other node ids (strings), other units (degC, percent of span, g/L), no interface block unless asked
for, other namespace index at every start.
"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from asyncua import Server, ua

URI = "urn:vendor:plc7"
FOREIGN_TAGS = Path(__file__).with_name("foreign_tags.toml").read_text(encoding="utf-8")
"""The tags of every variable, without an interface block."""

BLOCK = {
    "heartbeat_in": "plc:s=APC.HB_IN",
    "heartbeat_out": "plc:s=APC.HB_OUT",
    "request": "plc:s=APC.REQUEST",
    "mode": "plc:s=APC.MODE",
}

DOUBLES = {
    "AI_4711.PV": 102.0,
    "AIC_4711.SP": 100.0,
    "TI_101.PV": 76.5,
    "TIC_101.SP": 76.85,
    "FIC_12.OUT": 40.0,
    "FIC_12.RSP": 40.0,
    "TIC_77.OUT": 60.0,
    "AI_4710.PV": 420.0,
    "SIM.SPEED": 3000.0,
}
SINGLES = {"TIC_77.RSP": 60.0}
BLOCK_VALUES = {
    "APC.HB_IN": 0,
    "APC.HB_OUT": 0,
    "APC.REQUEST": True,
    "APC.MODE": 0,
    "APC.NOTE": "",
}
WRITABLE = ("FIC_12.RSP", "TIC_77.RSP", "APC.HB_IN", "APC.REQUEST")


class ForeignPlant:
    """The vendor's server; may be stopped and started again on the same port."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"opc.tcp://127.0.0.1:{port}/plc"
        self.nodes = {}
        self.index = 0
        self._server = None

    async def start(self, *, other_namespaces: int = 1) -> None:
        server = Server()
        await server.init()
        server.set_endpoint(self.url)
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        for number in range(other_namespaces):
            await server.register_namespace(f"urn:vendor:other{number}")
        self.index = await server.register_namespace(URI)
        folder = await server.nodes.objects.add_folder(
            self._id("PLC"), ua.QualifiedName("PLC", self.index)
        )
        self.nodes = {}
        for name, value in DOUBLES.items():
            await self._add(folder, name, value, ua.VariantType.Double)
        for name, value in SINGLES.items():
            await self._add(folder, name, value, ua.VariantType.Float)
        kinds = dict(
            zip(BLOCK_VALUES, ("UInt16", "UInt32", "Boolean", "Int32", "String"), strict=True)
        )
        for name, value in BLOCK_VALUES.items():
            await self._add(folder, name, value, ua.VariantType[kinds[name]])
        for name in WRITABLE:
            await self.nodes[name].set_writable()
        await server.start()
        self._server = server

    def _id(self, name: str) -> ua.NodeId:
        return ua.NodeId(name, self.index)

    async def _add(self, folder, name, value, kind) -> None:
        qualified = ua.QualifiedName(name, self.index)
        self.nodes[name] = await folder.add_variable(
            self._id(name), qualified, value, varianttype=kind
        )

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop()
            self._server = None
            await asyncio.sleep(0)

    async def put(self, name: str, value, *, status=None, source_time=None) -> None:
        kind = await self.nodes[name].read_data_type_as_variant_type()
        code = ua.StatusCode(status if status is not None else ua.StatusCodes.Good)
        await self.nodes[name].write_value(
            ua.DataValue(
                ua.Variant(value, kind),
                StatusCode=code,
                SourceTimestamp=source_time or datetime.now(UTC),
            )
        )

    async def reset(self) -> None:
        if self._server is None:
            await self.start()
        for name, value in {**DOUBLES, **SINGLES, **BLOCK_VALUES}.items():
            await self.put(name, value)
        for name in WRITABLE:
            await self.nodes[name].set_writable()

    async def get(self, name: str):
        return await self.nodes[name].read_value()
