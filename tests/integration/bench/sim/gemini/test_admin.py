"""The simulator's admin HTTP, as docs/seams.md has it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from tests.support.gemini_sim import Running, audio_frame, running, silence, tone


@pytest.fixture
async def sim() -> AsyncIterator[Running]:
    async with running() as running_simulator:
        yield running_simulator


@pytest.fixture
async def http(sim: Running) -> AsyncIterator[ClientSession]:
    async with ClientSession(sim.admin) as session:
        yield session


async def test_health_counts_open_sessions(sim: Running, http: ClientSession) -> None:
    async with sim.session():
        answer = await (await http.get("/health")).json()
    assert answer == {"ok": True, "speech": False, "sessions": 1}


async def test_a_session_is_listed_with_its_setup_and_its_end(sim: Running, http: ClientSession) -> None:
    async with sim.session():
        (open_one,) = await (await http.get("/sessions")).json()
    (closed,) = await (await http.get("/sessions")).json()
    assert open_one["setup"] == {"model": "models/gemini-3.8-live"}
    assert (open_one["state"], open_one["closed_ns"], open_one["close_code"]) == ("idle", None, None)
    assert (closed["state"], closed["close_code"]) == ("closed", 1000)
    assert open_one["opened_ns"] < closed["closed_ns"] <= time.monotonic_ns()


async def test_the_log_tells_a_turn_in_monotonic_time(sim: Running, http: ClientSession) -> None:
    began_ns = time.monotonic_ns()
    async with sim.session() as socket:
        pcm = tone(600) + silence(900)
        for start in range(0, len(pcm), 640):
            await socket.send(json.dumps(audio_frame(pcm[start : start + 640])))
        while "generationComplete" not in json.loads(await socket.recv()).get("serverContent", {}):
            pass
    lines = await (await http.get("/sessions/g1/log")).json()
    times = [line["t_ns"] for line in lines]
    assert times == sorted(times)
    assert began_ns <= times[0]
    assert times[-1] <= time.monotonic_ns()
    own = [line["kind"] for line in lines if line["dir"] == "="]
    assert own[:3] == ["speech_started", "speech_ended", "endpoint"]
    assert own[3:7] == ["heard", "reply", "first_audio", "generation_complete"]
    (heard,) = [line for line in lines if line["kind"] == "heard"]
    assert heard["text"] == "good morning"
    assert heard["ms"] >= 100
    audio = [line for line in lines if line["kind"] == "audio"]
    assert sum(line["bytes"] for line in audio) == len(pcm)
    sent = [line for line in lines if line["dir"] == ">" and "audio_bytes" in line]
    assert sum(line["audio_bytes"] for line in sent) == 2 * 24 * 3000


async def test_a_frame_is_logged_with_the_moment_of_its_writing(sim: Running, http: ClientSession) -> None:
    received_ns = []
    async with sim.session() as socket:
        await socket.send(json.dumps({"client_content": {"turn_complete": True}}))
        for _ in range(5):
            await socket.recv()
            received_ns.append(time.monotonic_ns())
    lines = await (await http.get("/sessions/g1/log")).json()
    sent_ns = [line["t_ns"] for line in lines if line["dir"] == ">" and line["kind"] == "serverContent"]
    # Written before it was received, and not stamped with the time at which it was merely due.
    assert all(sent < received for sent, received in zip(sent_ns, received_ns, strict=False))
    due = next(line["t_ns"] for line in lines if line["kind"] == "first_audio")
    assert due <= sent_ns[0]


async def test_faults_are_armed_listed_and_disarmed(sim: Running, http: ClientSession) -> None:
    fault = {"fault": "go_away", "session": "all", "after_ms": 3000}
    assert (await http.post("/faults", json=fault)).status == 204
    (listed,) = await (await http.get("/faults")).json()
    assert listed.items() >= fault.items()
    assert (await http.delete("/faults")).status == 204
    assert await (await http.get("/faults")).json() == []


async def test_a_fault_strikes_a_session_that_is_open(sim: Running, http: ClientSession) -> None:
    async with sim.session() as socket:
        fault = {"fault": "go_away", "session": "g1", "time_left_s": 50}
        assert (await http.post("/faults", json=fault)).status == 204
        assert json.loads(await socket.recv()) == {"goAway": {"timeLeft": "50s"}}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"fault": "explode"}', 422),
        (b'{"fault": "stall", "code": 3}', 422),
        (b'{"fault": "stall", "session": "g99"}', 404),
    ],
)
async def test_a_bad_fault_is_refused_in_words(http: ClientSession, body: bytes, status: int) -> None:
    answer = await http.post("/faults", data=body)
    assert answer.status == status
    assert (await answer.json())["error"]


async def test_a_new_scenario_holds_until_reset(sim: Running, http: ClientSession) -> None:
    assert (await http.post("/scenario", data="name: other\ngreeting: Hi.")).status == 204
    assert sim.simulator.scenario.name == "other"
    assert (await http.post("/scenario", data="greeting: Hi.")).status == 422
    async with sim.session():
        pass
    assert (await http.post("/reset")).status == 204
    assert sim.simulator.scenario.name == "steady"
    assert await (await http.get("/sessions")).json() == []
    assert (await http.get("/sessions/g1/log")).status == 404
