"""One bidirectional media stream: the WebSocket that Twilio opens for `<Connect><Stream>`.

    stream = MediaStream(...); await stream.open(headers)   # raises StreamRefused
    stream.send_frame(ulaw, ends_ns)                        # every 20 ms, by the call's clock
    await stream.closed.wait()                              # the server closed, or close() was called

What arrives is played on the call's `Line`; marks go back when their audio has been heard.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal

from picows import (
    WSCloseCode,
    WSError,
    WSFrame,
    WSListener,
    WSMsgType,
    WSProtocolError,
    WSTransport,
    ws_connect,
)

from bench.sim.twilio import wire
from bench.sim.twilio.lateness import Lateness
from bench.sim.twilio.line import FRAME_NS, Line
from bench.sim.twilio.mulaw import RATE
from bench.sim.twilio.network import Departures
from bench.sim.twilio.recording import Timeline

HANDSHAKE_TIMEOUT_S = 5.0
MAX_MESSAGE = 1 << 20
SECOND_NS = 1_000_000_000
EARLY_NS = 1_000_000  # event loops' timers count in milliseconds


class StreamRefused(Exception):
    """No stream came about; `code` is Twilio's error number (31920: not 101, 31901: no answer)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class MediaStream(WSListener):
    """`warn(code, text)` is told of Twilio's 319xx warnings, each kind once where Twilio says once."""

    def __init__(
        self,
        url: str,
        sid: str,
        messages: wire.StreamMessages,
        line: Line,
        timeline: Timeline,
        departures: Departures,
        warn: Callable[[int, str], None],
        *,
        clear_returns_marks: bool,
    ) -> None:
        self.url = url
        self.sid = sid
        self.closed = asyncio.Event()
        self.closed_by: Literal["", "server", "twilio", "network"] = ""
        self.close_code = 0
        self.close_reason = ""
        self._messages = messages
        self._line = line
        self._timeline = timeline
        self._departures = departures
        self._warn = warn
        self._warned: set[int] = set()
        self._clear_returns_marks = clear_returns_marks
        self._loop = asyncio.get_running_loop()
        self._transport: WSTransport | None = None
        self._mark_timer: asyncio.TimerHandle | None = None
        self._started_ns = 0
        self._first_frame_ns = 0
        self._leaving: deque[tuple[int, int, bytes]] = deque()  # delayed frames: when due, when ended, μ-law
        self._fragments: list[bytes] = []
        self.lateness = Lateness()
        self.counts = dict.fromkeys(
            (
                "media_in",
                "media_in_bytes",
                "marks_in",
                "marks_returned",
                "clears",
                "invalid",
                "dropped_media",
                "dtmf",
            ),
            0,
        )
        self._second = [0, 0, 0]  # this second's media_in: which second, messages, bytes

    async def open(self, headers: Mapping[str, str], parameters: Mapping[str, str]) -> None:
        """Connect and announce the stream. Raises `StreamRefused`."""
        try:
            await ws_connect(
                lambda: self,
                self.url,
                extra_headers=headers,
                max_redirects=0,
                websocket_handshake_timeout=HANDSHAKE_TIMEOUT_S,
                max_frame_size=MAX_MESSAGE,
            )
        except asyncio.CancelledError:
            self.closed.set()  # the handshake may still succeed behind our back: on_ws_connected closes it
            raise
        except WSError as error:
            raise StreamRefused(31920, f"{self.url}: {error}") from None
        except (OSError, TimeoutError) as error:
            raise StreamRefused(31901, f"{self.url}: {error or 'no answer'}") from None
        self._started_ns = time.monotonic_ns()
        self._timeline.add(self._started_ns, "stream_start", stream_sid=self.sid)
        self._send(wire.CONNECTED)
        self._send(self._messages.start(parameters))

    @property
    def open_now(self) -> bool:
        """Messages can be sent."""
        return self._transport is not None and not self.closed.is_set()

    def send_frame(self, ulaw: bytes, ends_ns: int) -> None:
        """One frame of the callee, 160 bytes, complete since `ends_ns`."""
        if not self.open_now or ends_ns <= self._started_ns:
            return
        if not self._first_frame_ns:
            self._first_frame_ns = ends_ns
        if self._departures.perfect:
            self._send_media(ulaw, ends_ns, ends_ns)
            return
        delay_ns = self._departures.delay_ns((ends_ns - self._first_frame_ns) // FRAME_NS)
        if delay_ns is not None:
            self._leaving.append((ends_ns + delay_ns, ends_ns, ulaw))
            if len(self._leaving) == 1:
                self._depart()

    def send_key(self, digit: str) -> None:
        """The callee pressed a key."""
        self.counts["dtmf"] += 1
        self._send(self._messages.dtmf(digit))

    def send_unknown(self) -> None:
        """A message of a kind no server knows."""
        self._send(self._messages.unknown())

    def stop(self) -> None:
        """The call is over or moves on: `stop`, then the socket closes."""
        if not self.open_now or self._transport is None:
            return
        self._end("twilio", WSCloseCode.OK.value, "")
        self._transport.send(WSMsgType.TEXT, self._messages.stop())
        self._transport.send_close(WSCloseCode.OK)
        self._transport.disconnect()

    def abort(self) -> None:
        """The carrier's or Twilio's own failure: the socket breaks without a word."""
        if self._transport is not None and self.open_now:
            self._end("network", WSCloseCode.ABNORMAL_CLOSURE.value, "")
            self._transport.disconnect(graceful=False)

    def shown(self) -> dict[str, Any]:
        """State for the admin port."""
        playout = self._line.playout
        return {
            "sid": self.sid,
            "url": self.url,
            "open": self.open_now,
            "media_out": self._messages.chunks,
            "media_lost": self._departures.lost,
            **self.counts,
            "underruns": playout.underruns,
            "underrun_ms": playout.underrun_samples * 1000 / RATE,
            "buffered_peak_ms": playout.buffered_peak * 1000 / RATE,
            "lateness_ms": self.lateness.shown(),
            "closed_by": self.closed_by,
            "close_code": self.close_code,
            "close_reason": self.close_reason,
        }

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        if self.closed.is_set():
            transport.disconnect()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        now_ns = time.monotonic_ns()
        if frame.msg_type == WSMsgType.CLOSE:
            code: int = frame.get_close_code().value
            self._end("server", code, frame.get_close_reason() or "")
            transport.send_close(frame.get_close_code() if code else WSCloseCode.OK)
            transport.disconnect()
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.CONTINUATION):
            self._fragments.append(frame.get_payload_as_bytes())
            if sum(map(len, self._fragments)) > MAX_MESSAGE:
                raise WSProtocolError(WSCloseCode.MESSAGE_TOO_BIG, "message of more than 1 MiB")
            if frame.fin:
                message, self._fragments = b"".join(self._fragments), []
                self._receive(now_ns, message)
        elif frame.msg_type == WSMsgType.BINARY:
            self._invalid("binary message")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        handshake = transport.close_handshake
        if not self.closed.is_set() and handshake is not None and handshake.sent is not None:
            self._warn_once(31924, f"WebSocket protocol error: {handshake.sent.reason}")
        self._end("server", WSCloseCode.ABNORMAL_CLOSURE.value, "")

    async def disconnected(self) -> None:
        """The socket is gone, too."""
        if self._transport is not None:
            with contextlib.suppress(WSError):  # a protocol error was told as 31924
                await self._transport.wait_disconnected()

    def _receive(self, now_ns: int, data: bytes) -> None:
        if self.closed.is_set():
            return
        try:
            message = wire.parse(data, self.sid)
        except wire.InvalidMessage as error:
            self._invalid(str(error))
            return
        match message:
            case wire.Media(ulaw):
                self._count_second(now_ns, len(ulaw))
                if self._line.hear(now_ns, ulaw) is None:
                    self.counts["dropped_media"] += 1
                    self._warn_once(31931, "more than 10 minutes are buffered; media is discarded")
            case wire.Mark(name):
                self.counts["marks_in"] += 1
                self._line.playout.mark(name)
            case wire.Clear():
                self.counts["clears"] += 1
                discarded_ms, marks = self._line.silence(now_ns)
                self._timeline.add(now_ns, "clear", discarded_ms=discarded_ms, marks=marks)
                if self._clear_returns_marks:
                    self._return_marks(now_ns, marks)
        self._return_due_marks()

    def _return_due_marks(self) -> None:
        now_ns = time.monotonic_ns()
        self._return_marks(now_ns, self._line.playout.due_marks(now_ns))
        if self._mark_timer is not None:
            self._mark_timer.cancel()
            self._mark_timer = None
        due_ns = self._line.playout.next_mark_ns()
        if due_ns is not None and self.open_now:
            wait_s = max(0.001, (due_ns - now_ns) / 1e9)
            self._mark_timer = self._loop.call_later(wait_s, self._return_due_marks)

    def _return_marks(self, now_ns: int, names: list[str]) -> None:
        for name in names:
            if self.open_now:
                self.counts["marks_returned"] += 1
                self._timeline.add(now_ns, "mark", name=name)
                self._send(self._messages.mark(name))

    def _depart(self) -> None:
        """Send the frames that are due, in order, and come back for the next."""
        while self._leaving:
            due_ns, ends_ns, ulaw = self._leaving[0]
            wait_ns = due_ns - time.monotonic_ns()
            if wait_ns > EARLY_NS:
                self._loop.call_later(wait_ns / 1e9, self._depart)
                return
            self._leaving.popleft()
            self._send_media(ulaw, ends_ns, due_ns)

    def _send_media(self, ulaw: bytes, ends_ns: int, due_ns: int) -> None:
        if self.open_now:
            self.lateness.add(time.monotonic_ns() - due_ns)
            self._send(self._messages.media(ulaw, (ends_ns - self._started_ns) // 1_000_000))

    def _send(self, data: bytes) -> None:
        if self._transport is not None and self.open_now:
            self._transport.send(WSMsgType.TEXT, data)

    def _invalid(self, why: str) -> None:
        self.counts["invalid"] += 1
        self._warn_once(31951, f"invalid message: {why}")

    def _warn_once(self, code: int, text: str) -> None:
        if code not in self._warned:
            self._warned.add(code)
            self._warn(code, text)

    def _count_second(self, now_ns: int, size: int) -> None:
        self.counts["media_in"] += 1
        self.counts["media_in_bytes"] += size
        second = (now_ns - self._started_ns) // SECOND_NS
        if second != self._second[0]:
            self._flush_second()
            self._second = [second, 0, 0]
        self._second[1] += 1
        self._second[2] += size

    def _flush_second(self) -> None:
        second, messages, size = self._second
        if messages:
            self._timeline.add(
                self._started_ns + second * SECOND_NS,
                "media_in",
                messages=messages,
                audio_ms=size * 1000 / RATE,
            )

    def _end(self, by: Literal["server", "twilio", "network"], code: int, reason: str) -> None:
        """The first cause of the end is the one that counts."""
        if self.closed.is_set():
            return
        now_ns = time.monotonic_ns()
        self.closed_by, self.close_code, self.close_reason = by, code, reason
        self._flush_second()
        if self._mark_timer is not None:
            self._mark_timer.cancel()
            self._mark_timer = None
        self._line.silence(now_ns)
        self._timeline.add(now_ns, "stream_stop", by=by, code=code, reason=reason)
        self.closed.set()
