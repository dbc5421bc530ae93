"""ServiceLevel and ServerDiagnosticsSummary (OPC 10000-5, 12.9), which asyncua leaves at zero.

The arrays of single sessions and subscriptions are not kept: they say BadNotSupported instead of
looking empty.
"""

from dataclasses import asdict, dataclass
from typing import Any

from asyncua import ua

HEALTHY, DEGRADED, NO_DATA = 255, 199, 1
"""ServiceLevel: the best of the healthy ones, of the degraded ones; there are no data to be had."""

_SECURITY = frozenset(
    getattr(ua.StatusCodes, name)
    for name in (
        "BadUserAccessDenied",
        "BadIdentityTokenInvalid",
        "BadIdentityTokenRejected",
        "BadIdentityChangeNotSupported",
        "BadSecurityChecksFailed",
        "BadSecurityModeInsufficient",
        "BadCertificateInvalid",
        "BadCertificateUriInvalid",
        "BadSessionIdInvalid",
        "BadSessionNotActivated",
        "BadUserSignatureInvalid",
    )
)
_NOT_KEPT = (
    "SamplingIntervalDiagnosticsArray",
    "SubscriptionDiagnosticsArray",
    "SessionsDiagnosticsSummary_SessionDiagnosticsArray",
    "SessionsDiagnosticsSummary_SessionSecurityDiagnosticsArray",
)
_VALUE = ua.AttributeIds.Value


@dataclass(slots=True)
class Counts:
    """What has happened since the start; the names are those of the summary's fields."""

    CumulatedSessionCount: int = 0
    SecurityRejectedSessionCount: int = 0
    RejectedSessionCount: int = 0
    SessionTimeoutCount: int = 0
    SessionAbortCount: int = 0
    CumulatedSubscriptionCount: int = 0
    SecurityRejectedRequestsCount: int = 0
    RejectedRequestsCount: int = 0

    def refuse(self, code: int, *, session: bool) -> None:
        """Count a refused request.  session: it was to make or to activate one."""
        security = code in _SECURITY
        self.RejectedRequestsCount += 1
        self.SecurityRejectedRequestsCount += security
        self.RejectedSessionCount += session
        self.SecurityRejectedSessionCount += session and security


class Diagnostics:
    """The nodes that show the counts of one server."""

    def __init__(self, core: Any) -> None:
        """core: the `PlantInternalServer`."""
        self._core = core
        self._shown: dict[str, int] = {}
        self._level: int | None = None

    async def publish(self, *, failed: bool, degraded: bool) -> None:
        """Write what changed.

        failed: the plant gives no data any more.  degraded: it does, but keeps no history of them.
        """
        level = NO_DATA if failed else DEGRADED if degraded else HEALTHY
        if self._level is None:
            await self._begin()
        if level != self._level:
            self._level = level
            await self._write("ServiceLevel", ua.DataValue(ua.Variant(level, ua.VariantType.Byte)))
        counted = self._counted()
        changed = {name for name, count in counted.items() if count != self._shown.get(name)}
        self._shown = counted
        for name in changed:
            value = ua.Variant(counted[name], ua.VariantType.UInt32)
            path = f"ServerDiagnostics_ServerDiagnosticsSummary_{name}"
            await self._write(path, ua.DataValue(value))
        if changed:
            summary = ua.ServerDiagnosticsSummaryDataType(**counted)
            path = "ServerDiagnostics_ServerDiagnosticsSummary"
            await self._write(path, ua.DataValue(ua.Variant(summary)))

    async def _begin(self) -> None:
        await self._write("ServerDiagnostics_EnabledFlag", ua.DataValue(ua.Variant(True)))  # noqa: FBT003
        absent = ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadNotSupported))
        for name in _NOT_KEPT:
            await self._write(f"ServerDiagnostics_{name}", absent)

    def _counted(self) -> dict[str, int]:
        subscriptions = self._core.subscription_service.subscriptions.values()
        intervals = {one.data.RevisedPublishingInterval for one in subscriptions}
        return {
            **asdict(self._core.counts),
            "CurrentSessionCount": self._core.activated_sessions(),
            "CurrentSubscriptionCount": len(subscriptions),
            "PublishingIntervalCount": len(intervals),
        }

    async def _write(self, path: str, value: ua.DataValue) -> None:
        node = ua.NodeId(getattr(ua.ObjectIds, f"Server_{path}"))
        await self._core.aspace.write_attribute_value(node, _VALUE, value)
