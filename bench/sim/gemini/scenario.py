"""Scenarios: what the simulated model says, when, and how the wire behaves. YAML in, checked models out.

Times are in ms unless a name says otherwise. A delay is one number, `[low, high]`, or `{median, p99}` for one
with a long tail; it is drawn with the session's seed. Defaults are the field figures of gemini-3.8-live.
"""

from __future__ import annotations

import random
import re
from math import log
from pathlib import Path
from typing import Annotated, Any, Final

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from bench.sim.gemini.errors import ScenarioError
from bench.sim.gemini.faults import Fault

_FOLDER: Final = Path(__file__).parent / "scenarios"
DEFAULTS: Final = {"speech": _FOLDER / "frontdesk.yaml", "scripted": _FOLDER / "scripted.yaml"}


def _ordered(delay: float | tuple[float, float] | LongTail) -> float | tuple[float, float] | LongTail:
    if isinstance(delay, tuple) and delay[0] > delay[1]:
        raise ValueError("the low end of a delay comes first")
    return delay


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Ms = Annotated[float, Field(ge=0, le=3_600_000)]
_Z99: Final = 2.3263  # of the normal distribution


class LongTail(_Strict):
    """Log-normal: half of the values are below `median`, one in a hundred is above `p99`, none above
    `most`."""

    median: Annotated[float, Field(gt=0, le=3_600_000)]
    p99: Annotated[float, Field(gt=0, le=3_600_000)]
    most: _Ms = 3_600_000

    def draw(self, rng: random.Random) -> float:
        sigma = max(log(self.p99 / self.median), 0.0) / _Z99
        return min(self.median * rng.lognormvariate(0.0, sigma), self.most)


Delay = Annotated[_Ms | tuple[_Ms, _Ms] | LongTail, AfterValidator(_ordered)]
Pattern = Annotated[str, AfterValidator(_compiles)]
Share = Annotated[float, Field(ge=0, le=1)]


def draw_ns(delay: Delay, rng: random.Random) -> int:
    """One value of a delay, in ns."""
    if isinstance(delay, LongTail):
        return int(delay.draw(rng) * 1_000_000)
    return int((rng.uniform(*delay) if isinstance(delay, tuple) else delay) * 1_000_000)


class Delays(_Strict):
    """When things happen that a client can't see the reason of."""

    setup: Delay = 300  # setup received to setupComplete
    think_speech: Delay = (350, 650)  # end of turn decided to first audio
    think_text: Delay = (750, 950)  # text trigger to first audio
    think_tool: Delay = (830, 1380)  # tool response to first audio
    interrupt: Delay = (240, 640)  # speech committed to `interrupted`: 440–840 from its onset
    reissue: Delay = (2600, 3600)  # an interrupted blocking call comes again with a new id
    transcript: Delay = (20, 200)  # words known to their transcription
    close_echo: Delay = 220  # client's close frame to ours


class PaceConfig(_Strict):
    """See pacing.Pace."""

    factor: Annotated[float, Field(gt=0, le=1000)] = 3.3
    chunk: tuple[Annotated[int, Field(ge=5)], Annotated[int, Field(le=5000)]] = (40, 260)
    hiccup: Share = 0.05
    hiccup_ms: Annotated[int, Field(ge=0)] = 150


class Wire(_Strict):
    """How often frames are shaped one way or another, as shares."""

    bundle_transcript: Share = 0.5  # output transcription inside an audio frame
    bundle_final: Share = 0.1  # last audio, generationComplete, turnComplete and usage in one frame
    empty_frame: Share = 0.02  # a bare {} after a frame
    interim_transcripts: bool = False
    unasked_transcripts: bool = False  # output transcription although setup didn't ask
    unasked_handles: bool = False  # sessionResumptionUpdate although setup didn't ask
    finished_flag: Share = 0.3  # the last input delta says `finished`: not to be relied on
    usage: bool = True


class Limits(_Strict):
    """Ages in seconds."""

    connection_s: Annotated[float, Field(gt=0)] = 600
    go_away_lead_s: Annotated[float, Field(ge=0)] = 60  # 0: no goAway, 1011 at that age
    handle_ttl_s: Annotated[float, Field(gt=0)] = 7200
    sessions: Annotated[int, Field(ge=1)] | None = None  # open at once; the next upgrade gets 429


class VoiceSpec(_Strict):
    """A voice without speech: a tone, or a WAV file. Without `ms` a tone lasts 330 ms a word."""

    tone_hz: Annotated[float, Field(gt=20, lt=11_000)] = 440
    level_db: Annotated[float, Field(ge=-60, le=0)] = -12
    ms: Annotated[int, Field(gt=0, le=600_000)] | None = None
    wav: Path | None = None
    numbers: bool = False  # what is said are numbers, each a tone of its own


class ToolUse(_Strict):
    """A function the model calls. `then` is said afterwards; `{output}` is what the function answered."""

    function: str
    args: dict[str, Any] = {}
    filler: str = "One moment, please."
    then: str = "{output}"


class Intent(_Strict):
    """What the caller may want. Named groups of `match` fill slots; `ask` asks for those still missing."""

    name: str
    match: list[Pattern]
    needs: list[str] = []
    ask: dict[str, str] = {}
    reply: list[str]
    tool: ToolUse | None = None


class ScriptStep(_Strict):
    """One turn of a scripted conversation."""

    heard: str | None = None  # what the caller is said to have said; null: nothing, no answer
    hearing: Delay = 150  # end of turn decided to these words known
    reply: str = "I hear you."
    think: Delay | None = None  # instead of delays.think_*
    voice: VoiceSpec | None = None
    tool: ToolUse | None = None


class Scenario(_Strict):
    """All of it."""

    name: str
    greeting: str = "Hello! How can I help you today?"
    delays: Delays = Delays()
    pace: PaceConfig = PaceConfig()
    wire: Wire = Wire()
    limits: Limits = Limits()
    pause_at: Share = 0.5  # share of the silence after which hearing starts on a guess
    cancellation: Annotated[str, Field(pattern="^(silent|message)$")] = (
        "silent"  # of interrupted blocking calls
    )
    context_update: Annotated[str, Field(pattern="^(accept|refuse)$")] = "accept"
    bad_keys: list[str] = []
    models: list[str] = [
        "gemini-3.8-live",
        "gemini-3.8-live-extended-thinking",
        "gemini-3.1-flash-live-preview",
        "gemini-2.5-flash-native-audio-preview-12-2025",
        "gemini-live-2.5-flash-native-audio",
    ]
    slots: dict[str, list[Pattern]] = {}
    intents: list[Intent] = []
    small_talk: list[str] = ["You said: {words}"]
    repeat: str = "I said: {said}"
    voice: VoiceSpec = VoiceSpec()
    codes: bool = False  # remember which coded audio was heard (codes.py); it must come at 8 kHz
    script: list[ScriptStep] = []
    faults: list[Fault] = []


def parse(text: str, source: str = "scenario") -> Scenario:
    """Read YAML. Raises ScenarioError naming the field."""
    try:
        return Scenario.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise ScenarioError(f"{source}: not YAML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"]) or "the whole"
        raise ScenarioError(f"{source}: {where}: {first['msg']}") from None


def load(path: Path) -> Scenario:
    """Read a YAML file. Raises ScenarioError naming file and field."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from None
