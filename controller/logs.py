"""Structured logs: readable on a terminal, one JSON object a line otherwise.

In systemd's journal a line begins with its priority and bears no time, since the journal has its
own.  Changes of state are logged, scans are measured (see `controller.metrics`); a line written
inside a scan carries its `scan_id`.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import TYPE_CHECKING, Any, Literal, TextIO

import structlog

from controller.journald import is_journal, prioritised
from controller.words import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_TEXT = 20_000
"""Characters of one text in a log line."""

LogFormat = Literal["auto", "console", "json", "journal"]

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

    level: debug, info, warning or error.  fmt: `auto` takes the console form on a terminal, the
    journal's where standard error is connected to systemd's journal, and JSON otherwise.  stream:
    standard error by default, so that standard output stays the user's.
    """
    out = stream if stream is not None else sys.stderr
    form = _form(out) if fmt == "auto" else fmt
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *_rendering(form, colors=out.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    for name, threshold in QUIET_LIBRARIES.items():
        logging.getLogger(name).setLevel(threshold)


def _form(out: TextIO) -> LogFormat:
    """The form that suits whoever reads the stream."""
    if out.isatty():
        return "console"
    return "journal" if is_journal(out) else "json"


def _rendering(form: LogFormat, *, colors: bool) -> list[Any]:
    """The last processors of a form, the renderer included."""
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    tracebacks = structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False)  # some are passwords
    )
    as_json = structlog.processors.JSONRenderer()
    if form == "console":
        plain = structlog.dev.plain_traceback
        console = structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)
        return [stamp, _neutral, console]
    if form == "journal":
        return [tracebacks, _neutral, _prioritised(as_json)]
    return [stamp, tracebacks, _neutral, as_json]


def _prioritised(render: structlog.typing.Processor) -> structlog.typing.Processor:
    """Put the priority of the event in front of its line."""

    def line(log: Any, name: str, event: structlog.typing.EventDict) -> str:
        level = event["level"]
        return prioritised(str(render(log, name, event)), level)

    return line


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
