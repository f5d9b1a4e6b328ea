"""google-genai's own client, unmodified but for its base URL, talks to the simulator over TLS."""

from __future__ import annotations

import re
import ssl
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
from google import genai
from google.genai import errors, live, types

from bench.sim.gemini import tls
from bench.sim.gemini.faults import Fault
from bench.sim.gemini.scenario import Scenario
from tests.support.gemini_sim import STEADY, Running, running, silence, steady, tone

AUDIO = Path(__file__).parents[2] / "bench" / "audio"
TRANSCRIBED = types.LiveConnectConfig(
    response_modalities=[types.Modality.AUDIO],
    input_audio_transcription=types.AudioTranscriptionConfig(),
    output_audio_transcription=types.AudioTranscriptionConfig(),
)


@dataclass
class Turn:
    """What the client got up to turnComplete."""

    audio: bytearray = field(default_factory=bytearray)
    heard: str = ""
    said: str = ""
    interrupted: bool = False
    generation_complete: bool = False
    calls: list[types.FunctionCall] = field(default_factory=list)
    tokens: int = 0


@asynccontextmanager
async def served(
    folder: Path, chosen: Scenario | None = None, *, mode: str = "scripted"
) -> AsyncIterator[tuple[Running, genai.Client]]:
    """A simulator with a certificate of its own, and the SDK's client pointed at it."""
    cert, key = tls.self_signed(folder)
    async with running(chosen, mode=mode, tls=tls.server_context(cert, key), cache_dir=folder) as sim:
        trusting = ssl.create_default_context(cafile=str(cert))
        options = types.HttpOptions(
            base_url=f"https://127.0.0.1:{sim.simulator.port}",
            api_version="v1beta",
            async_client_args={"ssl": trusting, "proxy": None},
        )
        yield sim, genai.Client(api_key="a-key", http_options=options)


@asynccontextmanager
async def connected(
    client: genai.Client, config: types.LiveConnectConfig = TRANSCRIBED
) -> AsyncIterator[live.AsyncSession]:
    async with client.aio.live.connect(model="gemini-3.8-live", config=config) as session:
        assert session.setup_complete is not None
        yield session


async def listen(session: live.AsyncSession) -> Turn:
    """Take one turn of the model."""
    turn = Turn()
    async for message in session.receive():
        take(turn, message)
    return turn


def take(turn: Turn, message: types.LiveServerMessage) -> None:
    if message.tool_call:
        turn.calls += message.tool_call.function_calls or []
    if message.usage_metadata:
        turn.tokens = message.usage_metadata.total_token_count or 0
    content = message.server_content
    if content is None:
        return
    if content.model_turn:
        for part in content.model_turn.parts or []:
            if part.inline_data:
                turn.audio += part.inline_data.data or b""
    if content.input_transcription:
        turn.heard += content.input_transcription.text or ""
    if content.output_transcription:
        turn.said += content.output_transcription.text or ""
    turn.interrupted |= bool(content.interrupted)
    turn.generation_complete |= bool(content.generation_complete)


async def speak(session: live.AsyncSession, pcm: bytes) -> None:
    """Send a caller's audio in 20 ms chunks, as fast as they go."""
    for start in range(0, len(pcm), 640):
        blob = types.Blob(data=pcm[start : start + 640], mime_type="audio/pcm;rate=16000")
        await session.send_realtime_input(audio=blob)


def text(words: str) -> types.Content:
    return types.Content(role="user", parts=[types.Part(text=words)])


def words(spoken: str) -> list[str]:
    return re.findall(r"[a-z]+", spoken.lower())


def likeness(first: str, second: str) -> float:
    return SequenceMatcher(None, words(first), words(second), autojunk=False).ratio()


@pytest.mark.speech
async def test_the_sdk_holds_a_spoken_conversation(tmp_path: Path) -> None:
    with wave.open(str(AUDIO / "austen-0880.wav"), "rb") as file:
        caller = file.readframes(file.getnframes())
    async with served(tmp_path, mode="speech") as (sim, client):
        hearing = sim.simulator.speech
        assert hearing is not None
        async with connected(client) as session:
            asked = 'Greet the caller now. Say exactly: "Hello! How can I help you today?"'
            await session.send_client_content(turns=text(asked), turn_complete=True)
            greeting = await listen(session)
            await speak(session, caller + silence(1000))
            answer = await listen(session)
        assert words(greeting.said) == words("Hello! How can I help you today?")
        assert likeness(answer.heard, "he was not an ill disposed young man") >= 0.7
        assert " ".join(words(answer.heard)) in " ".join(words(answer.said))  # it takes up the caller's words
        for turn in (greeting, answer):
            assert not turn.interrupted
            assert turn.tokens > 0
            spoken = soxr.resample(np.frombuffer(bytes(turn.audio), np.int16), 24_000, 16_000)
            assert likeness(await hearing.hear(spoken), turn.said) >= 0.8


async def test_a_caller_who_speaks_over_the_model_interrupts_it(tmp_path: Path) -> None:
    chosen = steady(delays={**STEADY["delays"], "interrupt": 0})
    async with served(tmp_path, chosen) as (_, client), connected(client) as session:
        await session.send_client_content(turns=text("Tell me a story."), turn_complete=True)
        cut, spoke = Turn(), False
        async for message in session.receive():
            take(cut, message)
            if cut.audio and not spoke:
                spoke = True
                await speak(session, tone(600) + silence(900))
        answer = await listen(session)
    assert cut.interrupted
    assert not cut.generation_complete
    assert len(cut.audio) < 2 * 24 * 3000
    assert answer.heard == " good morning"
    assert len(answer.audio) == 2 * 24 * 3000


@pytest.mark.parametrize("behavior", [types.Behavior.BLOCKING, types.Behavior.NON_BLOCKING])
async def test_the_model_calls_a_function_and_speaks_of_its_answer(
    tmp_path: Path, behavior: types.Behavior
) -> None:
    tool = {"function": "lookup", "args": {"q": "x"}, "filler": "One moment.", "then": "It is {output}."}
    chosen = steady(script=[{"heard": "look it up", "tool": tool, "hearing": 0}])
    declaration = types.FunctionDeclaration(name="lookup", description="Looks it up.", behavior=behavior)
    config = TRANSCRIBED.model_copy(update={"tools": [types.Tool(function_declarations=[declaration])]})
    async with served(tmp_path, chosen) as (_, client), connected(client, config) as session:
        await speak(session, tone(500) + silence(900))
        said = ""
        called: list[types.FunctionCall] = []
        while "It is" not in said:
            turn = Turn()
            async for message in session.receive():
                take(turn, message)
                for call in turn.calls:
                    called.append(call)
                    response = types.FunctionResponse(
                        id=call.id, name=call.name, response={"output": "room twelve"}
                    )
                    await session.send_tool_response(function_responses=[response])
                turn.calls.clear()
            said += turn.said
    assert [(call.name, call.args) for call in called] == [("lookup", {"q": "x"})]
    filler = "" if behavior is types.Behavior.BLOCKING else " One moment."
    assert said == f"{filler} It is room twelve."


async def test_go_away_and_a_handle_reach_the_client(tmp_path: Path) -> None:
    async with served(tmp_path, steady(script=[{"voice": {"ms": 500}}])) as (sim, client):
        config = TRANSCRIBED.model_copy(update={"session_resumption": types.SessionResumptionConfig()})
        fault = Fault.model_validate({"fault": "go_away", "at": "turn_complete", "time_left_s": 9.5})
        sim.simulator.arm(fault)
        handle, left = "", ""
        async with connected(client, config) as session:
            await session.send_client_content(turns=text("Hello."), turn_complete=True)
            while not left:
                async for message in session.receive():
                    if message.session_resumption_update and message.session_resumption_update.resumable:
                        handle = message.session_resumption_update.new_handle or ""
                    if message.go_away:
                        left = message.go_away.time_left or ""
                        break
        assert left == "9.500s"
        resumption = types.SessionResumptionConfig(handle=handle)
        again = TRANSCRIBED.model_copy(update={"session_resumption": resumption})
        async with connected(client, again) as session:
            await session.send_client_content(turns=text("Where were we?"), turn_complete=True)
            assert (await listen(session)).audio


@pytest.mark.parametrize(
    ("fault", "code", "reason"),
    [
        ({"fault": "deadline", "at": "reply"}, 1011, "Deadline expired before operation could complete."),
        ({"fault": "abort", "at": "reply"}, 1006, ""),
    ],
)
async def test_the_client_sees_how_the_line_broke(
    tmp_path: Path, fault: dict[str, Any], code: int, reason: str
) -> None:
    async with served(tmp_path) as (sim, client):
        sim.simulator.arm(Fault.model_validate(fault))
        with pytest.raises(errors.APIError) as broken:
            async with connected(client) as session:
                await session.send_client_content(turns=text("Hello."), turn_complete=True)
                await listen(session)
    assert broken.value.code == code
    assert reason in str(broken.value.details)
