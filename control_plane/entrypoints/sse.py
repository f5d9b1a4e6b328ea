"""Server-sent events (WHATWG HTML, section 9.2): a watched call over HTTP."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import structlog
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from starlette.responses import StreamingResponse
from starlette.types import Message as AsgiMessage
from starlette.types import Receive, Scope, Send

from control_plane.errors import ControlPlaneError
from control_plane.service.watching import Item

log = structlog.get_logger(__name__)

WRITE_S = 60.0  # a reader who takes nothing for so long is let go
HEARTBEAT_S = 15.0  # proxies close what is silent for a minute
_RETRY_MS = 1000
_HEARTBEAT = b":\n\n"


class EventStream(StreamingResponse):
    """`items` from the second on; `first` was awaited by who makes this: it could have been refused."""

    media_type = "text/event-stream"

    def __init__(self, first: Item | None, items: AsyncGenerator[Item | None]) -> None:
        # Proxies that collect answers before they pass them on (nginx) are told not to.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(_lines(first, items), headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def bounded(message: AsgiMessage) -> None:
            async with asyncio.timeout(WRITE_S):
                await send(message)

        try:
            await super().__call__(scope, receive, bounded)
        except TimeoutError:
            log.info("a reader of events took nothing for too long")


async def _lines(first: Item | None, items: AsyncGenerator[Item | None]) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    try:
        async with aclosing(items):
            yield f"retry: {_RETRY_MS}\n\n".encode()
            if first is not None:
                yield written(first)
            said = loop.time()
            async for item in items:
                if item is not None:
                    yield written(item)
                elif loop.time() - said >= HEARTBEAT_S:
                    yield _HEARTBEAT
                else:
                    continue
                said = loop.time()
    except ControlPlaneError as error:
        # The client comes back by itself, with the id of the last event it has.
        log.info("a stream of events ends early", error=str(error))


def written(item: Item) -> bytes:
    """One event: its type, its id, which is its sequence, and a JSON object."""
    kind, data = _told(item)
    text = json.dumps(
        {"sequence": item.sequence, "type": kind, **data}, separators=(",", ":"), ensure_ascii=False
    )
    return f"event: {kind}\nid: {item.sequence}\ndata: {text}\n\n".encode("utf-8", "replace")


def _told(item: Item) -> tuple[str, dict[str, Any]]:
    if item.status is not None:
        return "status", {"status": item.status.value}
    if item.ended is not None:
        how = item.ended
        return "ended", {
            "status": how.status.value,
            "end_reason": how.end_reason,
            "error": how.error,
            "duration_seconds": how.duration_seconds,
        }
    assert item.event is not None, "an item is an event, a status or the end"
    event = item.event
    kind = event.WhichOneof("body") or "unknown"  # of a program newer than this one
    body = plain(getattr(event, kind)) if kind != "unknown" else {}
    return kind, {
        "source": event.source,
        "at_unix_ms": event.at_unix_ms,
        "offset_ms": event.offset_ms,
        "data": body,
    }


def plain(message: Message) -> dict[str, Any]:
    """A message as JSON with numbers for its integers (all are below 2^53) and short names for its enums."""
    return {field.name: _value(field, getattr(message, field.name)) for field in message.DESCRIPTOR.fields}


def _value(field: Any, value: Any) -> Any:
    if field.is_repeated:
        return [_single(field, each) for each in value]
    return _single(field, value)


def _single(field: Any, value: Any) -> Any:
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return plain(value)
    if field.type == FieldDescriptor.TYPE_ENUM:
        known = field.enum_type.values_by_number.get(value)
        prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", field.enum_type.name).upper() + "_"
        return known.name.removeprefix(prefix).lower() if known is not None else str(value)
    return value
