"""`voiceplane media --workers 2` as processes: two nodes, their calls, their deaths and their end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from urllib.request import urlopen

import psutil
import pytest
from redis.asyncio import Redis
from temporalio.testing import ActivityEnvironment

from control_plane.adapters.media_nodes import RegisteredMediaNodes
from tests.support.eventually import eventually
from tests.support.media_peers import Caller, FakeGemini, fake_gemini
from tests.support.media_process import environment, live_call, node
from tests.support.processes import runs, until_gone
from tests.support.stack import Servers
from workflows.activities import CallActivities
from workflows.contracts import PrepareMedia

COMMAND = [sys.executable, "-m", "control_plane.cli", "media", "--workers", "2"]
NODE_ID = "pair"
FRAME = b"\xff" * 160


@dataclass
class Pair:
    """A supervisor with two workers; `said` is its readiness line."""

    process: asyncio.subprocess.Process
    said: dict[str, Any]
    gemini: FakeGemini
    redis_url: str

    @property
    def workers(self) -> list[dict[str, Any]]:
        return list(self.said["workers"])

    @property
    def pids(self) -> list[int]:
        return [worker["pid"] for worker in self.workers]

    async def carries(self, caller: Caller) -> None:
        """One more frame of the caller's reaches the model."""

        def heard() -> int:
            return sum(len(session.heard) for session in self.gemini.sessions)

        before = heard()
        caller.media(FRAME)
        await eventually(lambda: heard() > before)


@asynccontextmanager
async def running_pair(
    cwd: Path, servers: Servers, *, database: int = 11, **settings: str
) -> AsyncIterator[Pair]:
    redis_url = urlunsplit(urlsplit(servers.redis_url)._replace(path=f"/{database}"))
    fixed = {"MEDIA_NODE_ID": NODE_ID, "REDIS_URL": redis_url}
    async with (
        fake_gemini() as gemini,
        node(cwd, COMMAND, GEMINI_BASE_URL=gemini.url, **fixed, **settings) as (process, said),
    ):
        yield Pair(process, said, gemini, redis_url)


@pytest.fixture(scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory, servers: Servers) -> AsyncIterator[Pair]:
    """For tests that leave both workers serving."""
    folder = tmp_path_factory.mktemp("pair")
    async with running_pair(folder, servers, database=12, MEDIA_DRAIN_S="0") as pair:
        yield pair
        pair.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(pair.process.wait(), 20) == 0


async def entry(pair: Pair, worker: int) -> dict[str, Any]:
    """What the registry says of a worker; empty: nothing."""
    async with Redis.from_url(pair.redis_url) as redis:
        return dict(json.loads(await redis.get(f"node:{NODE_ID}-{worker}") or "{}"))


async def test_readiness_lists_both_and_names_the_first_as_one_node_would(pair: Pair) -> None:
    first, second = pair.workers
    assert pair.said["ready"] is True
    for name in ("media_ws", "media_grpc", "media_metrics"):
        assert pair.said[name] == first[name] != second[name]
    assert [worker["node_id"] for worker in pair.workers] == ["pair-0", "pair-1"]


async def test_each_worker_runs_on_a_core_of_its_own(pair: Pair) -> None:
    ours = sorted(os.sched_getaffinity(0))
    for index, worker in enumerate(pair.workers):
        core = ours[index % len(ours)]
        assert worker["core"] == core
        threads = [thread.id for thread in psutil.Process(worker["pid"]).threads()]
        assert {frozenset(os.sched_getaffinity(thread)) for thread in threads} == {frozenset({core})}
    assert os.sched_getaffinity(pair.process.pid) == set(ours)


async def test_a_call_s_stream_goes_to_the_worker_that_prepared_it(pair: Pair) -> None:
    for worker in pair.workers:
        async with live_call(worker, f"call-{uuid.uuid4()}") as caller:
            assert caller.transport is not None
            host, port = caller.transport.underlying_transport.get_extra_info("peername")
            assert f"ws://{host}:{port}" == worker["media_ws"]
            await pair.carries(caller)


async def test_each_worker_s_metrics_are_on_its_own_port(pair: Pair) -> None:
    async with live_call(pair.workers[1], f"call-{uuid.uuid4()}"):
        await eventually(lambda: _is(_calls_live(pair), ["0.0", "1.0"]))


async def test_the_control_plane_spreads_calls_over_both(pair: Pair) -> None:
    async with Redis.from_url(pair.redis_url) as redis:
        nodes = RegisteredMediaNodes(redis)

        async def calls() -> list[int]:
            return [found.calls for found in await nodes.live()]

        await eventually(lambda: _is(calls(), [0, 0]))
        activities = CallActivities(_Ports(nodes))  # type: ignore[arg-type]
        prepared = []
        for number in range(1, 7):
            request = PrepareMedia(f"call-{uuid.uuid4()}", "t" * 20, "You answer.", "", "", "", 60)
            prepared.append(await ActivityEnvironment().run(activities.prepare_media, request))
            await eventually(lambda number=number: _sums(calls(), number))
        assert await calls() == [3, 3]
        streams = {call.node_id: call.stream_url.split("/twilio")[0] for call in prepared}
        assert streams == {worker["node_id"]: worker["media_ws"] for worker in pair.workers}
        for call in prepared:
            await nodes.end(call.grpc_address, call.stream_url.split("/")[-2], "over")
        await nodes.close()


async def test_a_killed_worker_comes_back_under_its_id_and_the_other_s_call_goes_on(pair: Pair) -> None:
    first, second = pair.workers
    async with live_call(first, f"call-{uuid.uuid4()}") as caller:
        before = await entry(pair, 1)
        for _ in pair.workers:
            await _logged(pair, "worker serves")
        os.kill(second["pid"], signal.SIGKILL)
        died = await _logged(pair, "worker died")
        assert (died["node_id"], died["ended"], died["restarts"]) == ("pair-1", "SIGKILL", 1)
        said = await _logged(pair, "worker serves")
        assert said["node_id"] == "pair-1"
        second["pid"] = said["pid"]
        after = await eventually(lambda: _changed(pair, before))
        assert after["id"] == before["id"] == "pair-1"
        second |= {"media_grpc": after["grpc_address"], "media_ws": after["ws_url"]}
        await pair.carries(caller)
        assert caller.close_code is None
    async with live_call(second, f"call-{uuid.uuid4()}") as caller:
        await pair.carries(caller)


async def test_sigterm_lets_the_calls_of_both_finish(tmp_path: Path, servers: Servers) -> None:
    async with running_pair(tmp_path, servers, MEDIA_DRAIN_S="60") as pair, AsyncExitStack() as calls:
        callers = [await calls.enter_async_context(live_call(worker)) for worker in pair.workers]
        pair.process.send_signal(signal.SIGTERM)
        for index in range(2):
            await eventually(lambda index=index: _drains(pair, index))
        for caller in callers:
            await pair.carries(caller)
            caller.event("stop", accountSid="AC", callSid=caller.call_sid)
            assert await caller.closed() == 1000
        assert await asyncio.wait_for(pair.process.wait(), 20) == 0
        assert [await entry(pair, index) for index in range(2)] == [{}, {}]
        assert {(await _logged(pair, "stopped"))["node_id"] for _ in range(2)} == {"pair-0", "pair-1"}
        assert (await _logged(pair, "all workers ended"))["status"] == 0


async def test_a_second_signal_ends_both_at_once(tmp_path: Path, servers: Servers) -> None:
    async with (
        running_pair(tmp_path, servers, MEDIA_DRAIN_S="60") as pair,
        live_call(pair.workers[0]) as caller,
    ):
        pair.process.send_signal(signal.SIGINT)
        await eventually(lambda: _drains(pair, 0))
        pair.process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(pair.process.wait(), 10) == 128 + signal.SIGINT
        assert await caller.closed() == 1006
        assert not any(map(runs, pair.pids))


async def test_workers_whose_supervisor_is_killed_finish_their_calls_and_go(
    tmp_path: Path, servers: Servers
) -> None:
    async with running_pair(tmp_path, servers, MEDIA_DRAIN_S="60") as pair:
        async with live_call(pair.workers[1]) as caller:
            pair.process.kill()
            await until_gone([pair.pids[0]])  # it had no call
            await pair.carries(caller)
            assert runs(pair.pids[1])
            caller.event("stop", accountSid="AC", callSid=caller.call_sid)
            assert await caller.closed() == 1000
        await until_gone(pair.pids)


async def test_kernels_are_compiled_once_for_all_workers(tmp_path: Path, servers: Servers) -> None:
    cache = tmp_path / "cache"
    async with running_pair(tmp_path, servers, MEDIA_DRAIN_S="0", NUMBA_CACHE_DIR=str(cache)) as pair:
        said = await _logged(pair, "worker serves")
        assert said["node_id"] == "pair-0"
        first_served = datetime.fromisoformat(said["timestamp"]).timestamp()
        written = [file.stat().st_mtime for file in cache.rglob("*.nb*")]
        assert written
        assert max(written) <= first_served
        pair.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(pair.process.wait(), 20) == 0


@pytest.mark.parametrize(
    ("arguments", "settings", "sentence"),
    [
        (["--workers", "many"], {}, "MEDIA_WORKERS: "),
        ([], {"MEDIA_WORKERS": "0"}, "MEDIA_WORKERS: "),
        (
            ["--workers", "2"],
            {"MEDIA_PUBLIC_WS_URL": "wss://x.example.com"},
            "MEDIA_PUBLIC_WS_URL: must contain",
        ),
        (["--workers", "2"], {"MEDIA_GRPC_ADVERTISE": "media:50051"}, "MEDIA_GRPC_ADVERTISE: must contain"),
        (["--workers", "9"], {"MEDIA_WS_PORT": "65000"}, "MEDIA_WS_PORT: worker 6 would need port 65600"),
    ],
)
async def test_settings_that_do_not_fit_several_workers_end_it_with_the_variable_s_name(
    tmp_path: Path, arguments: list[str], settings: dict[str, str], sentence: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "media_plane", *arguments),
        env=environment(**settings),
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert said.decode().startswith(sentence)


class _Ports:
    """All that prepare_media asks of its ports; the others are there, and not asked."""

    telephony = sessions = admission = pacer = intents = owners = None

    def __init__(self, nodes: RegisteredMediaNodes) -> None:
        self.nodes = nodes


async def _logged(pair: Pair, event: str) -> dict[str, Any]:
    """The next line of this event in the processes' log."""
    assert pair.process.stderr is not None
    async with asyncio.timeout(30):
        async for line in pair.process.stderr:
            said: dict[str, Any] = json.loads(line)
            if said["event"] == event:
                return said
    raise AssertionError(f"the log ended without {event!r}")


async def _calls_live(pair: Pair) -> list[str]:
    """What each worker's metrics say of it."""
    return [await asyncio.to_thread(_scraped, worker["media_metrics"]) for worker in pair.workers]


def _scraped(url: str) -> str:
    with urlopen(url) as page:
        lines = page.read().decode().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("voiceplane_media_calls_live "))


async def _is(answer: Any, wanted: object) -> bool:
    return bool(await answer == wanted)


async def _sums(answer: Any, wanted: int) -> bool:
    return sum(await answer) == wanted


async def _drains(pair: Pair, worker: int) -> bool:
    found = await entry(pair, worker)
    return not found or bool(found["draining"])


async def _changed(pair: Pair, before: dict[str, Any]) -> dict[str, Any]:
    """The second worker's entry once it has another address."""
    found = await entry(pair, 1)
    return found if found and found["grpc_address"] != before["grpc_address"] else {}
