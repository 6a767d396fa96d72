"""Logs and metrics: events with fields, never sentences, never anything of a voice.

A traceback says where something failed and in what words, and never shows the locals of a frame: they are samples.
"""

import logging
import os
import sys
from contextlib import suppress
from typing import Any, Final, Literal, TextIO

import structlog

from carillon.errors import CarillonError

_COLORLESS: Final = (None, "", "dumb", "unknown")


def configure_logging(level: str = "info", style: Literal["console", "json"] = "console") -> None:
    """Send structlog events to stderr, one line each but for tracebacks. Called by the command that starts a process.

    Args:
        level: of the least that is said: debug, info, warning or error.
        style: for people, or one JSON object a line.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(_as_json() if style == "json" else _for_people()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=_to_stderr,
        cache_logger_on_first_use=False,
    )


def log_failure(log: Any, event: str, error: BaseException, **about: Any) -> None:  # noqa: ANN401 - structlog's
    """Log what is being handled: in one line if it has a name of ours, else, as it is our fault, with its traceback.

    Args:
        log: a logger, bound or not.
        event: what failed.
        error: why.
        about: more fields.
    """
    if isinstance(error, CarillonError):
        log.warning(event, reason=str(error), **about)
    else:
        log.error(event, error=type(error).__name__, exc_info=True, **about)  # noqa: LOG014 - the caller handles one


class _Forwarding(logging.Handler):
    """Takes what libraries log and says it as we say ours."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        log.log(record.levelno, "library.said", library=record.name, said=record.getMessage(), exc_info=record.exc_info)


def forward_library_logs() -> None:
    """Format warnings and worse of libraries like our own events. For a process that is ours."""
    logging.getLogger().handlers[:] = [_Forwarding(logging.WARNING)]


def shows_colors(file: TextIO) -> bool:
    """Return whether what is written to a file may be colored: a terminal that can, without NO_COLOR."""
    return file.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in _COLORLESS


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """Return a logger whose calls read `log.info("task.resumed", fragment_number=...)`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger


def _as_json() -> list[structlog.typing.Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _for_people() -> list[structlog.typing.Processor]:
    # The renderer's own choice, where rich is installed, shows the locals of every frame.
    return [
        structlog.dev.ConsoleRenderer(
            colors=shows_colors(sys.stderr), exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _to_stderr(*_: Any) -> "_Logger":  # noqa: ANN401 - names, which structlog passes on
    return _Logger(sys.stderr)  # as it is now: who imports us may replace it later


class _Logger(structlog.PrintLogger):
    """Writes lines, or loses them: a full disk, or a reader that is gone, must not stop what is logged."""

    def msg(self, message: str) -> None:
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = fatal = failure = err = error = critical = exception = msg


configure_logging("warning")
"""Until a command says otherwise, and for whoever only imports us: structlog's own default prints all, with locals."""
