"""Turns that the node finds: real speech through real sockets, to a bare peer and to the simulator."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from bench.sim.gemini.vad import Change, Vad, VadConfig
from media_plane.dsp.g711 import compress
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings, TurnSettings
from protos.voiceplane.media.v1 import media_pb2 as pb
from tests.support.eventually import eventually
from tests.support.gemini_sim import running, steady
from tests.support.media_peers import Caller, Model, Plane, media_plane

AUDIO = Path(__file__).parents[3] / "bench" / "audio"
MANUAL = TurnSettings(mode="MANUAL", silence_duration_ms=700)
AUTO = TurnSettings(mode="AUTO", silence_duration_ms=700)
PROMPT = "You answer the telephone."


def recording(name: str) -> NDArray[np.int16]:
    """8 kHz."""
    with wave.open(str(AUDIO / name)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        return np.asarray(soxr.resample(pcm, file.getframerate(), 8000), np.int16)


def said() -> bytes:
    """Three sentences with pauses between, μ-law, on a line that hums a little."""
    pause = np.zeros(12_000, np.int16)
    names = ("austen-0880.wav", "austen-0890.wav", "austen-0870.wav")
    pcm = np.concatenate([pause, *(part for name in names for part in (recording(name), pause))])
    noise = np.random.default_rng(5).normal(0, 20, len(pcm))
    return compress(np.clip(pcm + noise, -32768, 32767).astype(np.int16)).tobytes()


def agent(turns: TurnSettings, model: str = "", greeting: str = "") -> pb.AgentConfig:
    return pb.AgentConfig(
        system_prompt=PROMPT, model=model, greeting=greeting, settings=AgentSettings(turns=turns)
    )


async def talk(caller: Caller, ulaw: bytes, *, real_time: bool = False) -> None:
    clock = asyncio.get_running_loop()
    began = clock.time()
    for number, at in enumerate(range(0, len(ulaw), 160), 1):
        caller.media(ulaw[at : at + 160])
        await asyncio.sleep(max(0.0, began + number * 0.02 - clock.time()) if real_time else 0)


@asynccontextmanager
async def silent_line(caller: Caller) -> AsyncIterator[None]:
    """Its frames come all the time."""
    line = asyncio.create_task(talk(caller, b"\xff" * 160 * 3000, real_time=True))
    try:
        yield
    finally:
        line.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await line


def pcm_of(message: dict[str, Any]) -> bytes:
    return base64.b64decode(message["realtimeInput"]["audio"]["data"])


def inputs(model: Model) -> list[dict[str, Any]]:
    return [message for message in model.messages if "realtimeInput" in message]


def turns_of(model: Model) -> list[bytes]:
    """The audio of every turn that was marked; nothing came outside them."""
    turns: list[bytes] = []
    within = False
    for message in inputs(model):
        if "audio" in message["realtimeInput"]:
            assert within, "audio in no turn"
            turns[-1] += pcm_of(message)
        elif "activityStart" in message["realtimeInput"]:
            assert not within
            within = True
            turns.append(b"")
        elif "activityEnd" in message["realtimeInput"]:
            assert within
            within = False
    assert not within
    return turns


def found_by_level(pcm16k: bytes) -> list[tuple[int, int]]:
    """First and last voiced sample of every utterance, as the simulator hears it."""
    spans: list[tuple[int, int]] = []
    for event in Vad(VadConfig(silence_ms=700)).push(np.frombuffer(pcm16k, np.int16), 0):
        if event.change is Change.STARTED:
            spans.append((event.position, event.position))
        elif event.change is Change.ENDED:
            spans[-1] = (spans[-1][0], event.position)
    return spans


async def sent_up(plane: Plane, turns: TurnSettings) -> Model:
    caller, model, _ = await plane.call(agent=agent(turns))
    await talk(caller, said())
    marked = turns.mode == TurnSettings.MANUAL
    frames = len(said()) // 160
    await model.until(
        lambda: (
            sum("activityEnd" in m["realtimeInput"] for m in inputs(model)) == 3
            if marked
            else len(inputs(model)) >= frames
        )
    )
    return model


async def test_the_same_utterances_are_found_in_real_speech_and_nothing_else_goes_up() -> None:
    async with media_plane() as plane:
        whole = b"".join(pcm_of(message) for message in inputs(await sent_up(plane, AUTO)))
        model = await sent_up(plane, MANUAL)
        setup = model.messages[0]["setup"]
        counts = plane.server.node.listener.counts
    assert setup["realtimeInputConfig"] == {"automaticActivityDetection": {"disabled": True}}
    turns = turns_of(model)
    expected = found_by_level(whole)
    assert len(turns) == len(expected) == 3
    assert (counts.starts, counts.ends) == (3, 3)
    ends = 0
    for turn, (onset, last) in zip(turns, expected, strict=True):
        begins = whole.find(turn)  # sample for sample what went up in the other mode
        assert begins >= ends, "a turn is not a whole piece of what was said"
        ends = begins + len(turn)
        before_ms, after_ms = (onset - begins // 2) / 16, (ends // 2 - last) / 16
        assert 0 <= before_ms <= 600, "the first sound is in the turn, with little before it"
        assert 400 <= after_ms <= 1000


@pytest.mark.parametrize("rate", [16000, 8000])
async def test_the_simulator_answers_each_turn_that_is_marked(rate: int) -> None:
    quick = {"setup": 10, "think_speech": 20, "think_text": 20}
    script = [{"heard": "well", "reply": "yes", "hearing": 10, "voice": {"ms": 100}}] * 3
    async with (
        running(steady(script=script, delays={**steady().delays.model_dump(), **quick})) as sim,
        media_plane(gemini_base_url=f"http{sim.url[2:]}", gemini_uplink_rate=rate) as plane,
        httpx.AsyncClient(base_url=sim.admin, trust_env=False) as admin,
    ):
        prepared = await plane.prepare(agent=agent(MANUAL))
        caller = await plane.dial(prepared.stream_url)
        caller.start()
        await talk(caller, said())
        await caller.until(lambda: len(caller.heard) >= 8 * 100)
        (session,) = (await admin.get("/sessions")).json()

        async def log() -> list[dict[str, Any]]:
            return list((await admin.get(f"/sessions/{session['id']}/log")).json())

        async def answered() -> bool:
            return [line["kind"] for line in await log()].count("endpoint") == 3

        await eventually(answered)
        kinds = [line["kind"] for line in await log()]
    marks = [kind for kind in kinds if kind in ("activityStart", "activityEnd")]
    assert marks == ["activityStart", "activityEnd"] * 3
    for kind, following in pairwise(kind for kind in kinds if kind in (*marks, "audio")):
        assert not (kind == "activityEnd" and following == "audio")


@pytest.mark.speech
async def test_the_words_that_are_heard_are_the_same_in_both_modes() -> None:
    assert await words(MANUAL) == await words(AUTO)


async def words(turns: TurnSettings) -> list[str]:
    """Of what is said, as the simulator hears it."""
    async with (
        running(mode="speech") as sim,
        media_plane(gemini_base_url=f"http{sim.url[2:]}") as plane,
        httpx.AsyncClient(base_url=sim.admin, trust_env=False) as admin,
    ):
        prepared = await plane.prepare(agent=agent(turns))
        caller = await plane.dial(prepared.stream_url)
        caller.start()
        await talk(caller, said())
        (session,) = (await admin.get("/sessions")).json()

        async def heard() -> list[str]:
            log = (await admin.get(f"/sessions/{session['id']}/log")).json()
            lines = [str(line["text"]) for line in log if line["kind"] == "heard"]
            return lines if len(lines) == 3 else []

        return await eventually(heard, within_s=60)


async def test_speaking_over_the_agent_interrupts_it_and_the_model_is_told_within_the_turn() -> None:
    async with (
        running() as sim,
        media_plane(gemini_base_url=f"http{sim.url[2:]}") as plane,
        httpx.AsyncClient(base_url=sim.admin, trust_env=False) as admin,
    ):
        preview = "gemini-3.1-flash-live-preview"  # which takes no clientContent by then
        prepared = await plane.prepare(agent=agent(MANUAL, preview, "Good morning, how can I help you?"))
        caller = await plane.dial(prepared.stream_url)
        caller.start()
        await caller.until(lambda: len(caller.heard) > 4000)
        await talk(caller, compress(recording("austen-0880.wav")).tobytes()[: 8 * 1500], real_time=True)
        async with silent_line(caller):
            await caller.until(lambda: caller.of("clear"))
            (session,) = (await admin.get("/sessions")).json()

            async def told() -> list[str]:
                return await texts(admin, session["id"])

            await eventually(told)
            (note,) = await told()
    assert note.startswith("[Note from the telephone line")


async def texts(admin: httpx.AsyncClient, session: str) -> list[str]:
    log = (await admin.get(f"/sessions/{session}/log")).json()
    return [line["text"] for line in log if line["kind"] == "text"]


async def test_a_turn_that_a_cut_goes_through_is_marked_anew_for_the_next_session_and_said_whole() -> None:
    speech = compress(recording("austen-0880.wav")).tobytes()
    async with media_plane() as plane:
        caller, first, _ = await plane.call(agent=agent(MANUAL))
        first.say({"sessionResumptionUpdate": {"newHandle": "h1", "resumable": True}})
        talking = asyncio.create_task(talk(caller, speech, real_time=True))
        await first.until(lambda: len(inputs(first)) > 40)
        first.cut()
        await talking
        async with silent_line(caller):
            await eventually(lambda: len(plane.gemini.sessions) == 2)
            second = plane.gemini.sessions[1]
            await second.until(lambda: any("activityEnd" in m["realtimeInput"] for m in inputs(second)))
    assert second.messages[0]["setup"]["sessionResumption"] == {"handle": "h1"}
    (turn,) = turns_of(second)
    heard_before = b"".join(pcm_of(m) for m in inputs(first) if "audio" in m["realtimeInput"])
    assert turn.find(heard_before[6400:12_800]) >= 0, "what the first session had heard is said again"
    assert len(turn) / 32 > 2500


async def test_knobs_that_do_not_fit_are_refused_by_field() -> None:
    async with media_plane() as plane:
        with pytest.raises(grpc.aio.AioRpcError, match=r"agent.settings.turns.speech_threshold"):
            await plane.prepare(agent=agent(TurnSettings(mode="MANUAL", speech_threshold=1.5)))


async def test_calls_in_auto_mode_have_no_gate_and_manual_ones_give_their_detector_back() -> None:
    async with media_plane() as plane:
        await plane.call(agent=agent(AUTO))
        node = plane.server.node
        assert all(session.gate is None for session in node.sessions)
        for _ in range(2):
            caller, _, workflow_id = await plane.call(agent=agent(MANUAL))
            found = node.find(workflow_id)
            assert found is not None
            assert found[0].gate is not None
            caller.event("stop", callSid=caller.call_sid)
            await caller.closed()
        metrics = await scrape(plane)
    assert "voiceplane_media_vad_turns_total" in metrics


async def scrape(plane: Plane) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(str(plane.endpoints["media_metrics"]))).text
