"""The control room: operator, engineer and observer, each an OPC UA client of the plant."""

from __future__ import annotations

import math
import tomllib
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Self

from asyncua import Client, ua

from controller.demo.processes import DemoError
from controller.opcua.security import ServerRefusedError
from controller.opcua.time_limit import time_limit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from asyncua.common.node import Node

    from controller.opcua.security import ClientSecurity

NAMESPACE = "urn:trimtab:softplant"
TIMEOUT_S = 4.0
SESSION_MS = 30_000
LOOPS = ("PolymerConc", "Temperature")
INPUTS = ("InitiatorFeed", "CoolantTemperature")
UNITS = {
    "PolymerConc": "kg/m3",
    "Temperature": "K",
    "InitiatorFeed": "kg/h",
    "CoolantTemperature": "K",
}
READ = (
    "Sim/PlantTime",
    "APC/Mode",
    "APC/Permit",
    "APC/Active",
    "APC/ShedReason",
    "SIS/Tripped",
    *(f"R101/PV/{name}" for name in LOOPS),
    *(f"R101/SP/{name}" for name in LOOPS),
    *(f"R101/MV/{name}/Actual" for name in INPUTS),
)
"""Browse paths below Objects that the observer reads in one request."""


class ApcMode(IntEnum):
    """Positions of the operator's selector `APC/Mode`."""

    MANUAL = 0
    SHADOW = 1
    AUTO = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PlantImage:
    """What the observer sees at one instant; NaN where a value is not good.

    pv, sp: PolymerConc [kg/m3], Temperature [K].  actual: InitiatorFeed [kg/h], CoolantTemperature
    [K].
    """

    plant_time_s: float
    selector: ApcMode
    permit: bool
    active: bool
    shed_reason: str
    tripped: bool
    pv: tuple[float, ...]
    sp: tuple[float, ...]
    actual: tuple[float, ...]


class ControlRoom:
    """Three sessions with the plant's own users; an async context manager."""

    def __init__(
        self, url: str, passwords: Mapping[str, str], security: ClientSecurity | None = None
    ) -> None:
        """passwords: by user name; operator, engineer and observer are needed.

        security: certificates; None speaks in clear.
        """
        self._security = security
        self._clients = {
            user: _client(url, user, passwords[user])
            for user in ("operator", "engineer", "observer")
        }
        self._stack = AsyncExitStack()
        self._nodes: dict[tuple[str, str], Node] = {}

    async def __aenter__(self) -> Self:
        """Log in and find the nodes; raises DemoError when that fails."""
        try:
            for user, client in self._clients.items():
                if self._security is not None:
                    await self._security.secure(client)
                await self._stack.enter_async_context(client)
                await self._find(user, client)
        except (ua.UaError, OSError, TimeoutError, ServerRefusedError) as error:
            await self._stack.aclose()
            raise DemoError(f"the plant did not let the demo in: {error or type(error)}") from error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Log out; a plant that is gone already is no error."""
        try:
            async with time_limit(TIMEOUT_S):
                await self._stack.aclose()
        except (ua.UaError, OSError, TimeoutError):
            pass

    async def read(self) -> PlantImage:
        """One batch of everything in `READ`."""
        nodes = [self._nodes["observer", path].nodeid for path in READ]
        found = await self._clients["observer"].uaclient.read_attributes(
            nodes, ua.AttributeIds.Value
        )
        value = {path: _value(item) for path, item in zip(READ, found, strict=True)}
        return PlantImage(
            plant_time_s=_float(value["Sim/PlantTime"]),
            selector=ApcMode(value["APC/Mode"] or 0),
            permit=bool(value["APC/Permit"]),
            active=bool(value["APC/Active"]),
            shed_reason=str(value["APC/ShedReason"] or ""),
            tripped=bool(value["SIS/Tripped"]),
            pv=tuple(_float(value[f"R101/PV/{name}"]) for name in LOOPS),
            sp=tuple(_float(value[f"R101/SP/{name}"]) for name in LOOPS),
            actual=tuple(_float(value[f"R101/MV/{name}/Actual"]) for name in INPUTS),
        )

    async def reset(self, scenario: str, seed: int) -> None:
        """The engineer begins a new episode."""
        simulation = self._nodes["engineer", "Sim"]
        method = self._nodes["engineer", "Sim/Reset"]
        seeded = ua.Variant(seed, ua.VariantType.UInt32)
        await simulation.call_method(method, scenario, seeded)

    async def select(self, mode: ApcMode) -> None:
        """The operator turns the selector."""
        value = ua.Variant(int(mode), ua.VariantType.Int32)
        await self._nodes["operator", "APC/Mode"].write_value(value)

    async def enter_setpoints(self, setpoints: Sequence[float]) -> None:
        """The operator enters the setpoints of `LOOPS`, both in one write."""
        nodes = [self._nodes["operator", f"R101/SP/{name}"] for name in LOOPS]
        values = [ua.Variant(float(value), ua.VariantType.Double) for value in setpoints]
        await self._clients["operator"].write_values(nodes, values)

    async def _find(self, user: str, client: Client) -> None:
        index = await client.get_namespace_index(NAMESPACE)
        wanted = {
            "operator": ("APC/Mode", *(f"R101/SP/{name}" for name in LOOPS)),
            "engineer": ("Sim", "Sim/Reset"),
            "observer": READ,
        }[user]
        for path in wanted:
            names = [f"{index}:{part}" for part in path.split("/")]
            self._nodes[user, path] = await client.nodes.objects.get_child(names)


def read_passwords(credentials: Path) -> dict[str, str]:
    """User name -> password, from the plant's credentials file."""
    users = tomllib.loads(credentials.read_text(encoding="utf-8"))["users"]
    return {name: user["password"] for name, user in users.items()}


def _client(url: str, user: str, password: str) -> Client:
    client = Client(url, timeout=TIMEOUT_S)
    client.session_timeout = SESSION_MS
    client.set_user(user)
    client.set_password(password)
    return client


def _value(item: ua.DataValue) -> Any:
    good = item.StatusCode is None or item.StatusCode.is_good()
    return item.Value.Value if good and item.Value is not None else None


def _float(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan
