"""The whole load path on real processes. Looks at what was heard, never at how fast."""

from pathlib import Path

import pytest

from bench.load.compare import Plan, compare
from bench.load.generator import LoadFailed


async def test_references_carry_every_burst_both_ways(tmp_path: Path) -> None:
    said: list[str] = []
    plan = Plan(levels=(2,), rounds=1, settle_s=0.5, measure_s=0.8)
    compared = await compare(plan, tmp_path, said.append, names=("relay", "sdk_bridge"))
    values = {figure.key: figure.values for figure in compared.figures}
    assert said == ["run 1 of 2: relay, 2 calls", "run 2 of 2: sdk_bridge, 2 calls"]
    for way in ("up", "down"):
        assert values[f"bursts_lost_{way}@2"] == {"relay": 0, "sdk_bridge": 0}
        assert values[f"lost_frames_{way}@2"] == {"relay": 0, "sdk_bridge": 0}
        # 47 taps at 16 kHz and 60 at 24 kHz, half of each; SOXR makes its own good by holding audio back.
        assert values[f"filter_{way}_ms@2"] == {
            "relay": pytest.approx({"up": 1.44, "down": 1.23}[way], abs=0.2),
            "sdk_bridge": pytest.approx(0.0, abs=0.2),
        }
        # Held back by SOXR HQ: a matter of its filter, not of this machine's speed.
        assert values[f"delay_{way}_p99_ms@2"]["sdk_bridge"] > 20
    assert values["cpu_ms_per_call_s@2"]["relay"] > 0
    assert {run["system"] for run in compared.runs} == {"relay", "sdk_bridge"}


async def test_a_call_that_cannot_be_connected_fails_the_run_with_its_reason(tmp_path: Path) -> None:
    from bench.load import driver
    from bench.load.generator import Job
    from bench.load.process import cores

    async with driver.started(cores()[0], tmp_path) as load:
        with pytest.raises(LoadFailed, match="call 0 could not connect"):
            await load.run(Job({"nobody": "ws://127.0.0.1:9/"}, 0.1, 0.1, [1]))
