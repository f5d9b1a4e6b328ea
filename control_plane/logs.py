"""Logging of the control plane and the worker: one line a fact, on standard error.

JSON lines in production and wherever nobody watches a terminal; coloured text on a terminal. Libraries that
log through the standard library (uvicorn, temporalio, psycopg, grpc) come out in the same form.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog

# Each of these says at INFO what our own lines and metrics say already.
_QUIET = (
    "uvicorn.access",
    "uvicorn.error",
    "httpx",
    "httpcore",
    "twilio.http_client",
    "twilio.async_http_client",
    "psycopg.pool",
    "alembic",
)


def configure(environment: str, level: str, stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging for this process; call once, first.

    Raises:
        ValueError: `level` is no level of the standard library's logging.
    """
    out = stream if stream is not None else sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[structlog.typing.Processor]
    if environment == "production" or not out.isatty():
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        last = [structlog.dev.ConsoleRenderer()]

    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
