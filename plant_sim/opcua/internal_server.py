"""asyncua's server core with the plant's sessions, and limits that leave no orphans."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_server import InternalServer

from plant_sim.opcua import limits
from plant_sim.opcua.diagnostics import Counts
from plant_sim.opcua.pki import Pki
from plant_sim.opcua.sessions import Desk, PlantSession
from plant_sim.opcua.standard_nodes import StandardNodes
from plant_sim.opcua.views import BoundedView


class PlantInternalServer(InternalServer):
    """asyncua's server core with these sessions, and limits that leave no orphans."""

    desk: Desk

    def __init__(
        self, user_manager: Any, pki: Pki | None = None, standard: StandardNodes | None = None
    ) -> None:
        """pki: the server's certificate and key; None: nothing is encrypted.

        standard: the nodes that servers of one process share.
        """
        super().__init__(user_manager=user_manager)
        self.view_service = BoundedView(self.aspace)
        self._standard = standard
        self.encrypted = pki is not None
        if pki is not None:
            self.certificate, self.private_key = pki.certificate, pki.key
        self.allow_remote_admin = False
        self.supported_tokens = (ua.UserNameIdentityToken,)
        self.max_session_timeout_ms = limits.MAX_SESSION_TIMEOUT_MS
        self.max_lifetime_count = limits.MAX_LIFETIME_COUNT
        self.max_keep_alive_count = limits.MAX_KEEP_ALIVE_COUNT
        self.max_subscriptions = limits.MAX_SUBSCRIPTIONS
        self.max_monitored_item_queue_size = limits.MAX_QUEUE
        self.max_unacked_messages_per_subscription = limits.MAX_UNACKNOWLEDGED
        self.max_connections = limits.MAX_CONNECTIONS
        self.max_pending_activation_seconds = limits.LOGIN_LIMIT_S
        self.counts = Counts()
        self.subscribers: dict[int, str] = {}
        """Subscription -> name of its user, also when the session that made it is gone."""

    async def load_standard_address_space(self, shelf_file: Path | None = None) -> None:
        """Build the nodes of namespace 0, or copy those that another server shares."""
        if self._standard is None:
            await super().load_standard_address_space(shelf_file)
        else:
            self._standard.copy_into(self.aspace)

    def create_session(self, name: str, *args: Any, external: bool = False, **kwargs: Any) -> Any:
        """A `PlantSession` for a client, asyncua's own for the server itself.

        name: of a client, the address of its connection. Raises ServiceError for one too many.
        """
        if not external:
            return super().create_session(name, *args, external=external, **kwargs)
        present = sum(session.name == name for session in self._external_sessions.values())
        if present >= limits.MAX_SESSIONS_PER_CONNECTION:
            raise ServiceError(ua.StatusCodes.BadTooManySessions)
        return PlantSession(self, self.aspace, self.subscription_service, name, external=True)

    def decrypt_user_token(self, isession: Any, token: Any) -> tuple[str, str]:
        """Name and password; RSA with PKCS #1 v1.5 is refused, whose padding can be sounded out."""
        if (token.EncryptionAlgorithm or "").endswith("rsa-1_5"):
            raise ServiceError(ua.StatusCodes.BadIdentityTokenRejected)
        found: tuple[str, str] = super().decrypt_user_token(isession, token)
        return found

    def register_server(self, server: Any, conf: Any = None) -> None:  # noqa: ARG002
        """Refuse: this is no discovery server, and whoever asks has not logged in."""
        raise ServiceError(ua.StatusCodes.BadServiceUnsupported)

    def register_server2(self, params: Any) -> list[ua.StatusCode]:  # noqa: ARG002
        """Refuse, for the same reasons."""
        raise ServiceError(ua.StatusCodes.BadServiceUnsupported)

    def activated_sessions(self) -> int:
        """How many clients are logged in."""
        return sum(session.is_activated() for session in self._external_sessions.values())

    def too_many_sessions_of(self, token: Any) -> bool:
        """Whether the user that this identity token names has all the sessions it may have."""
        name = getattr(token, "UserName", None)
        sessions = self._external_sessions.values()
        of_user: int = sum(s.is_activated() and s.user.name == name for s in sessions)
        return of_user >= limits.MAX_SESSIONS_PER_USER

    async def close_waiting(self, now_s: float, connections: Sequence[Any]) -> None:
        """Close sessions that were never logged in, and connections without one for too long.

        Of too many such connections the oldest are closed at once.  now_s: monotonic time.
        connections: all that are open, in the order they came.
        """
        for session in list(self._external_sessions.values()):
            if not session.is_activated() and now_s - session.made_s > limits.LOGIN_LIMIT_S:
                await session.close_session()
        waiting = [connection for connection in connections if _waits(connection, now_s)]
        for place, connection in enumerate(reversed(waiting)):
            late = now_s - connection.waiting_since_s > limits.LOGIN_LIMIT_S
            if (late or place >= limits.MAX_WAITING_CONNECTIONS) and connection.transport:
                connection.transport.abort()

    async def close_sessions(self) -> None:
        """Close every client's session."""
        for session in list(self._external_sessions.values()):
            await session.close_session()


def _waits(connection: Any, now_s: float) -> bool:
    """Whether nobody is logged in on a connection; it keeps since when."""
    session = connection.processor.session if connection.processor else None
    if session is not None and session.is_activated():
        connection.waiting_since_s = None
        return False
    if connection.waiting_since_s is None:
        connection.waiting_since_s = now_s
    return True
