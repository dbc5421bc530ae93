"""Logging: for a person on a terminal, JSON lines otherwise; never a password."""

import logging
import sys
from typing import Any

import structlog

_QUIET = "asyncua"
_NOISY = "asyncua.server.server"
"""Logs a traceback where a port is taken; the command line says it in one line instead."""


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


def configure_logs(level: int = logging.INFO) -> None:
    """Send everything, the libraries' warnings included, to standard error in one format."""
    terminal = sys.stderr.isatty()
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    rendering: list[structlog.typing.Processor] = (
        [printable, structlog.dev.ConsoleRenderer()]
        if terminal
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
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
