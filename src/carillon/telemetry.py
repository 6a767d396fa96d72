"""Logs and metrics: events with fields, never sentences, never anything of a voice."""

import logging
import sys
from typing import Any, Literal

import structlog


def configure_logging(level: str = "info", style: Literal["console", "json"] = "console") -> None:
    """Send structlog events to stderr, one line each. Called once, by the command that starts a process."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """Return a logger whose calls read `log.info("task.resumed", fragment_number=...)`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger
