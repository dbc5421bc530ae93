"""OPC UA requests whose expected faults are values.

`Requests.ask` gives every request a timeout, measures it, and turns what a broken line or a
refusing server raises into a `Failed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from asyncua import ua

from controller.opcua.endpoint import FAULTS
from controller.opcua.time_limit import time_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from controller.metrics import Metrics

T = TypeVar("T")

TIMEOUT = "timeout"
NO_CONNECTION = "connection"

SESSION_LOST = frozenset(
    {
        NO_CONNECTION,
        "BadConnectionClosed",
        "BadSecureChannelClosed",
        "BadSecureChannelIdInvalid",
        "BadSessionClosed",
        "BadSessionIdInvalid",
        "BadSessionNotActivated",
    }
)
"""Statuses after which only a new session helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A request that did not succeed.  status: "timeout", "connection" or OPC UA's name."""

    service: str
    status: str
    detail: str

    @property
    def words(self) -> str:
        """What failed, and how: `handshake.request: BadNotWritable`."""
        told = self.status in self.detail or not self.status.startswith("Bad")
        return self.detail if told else f"{self.detail}: {self.status}"


NOT_CONNECTED = Failed(service="any", status=NO_CONNECTION, detail="not connected")


class Requests:
    """Sends requests under a timeout; counts and times them."""

    def __init__(
        self, *, timeout_s: float, metrics: Metrics, on_lost: Callable[[str], None]
    ) -> None:
        """timeout_s: for every request, may be changed.  on_lost: called with the reason."""
        self.timeout_s = timeout_s
        self._metrics = metrics
        self._on_lost = on_lost

    async def ask(self, service: str, work: Coroutine[Any, Any, T]) -> T | Failed:
        """Await one request; return its answer, or why there is none."""
        started = monotonic()
        try:
            async with time_limit(self.timeout_s):
                answer = await work
        except FAULTS as error:
            failure = self.failed(service, error)
            if failure.status in SESSION_LOST:
                self._on_lost(failure.detail)
            return failure
        self.succeeded(service, monotonic() - started)
        return answer

    def succeeded(self, service: str, elapsed_s: float) -> None:
        """Record the duration of a request."""
        self._metrics.request_duration.labels(service).observe(elapsed_s)

    def failed(self, service: str, error: BaseException) -> Failed:
        """Record a request that raised, and return it as a value."""
        return self.refused(service, status_of(error), detail_of(error))

    def refused(self, service: str, status: str, detail: str) -> Failed:
        """Record a request that was answered with a refusal, and return it as a value."""
        self._metrics.request_failures.labels(service, status).inc()
        return Failed(service=service, status=status, detail=detail)


def status_of(error: BaseException) -> str:
    """Return "timeout", "connection", or the name of the OPC UA status or exception."""
    if isinstance(error, ua.UaStatusCodeError):
        name: str = ua.status_codes.get_name_and_doc(error.code)[0]
        return name
    if isinstance(error, TimeoutError):
        return TIMEOUT
    return NO_CONNECTION if isinstance(error, OSError) else type(error).__name__


def detail_of(error: BaseException) -> str:
    """Return the error in words, never empty."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
