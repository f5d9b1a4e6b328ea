"""What crosses Temporal: one dataclass in, one out, for each workflow, signal, update, query and activity.

Standard library only: workflow code, activities, API and tests all read this file. Every field may be added
to later (with a default), none renamed or retyped: histories of running calls hold them as JSON.

Times named `*_at` are ISO 8601 UTC strings; `*_ms` are milliseconds since the media stream started.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

TASK_QUEUE = "voiceplane"
CALL_WORKFLOW = "CallWorkflow"


class CallStatus(StrEnum):
    """Where a call is. The last five are final."""

    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def final(self) -> bool:
        return self not in (CallStatus.INITIATED, CallStatus.RINGING, CallStatus.IN_PROGRESS)


class EndReason(StrEnum):
    """Why a call ended."""

    CALLER_HANGUP = "caller_hangup"
    AGENT_HANGUP = "agent_hangup"  # the agent called end_call, and its farewell has been played
    TERMINATED = "terminated"  # asked for through the API
    MAX_DURATION = "max_duration"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    CANCELED = "canceled"
    DIAL_FAILED = "dial_failed"  # Twilio refused or could not place the call; `error` says why
    MODEL_FAILED = "model_failed"
    MEDIA_FAILED = "media_failed"  # no media node, or the node was lost
    INTERNAL_ERROR = "internal_error"
    VOICEMAIL = "voicemail"  # a machine answered; what was done about it, its policy says
    TRANSFERRED = "transferred"  # a person has taken the call over, and one of the two has hung up


class Direction(StrEnum):
    """Who called whom."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"


class OnVoicemail(StrEnum):
    """What to do when a machine answers; where it is empty, Twilio is not asked to find out."""

    HANG_UP = "hang_up"
    LEAVE_MESSAGE = "leave_message"  # after its beep, or its greeting when there is none
    IGNORE = "ignore"  # tell, and talk on


@dataclass
class CallParams:
    """Input of CallWorkflow; its id is `workflow_id`."""

    workflow_id: str
    call_id: str  # UUID
    phone_number: str  # E.164
    greeting: str
    system_prompt: str
    max_duration_seconds: int
    stream_token: str  # the media stream must present it, once
    created_at: str
    model: str = ""  # empty: the media node's default
    voice: str = ""
    greeting_mode: str = ""  # immediate after_hello none; empty: immediate
    tools: int = 0  # how many; what they are is in Redis, because their headers hold secrets
    # What the call asks of its model besides: ProtoJSON of voiceplane.agents.v1.AgentSettings.
    agent: dict[str, Any] = field(default_factory=dict)
    principal: str = ""  # whose call it is: the API key's id, for caps and audit
    # The stored agent that all this came from (docs/agents.md); empty: none.
    agent_name: str = ""
    agent_version: int = 0
    recording: bool = False  # what its profile says; as the next
    webhook_url: str = ""
    # Whoever called, `phone_number` is the other side's; inbound: as Twilio says it, which may be a word.
    direction: str = Direction.OUTBOUND
    own_number: str = ""  # inbound: the number that was called; empty: the account's
    call_sid: str = ""  # inbound: of the call that came in
    on_voicemail: str = ""  # OnVoicemail
    voicemail_message: str = ""  # what LEAVE_MESSAGE leaves


# -- signals, update, query ----------------------------------------------------------------------------------


@dataclass
class TwilioStatus:
    """Signal `twilio_status`: one status callback of Twilio, already verified."""

    call_sid: str
    status: str  # Twilio's word: initiated ringing in-progress completed busy no-answer failed canceled
    sequence: int  # SequenceNumber; callbacks may arrive in any order and twice
    timestamp: str = ""
    duration_seconds: int | None = None  # on the final callback
    sip_code: int | None = None
    error: str = ""


@dataclass
class StreamStarted:
    """Signal `stream_started`: audio flows on a media node."""

    stream_sid: str
    call_sid: str
    source: str  # media node id
    at: str


@dataclass
class StreamEnded:
    """Signal `stream_ended`: the media leg is over."""

    reason: str  # stop socket_closed model_failed requested expired drain
    detail: str
    source: str
    at: str


@dataclass
class Terminate:
    """Signal `terminate`: somebody asks for the call's end."""

    reason: str = ""


@dataclass
class SendDtmf:
    """Update `send_dtmf`: press keys for the callee. Answers (CallView) when Twilio was told to play them.

    Its validator refuses with an ApplicationError of type `ERRORS.not_live` (no stream runs) or
    `ERRORS.busy` (keys or a transfer are under way).
    """

    digits: str  # 1 to 64 of 0-9 * # A-D, and w: half a second of silence


@dataclass
class TransferRequest:
    """Update `transfer`: hand the callee over to a person. Answers (CallView) when the transfer has begun.

    Its validator refuses as that of `send_dtmf` does. How the transfer went is told by the call's events and
    its result.
    """

    to: str  # E.164
    mode: str = "cold"  # cold: the callee is sent there; warm: the person hears `summary` first
    summary: str = ""  # of the call so far, spoken to the person; warm only, at most 2000 bytes
    timeout_s: int = 30  # how long the person's telephone rings before the agent takes the callee back, 5-120


@dataclass
class LeaveVoicemail:
    """Update `leave_voicemail`: say `message` to the machine that answered, then hang up. Answers (CallView)
    when Twilio was told to. Its validator refuses as that of `send_dtmf` does."""

    message: str  # 1 to 2000 bytes


@dataclass
class MachineDetected:
    """Signal `machine_detected`: Twilio's detection has a verdict."""

    call_sid: str
    answered_by: str  # human machine_start machine_end_beep machine_end_silence machine_end_other fax unknown
    after_ms: int = 0


@dataclass
class TransferLeg:
    """Signal `transfer_leg`: what became of the person a call is handed over to."""

    transfer: int  # which of the call's transfers, from 1
    news: str  # answered (cold: they talk) accepted (warm: by pressing 1) over (with `status`)
    call_sid: str = ""
    status: str = ""  # of `over`: busy no-answer failed canceled completed (declined), as Twilio says


@dataclass
class AwaitStatus:
    """Update `await_status`: answers when the status is no longer `not_status`, or the call is over."""

    not_status: str


@dataclass
class CallView:
    """Query `status` and update `await_status` answer with this."""

    workflow_id: str
    status: CallStatus
    end_reason: str = ""
    error: str = ""
    call_sid: str = ""
    stream_sid: str = ""
    node_id: str = ""


# -- activities ----------------------------------------------------------------------------------------------


@dataclass
class PrepareMedia:
    """Activity `prepare_media`: reserve a node and open the model's session there."""

    workflow_id: str
    stream_token: str
    system_prompt: str
    greeting: str
    model: str = ""
    voice: str = ""
    expires_in_s: int = 180
    greeting_mode: str = ""
    tools: int = 0  # as in CallParams
    agent: dict[str, Any] = field(default_factory=dict)  # as in CallParams


@dataclass
class PreparedMedia:
    node_id: str
    grpc_address: str  # where EndCall goes
    stream_url: str
    setup_ms: int


@dataclass
class Dial:
    """Activity `dial`: have Twilio call the number."""

    workflow_id: str
    phone_number: str
    max_duration_seconds: int
    started_at: str  # of the workflow: reconciliation looks at Twilio calls created since
    principal: str = ""  # as in CallParams
    detect_machine: bool = False


@dataclass
class Dialed:
    call_sid: str


@dataclass
class ExpectStream:
    """Activity `expect_stream`: have the node keep the session while the stream leaves and comes back."""

    workflow_id: str
    grpc_address: str
    within_s: float  # from now until the next stream must have come


@dataclass
class ExpectedStream:
    stream_url: str  # with a token of its own, good once


@dataclass
class Steer:
    """Activity `steer_call`: give a call that runs something else to do. One of keys, message, dial_to, room.

    Keys are played, and `dial_to` rung; the stream is connected again when that is over (a transfer: only if
    it came to nothing). A message ends the call. `room`: the conference where a person waits for the caller.
    """

    workflow_id: str
    call_sid: str
    keys: str = ""
    message: str = ""
    dial_to: str = ""
    room: str = ""
    stream_url: str = ""  # with keys and dial_to: where the stream goes afterwards
    stream: int = 0  # with keys: how many streams this call has had, to tell their ends apart
    transfer: int = 0  # with dial_to and room: which of the call's transfers it is
    timeout_s: int = 0  # with dial_to: for how long it rings
    own_number: str = ""  # as in CallParams


@dataclass
class CallPerson:
    """Activity `call_person`: ring the person of a warm transfer, once, whatever becomes of the answer."""

    workflow_id: str
    transfer: int
    to: str
    summary: str
    timeout_s: int
    max_duration_seconds: int
    principal: str = ""  # as in CallParams


@dataclass
class TellAgent:
    """Activity `tell_agent`: let the model know; one that takes no such text is not told."""

    workflow_id: str
    node_id: str
    text: str


@dataclass
class HangUp:
    """Activity `hang_up`: end the telephone call; one that is over already is no error."""

    call_sid: str
    status: str = "completed"  # or `canceled`, which stops only queued and ringing calls


@dataclass
class EndMedia:
    """Activity `end_media`: end the media leg; one that is over already is no error."""

    workflow_id: str
    grpc_address: str
    reason: str


@dataclass
class RecordStatus:
    """Activity `record_status`: put the call's state where readers look (Redis session, Postgres row)."""

    params: CallParams
    run_id: str
    status: CallStatus
    call_sid: str = ""
    stream_sid: str = ""
    stream_url: str = ""
    answered_at: str = ""
    node_id: str = ""  # media node that holds the call's session


@dataclass
class FollowEvents:
    """Activity `follow_events`: copy the call's event stream to Postgres and signal coarse facts.

    Runs until StreamEnded is read and written. Heartbeats carry the last entry id written, so a restarted
    worker goes on where the old one stopped. With `drain` it stops at the stream's last entry instead: the
    media node is gone, and no StreamEnded will come.
    """

    workflow_id: str
    drain: bool = False


@dataclass
class Followed:
    last_entry: str
    segments: int


@dataclass
class FinishCall:
    """Activity `finish_call`: the final row, from which GET …/result is answered; returns nothing."""

    params: CallParams
    run_id: str
    status: CallStatus
    end_reason: EndReason
    error: str
    call_sid: str
    answered_at: str
    ended_at: str
    duration_seconds: float
    stream_sid: str = ""


@dataclass
class CallResult:
    """What CallWorkflow returns; the transcript and the latencies are in Postgres."""

    workflow_id: str
    status: CallStatus
    end_reason: EndReason
    error: str = ""
    call_sid: str = ""
    duration_seconds: float = 0.0
    segments: int = 0


# Error types of ApplicationError that activities raise; the workflow decides by them.
@dataclass(frozen=True)
class ErrorTypes:
    dial_refused: str = "DialRefused"  # Twilio said no for good: bad number, geo permission, credentials
    no_node: str = "NoMediaNode"
    model_refused: str = "ModelRefused"  # the model's setup was refused for good
    not_live: str = "CallNotLive"  # of an update: the call has no stream that it could be done to
    busy: str = "CallBusy"  # of an update: another one that it would cut short is under way
    non_retryable: list[str] = field(
        default_factory=lambda: ["DialRefused", "PolicyRefused", "ModelRefused", "ToolsUnusable"]
    )


ERRORS = ErrorTypes()
