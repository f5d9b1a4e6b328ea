"""Executes a call's TwiML, verb by verb."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bench.sim.twilio import signature, voice, wire
from bench.sim.twilio.mulaw import NS_PER_SAMPLE
from bench.sim.twilio.network import Departures
from bench.sim.twilio.persona import Network
from bench.sim.twilio.plan import Plan, answers
from bench.sim.twilio.request import Hook, valid_number, valid_url
from bench.sim.twilio.resource import new_sid
from bench.sim.twilio.stream import MediaStream, StreamRefused
from bench.sim.twilio.twiml import (
    Conference,
    Dial,
    Document,
    Gather,
    Hangup,
    Method,
    Pause,
    Play,
    Redirect,
    Reject,
    Say,
    Stream,
    TwimlError,
    Verb,
    parse_twiml,
)
from bench.sim.twilio.voice import AudioError
from bench.sim.twilio.webhooks import WebhookFailed

if TYPE_CHECKING:
    from bench.sim.twilio.call import Call

_XML = ("text/xml", "application/xml", "text/html")
MAX_VERBS = 10_000  # a document that redirects to itself without end is ended here


class ProgramFailed(Exception):
    """No TwiML to go on with; `code` is Twilio's error number."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Program:
    """One call's TwiML. A REST update replaces what is running."""

    def __init__(self, call: Call, fallback: Hook) -> None:
        self._call = call
        self._fallback = fallback
        self._task: asyncio.Task[None] | None = None

    def start(self, voice_hook: Hook, twiml: str = "", extra: dict[str, str] | None = None) -> None:
        """Execute `twiml`, or what `voice_hook` answers to the base fields and `extra`."""
        self._task = asyncio.create_task(self._run(voice_hook, twiml, extra or {}))

    async def replace(self, voice_hook: Hook, twiml: str) -> None:
        """An update: what runs stops (a stream gets its `stop`), and the new TwiML begins."""
        await self.cancel()
        self.start(voice_hook, twiml)

    async def cancel(self) -> None:
        """Stop what runs."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, voice_hook: Hook, twiml: str, extra: dict[str, str]) -> None:
        call = self._call
        try:
            if twiml:
                plan = Plan(self._parse(twiml), "")
            else:
                plan = Plan(
                    await self._fetch(voice_hook.url, voice_hook.method, extra, "twiml"), voice_hook.url
                )
            for _ in range(MAX_VERBS):
                verb = plan.next()
                if not call.answered.is_set() and answers(verb):
                    call.answer(await call.world.voice.prepare(call.persona))
                await self._execute(verb, plan)
                if call.over.done():
                    return
            raise ProgramFailed(11100, f"{MAX_VERBS} verbs and no end")
        except ProgramFailed as error:
            call.warn(error.code, str(error))
            call.note("hangup", by="twilio", reason=f"error {error.code}")
            call.hang_up("completed" if call.answered.is_set() else "failed")

    async def _execute(self, verb: Verb, plan: Plan) -> None:
        call = self._call
        name = type(verb).__name__
        call.note("twiml", verb=name)
        entry: dict[str, Any] = {"t_ns": time.monotonic_ns(), "verb": name}
        call.verbs.append(entry)
        try:
            match verb:
                case Hangup():
                    call.note("hangup", by="twiml")
                    call.hang_up("completed")
                case Reject(reason):
                    await self._reject(reason)
                case Redirect(url, method):
                    await self._go(plan, url, method, {}, "redirect")
                case Pause(seconds):
                    await call.pause(seconds)
                case Say(text, loop):
                    await self._play(await self._spoken(text), loop)
                case Play():
                    await self._play_file(verb, plan)
                case Stream():
                    await self._stream(verb, plan)
                    if verb.action:
                        await self._go(plan, verb.action, verb.method, {}, "action")
                case Dial():
                    fields = await self._dial(verb, plan)
                    if verb.action:
                        await self._go(plan, verb.action, verb.method, fields, "action")
                case Conference(room, ends_on_exit):
                    await call.world.rooms.stay(call, room, ends_on_exit=ends_on_exit)
                    if call.line is not None:
                        call.line.silence(time.monotonic_ns())
                    if verb.action:
                        fields = {"DialCallStatus": "answered"}
                        await self._go(plan, verb.action, verb.method, fields, "action")
                case Gather():
                    digits = await self._gather(verb)
                    if digits:
                        await self._go(plan, verb.action, verb.method, {"Digits": digits}, "action")
        finally:
            entry["took_ms"] = round((time.monotonic_ns() - entry["t_ns"]) / 1e6, 3)

    async def _go(self, plan: Plan, url: str, method: Method, fields: dict[str, str], purpose: str) -> None:
        target = plan.resolve(url)
        if not valid_url(target):
            raise ProgramFailed(11100, f"{purpose}: {url!r} is not an http or https address")
        if not self._call.over.done():
            plan.replace(await self._fetch(target, method, fields, purpose), target)

    async def _fetch(self, url: str, method: Method, extra: dict[str, str], purpose: str) -> Document:
        """A TwiML document; the fallback is asked when it can't be had."""
        call = self._call
        try:
            return await self._ask(url, method, extra, purpose)
        except ProgramFailed as error:
            if not self._fallback.url or self._fallback.url == url:
                raise
            call.warn(error.code, str(error))
            told = extra | {"ErrorCode": str(error.code), "ErrorUrl": url}
            return await self._ask(self._fallback.url, self._fallback.method, told, "fallback")

    async def _ask(self, url: str, method: Method, extra: dict[str, str], purpose: str) -> Document:
        call = self._call
        try:
            params = call.resource.webhook_fields() | extra
            answer = await call.world.webhooks.send(call.webhooks, purpose, url, method, params)
        except WebhookFailed as error:
            raise ProgramFailed(error.code, str(error)) from None
        if answer.content_type not in _XML:
            raise ProgramFailed(12300, f"{url}: content type {answer.content_type} is not TwiML's")
        return self._parse(answer.body)

    def _parse(self, text: str | bytes) -> Document:
        try:
            document = parse_twiml(text)
        except TwimlError as error:
            raise ProgramFailed(error.code, str(error)) from None
        for code, message in document.warnings:
            self._call.warn(code, message)
        return document

    async def _reject(self, reason: str) -> None:
        call = self._call
        if call.answered.is_set():  # too late to refuse it
            call.hang_up("completed")
            return
        call.note("hangup", by="twiml", reason=reason)
        call.hang_up("busy" if reason == "busy" else "no-answer")

    async def _play_file(self, verb: Play, plan: Plan) -> None:
        if verb.digits:
            self._call.note("dtmf_heard", digits=verb.digits)
            await self._play(voice.keys(verb.digits), 1)
            return
        try:
            data = await self._call.world.webhooks.download(plan.resolve(verb.url))
            await self._play(await asyncio.to_thread(voice.read_wav, data), verb.loop)
        except WebhookFailed as error:
            self._call.warn(error.code, f"<Play>: {error}")
        except AudioError as error:
            self._call.warn(12300, f"<Play>: {error}")

    async def _spoken(self, text: str) -> bytes:
        try:
            return await self._call.world.voice.text_or_hum(text)
        except AudioError as error:
            self._call.warn(13520, f"<Say>: {error}")
            return b""

    async def _play(self, ulaw: bytes, loop: int) -> None:
        """Let the callee hear `ulaw`, `loop` times (0: until the call ends)."""
        call = self._call
        line = call.line
        assert line is not None  # playing answers the call
        played = 0
        try:
            while ulaw and not call.over.done() and (loop == 0 or played < loop):
                start = line.hear(time.monotonic_ns(), ulaw)
                assert start is not None  # each repetition waits for the one before
                end_ns = line.answered_ns + (start + len(ulaw)) * NS_PER_SAMPLE
                await call.pause((end_ns - time.monotonic_ns()) / 1e9)
                played += 1
        finally:
            line.silence(time.monotonic_ns())  # takes back the rest when an update or the end cuts it short

    async def _stream(self, verb: Stream, plan: Plan) -> None:
        """`<Connect><Stream>`: until the server closes the socket. What is queued then is not played out."""
        call, world = self._call, self._call.world
        line = call.line
        assert line is not None  # connecting answers the call
        sid = new_sid("MZ")
        url = signature.stream_url(verb.url)
        if urlsplit(verb.url).query:
            call.note("query_stripped", url=verb.url)  # as Twilio does, without a word
        network = call.persona.network
        if armed := world.faults.strike("network", call.sid):
            network = Network(**armed)
        stream = MediaStream(
            url,
            sid,
            wire.StreamMessages(call.resource.account_sid, call.sid, sid),
            line,
            call.timeline,
            Departures(network, world.random.getrandbits(32)),
            call.warn,
            clear_returns_marks=world.faults.strike("clear_keeps_marks", call.sid) is None,
        )
        try:
            await stream.open(self._stream_headers(url), verb.parameters)
        except StreamRefused as error:
            call.warn(error.code, str(error))
            call.note("stream_refused", code=error.code)
            self._tell(verb, plan, sid, "stream-error", f"{error.code}: {error}")
            return
        call.streams.append(stream)
        self._tell(verb, plan, sid, "stream-started")
        if world.faults.strike("stream_unknown_event", call.sid) is not None:
            stream.send_unknown()
        drop = world.faults.strike("stream_drop", call.sid)
        try:
            async with asyncio.timeout(drop["after_ms"] / 1000 if drop else None):
                await stream.closed.wait()
        except TimeoutError:
            stream.abort()
        finally:
            stream.stop()  # when an update or the end of the call cuts it short
            self._tell(verb, plan, sid, "stream-stopped")
            call.spawn(stream.disconnected())
        if stream.closed_by == "server":
            call.warn(
                31921, f"{url}: the server closed the stream ({stream.close_code} {stream.close_reason})"
            )

    def _stream_headers(self, url: str) -> dict[str, str]:
        headers = {"User-Agent": "Twilio.TmeWs/1.0"}
        world, sid = self._call.world, self._call.sid
        if world.faults.strike("signature_forge", sid, on="stream"):
            headers["X-Twilio-Signature"] = signature.sign("somebody else's token", url)
        elif not world.faults.strike("signature_omit", sid, on="stream"):
            headers["X-Twilio-Signature"] = signature.sign(world.config.auth_token, url)
        return headers

    def _tell(self, verb: Stream, plan: Plan, sid: str, event: str, error: str = "") -> None:
        if not verb.status_callback:
            return
        call = self._call
        params = {
            "AccountSid": call.resource.account_sid,
            "CallSid": call.sid,
            "StreamSid": sid,
            "StreamName": verb.name or sid,
            "StreamEvent": event,
            "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        if error:
            params["StreamError"] = error
        hook = Hook(plan.resolve(verb.status_callback), verb.status_method)
        call.spawn(call.callback(event, hook, params))

    async def _gather(self, verb: Gather) -> str:
        """The keys pressed; a key silences what is being said."""
        call = self._call
        keys: asyncio.Queue[str] = asyncio.Queue()
        call.gathering = keys
        speaking = asyncio.create_task(self._prompt(verb.prompts))
        digits = ""
        try:
            while not call.over.done() and not (verb.digits and len(digits) == verb.digits):
                pressed = asyncio.create_task(keys.get())
                timeout = None if not digits and not speaking.done() else verb.timeout_s
                waiting: set[asyncio.Future[Any]] = {pressed, call.over}
                if timeout is None:
                    waiting.add(speaking)
                done, _ = await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if pressed not in done:
                    pressed.cancel()
                    if speaking in done:
                        continue  # now the time runs
                    break
                speaking.cancel()
                if pressed.result() == "#":
                    break
                digits += pressed.result()
        finally:
            call.gathering = None
            speaking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await speaking
        return digits

    async def _prompt(self, prompts: tuple[Say | Pause, ...]) -> None:
        for prompt in prompts:
            if isinstance(prompt, Pause):
                await self._call.pause(prompt.seconds)
            else:
                await self._play(await self._spoken(prompt.text), prompt.loop)

    async def _dial(self, verb: Dial, plan: Plan) -> dict[str, str]:
        """One number, bridged until either side hangs up. Returns the action's fields."""
        call, world = self._call, self._call.world
        caller_id = verb.caller_id or call.resource.from_
        for code, number in ((13214, caller_id), (13223, verb.number)):
            if not valid_number(number):
                call.warn(code, f"<Dial>: {number!r} is not a valid number")
                return {"DialCallStatus": "failed"}
        status = (
            Hook(plan.resolve(verb.status_callback), verb.status_method) if verb.status_callback else None
        )
        leg = world.dial(call, verb.number, caller_id, verb.timeout_s, status, verb.status_events)
        try:
            await asyncio.wait([call.over, leg.over], return_when=asyncio.FIRST_COMPLETED)
            leg.hang_up("completed" if leg.answered.is_set() else "canceled")
            await leg.ended.wait()
        finally:
            leg.hang_up("completed" if leg.answered.is_set() else "canceled")
            if call.line is not None:
                call.line.silence(time.monotonic_ns())
        return {
            "DialCallSid": leg.sid,
            "DialCallStatus": leg.resource.sequence.status,
            "DialBridged": "true" if leg.answered.is_set() else "false",
            **({"DialCallDuration": str(leg.resource.duration_s)} if leg.answered.is_set() else {}),
        }
