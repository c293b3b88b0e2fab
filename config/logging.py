"""Logs: one JSON object a line on standard error, nothing secret in it, no line that can be forged (R66)."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET = re.compile(r"pass|secret|token|code$|cookie|authorization|otp|assertion|verifier|email|phone|recipient", re.I)


def _redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A key that names something secret or personal never shows its value, whoever logged it."""
    for key in event:
        if key != "event" and _SECRET.search(key):
            event[key] = "[redacted]"
    return event


def configure_logging(level: str = "INFO") -> None:
    """Send everything, other libraries' records included, through one renderer.

    JSON escapes CR, LF and ANSI; `ensure_ascii` the bidirectional marks too.
    """
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact,
    ]
    structlog.configure(
        processors=[
            *shared,
            structlog.processors.format_exc_info,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.processors.format_exc_info],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=True),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # Their INFO lines hold URLs, and with them codes and tokens.
    for name in ("httpx", "httpx2", "httpcore", "httpcore2", "uvicorn.access", "uvicorn.error", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for one part of the service."""
    bound: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return bound
