"""What an activity raised last, out of the layers that Temporal puts around it."""

from __future__ import annotations

from temporalio.exceptions import ActivityError, ApplicationError, FailureError
from temporalio.exceptions import TimeoutError as TemporalTimeoutError


def error_type(exc: ActivityError) -> str:
    root = _root(exc)
    return root.type or "" if isinstance(root, ApplicationError) else ""


def error_text(exc: ActivityError) -> str:
    root = _root(exc)
    return root.message if isinstance(root, FailureError) else str(root)


def _root(exc: BaseException) -> BaseException:
    while isinstance(exc, ActivityError | TemporalTimeoutError) and exc.cause is not None:
        exc = exc.cause
    return exc
