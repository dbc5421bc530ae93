"""One logger for all subscriptions.

asyncua makes each subscription a logger of its own, named by its number. Python's logging keeps
every logger that was ever named, for good: about a kilobyte a subscription.
"""

import logging
from typing import Any

_SHARED = logging.getLogger("asyncua.server.monitored_item_service")
"""It has to exist before the others do: a mere name between them and the root keeps them, too."""


def share_logger(service: Any) -> None:
    """Let a subscription's new monitored item service log to the shared logger.

    service: asyncua's, of which nothing has been logged yet.
    """
    own, service.logger = service.logger, _SHARED
    if own is not _SHARED:
        logging.Logger.manager.loggerDict.pop(own.name, None)
