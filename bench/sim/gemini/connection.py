"""One WebSocket and the session behind it: does what the session asks, tells it what happened and when."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from bench.sim.gemini import wire
from bench.sim.gemini.actions import (
    Abort,
    Action,
    Close,
    ForgetHearing,
    Hear,
    Note,
    PauseReading,
    Pong,
    Say,
    Send,
)
from bench.sim.gemini.log import SessionLog
from bench.sim.gemini.mouths import sound
from bench.sim.gemini.pacing import RATE
from bench.sim.gemini.session import Session
from bench.sim.speech.errors import SpeechUnavailable
from bench.sim.speech.worker import SpeechWorker

_ECHO_TIMEOUT_S: Final = 1.0  # for the client's echo of our close frame


class Connection(WSListener):
    """Drives a session. `closed_ns` and `close_code` are None while it is open."""

    def __init__(
        self,
        session: Session,
        log: SessionLog,
        speech: SpeechWorker | None,
        on_gone: Callable[[Connection], None],
    ) -> None:
        super().__init__()
        self.session = session
        self.log = log
        self.opened_ns = time.monotonic_ns()
        self.closed_ns: int | None = None
        self.close_code: int | None = None
        self._speech = speech
        self._on_gone = on_gone
        self._loop = asyncio.get_running_loop()
        self._transport: WSTransport | None = None
        self._fragments = bytearray()
        self._close_received = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns: int | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._hearing: dict[int, asyncio.Task[None]] = {}

    async def shut_down(self) -> None:
        """The simulator is going away: close the socket (1001), at the latest a second from now."""
        if self._transport is not None and self.closed_ns is None:
            self._close(Close(1001, "The service is shutting down."))
            await self._transport.wait_disconnected()

    def step(self, change: Callable[[int], None]) -> None:
        """Let something happen to the session now, and do what it asks for."""
        if self.closed_ns is None:
            now_ns = time.monotonic_ns()
            change(now_ns)
            self.session.advance(now_ns)
            self._settle()

    # ---- picows

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._settle()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        now_ns = time.monotonic_ns()
        kind = frame.msg_type
        if kind in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            if frame.fin and not self._fragments:
                self.session.on_frame(frame.get_payload_as_bytes(), now_ns)
            else:
                self._fragments += frame.get_payload_as_bytes()
                if not frame.fin:
                    return
                raw, self._fragments = bytes(self._fragments), bytearray()
                self.session.on_frame(raw, now_ns)
        elif kind is WSMsgType.PING:
            self.session.on_ping(frame.get_payload_as_bytes(), now_ns)
        elif kind is WSMsgType.CLOSE:
            self._on_close_frame(frame, now_ns)
        self._settle()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.closed_ns = time.monotonic_ns()
        if self.close_code is None:
            self.close_code = 1006
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()
        self.session.on_closed(self.closed_ns)
        self._take_notes()
        self._on_gone(self)

    def _on_close_frame(self, frame: WSFrame, now_ns: int) -> None:
        assert self._transport is not None
        self._close_received = True
        code = int(frame.get_close_code().value)
        if self.close_code is None:
            self.close_code = code
            self.session.on_close_frame(code, frame.get_close_reason(), now_ns)
        else:
            self._transport.disconnect()  # the echo of ours

    # ---- doing what the session asks

    def _settle(self) -> None:
        """Do what is asked until nothing is, then wait for what comes next."""
        while actions := self.session.take():
            for action in actions:
                self._do(action)
        due_ns = self.session.next_ns
        if due_ns == self._timer_ns and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_ns = due_ns
        if due_ns is not None:
            # uvloop counts in whole milliseconds: round up, or the timer fires before anything is due.
            delay_ms = math.ceil(max(0, due_ns - time.monotonic_ns()) / 1_000_000)
            self._timer = self._loop.call_later(delay_ms / 1000, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = self._timer_ns = None
        self.session.advance(time.monotonic_ns())
        self._settle()

    def _take_notes(self) -> None:
        for action in self.session.take():
            if isinstance(action, Note):
                self.log.add(action)

    def _do(self, action: Action) -> None:
        transport = self._transport
        assert transport is not None, "a session asks for nothing before its socket is open"
        match action:
            case Note():
                self.log.add(action if action.past else replace(action, t_ns=time.monotonic_ns()))
            case Send():
                raw = wire.encode(action.frame)
                self.log.add(replace(action.note, t_ns=time.monotonic_ns()))
                transport.send(WSMsgType.BINARY, raw)
            case Say():
                self._say(action)
            case Hear():
                self._hearing[action.job] = self._spawn(self._hear(action))
            case ForgetHearing():
                if task := self._hearing.pop(action.job, None):
                    task.cancel()
            case Close():
                self._close(action)
            case Pong():
                transport.send_pong(action.payload)
            case PauseReading():
                transport.underlying_transport.pause_reading()
                self._loop.call_later(action.ns / 1e9, self._resume_reading)
            case Abort():
                transport.disconnect(graceful=False)

    def _close(self, close: Close) -> None:
        assert self._transport is not None
        if self.close_code is None:
            self.close_code = close.code
        self._transport.send_close(WSCloseCode(close.code), close.reason.encode())
        if self._close_received:
            self._transport.disconnect()
        else:
            self._loop.call_later(_ECHO_TIMEOUT_S, self._transport.disconnect)

    def _resume_reading(self) -> None:
        if self._transport is not None and self.closed_ns is None:
            self._transport.underlying_transport.resume_reading()

    # ---- speech

    def _say(self, action: Say) -> None:
        if action.voice is not None:
            pcm = sound(action.text, action.voice)
            self.session.on_said(action.generation, action.index, pcm, time.monotonic_ns())
        else:
            self._spawn(self._speak(action))

    async def _speak(self, action: Say) -> None:
        assert self._speech is not None, "only a listening session says sentences"
        pcm = await self._speech.say(action.text, RATE)
        self.step(lambda now_ns: self.session.on_said(action.generation, action.index, pcm, now_ns))

    async def _hear(self, action: Hear) -> None:
        assert self._speech is not None, "only a listening session hears"
        heard = await self._speech.listen(action.pcm16k)
        self._hearing.pop(action.job, None)
        self.step(lambda now_ns: self.session.on_heard(action.job, heard.text, heard.ms, now_ns))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        if isinstance(task.exception(), SpeechUnavailable):
            return  # the whole simulator is about to end, and says why
        self._loop.call_exception_handler({"message": "a speech task failed", "exception": task.exception()})
