"""`python -m bench.gemini.unanswered`: 10,000 calls that are prepared and that nobody answers leave nothing.

Every call is prepared over gRPC and its greeting made; half of them are ended with EndCall, half expire. The
node runs in this process, under tracemalloc; the model's stand-in has one of its own. Afterwards:

- the node holds no call, and the model's side no socket that the pool does not know of;
- this process has as many open files as it had after the first calls;
- Python's memory grows by less than 16 bytes a call, resident memory by less than 512: the slope over the
  last 60 % of the calls, by when everything bounded (calls remembered, histograms) is full.

Exit status 1 when one of these does not hold.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import sys
import tempfile
import tracemalloc
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from uuid import uuid4

import grpc
import psutil
import uvloop

from bench import machine
from bench.gemini.parts import GREETING, PROMPT, redis, until
from bench.load.process import Child, cores
from media_plane import logs as node_logs
from media_plane.server import MediaServer
from media_plane.settings import Settings
from protos.voiceplane.media.v1 import media_pb2, media_pb2_grpc

AT_ONCE = 250
EXPIRES_S = 2
WARM_UP = 0.4  # of the calls: until what is bounded is full
TRACED_BYTES, RESIDENT_BYTES = 16, 512  # a call, at most
_SETTLE_S = 20.0


@dataclass(frozen=True)
class Sample:
    """What this process holds after so many calls, all of them over."""

    calls: int
    files: int
    traced_bytes: int  # Python's own, by tracemalloc
    resident_bytes: int
    model_sockets: int  # open at the stand-in
    warm: int  # of these the pool's


class StandIn:
    def __init__(self, child: Child) -> None:
        self._child = child
        self.url = f"http://127.0.0.1:{child.ready['port']}"

    async def sockets(self) -> int:
        """Open now."""
        stdin, stdout = self._child.process.stdin, self._child.process.stdout
        assert stdin is not None, "the stand-in is started with pipes"
        assert stdout is not None, "the stand-in is started with pipes"
        stdin.write(b"\n")
        return int(json.loads(await stdout.readline())["open"])


class Bench:
    def __init__(self, server: MediaServer, stub: media_pb2_grpc.MediaPlaneAsyncStub, model: StandIn) -> None:
        self._node = server.node
        self._stub = stub
        self._model = model
        self._process = psutil.Process()
        self._done = 0

    async def run(self, calls: int) -> list[Sample]:
        samples = []
        while self._done < calls:
            count = min(AT_ONCE, calls - self._done)
            await asyncio.gather(*(self._call(expires=number % 2 == 0) for number in range(count)))
            assert await until(self._idle, 60), "calls were left over"
            self._done += count
            samples.append(await self._sample())
        return samples

    async def _call(self, *, expires: bool) -> None:
        workflow_id = f"call-{uuid4()}"
        request = media_pb2.PrepareCallRequest(
            workflow_id=workflow_id,
            stream_token=f"token-{uuid4().hex}",
            agent=media_pb2.AgentConfig(system_prompt=PROMPT, greeting=GREETING),
            expires_in_s=EXPIRES_S if expires else 60,
        )
        try:
            await self._stub.PrepareCall(request, timeout=60)
        except grpc.aio.AioRpcError as error:
            # On a machine this busy it has expired while its session was being opened: nobody answered it.
            if not expires or error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise
        if expires:
            return
        found = self._node.find(workflow_id)
        assert found is not None, "a call is there until it is ended"
        session = found[0]

        async def greeted() -> bool:
            return session.tally.response_tokens > 0

        assert await until(greeted, 60), "the greeting was not made"
        await self._stub.EndCall(
            media_pb2.EndCallRequest(workflow_id=workflow_id, reason="nobody answered"), timeout=30
        )

    async def _sample(self) -> Sample:
        """Once every socket that is on its way out is gone."""
        pool = self._node.pool

        async def settled() -> bool:
            return await self._model.sockets() <= sum(pool.held().values())

        await until(settled, _SETTLE_S)
        gc.collect()
        return Sample(
            calls=self._done,
            files=self._process.num_fds(),
            traced_bytes=tracemalloc.get_traced_memory()[0],
            resident_bytes=int(self._process.memory_info().rss),
            model_sockets=await self._model.sockets(),
            warm=sum(pool.held().values()),
        )

    async def _idle(self) -> bool:
        return not self._node.busy


def slope(samples: list[Sample], field: str) -> float:
    """Bytes a call, by least squares."""
    xs = [float(sample.calls) for sample in samples]
    ys = [float(getattr(sample, field)) for sample in samples]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread


async def measure(calls: int, logs: Path) -> dict[str, object]:
    async with contextlib.AsyncExitStack() as stack:
        child = await Child.start(
            "bench.gemini.stand_in", core=cores()[0], env={}, log=logs / "stand_in.log", piped=True
        )
        stack.push_async_callback(child.stop)
        model = StandIn(child)
        settings = Settings(
            _env_file=None,  # type: ignore[call-arg]
            gemini_base_url=model.url,
            redis_url=await stack.enter_async_context(redis()),
            media_ws_port=0,
            media_grpc_port=0,
            media_metrics_port=0,
        )
        server = MediaServer(settings)
        endpoints = await server.start()
        tracemalloc.start()
        async with grpc.aio.insecure_channel(str(endpoints["media_grpc"])) as channel:
            bench = Bench(server, media_pb2_grpc.MediaPlaneStub(channel), model)
            samples = await bench.run(calls)
            missed = server.node.unanswered
            found: dict[str, object] = {
                "unanswered": dict(missed.calls),
                "sessions_released": missed.sessions,
                "greeting_s_in_vain": missed.audio_ms / 1000,
                "tokens_in_vain": missed.prompt_tokens + missed.response_tokens,
                "calls_left": len(server.node.sessions),
            }
            await server.stop(0.0)

        async def gone() -> bool:
            return not await model.sockets()

        await until(gone, _SETTLE_S)
        found["model_sockets_after_the_end"] = await model.sockets()
        tracemalloc.stop()
    return found | judged(samples)


def judged(samples: list[Sample]) -> dict[str, object]:
    """What the samples show of leaks."""
    late = [sample for sample in samples if sample.calls >= WARM_UP * samples[-1].calls]
    files = [sample.files - sample.warm for sample in late]
    return {
        "samples": [asdict(sample) for sample in samples],
        "files_more": max(files) - files[0],
        "sockets_unaccounted": max(sample.model_sockets - sample.warm for sample in samples),
        "traced_bytes_a_call": slope(late, "traced_bytes"),
        "resident_bytes_a_call": slope(late, "resident_bytes"),
    }


def verdicts(found: dict[str, object], calls: int) -> dict[str, bool]:
    """Each promise, and whether it held."""
    counted = found["unanswered"]
    assert isinstance(counted, dict)
    return {
        f"all {calls} counted as unanswered": sum(counted.values()) == calls,
        "no call left": found["calls_left"] == 0,
        "no model socket but the pool's": found["sockets_unaccounted"] == 0,
        "no model socket after the end": found["model_sockets_after_the_end"] == 0,
        "no more open files": int(str(found["files_more"])) <= 0,
        f"Python's memory grows by less than {TRACED_BYTES} bytes a call": (
            float(str(found["traced_bytes_a_call"])) < TRACED_BYTES
        ),
        f"resident memory grows by less than {RESIDENT_BYTES} bytes a call": (
            float(str(found["resident_bytes_a_call"])) < RESIDENT_BYTES
        ),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gemini.unanswered", description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write what was found as JSON")
    options = parser.parse_args()
    about = machine.about("python -m bench.gemini.unanswered")
    node_logs.configure("production", "ERROR")
    began = monotonic()
    with tempfile.TemporaryDirectory(prefix="voiceplane-bench-") as logs:
        found = uvloop.run(measure(options.calls, Path(logs)))
    held = verdicts(found, options.calls)
    for name, value in found.items():
        if name != "samples":
            print(f"{name:<30}{value}")
    for promise, kept in held.items():
        print(f"{'ok  ' if kept else 'FAIL'} {promise}")
    print(f"{options.calls} calls in {monotonic() - began:.0f} s")
    if options.out is not None:
        options.out.write_text(json.dumps({"about": about, **found, "held": held}, indent=1) + "\n")
    return 0 if all(held.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
