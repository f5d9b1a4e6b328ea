"""A typed client of the gRPC API (docs/api.md): `Client`, and `AsyncClient` for asyncio.

Both retry what may be retried, bring an idempotency key for every call they create, and resume a watch that
was cut, so that each item comes once. Errors are `ApiError`.
"""

from control_plane.client.aio import AsyncClient
from control_plane.client.errors import ApiError
from control_plane.client.models import (
    Call,
    CallPage,
    CallResult,
    CallStatus,
    CreatedCall,
    Delta,
    Ended,
    Event,
    Item,
    NewCall,
    Segment,
    StatusReached,
    TranscriptLine,
    Turn,
    TurnDone,
)
from control_plane.client.sync import Client

__all__ = [
    "ApiError",
    "AsyncClient",
    "Call",
    "CallPage",
    "CallResult",
    "CallStatus",
    "Client",
    "CreatedCall",
    "Delta",
    "Ended",
    "Event",
    "Item",
    "NewCall",
    "Segment",
    "StatusReached",
    "TranscriptLine",
    "Turn",
    "TurnDone",
]
