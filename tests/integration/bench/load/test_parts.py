"""The bench's longer parts on real processes, for a second or two each. Looks at what they find, never at how
fast."""

import dataclasses
import math
from pathlib import Path

from bench.figures import PRODUCT
from bench.load import hygiene, scaling, steady, tls
from bench.load.measured import Measured


def assert_carried(measured: Measured, runs: int) -> None:
    assert len(measured.runs) == runs
    for run in measured.runs:
        assert run["overloaded"] == ""
        for way in ("up", "down"):
            leg = run[way]
            assert isinstance(leg, dict)
            assert leg["bursts"] > 0
            assert leg["bursts_lost"] == 0
            assert leg["histogram"]


async def test_a_steady_run_tells_what_grew_and_what_was_collected(tmp_path: Path) -> None:
    plan = steady.Plan(calls=3, minutes=2 / 60, settle_s=0.2, sample_s=0.4, skip_s=0.5)
    found = await steady.run(plan, tmp_path, lambda _: None)
    assert_carried(found, 1)
    values = {figure.key: figure.values[PRODUCT] for figure in found.figures}
    assert values["steady_full_collections"] == 0
    assert values["steady_bursts_lost_up"] == values["steady_bursts_lost_down"] == 0
    assert {"steady_rss_kb_per_min", "steady_objects_per_frame", "steady_deadline_misses"} <= set(values)
    rows = found.tables["steady"]
    assert len(rows) >= 3
    assert rows[0]["gc0"] == 0  # counted from the first look
    assert all(isinstance(row["rss_mb"], float) and row["rss_mb"] > 20 for row in rows)
    times = [row["at_s"] for row in rows]
    assert times == sorted(times, key=float)  # type: ignore[arg-type]


async def test_disturbances_are_made_and_counted_beside_the_frames(tmp_path: Path) -> None:
    plan = hygiene.Plan(calls=2, rounds=1, prepares_per_s=10, settle_s=0.2, measure_s=0.6)
    scenarios = (hygiene.QUIET, hygiene.BOTH, hygiene.NO_REDIS)
    found = await hygiene.run(plan, tmp_path, lambda _: None, scenarios)
    assert_carried(found, 3)
    rows = {row["scenario"]: row for row in found.tables["hygiene"]}
    done = {name: rows[hygiene.SCENARIOS[name]]["disturbances"] for name in scenarios}
    assert done[hygiene.QUIET] == done[hygiene.NO_REDIS] == 0
    both = done[hygiene.BOTH]
    assert isinstance(both, int)
    assert both >= 8
    assert all(row["lost_bursts"] == 0 for row in rows.values())
    keys = {figure.key for figure in found.figures}
    assert {f"hygiene_{name}_up_p99_ms" for name in done if name != hygiene.QUIET} <= keys


async def test_a_node_trusts_the_models_certificate_and_carries_calls_over_tls(tmp_path: Path) -> None:
    plan = dataclasses.replace(tls.SHORT, calls=2, settle_s=0.2, measure_s=0.5)
    found = await tls.run(plan, tmp_path, lambda _: None)
    assert_carried(found, 2)
    assert [row["model_socket"] for row in found.tables["tls"]] == ["ws", "wss"]
    (cpu,) = (figure for figure in found.figures if figure.key == "tls_cpu_ms_per_call_s@2")
    assert set(cpu.values) == {PRODUCT, tls.PLAIN}


async def test_two_workers_carry_their_calls_side_by_side(tmp_path: Path) -> None:
    plan = dataclasses.replace(scaling.SHORT, calls=2, settle_s=0.2, measure_s=0.5)
    found = await scaling.run(plan, tmp_path, lambda _: None)
    assert_carried(found, 3)
    rows = [(row["workers"], row["calls"]) for row in found.tables["scaling"]]
    assert rows == [(1, 2), (2, 2), (2, 4)]
    assert all(not math.isnan(value) for figure in found.figures for value in figure.values.values())
