"""The life of a leg from the queue to its end: outbound over REST, dialled by `<Dial>`, and inbound."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from bench.sim.twilio import amd, voice
from bench.sim.twilio.call import Call
from bench.sim.twilio.callee import Act
from bench.sim.twilio.mulaw import RATE
from bench.sim.twilio.program import Program
from bench.sim.twilio.recordings import publish_recording
from bench.sim.twilio.request import CallRequest, Hook
from bench.sim.twilio.status import Status
from bench.sim.twilio.voice import AudioError

RINGING_AFTER_MS = 100  # the carrier's answer to the dialling


async def run_outbound(call: Call, request: CallRequest, start_ns: int) -> None:
    """A call asked for over REST, to be dialled at `start_ns`."""
    call.program = Program(call, request.fallback)
    preparing = _prepare(call)
    status: Status = "canceled"
    try:
        if await call.pause((start_ns - time.monotonic_ns()) / 1e9):
            call.advance("initiated")
            ended = await _ring(call, preparing, request.timeout_s)
            status = ended or await _talk(call, request, preparing.result())
        else:
            status = call.over.result()
    finally:
        preparing.cancel()
        await call.close(status)
    if request.record and call.answered.is_set():
        publish_recording(call, request)


async def run_dialled(call: Call, parent: Call, timeout_s: int) -> None:
    """A leg that a `<Dial>` verb adds to its parent; answered, the two hear each other."""
    preparing = _prepare(call)
    status: Status = "canceled"
    try:
        call.advance("initiated")
        ended = await _ring(call, preparing, timeout_s)
        if ended is None:
            call.peer, parent.peer = parent, call
            call.answer(preparing.result())
        status = await asyncio.shield(call.over) if ended is None else ended
    finally:
        preparing.cancel()
        call.peer = parent.peer = None
        await call.close(status)


async def run_inbound(call: Call, voice_hook: Hook) -> None:
    """Somebody calls the account's number: its voice URL is asked while it rings."""
    call.note("dialed")
    call.resource.started = datetime.now(UTC)
    call.advance("ringing")
    call.note("ringing")
    call.program = Program(call, Hook())
    call.program.start(voice_hook)
    status: Status = "canceled"
    try:
        status = await asyncio.shield(call.over)
    finally:
        await call.close(status)


def _prepare(call: Call) -> asyncio.Task[list[Act]]:
    """Make the callee's audio while the phone rings."""
    task = asyncio.create_task(call.world.voice.prepare(call.persona))
    # Who is never answered never asks for the result; a failure is then of no interest.
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


async def _ring(call: Call, preparing: asyncio.Task[list[Act]], timeout_s: int) -> Status | None:
    """Dial and wait for the callee. None: the callee picks up; its script is ready."""
    persona = call.persona
    call.note("dialed", to=call.resource.to)
    call.resource.started = datetime.now(UTC)
    answer_at = time.monotonic() + persona.answer_after_ms / 1000
    gives_up_at = time.monotonic() + timeout_s
    rings = persona.outcome not in ("busy", "failed")
    if rings:
        if not await call.pause(min(RINGING_AFTER_MS, persona.answer_after_ms) / 1000):
            return _unanswered(call)
        call.advance("ringing")
        call.note("ringing")
    if not await call.pause(min(answer_at, gives_up_at) - time.monotonic()):
        return _unanswered(call)
    if persona.outcome == "no-answer" or gives_up_at < answer_at:
        return "no-answer"
    if persona.outcome == "busy" or persona.outcome == "failed":
        return persona.outcome
    waiting: list[asyncio.Future[Any]] = [preparing, call.over]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if call.over.done():
        return _unanswered(call)
    try:
        preparing.result()
    except AudioError as error:
        call.note("persona_error", reason=str(error))
        call.warn(0, f"persona: {error}")
        return "failed"
    return None


def _unanswered(call: Call) -> Status:
    """What ended a call that nobody answered; Twilio documents `completed` for answered calls only."""
    status = call.over.result()
    return "canceled" if status == "completed" else status


async def _talk(call: Call, request: CallRequest, acts: list[Act]) -> Status:
    """From the answer to whatever ends the call."""
    call.answer(acts)
    assert call.program is not None
    limit = asyncio.get_running_loop().call_later(request.time_limit_s, _limit, call)
    try:
        extra: dict[str, str] = {}
        if request.detection:
            who, after_ms = amd.verdict(call.persona, acts, request.detection, request.detection_timeout_s)
            if request.async_amd:
                if not request.async_amd_hook.url:
                    call.warn(21262, "AsyncAmd without AsyncAmdStatusCallback: nobody is told the verdict")
                call.spawn(_detect_beside(call, request.async_amd_hook, who, after_ms))
            elif await call.pause(after_ms / 1000):  # the callee hears silence until the verdict
                extra = call.answered_by(who, after_ms)
                call.note("amd", answered_by=who)
        if request.send_digits and call.line is not None and not call.over.done():
            tones = voice.keys(request.send_digits)
            call.note("dtmf_heard", digits=request.send_digits)
            call.line.hear(time.monotonic_ns(), tones)
            await call.pause(len(tones) / RATE)
        if not call.over.done():
            call.program.start(request.voice, request.twiml, extra)
        return await asyncio.shield(call.over)
    finally:
        limit.cancel()


def _limit(call: Call) -> None:
    call.note("hangup", by="twilio", reason="TimeLimit")
    call.hang_up("completed")


async def _detect_beside(call: Call, hook: Hook, who: str, after_ms: int) -> None:
    """Asynchronous detection. A call that ends before the verdict is `unknown`, told after its end."""
    began = time.monotonic()
    if not await call.pause(after_ms / 1000):
        who, after_ms = "unknown", int((time.monotonic() - began) * 1000)
    fields = call.answered_by(who, after_ms)
    call.note("amd", answered_by=who)
    if hook.url:
        params = {"AccountSid": call.resource.account_sid, "CallSid": call.sid, **fields}
        await call.callback("amd", hook, params)
