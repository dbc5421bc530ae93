"""How much one client may ask of the server, so that no client can take it from the others.

One event loop serves everybody and moves the plant: a request that keeps it busy for longer than
the heartbeat's time-out sheds the controller, whoever sent it.
"""

from collections.abc import Sized

from asyncua import Server, ua
from asyncua.common.utils import ServiceError

MAX_OPERATIONS = 500
"""Nodes, items or calls in one request."""
MESSAGE_BYTES = 256 * 1024
"""Longest message: 500 items with room to spare; decoding a longer one costs the others time."""
CHUNK_BYTES = 65535
"""Longest part of a message; a connection that announces a longer one is closed before it comes."""
LOGIN_BYTES = 16 * 1024
"""Longest message of a connection without a login: a session with a chain of certificates."""
SMALLEST_BUFFER = 8192
"""Shortest chunk that a client may ask for, as in the standard."""
WAITING_BYTES = 4 * MESSAGE_BYTES
"""Of one connection, received and not yet processed."""
ANSWER_BYTES = MESSAGE_BYTES * 4
"""Longest answer to a Read, as far as texts and byte strings make it long."""
HEAVY_BYTES = 4096
"""A value that is longer may be read and not monitored: a notification holds 500 of them."""
UNREAD_BYTES = 4 * 1024 * 1024
"""Of one connection, sent and not yet read by the client."""

SHORTEST_PUBLISHING_MS = 10.0
LONGEST_PUBLISHING_MS = 60_000.0
"""The lifetime counts intervals: one without end would keep an orphan without end."""
MAX_SESSION_TIMEOUT_MS = 20_000.0
"""A client that vanished keeps its session and subscriptions for so long, to come back to them."""
MAX_LIFETIME_COUNT = 300
MAX_KEEP_ALIVE_COUNT = 100
MAX_SUBSCRIPTIONS = 200
MAX_SUBSCRIPTIONS_PER_SESSION = 10
MAX_SUBSCRIPTIONS_PER_USER = 20
MAX_MONITORED_ITEMS_PER_USER = 500
"""Every tag six times. With 2000 items on a tag of every tick a read takes a second, with 500 a
millisecond, at worst 70."""
MAX_SESSIONS_PER_USER = 20
MAX_QUEUE = 1000
"""Values or events that wait for one monitored item; the oldest make room. Clients ask for more."""
MAX_UNACKNOWLEDGED = 50
"""Notifications of one subscription that are kept to be sent again; the oldest make room."""
MAX_EVENT_ITEMS = 10
"""Monitored items for events of one subscription: each gets a copy of every event."""

MAX_CONNECTIONS = 100
"""Four users with 20 sessions each, and the connections that have not logged in yet."""
MAX_WAITING_CONNECTIONS = 20
"""Connections without a login: the oldest make room for newer ones."""
LOGIN_LIMIT_S = 5.0
"""How long a connection or a session may go without a login [s]."""
MAX_SESSIONS_PER_CONNECTION = 3

MAX_CONTINUATION_POINTS = 50
"""Of one session, for Browse and for HistoryRead each."""
MAX_REFERENCES = 3000
"""In one answer to a Browse, over all its nodes; 72 bytes each fit `MESSAGE_BYTES`."""
MAX_FOLLOWED = 100_000
"""References looked at to follow the browse paths of one request: a tenth of a second."""
MAX_HISTORY_VALUES = 1000
"""In one answer to a HistoryRead, over all its nodes; encoding them keeps the others waiting."""

_LIMITED = (
    "MaxNodesPerRead",
    "MaxNodesPerHistoryReadData",
    "MaxNodesPerHistoryReadEvents",
    "MaxNodesPerWrite",
    "MaxNodesPerMethodCall",
    "MaxNodesPerBrowse",
    "MaxNodesPerTranslateBrowsePathsToNodeIds",
    "MaxNodesPerNodeManagement",
    "MaxMonitoredItemsPerCall",
)

_HISTORY = {
    "AccessHistoryDataCapability": ua.Variant(True),  # noqa: FBT003
    "MaxReturnDataValues": ua.Variant(MAX_HISTORY_VALUES, ua.VariantType.UInt32),
    **{
        f"{name}Capability": ua.Variant(False)  # noqa: FBT003
        for name in (
            "AccessHistoryEvents",
            "InsertData",
            "ReplaceData",
            "UpdateData",
            "DeleteRaw",
            "DeleteAtTime",
            "InsertAnnotation",
            "InsertEvent",
            "ReplaceEvent",
            "UpdateEvent",
            "DeleteEvent",
        )
    },
    "ServerTimestampSupported": ua.Variant(False),  # noqa: FBT003
}


def weight(value: ua.DataValue) -> int:
    """About how long a value is where it is long at all: its texts and byte strings [bytes].

    The standard's type dictionaries are, with 343 kB: 500 of them are an answer of 171 MB.
    """
    content = None if value.Value is None else value.Value.Value
    items = content if isinstance(content, list) else (content,)
    return sum(len(item) for item in items if isinstance(item, str | bytes))


def refuse_too_many(operations: Sized | None) -> None:
    """Raise ServiceError BadTooManyOperations for a request with more than `MAX_OPERATIONS`."""
    if operations is not None and len(operations) > MAX_OPERATIONS:
        raise ServiceError(ua.StatusCodes.BadTooManyOperations)


async def publish_limits(server: Server) -> None:
    """Show the limits in the server's capabilities, where clients look for them."""
    limited = [f"OperationLimits_{name}" for name in _LIMITED]
    shown = dict.fromkeys(limited, ua.Variant(MAX_OPERATIONS, ua.VariantType.UInt32))
    for kind in ("Browse", "History"):
        points = ua.Variant(MAX_CONTINUATION_POINTS, ua.VariantType.UInt16)
        shown[f"Max{kind}ContinuationPoints"] = points
    space = server.iserver.aspace
    for name, value in shown.items():
        number = getattr(ua.ObjectIds, f"Server_ServerCapabilities_{name}")
        await space.write_attribute_value(
            ua.NodeId(number), ua.AttributeIds.Value, ua.DataValue(value)
        )
    for name, value in _HISTORY.items():
        number = getattr(ua.ObjectIds, f"HistoryServerCapabilities_{name}")
        await space.write_attribute_value(
            ua.NodeId(number), ua.AttributeIds.Value, ua.DataValue(value)
        )
