"""Logging: for a person on a terminal, JSON lines otherwise; never a password.

In systemd's journal a line begins with its priority (sd-daemon(3)) and bears no time of its own.
"""

import logging
import os
import sys
from typing import Any

import structlog

_QUIET = "asyncua"
_NOISY = "asyncua.server.server"
"""Logs a traceback where a port is taken; the command line says it in one line instead."""


_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""Level -> priority of syslog(3)."""

_MAX_FOREIGN_TEXT = 300
"""Longest message of asyncua that is kept [characters]; some quote what a client sent."""


class _OneLine(logging.Filter):
    """asyncua's records in one line: a client's malformed frame must not fill the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Put the kind of the exception in place of its traceback."""
        if record.name.split(".")[0] != _QUIET:
            return True
        text = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            text = f"{text}: {record.exc_info[0].__name__}"
        record.msg, record.args = text[:_MAX_FOREIGN_TEXT], None
        record.exc_info = record.exc_text = None
        return True


def printable(
    logger: Any,  # noqa: ARG001  (structlog's signature)
    name: str,  # noqa: ARG001
    event: structlog.typing.EventDict,
) -> structlog.typing.EventDict:
    """Escape what a terminal would obey: user names and the like come from clients."""
    return {
        _escaped(key): _escaped(value) if isinstance(value, str) else value
        for key, value in event.items()
    }


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _in_journal() -> bool:
    """Whether standard error is what systemd connected to its journal ($JOURNAL_STREAM)."""
    told = os.environ.get("JOURNAL_STREAM", "")
    try:
        found = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return told == f"{found.st_dev}:{found.st_ino}"


def _prioritised(render: structlog.typing.Processor) -> structlog.typing.Processor:
    """Put the priority in front of a rendered line; the journal takes it off again."""

    def line(log: Any, name: str, event: structlog.typing.EventDict) -> str:
        return f"<{_PRIORITIES.get(event['level'], 6)}>{render(log, name, event)!s}"

    return line


def configure_logs(level: int = logging.INFO) -> None:
    """Send everything, the libraries' warnings included, to standard error in one format."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
    ]
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    as_json = structlog.processors.JSONRenderer()
    rendering: list[structlog.typing.Processor]
    if sys.stderr.isatty():
        shared.append(stamp)
        rendering = [printable, structlog.dev.ConsoleRenderer()]
    elif _in_journal():
        rendering = [structlog.processors.format_exc_info, _prioritised(as_json)]
    else:
        shared.append(stamp)
        rendering = [structlog.processors.format_exc_info, as_json]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    handler.addFilter(_OneLine())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.getLogger(_QUIET).setLevel(logging.WARNING)
    logging.getLogger(_NOISY).setLevel(logging.CRITICAL)
