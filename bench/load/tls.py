"""What TLS towards the model costs: the same load with the model's side as ws and as wss."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.figures import PRODUCT, Figure
from bench.load import driver, rig, summary, systems
from bench.load.measured import Measured
from bench.load.process import cores
from bench.sim.gemini.tls import self_signed

PLAIN: Final = "ws"
SECURE: Final = "wss"


@dataclass(frozen=True)
class Plan:
    calls: int
    rounds: int
    settle_s: float
    measure_s: float


FULL: Final = Plan(calls=50, rounds=3, settle_s=1.5, measure_s=6.0)
SHORT: Final = Plan(calls=20, rounds=1, settle_s=0.5, measure_s=2.0)


async def run(plan: Plan, logs: Path, say: Callable[[str], None]) -> Measured:
    """Two nodes, one dialing ws and one wss with a throw-away certificate that it trusts by SSL_CERT_FILE,
    under load in turn. In the figures' values wss is the product's, ws its reference.

    Raises LoadFailed or ChildFailed.
    """
    load_core, core = cores()
    certificate, key = self_signed(logs / "tls")
    by_socket = {PLAIN: summary.Series(None), SECURE: summary.Series(None)}
    async with (
        driver.started(load_core, logs, certificate, key) as load,
        contextlib.AsyncExitStack() as stack,
    ):
        nodes = {
            PLAIN: await stack.enter_async_context(
                systems.product(gemini_url=load.gemini_url, core=core, logs=logs, name=f"{PRODUCT}-ws")
            ),
            SECURE: await stack.enter_async_context(
                systems.product(
                    gemini_url=load.gemini_tls_url,
                    core=core,
                    logs=logs,
                    name=f"{PRODUCT}-wss",
                    env={"SSL_CERT_FILE": str(certificate)},
                )
            ),
        }
        for _, (socket, node) in itertools.product(range(plan.rounds), nodes.items()):
            say(f"{rig.at(plan.calls)}, {socket}")
            work = await rig.job(node, plan.calls, plan.settle_s, plan.measure_s)
            by_socket[socket].runs.append(await load.run(work))
    return _found(by_socket, plan.calls)


def _found(by_socket: dict[str, summary.Series], calls: int) -> Measured:
    outcome = Measured(tables={"tls": []})
    for socket, series in by_socket.items():
        outcome.tables["tls"].append({"model_socket": socket, **summary.row(PRODUCT, calls, series)})
        outcome.runs += [{**summary.record(PRODUCT, run), "model_socket": socket} for run in series.runs]
        outcome.notes += summary.doubts(f"{PRODUCT}, {socket},", series)
    secure, plain = by_socket[SECURE], by_socket[PLAIN]
    cpu = {PRODUCT: secure.cpu_ms_per_call_s(), PLAIN: plain.cpu_ms_per_call_s()}
    outcome.figures.append(Figure(f"tls_cpu_ms_per_call_s@{calls}", "CPU per call-second, TLS", "ms", cpu))
    for way, arrow in summary.WAYS.items():
        for quantile, percent in (("p50", 50.0), ("p99", 99.0)):
            values = {PRODUCT: secure.delay_ms(way, percent), PLAIN: plain.delay_ms(way, percent)}
            key, title = f"tls_delay_{way}_{quantile}_ms@{calls}", f"added delay {arrow}, {quantile}, TLS"
            outcome.figures.append(Figure(key, title, "ms", values))
    if outcome.notes:
        outcome.unreliable |= {figure.key for figure in outcome.figures}
    return outcome
