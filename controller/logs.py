"""Structured logs: readable on a terminal, one JSON object a line otherwise.

Changes of state are logged, scans are measured (see `controller.metrics`); a line written inside a
scan carries its `scan_id`.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Any, Literal, TextIO

import structlog

from controller.words import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_TEXT = 20_000
"""Characters of one text in a log line."""

LogFormat = Literal["auto", "console", "json"]

QUIET_LIBRARIES = {
    # asyncua logs every lost connection as a traceback; the link logs the same fact as one line.
    "asyncua": logging.CRITICAL,
    # A job that raises is reported by the service, with the reason for the shed.
    "apscheduler": logging.CRITICAL,
}


def configure(
    *, level: str = "info", fmt: LogFormat = "auto", stream: TextIO | None = None
) -> None:
    """Set up structlog for this process.

    level: debug, info, warning or error.  fmt: `auto` takes the console form on a terminal and
    JSON otherwise.  stream: standard error by default, so that standard output stays the user's.
    """
    out = stream if stream is not None else sys.stderr
    console = fmt == "console" or (fmt == "auto" and out.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer(
            colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        if console
        else structlog.processors.JSONRenderer()
    )
    tracebacks = [] if console else [structlog.processors.dict_tracebacks]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *tracebacks,
            _neutral,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    for name, threshold in QUIET_LIBRARIES.items():
        logging.getLogger(name).setLevel(threshold)


def _neutral(
    logger: Any,  # noqa: ARG001 - structlog's signature
    name: str,  # noqa: ARG001
    event: structlog.typing.EventDict,
) -> structlog.typing.EventDict:
    """Cut and escape texts: some are a server's words, and a terminal obeys control characters."""
    return {
        key: printable(value[:LONGEST_TEXT]) if isinstance(value, str) else value
        for key, value in event.items()
    }


def logger(part: str) -> structlog.typing.FilteringBoundLogger:
    """Return the logger of one part of the controller, such as `link` or `service`."""
    log: structlog.typing.FilteringBoundLogger = structlog.get_logger(part=part)
    return log


@contextlib.contextmanager
def scan_bound(scan_id: int) -> Iterator[None]:
    """Bind `scan_id` to every line logged inside the block."""
    with structlog.contextvars.bound_contextvars(scan_id=scan_id):
        yield
