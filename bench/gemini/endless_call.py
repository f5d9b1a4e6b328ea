"""A caller who asks, hears the answer out and asks again, over Twilio's real wire; and what the caller heard.

Questions are coded audio (bench.sim.gemini.codes), answers are numbers, each a tone of its own: what the
model has heard and what the caller has heard can both be read from the audio itself.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
from dataclasses import dataclass, field
from time import monotonic_ns

import numpy as np
import numpy.typing as npt
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from bench.sim.gemini import codes
from bench.sim.gemini.mouths import NUMBERS, number_hz

RATE = 8000
FRAME = 160
_FRAME_S = 0.02
_LOUD = 500  # of 32124: a tone, not the filter's tail
_GAP = 200  # samples of silence between two words: 25 ms of the 50
_SHORT = 1200  # samples: less than 150 ms of a tone is a piece of a word
_SILENCE = b"\xff" * FRAME
_EXPAND = np.array(
    [
        (-1 if (~code & 0x80) else 1) * (((((~code & 0x0F) << 3) + 0x84) << ((~code >> 4) & 7)) - 0x84)
        for code in range(256)
    ],
    np.int32,
)


@dataclass
class Question:
    number: int
    first: int  # of its groups of audio
    groups: int
    asked_ns: int = 0  # its last sample was sent
    answered_ns: int = 0  # the first audio that came after it
    heard: bytearray = field(default_factory=bytearray)  # the caller's ear, from then on, μ-law
    gaps_ms: list[float] = field(default_factory=list)  # silences in the middle of the answer


class Caller(WSListener):
    """Twilio's side: sends a frame every 20 ms whatever comes, plays what comes in order and in real time."""

    def __init__(self) -> None:
        self.questions: list[Question] = []
        self.closed = asyncio.Event()
        self.late_frames = 0  # sent more than a frame late: the machine was busy
        self._transport: WSTransport | None = None
        self._sid = "MZ" + "0" * 32
        self._queue: list[bytes] = []
        self._groups = 0
        self._end_ns = 0  # everything that came has been played then

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type == WSMsgType.TEXT:
            message = json.loads(frame.get_payload_as_bytes())
            if message["event"] == "media":
                self._hear(base64.b64decode(message["media"]["payload"]))
            elif message["event"] == "mark":
                self._return(message["mark"]["name"])
            elif message["event"] == "clear":
                self._end_ns = 0

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.closed.set()

    def start(self) -> None:
        form = {"encoding": "audio/x-mulaw", "sampleRate": RATE, "channels": 1}
        start = {"streamSid": self._sid, "callSid": "CA" + "0" * 32, "mediaFormat": form}
        self._send({"event": "start", "sequenceNumber": "1", "streamSid": self._sid, "start": start})

    async def speak(self) -> None:
        """Send what is to be said, else silence, for ever."""
        begun_ns, count = monotonic_ns(), 0
        while not self.closed.is_set():
            count += 1
            wait_s = (begun_ns + count * 20_000_000 - monotonic_ns()) / 1e9
            self.late_frames += wait_s < -_FRAME_S
            await asyncio.sleep(max(wait_s, 0))
            if self.closed.is_set():
                return
            ulaw = self._queue.pop(0) if self._queue else _SILENCE
            media = {"track": "inbound", "chunk": str(count), "timestamp": str(count * 20)}
            self._send(
                {
                    "event": "media",
                    "sequenceNumber": str(count + 1),
                    "streamSid": self._sid,
                    "media": {**media, "payload": base64.b64encode(ulaw).decode()},
                }
            )
            if self.questions and not self._queue and not self.questions[-1].asked_ns:
                self.questions[-1].asked_ns = monotonic_ns()

    def ask(self, rng: random.Random) -> Question:
        """The next question, of one to three seconds."""
        groups = rng.randrange(50, 150) * (FRAME // codes.GROUP)
        question = Question(len(self.questions), self._groups, groups)
        self.questions.append(question)
        audio = codes.ulaw(self._groups, groups)
        self._groups += groups
        self._queue += [audio[at : at + FRAME] for at in range(0, len(audio), FRAME)]
        return question

    async def hear_out(self, silence_s: float, patience_s: float) -> bool:
        """Wait until the newest question is answered and nothing more comes; False: no answer came."""
        question = self.questions[-1]
        give_up_ns = monotonic_ns() + int(patience_s * 1e9)
        while not self.closed.is_set():
            await asyncio.sleep(0.05)
            now_ns = monotonic_ns()
            if not question.answered_ns:
                if question.asked_ns and now_ns - question.asked_ns > patience_s * 1e9:
                    return False
            elif now_ns > self._end_ns + int(silence_s * 1e9) or now_ns > give_up_ns + int(60e9):
                return True
        return False

    def hang_up(self) -> None:
        self._send({"event": "stop", "sequenceNumber": "0", "streamSid": self._sid, "stop": {}})

    def _hear(self, ulaw: bytes) -> None:
        now_ns = monotonic_ns()
        if self.questions:
            question = self.questions[-1]
            if not question.answered_ns:
                question.answered_ns = now_ns
            elif now_ns > self._end_ns:
                question.gaps_ms.append((now_ns - self._end_ns) / 1e6)
            question.heard += ulaw
        self._end_ns = max(now_ns, self._end_ns) + len(ulaw) * 125_000

    def _return(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        delay_s = max(self._end_ns - monotonic_ns(), 0) / 1e9
        mark: dict[str, object] = {"event": "mark", "streamSid": self._sid, "mark": {"name": name}}
        loop.call_later(delay_s, self._send, mark)

    def _send(self, message: dict[str, object]) -> None:
        if self._transport is not None and not self.closed.is_set():
            self._transport.send(WSMsgType.TEXT, json.dumps(message).encode())


def numbers(ulaw: bytes) -> list[tuple[int, int]]:
    """The words in what was heard: (number modulo NUMBERS, samples it lasted)."""
    pcm = _EXPAND[np.frombuffer(ulaw, np.uint8)]
    loud = np.flatnonzero(np.abs(pcm) > _LOUD)
    if not loud.size:
        return []
    breaks = np.flatnonzero(np.diff(loud) > _GAP)
    begins = [int(loud[0]), *(int(each) for each in loud[breaks + 1])]
    ends = [*(int(each) for each in loud[breaks]), int(loud[-1])]
    return [(_number(pcm[begin : end + 1]), end + 1 - begin) for begin, end in zip(begins, ends, strict=True)]


def _number(tone: npt.NDArray[np.int32]) -> int:
    spectrum = np.abs(np.fft.rfft(tone * np.hanning(tone.size), RATE))
    return int(np.argmin([abs(number_hz(number) - int(spectrum.argmax())) for number in range(NUMBERS)]))


def whole(words: list[tuple[int, int]]) -> list[int]:
    """Without pieces of words."""
    return [number for number, samples in words if samples >= _SHORT]
