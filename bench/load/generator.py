"""N calls at once: callers on one side of what is measured, models on the other, both in this process."""

from __future__ import annotations

import asyncio
import gc
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np
from picows import WSError, ws_connect, ws_create_server

from bench.load import delays, models, probe, signal
from bench.load.callers import Caller
from bench.load.leg import GAP_TOLERANCE_NS, Leg
from bench.load.metronome import Metronome, spread
from bench.load.process import usage

CONNECT_AT_ONCE: Final = 8
CONNECT_WITHIN_S: Final = 30.0  # all calls
FLOW_WITHIN_S: Final = 8.0
DRAIN_S: Final = 0.6  # longer than any reference holds audio back
CALM_S: Final = 0.2  # after the load's own garbage collection, which makes frames late
CLOSE_WITHIN_S: Final = 5.0
IN_TROUBLE_S: Final = 3.0  # counted at most, of a system that does not carry its calls anyway


class LoadFailed(Exception):
    """The calls did not come to life, so there is nothing to measure."""


@dataclass(frozen=True)
class Job:
    """One run: these calls (key by which the model's session is known → stream URL) on these processes."""

    calls: dict[str, str]
    settle_s: float
    measure_s: float
    pids: list[int]


@dataclass(frozen=True)
class LegResult:
    """One direction over all calls of a run, of the counted time. Times in ms."""

    histogram: str  # delays of the bursts heard, `delays.encode`
    heard: int  # bursts
    late: int  # of them, more than a telephone frame
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
    cpu_ns: int  # of the measured processes, in the counted time
    wait_share: float  # of the counted time that the measured processes waited for their cores
    rss_bytes: int  # of the measured processes, at the end of the counted time
    late_p99_ns: int  # the load's own sends
    late_max_ns: int
    load_cpu_share: float  # of one core, in the counted time
    trouble: list[str]  # calls that did not connect, were silent, cut off or left open


class _Call:
    def __init__(self, index: int) -> None:
        self.index = index
        self.up = Leg(signal.MODEL_IN_RATE * 2 // 1000, probe.onset_in_pcm, signal.MODEL_IN_RATE // 1000)
        self.down = Leg(signal.PHONE_RATE // 1000, probe.onset_in_ulaw, signal.PHONE_RATE // 1000)
        self.caller = Caller(index, self.up, self.down)
        self.model: models.Model | None = None

    def send_chunk(self, now_ns: int) -> None:
        if self.model is not None:
            self.model.send_chunk(now_ns)

    @property
    def flows(self) -> bool:
        return bool(self.up.received_ms and self.down.received_ms)

    @property
    def closed(self) -> bool:
        return self.caller.closed and (self.model is None or self.model.closed)


class Generator:
    """The load's two ends. `start` opens the model's server, with `tls` a second one; `run` makes calls and
    measures them."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}
        self._servers: list[asyncio.Server] = []
        self._made = 0
        self.port = 0
        self.tls_port = 0

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        self.port = await self._serve(None)
        if tls is not None:
            self.tls_port = await self._serve(tls)

    async def _serve(self, tls: ssl.SSLContext | None) -> int:
        listener = models.listener(self._legs, self._opened)
        server = await ws_create_server(listener, "127.0.0.1", 0, ssl=tls, max_frame_size=1 << 20)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        for server in self._servers:
            server.close()

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
        """Connect the calls, let them settle, count for `measure_s`, hang up. A system that does not carry
        all of them is measured for IN_TROUBLE_S, and the result says what the trouble was.

        Raises LoadFailed when nobody answers, or audio flows both ways in no call at all.
        """
        calls = [self._call(key) for key in job.calls]
        cycle_ms = signal.CHUNK_MS
        chunks = spread(signal.CHUNK_MS, [call.send_chunk for call in calls], cycle_ms)
        frames = spread(signal.FRAME_MS, [call.caller.send_frame for call in calls], cycle_ms)
        # Half a frame apart: a call's own frame and chunk do not fall together.
        metronome = Metronome([[*frames[i], *chunks[i - signal.FRAME_MS // 2]] for i in range(cycle_ms)])
        trouble: list[str] = []
        try:
            await _connect(calls, list(job.calls.values()), trouble)
            metronome.start()
            if not await _within(FLOW_WITHIN_S, lambda: all(call.flows for call in calls)):
                silent = sum(not call.flows for call in calls)
                if silent == len(calls):
                    raise LoadFailed(f"no audio both ways in {silent} calls")
                trouble.append(f"no audio both ways in {silent} calls after {FLOW_WITHIN_S:.0f} s")
            await asyncio.sleep(job.settle_s)
            seconds = min(job.measure_s, IN_TROUBLE_S) if trouble else job.measure_s
            result = await self._measure(seconds, job.pids, calls, metronome, trouble)
        finally:
            metronome.stop()
            for key, call in zip(job.calls, calls, strict=True):
                call.caller.end()
                del self._calls[key]
        if not await _within(CLOSE_WITHIN_S, lambda: all(call.closed for call in calls)):
            trouble.append(f"{sum(not call.closed for call in calls)} calls' sessions stayed open")
            for call in calls:
                if call.model is not None:
                    call.model.abort()
        # Calls that were prepared and never made.
        self._calls = {
            key: call for key, call in self._calls.items() if call.model is None or not call.model.closed
        }
        return result

    async def _measure(
        self, measure_s: float, pids: list[int], calls: list[_Call], metronome: Metronome, trouble: list[str]
    ) -> RunResult:
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            await asyncio.sleep(CALM_S)
            _count(True, calls, metronome)
            began_ns, own_ns, before = time.monotonic_ns(), time.process_time_ns(), usage(*pids)
            await asyncio.sleep(measure_s)
            after, took_ns = usage(*pids), time.monotonic_ns() - began_ns
            own_ns = time.process_time_ns() - own_ns
            _count(False, calls, metronome)
            await asyncio.sleep(DRAIN_S)
        finally:
            gc.enable()
            gc.unfreeze()
        if cut := sum(call.caller.closed for call in calls):
            trouble.append(f"{cut} calls were cut off")
        lateness_ns = np.asarray(metronome.lateness_ns)
        return RunResult(
            calls=len(calls),
            seconds=took_ns / 1e9,
            up=_sum([call.up for call in calls]),
            down=_sum([call.down for call in calls]),
            cpu_ns=after.cpu_ns - before.cpu_ns,
            wait_share=(after.wait_ns - before.wait_ns) / took_ns,
            rss_bytes=after.rss_bytes,
            late_p99_ns=int(np.percentile(lateness_ns, 99)),
            late_max_ns=int(lateness_ns.max()),
            load_cpu_share=own_ns / took_ns,
            trouble=trouble,
        )


def _count(counting: bool, calls: list[_Call], metronome: Metronome) -> None:
    for call in calls:
        call.up.counting = call.down.counting = counting
    metronome.counting = counting


def _sum(legs: list[Leg]) -> LegResult:
    for leg in legs:
        leg.close()
    filters = [delay for leg in legs for delay in leg.filter_ms]
    heard = [delay for leg in legs for delay in leg.delays_ns]
    return LegResult(
        histogram=delays.encode(heard),
        heard=len(heard),
        late=sum(delay > GAP_TOLERANCE_NS for delay in heard),
        filter_ms=median(filters) if filters else 0.0,
        messages=sum(leg.messages for leg in legs),
        bursts_lost=sum(leg.bursts_lost for leg in legs),
        gaps=sum(leg.gaps for leg in legs),
        lost_ms=sum(leg.lost_ms for leg in legs),
    )


async def _connect(calls: Sequence[_Call], urls: Sequence[str], trouble: list[str]) -> None:
    async def connect(call: _Call, url: str) -> None:
        try:
            transport, _ = await ws_connect(lambda: call.caller, url, max_frame_size=1 << 20)
        except ConnectionRefusedError as error:
            raise LoadFailed(f"call {call.index} could not connect: {error}") from error
        call.caller.begin(transport)

    refused: list[str] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(CONNECT_WITHIN_S):
            for first in range(0, len(calls), CONNECT_AT_ONCE):
                group = slice(first, first + CONNECT_AT_ONCE)
                pairs = zip(calls[group], urls[group], strict=True)
                results = await asyncio.gather(*(connect(*pair) for pair in pairs), return_exceptions=True)
                for result in results:
                    if isinstance(result, OSError | WSError):
                        refused.append(f"{type(result).__name__}: {result}")
                    elif result is not None:
                        raise result
    if missing := sum(not call.caller.connected for call in calls):
        why = f" ({refused[0]})" if refused else f" in {CONNECT_WITHIN_S:.0f} s"
        trouble.append(f"{missing} calls could not connect{why}")


async def _within(seconds: float, true: Callable[[], bool]) -> bool:
    """Wait for it; False: it has not come true."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True
