"""Sentences that a call needs when its model does not answer: spoken by that model, in that voice, in a
session of their own, before they are needed (docs/stalls.md).

A line is made once for all calls of its model and voice, kept in this process and in Redis. It is asked for
when a model falls silent, and nobody waits for it: a line that is not there is not played. Its session is
opened past the pool, whose warm connections are for calls.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from media_plane.call.spoken_line import MOST, Shelf, amiss, key, same_words
from media_plane.dsp.codec import Codecs, Downlink
from media_plane.errors import CloseCode, ModelFailure, PeerError
from media_plane.io import gemini_ws
from media_plane.io.gemini_endpoint import GeminiEndpoint, is_ephemeral
from media_plane.io.model_leg import ModelUser
from media_plane.leg import Leg
from media_plane.settings import Settings
from media_plane.stall_desk import SpokenLine
from media_plane.wire import gemini

log = structlog.get_logger(__name__)

_AT_ONCE = 2  # sessions of this process's that speak lines
_WITHIN_S = 30.0  # for one: the longest line and its session
_LATE_S = 1.0  # by which its transcription may come after it
_REST_S = 60.0  # until what could not be made is tried again
_RESTING = 256  # lines that are remembered for that
_KEPT_S = 7 * 24 * 3600  # in Redis: voices change when the service changes them
_MOST_TEXT = 1000  # characters of a transcription; the settings allow a line of 200
_INSTRUCTION = (
    "You are the voice of recorded announcements. Read aloud exactly the words you are given, in the "
    "language they are written in, calmly and kindly. Add nothing, leave nothing out, answer nothing."
)

# Opens a session of the model's for `user` with a setup, or raises ModelFailure.
OpenSession = Callable[[ModelUser, bytes], Awaitable[object]]


class SpokenLines:
    """`hold`, `goodbye`: the sentences; empty: there is none. `service` and `model_path`: whose models these
    are, and their names there. `close` it before the loop ends.

    `counts`, which only grow: made, reused (found in Redis), refused (the model said something else), failed.
    """

    def __init__(
        self,
        redis: Redis,
        codecs: Codecs,
        session: OpenSession,
        *,
        hold: str,
        goodbye: str,
        service: str,
        model_path: Callable[[str], str] = "models/{}".format,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.hold = hold
        self.goodbye = goodbye
        self._redis = redis
        self._codecs = codecs
        self._session = session
        self._service = service
        self._model_path = model_path
        self._shelf = Shelf()
        self._making: dict[str, asyncio.Task[None]] = {}
        self._resting: OrderedDict[str, float] = OrderedDict()  # until when, by key
        self._few = asyncio.Semaphore(_AT_ONCE)

    @classmethod
    def of(cls, settings: Settings, endpoint: GeminiEndpoint, redis: Redis, codecs: Codecs) -> SpokenLines:
        """As the settings STALL_HOLD_LINE and STALL_GOODBYE_LINE say."""
        # An ephemeral token is for one session, which is a call's.
        spoken = not is_ephemeral(settings.gemini_api_key.get_secret_value())
        return cls(
            redis,
            codecs,
            partial(gemini_ws.open_session, endpoint),
            hold=settings.stall_hold_line.strip() if spoken else "",
            goodbye=settings.stall_goodbye_line.strip() if spoken else "",
            service=endpoint.base_url,
            model_path=endpoint.model,
        )

    def of_call(self, model: str, voice: str) -> CallLines:
        """The lines of a call."""
        return CallLines(self, self._model_path(model), voice)

    def find(self, model: str, voice: str, text: str) -> SpokenLine | None:
        """A line that is there."""
        ulaw = self._shelf.get(key(self._service, model, voice, text)) if text else None
        return SpokenLine(text, ulaw) if ulaw is not None else None

    def want(self, model: str, voice: str, text: str) -> None:
        """Have a line there soon."""
        if not text:
            return
        name = key(self._service, model, voice, text)
        if name in self._making or self._shelf.get(name) is not None:
            return
        if monotonic() < self._resting.get(name, 0.0):
            return
        task = asyncio.create_task(self._get(name, model, voice, text), name="spoken line")
        self._making[name] = task
        task.add_done_callback(lambda _: self._making.pop(name, None))

    async def close(self) -> None:
        """Nothing is being made any more."""
        tasks = list(self._making.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _get(self, name: str, model: str, voice: str, text: str) -> None:
        async with self._few:
            ulaw = await self._recall(name)
            if ulaw is not None:
                self.counts["reused"] += 1
                self._shelf.put(name, ulaw)
                return
            ulaw = await self._make(model, voice, text)
            if ulaw is None:
                self._resting[name] = monotonic() + _REST_S
                while len(self._resting) > _RESTING:
                    self._resting.popitem(last=False)
                return
            self.counts["made"] += 1
            self._shelf.put(name, ulaw)
            await self._remember(name, ulaw)

    async def _make(self, model: str, voice: str, text: str) -> bytes | None:
        """Have the model say `text`; None: it was not to be had, and that is counted."""
        reading = _Reading(text, self._codecs.downlink())
        try:
            async with asyncio.timeout(_WITHIN_S):
                await self._session(reading, _setup(model, voice))
                await reading.over.wait()
            if not (reading.why or same_words(text, reading.heard)):
                await asyncio.sleep(_LATE_S)
        except ModelFailure as failure:
            reading.why = str(failure)
        except TimeoutError:
            reading.why = "it took too long"
        finally:
            reading.close()
        if reading.why:
            self.counts["failed"] += 1
            log.warning("a line was not spoken", model=model, voice=voice, reason=reading.why)
            return None
        reason = amiss(text, reading.heard, len(reading.ulaw))
        if reason:
            self.counts["refused"] += 1
            log.warning("a spoken line is refused", model=model, voice=voice, reason=reason)
            return None
        return bytes(reading.ulaw)

    async def _recall(self, name: str) -> bytes | None:
        try:
            found = await self._redis.get(name)
        except (RedisError, OSError, TimeoutError) as error:
            log.info("a spoken line was not looked for: redis is away", error=str(error))
            return None
        return found if isinstance(found, bytes) and 0 < len(found) <= MOST else None

    async def _remember(self, name: str, ulaw: bytes) -> None:
        try:
            await self._redis.set(name, ulaw, ex=_KEPT_S)
        except (RedisError, OSError, TimeoutError) as error:
            log.info("a spoken line was not written: redis is away", error=str(error))


class CallLines:
    """As of `stall_desk.Lines`. `model`: as the service names it."""

    __slots__ = ("_lines", "_model", "_voice")

    def __init__(self, lines: SpokenLines, model: str, voice: str) -> None:
        self._lines = lines
        self._model = model
        self._voice = voice

    def want(self, *, goodbye: bool) -> None:
        self._lines.want(self._model, self._voice, self._lines.hold)
        if goodbye:
            self._lines.want(self._model, self._voice, self._lines.goodbye)

    def hold(self) -> SpokenLine | None:
        return self._lines.find(self._model, self._voice, self._lines.hold)

    def goodbye(self) -> SpokenLine | None:
        return self._lines.find(self._model, self._voice, self._lines.goodbye)


class _Reading:
    """The user of a session that says one sentence. `over`: it is said, or `why` says why not."""

    def __init__(self, text: str, down: Downlink) -> None:
        self.over = asyncio.Event()
        self.why = ""
        self.heard = ""
        self.ulaw = bytearray()
        self._text = text
        self._down = down
        self._leg: Leg | None = None

    def model_ready(self, leg: Leg, connect_ms: int, setup_ms: int, now_ns: int) -> None:
        self._leg = leg
        leg.send_text(gemini.read_aloud(self._text))

    def model_frame(self, data: bytes, now_ns: int, /) -> None:
        message = gemini.parse(data)
        self.heard += message.output_text
        if self.over.is_set():
            return
        for part in message.audio:
            self._add(gemini.standard_base64(part))
        if message.interrupted:
            self._fail("it was interrupted")
        elif len(self.ulaw) > MOST or len(self.heard) > _MOST_TEXT:
            self._fail("it does not end")
        elif message.turn_complete:
            self.over.set()

    def model_closed(self, failure: ModelFailure, now_ns: int) -> None:
        if not self.over.is_set():
            self._fail(str(failure))

    def close(self) -> None:
        """The session is not needed any more."""
        if self._leg is not None:
            self._leg.close(CloseCode.NORMAL, "")

    def _add(self, audio: bytes) -> None:
        down = self._down
        for start in range(0, len(audio), down.max_chars):
            result = down.decode(audio, start, min(start + down.max_chars, len(audio)))
            if result < 0:
                raise PeerError("inlineData.data is not base64")
            if result:
                self.ulaw += down.ulaw(result >> 32)

    def _fail(self, why: str) -> None:
        self.why = why
        self.over.set()


def _setup(model: str, voice: str) -> bytes:
    from media_plane.io.gemini_setup import live_config, setup_message  # see io.gemini_sdk

    return setup_message(model, live_config(_INSTRUCTION, voice))
