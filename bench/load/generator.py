"""N calls at once: callers on one side of what is measured, models on the other, both in this process."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Final

from picows import ws_connect, ws_create_server

from bench.load import models, signal
from bench.load.callers import Caller
from bench.load.leg import Leg
from bench.load.metronome import Metronome
from bench.load.process import usage

CONNECT_AT_ONCE: Final = 8
FLOW_WITHIN_S: Final = 15.0
DRAIN_S: Final = 0.6  # longer than any reference holds audio back
CLOSE_WITHIN_S: Final = 5.0


class LoadFailed(Exception):
    """The calls did not come to life, so there is nothing to measure."""


@dataclass(frozen=True)
class Job:
    """One run: these calls (key by which the model's session is known → stream URL) on process `pid`."""

    calls: dict[str, str]
    settle_s: float
    measure_s: float
    pid: int


@dataclass(frozen=True)
class LegResult:
    """One direction over all calls of a run. Delays in ns, one per burst; times in ms."""

    delays_ns: list[int]
    filter_ms: float  # median over bursts: the filter's delay, as far as it is not held-back audio
    messages: int
    bursts_lost: int
    gaps: int
    lost_ms: float


@dataclass(frozen=True)
class RunResult:
    calls: int
    seconds: float
    up: LegResult
    down: LegResult
    cpu_ns: int  # of the measured process, in the counted time
    wait_share: float  # of the counted time that the measured process waited for its core
    rss_bytes: int  # of the measured process, at the end of the counted time
    lateness_ns: list[int]  # of the load's own sends
    load_cpu_share: float  # of one core, in the counted time


class _Call:
    def __init__(self, index: int) -> None:
        self.index = index
        self.up = Leg(signal.MODEL_IN_RATE * 2 // 1000, signal.onset_in_pcm, signal.MODEL_IN_RATE // 1000)
        self.down = Leg(signal.PHONE_RATE // 1000, signal.onset_in_ulaw, signal.PHONE_RATE // 1000)
        self.caller = Caller(index, self.up, self.down)
        self.model: models.Model | None = None

    def count(self, counting: bool) -> None:
        self.up.counting = self.down.counting = counting

    def send_chunk(self) -> None:
        if self.model is not None:
            self.model.send_chunk()


class Generator:
    """The load's two ends. `start` opens the model's server; `run` makes calls and measures them."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}
        self._server: asyncio.Server | None = None
        self._made = 0
        self.port = 0

    async def start(self) -> None:
        self._server = await ws_create_server(
            models.listener(self._legs, self._opened), "127.0.0.1", 0, max_frame_size=1 << 20
        )
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    def _call(self, key: str) -> _Call:
        # A session may be opened long before its call is made, or after.
        if key not in self._calls:
            self._calls[key] = _Call(self._made)
            self._made += 1
        return self._calls[key]

    def _legs(self, key: str) -> tuple[int, Leg, Leg]:
        call = self._call(key)
        return call.index, call.up, call.down

    def _opened(self, key: str, model: models.Model) -> None:
        self._call(key).model = model

    async def run(self, job: Job) -> RunResult:
        """Connect the calls, let them settle, count for `measure_s`, hang up.

        Raises LoadFailed when a call cannot be connected or audio does not flow both ways.
        """
        calls = [self._call(key) for key in job.calls]
        frames = Metronome(signal.FRAME_MS, [call.caller.send_frame for call in calls])
        chunks = Metronome(signal.CHUNK_MS, [call.send_chunk for call in calls])
        try:
            await _connect(calls, list(job.calls.values()))
            frames.start()
            chunks.start()
            await _until(
                lambda: all(call.up.received_ms and call.down.received_ms for call in calls),
                FLOW_WITHIN_S,
                lambda: f"no audio both ways in {sum(not call.down.received_ms for call in calls)} calls",
            )
            await asyncio.sleep(job.settle_s)
            result = await self._measure(job, calls, frames, chunks)
        finally:
            frames.stop()
            chunks.stop()
            for key, call in zip(job.calls, calls, strict=True):
                call.caller.end()
                del self._calls[key]
        await _closed(calls)
        return result

    async def _measure(self, job: Job, calls: list[_Call], frames: Metronome, chunks: Metronome) -> RunResult:
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            _count(True, calls, frames, chunks)
            began_ns, own_ns, before = time.monotonic_ns(), time.process_time_ns(), usage(job.pid)
            await asyncio.sleep(job.measure_s)
            after, took_ns = usage(job.pid), time.monotonic_ns() - began_ns
            own_ns = time.process_time_ns() - own_ns
            _count(False, calls, frames, chunks)
            await asyncio.sleep(DRAIN_S)
        finally:
            gc.enable()
            gc.unfreeze()
        if any(call.caller.closed for call in calls):
            raise LoadFailed(f"{sum(call.caller.closed for call in calls)} calls were cut off")
        return RunResult(
            calls=len(calls),
            seconds=took_ns / 1e9,
            up=_sum([call.up for call in calls]),
            down=_sum([call.down for call in calls]),
            cpu_ns=after.cpu_ns - before.cpu_ns,
            wait_share=(after.wait_ns - before.wait_ns) / took_ns,
            rss_bytes=after.rss_bytes,
            lateness_ns=[*frames.lateness_ns, *chunks.lateness_ns],
            load_cpu_share=own_ns / took_ns,
        )


def _count(counting: bool, calls: list[_Call], *metronomes: Metronome) -> None:
    for call in calls:
        call.count(counting)
    for metronome in metronomes:
        metronome.counting = counting


def _sum(legs: list[Leg]) -> LegResult:
    for leg in legs:
        leg.close()
    filters = [delay for leg in legs for delay in leg.filter_ms]
    return LegResult(
        delays_ns=[delay for leg in legs for delay in leg.delays_ns],
        filter_ms=median(filters) if filters else 0.0,
        messages=sum(leg.messages for leg in legs),
        bursts_lost=sum(leg.bursts_lost for leg in legs),
        gaps=sum(leg.gaps for leg in legs),
        lost_ms=sum(leg.lost_ms for leg in legs),
    )


async def _connect(calls: list[_Call], urls: list[str]) -> None:
    async def connect(call: _Call, url: str) -> None:
        try:
            transport, _ = await ws_connect(lambda: call.caller, url, max_frame_size=1 << 20)
        except OSError as error:
            raise LoadFailed(f"call {call.index} could not connect: {error}") from error
        call.caller.begin(transport)

    for first in range(0, len(calls), CONNECT_AT_ONCE):
        group = slice(first, first + CONNECT_AT_ONCE)
        await asyncio.gather(*(connect(*pair) for pair in zip(calls[group], urls[group], strict=True)))


async def _closed(calls: list[_Call]) -> None:
    def all_closed() -> bool:
        return all(call.caller.closed and (call.model is None or call.model.closed) for call in calls)

    await _until(all_closed, CLOSE_WITHIN_S, lambda: "sessions were left open after their calls had ended")


async def _until(true: Callable[[], bool], within_s: float, complaint: Callable[[], str]) -> None:
    deadline = time.monotonic() + within_s
    while not true():
        if time.monotonic() > deadline:
            raise LoadFailed(complaint())
        await asyncio.sleep(0.02)
