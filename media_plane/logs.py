"""structlog to standard error: JSON lines, or coloured text when it is a terminal and not production."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog


def configure(environment: str, level: str) -> None:
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    pretty = environment != "production" and sys.stderr.isatty()
    renderer: Any = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(
        stream=sys.stderr, level=number, format="%(levelname)s %(name)s %(message)s", force=True
    )
    # One line per connection is not news.
    logging.getLogger("picows").setLevel(logging.WARNING)
