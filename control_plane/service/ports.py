"""What the control plane's handlers and the workflows' activities need of the outside world.

Adapters implement these; `control_plane.bootstrap` is the only file that names the concrete classes.
Every method raises `control_plane.errors.DependencyUnavailable` when its server can't be reached in time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from control_plane.domain.listing import Filters, Position
from control_plane.tools.definitions import Declaration, Definition
from protos.voiceplane.events.v1.events_pb2 import CallEvent
from workflows.contracts import (
    CallParams,
    CallView,
    Direction,
    FinishCall,
    LeaveVoicemail,
    MachineDetected,
    PreparedMedia,
    PrepareMedia,
    RecordStatus,
    SendDtmf,
    Terminate,
    TransferLeg,
    TransferRequest,
    TwilioStatus,
)


@dataclass
class Session:
    """Redis `session:{workflow_id}`: what any replica must know of a live call."""

    call_id: str
    workflow_id: str
    phone_number: str
    greeting: str
    system_prompt: str
    status: str
    stream_sid: str
    created_at: str
    run_id: str = ""
    call_sid: str = ""
    stream_url: str = ""  # where Twilio's stream must go; empty until the media node is prepared
    max_duration_seconds: int = 1800
    node_id: str = ""  # media node that holds the call's session; empty until it is prepared
    agent_name: str = ""  # the stored agent that the call runs; empty: none
    agent_version: int = 0


@dataclass
class Segment:
    """One row of `transcript_segments`."""

    source: str
    segment_id: int
    speaker: str  # caller | agent
    text: str
    start_ms: int
    end_ms: int
    interrupted: bool
    unheard_text: str = ""  # what the agent said but the caller did not hear; `text` is what was heard


@dataclass
class Turn:
    """One row of `turns`; -1: not known."""

    source: str
    turn: int
    caller_stopped_ms: int
    first_audio_ms: int
    response_ms: int
    audio_ms: int
    interrupted: bool


@dataclass
class CallRow:
    """One row of `calls`."""

    workflow_id: str
    call_id: str
    run_id: str
    phone_number: str
    greeting: str
    system_prompt: str
    max_duration_seconds: int
    status: str
    created_at: str
    end_reason: str = ""
    error: str = ""
    call_sid: str = ""
    stream_sid: str = ""
    answered_at: str = ""
    ended_at: str = ""
    duration_seconds: float = 0.0
    media: dict[str, object] = field(default_factory=dict)  # MediaSummary as ProtoJSON, original field names
    agent_name: str = ""  # the stored agent that the call ran; empty: none
    agent_version: int = 0
    direction: str = Direction.OUTBOUND
    own_number: str = ""  # inbound: the number that was called


@dataclass
class Batch:
    """What one pass over the event stream found; written in one transaction."""

    segments: list[Segment] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    media: dict[str, object] | None = None

    def __bool__(self) -> bool:
        return bool(self.segments or self.turns or self.media is not None)


class CallRepository(Protocol):
    """Postgres. Every write is idempotent: an activity may run twice."""

    async def record(self, change: RecordStatus) -> None: ...
    async def write(self, workflow_id: str, batch: Batch) -> None: ...
    async def finish(self, result: FinishCall) -> None: ...
    async def get(self, workflow_id: str) -> CallRow | None: ...
    async def transcript_count(self, workflow_id: str) -> int: ...
    async def transcript(self, workflow_id: str) -> Sequence[Segment]: ...
    async def turns(self, workflow_id: str) -> Sequence[Turn]: ...
    async def page(self, filters: Filters, after: Position | None, limit: int) -> Sequence[CallRow]:
        """Newest first, those that come after `after`; without their media summaries."""

    async def ping(self) -> None: ...


class SessionStore(Protocol):
    """Redis sessions, TTL `REDIS_SESSION_TTL`."""

    async def put(self, session: Session) -> None: ...
    async def get(self, workflow_id: str) -> Session | None: ...
    async def update(self, workflow_id: str, *, news: CallEvent | None = None, **changes: str) -> None:
        """Change fields of a session that exists, atomically; one that does not is left alone.

        `news` is appended to the call's event stream in the same step if the status has moved forward.
        """

    async def delete(self, workflow_id: str) -> None: ...
    async def ping(self) -> None: ...


@dataclass(frozen=True)
class Kept:
    """What an event stream holds."""

    first: str  # entry id
    whole: bool  # nothing that was ever appended has been dropped


class EventLog(Protocol):
    """Redis Stream `events:{workflow_id}`."""

    def follow(
        self, workflow_id: str, after: str = "0-0", *, block_ms: int = 1000
    ) -> AsyncIterator[tuple[str, CallEvent | None]]:
        """Entries in order, for ever: (entry id, event). After `block_ms` without news: (last id, None)."""

    async def kept(self, workflow_id: str) -> Kept | None:
        """What the stream still holds; None: there is none."""


@dataclass
class MediaNode:
    """Redis `node:{id}`, kept alive by the node's heartbeat."""

    id: str
    grpc_address: str
    ws_url: str
    capacity: int
    calls: int
    draining: bool


class MediaNodes(Protocol):
    """The registry of live media nodes, and the slow lane to each."""

    async def live(self) -> Sequence[MediaNode]: ...
    async def prepare(
        self, node: MediaNode, request: PrepareMedia, tools: Sequence[Declaration] = ()
    ) -> PreparedMedia: ...
    async def end(self, grpc_address: str, workflow_id: str, reason: str) -> bool: ...
    async def expect_stream(self, grpc_address: str, workflow_id: str, within_s: float) -> str:
        """Where a live call's stream may come back to. Raises CallNotLive."""


class WebhooksSeen(Protocol):
    """Which of Twilio's requests have come before, for a day; by their digests."""

    async def first_ms(self, digest: str) -> int | None:
        """When this one was marked, ms since the Unix epoch; None: it has not been."""

    async def mark(self, digest: str, now_ms: int) -> int:
        """It has come, now; answers when it first came."""


class SpokenText(Protocol):
    """The slow lane by which a text comes to the model of a call."""

    async def send_text(self, node_id: str, workflow_id: str, text: str, *, instruct: bool) -> None:
        """Raises CallNotLive: no such node, no such call there, or its model takes no such text now."""


class LineNodes(MediaNodes, SpokenText, Protocol):
    """All of the slow lane that a call's workflow needs."""


class ToolAnswers(Protocol):
    """The slow lane by which a function's answer comes to its call."""

    async def answer_tool(self, node_id: str, workflow_id: str, tool_call_id: str, response_json: str) -> str:
        """`taken`, `late` (dropped by the node), or `undeliverable` (no such node, or no such call there)."""


class ToolDeclarations(Protocol):
    """What the model may call."""

    async def declarations(self, workflow_id: str) -> Sequence[Declaration]:
        """Raises ToolsUnusable."""


class ToolDefinitions(Protocol):
    """Where a call's tools are kept, with their secrets."""

    async def put(self, workflow_id: str, definitions: Sequence[Definition], duration_s: int) -> None: ...


@dataclass(frozen=True)
class Placed:
    """A call that Twilio took. `queue_ms`: how long it will wait in Twilio's queue, by Twilio's estimate."""

    call_sid: str
    queue_ms: int = 0


class Telephony(Protocol):
    """Twilio's REST API."""

    async def dial(
        self, *, to: str, workflow_id: str, time_limit_s: int, detect_machine: bool = False
    ) -> Placed:
        """Place the call, once. Raises DialRefused, DialLater, DialAmbiguous, DependencyUnavailable."""

    async def call_person(
        self, *, to: str, twiml: str, status_callback: str, timeout_s: int, time_limit_s: int
    ) -> Placed:
        """Ring somebody who hears `twiml`, once. Raises as `dial`."""

    async def steer(self, call_sid: str, twiml: str) -> bool:
        """Have a call that is in progress do something else; False: it is not in progress."""

    async def find_recent(
        self,
        *,
        to: str,
        workflow_id: str,
        since: str,
        may_be_ours: Callable[[str], Awaitable[bool]] | None = None,
    ) -> str | None:
        """The sid of a call placed for this workflow since `since`, if Twilio has one.

        `may_be_ours` is asked of each sid that would do; without it, every one may.
        """

    async def end(self, call_sid: str, status: str) -> None: ...


class Orchestrator(Protocol):
    """Temporal."""

    async def start_call(self, params: CallParams) -> str:
        """Start CallWorkflow; answer the run id."""

    async def terminate(self, workflow_id: str, request: Terminate) -> None:
        """Raises CallNotFound when no such workflow runs."""

    async def twilio_status(self, workflow_id: str, status: TwilioStatus) -> None: ...
    async def machine_detected(self, workflow_id: str, told: MachineDetected) -> None: ...
    async def transfer_leg(self, workflow_id: str, told: TransferLeg) -> None: ...
    async def leave_voicemail(self, workflow_id: str, request: LeaveVoicemail) -> CallView:
        """Raises as `send_dtmf`."""

    async def view(self, workflow_id: str) -> CallView: ...
    async def send_dtmf(self, workflow_id: str, request: SendDtmf) -> CallView:
        """Raises CallNotFound when no such workflow runs, CallNotLive, CallBusy."""

    async def transfer(self, workflow_id: str, request: TransferRequest) -> CallView:
        """Raises as `send_dtmf`."""

    async def ping(self) -> None: ...


@dataclass(frozen=True)
class Reservation:
    """What an idempotency key stands for; `run_id` empty: that call has not been started yet."""

    request: str
    workflow_id: str
    run_id: str


class IdempotencyKeys(Protocol):
    """Redis, for 24 hours. `owner`: whose keys; `request`: a digest of what was asked for."""

    async def reserve(self, owner: str, key: str, request: str, workflow_id: str) -> Reservation:
        """Take the key for this call, or answer with what it stands for already."""

    async def started(self, owner: str, key: str, workflow_id: str, run_id: str) -> bool:
        """The call runs; False: the key was given up meanwhile."""

    async def give_up(self, owner: str, key: str, workflow_id: str) -> bool:
        """Free the key of a call whose start nobody was told; False: somebody was."""


@dataclass(frozen=True)
class Allowance:
    """What is left of a principal's requests."""

    allowed: bool
    limit: int
    window_s: int
    left: int
    reset_s: int  # until one more is allowed; if one was, until all are


class RateLimiter(Protocol):
    """Redis."""

    async def take(self, principal: str) -> Allowance: ...
