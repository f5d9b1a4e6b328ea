"""What a renewal of a call's session is made of: orders, who does them, and what stands in between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from picows import WSMsgType

from media_plane.agent_audio import AgentAudio, nobody
from media_plane.call.continuity import RenewalCounts, RenewalLimits
from media_plane.call.conversation import Conversation
from media_plane.call.greeting import Greeting
from media_plane.call.playout import Playout
from media_plane.dsp.codec import Codecs, Uplink
from media_plane.errors import ModelFailure
from media_plane.leg import Leg
from media_plane.tool_desk import ToolDesk


@dataclass(frozen=True, slots=True)
class Order:
    """Open the next session, `delay_ns` from now, once the socket of `after` is gone. `handle` empty: a new
    one; `history`: it is told first what was said."""

    handle: str
    history: bool
    delay_ns: int
    after: Leg | None


class NextUser(Protocol):
    """Who is given the next session, or told that there is none."""

    def model_ready(self, leg: Leg, connect_ms: int, setup_ms: int, now_ns: int) -> None: ...
    @property
    def model_frame(self) -> Callable[[bytes, int], None]: ...
    def model_closed(self, failure: ModelFailure, now_ns: int) -> None: ...
    def open_failed(self, failure: ModelFailure, now_ns: int) -> None: ...


class Reopen(Protocol):
    """Begins to do what an order says, and returns what stops it. `user` is told how it went."""

    def __call__(self, order: Order, user: NextUser) -> Callable[[], object]: ...


@dataclass(frozen=True, slots=True)
class Renewing:
    """What a call needs for it. `counts`: shared by calls; `kept`: is given each new handle, empty when the
    call needs none any more."""

    reopen: Reopen
    counts: RenewalCounts
    limits: RenewalLimits
    kept: Callable[[str], None] = nobody


@dataclass(slots=True)
class Talk:
    """The parts of a session that a renewal looks at or changes."""

    up: Uplink
    codecs: Codecs
    conversation: Conversation
    playout: Playout
    agent: AgentAudio
    desk: ToolDesk
    greeting: Greeting
    greet: str  # the greeting's words


class Limbo:
    """The model's leg while there is none."""

    congested = False

    def send(self, kind: WSMsgType, buffer: bytearray, offset: int) -> None:
        pass

    def send_text(self, message: bytes) -> None:
        pass

    def close(self, code: int, reason: str) -> None:
        pass


LIMBO = Limbo()
