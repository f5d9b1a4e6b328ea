"""`voiceplane bench gate` as CI runs it, on its quick half and with limits that leave no doubt."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("limit", "status", "says"),
    [(1e9, 0, "ok   kernel_up_us / lookup"), (1e-9, 1, "FAIL kernel_up_us / lookup")],
)
def test_the_gate_decides_the_exit_status_and_names_the_line(
    tmp_path: Path, limit: float, status: int, says: str
) -> None:
    baseline, out = tmp_path / "baseline.json", tmp_path / "out.json"
    line = {
        "figure": "kernel_up_us",
        "against": "lookup",
        "baseline": limit,
        "tolerance": 1,
        "reason": "test",
    }
    # A line of the other part is not asked for, so it is not missed.
    other = line | {"figure": "delay_up_p50_ms@20", "against": "sdk_bridge"}
    baseline.write_text(json.dumps({"figures": [line, other]}))
    command = [sys.executable, "-m", "bench", "gate", "--only", "micro"]
    done = subprocess.run(
        [*command, "--baseline", str(baseline), "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert says in done.stderr
    assert "delay_up" not in done.stderr
    result = json.loads(out.read_text())
    assert result["about"]["command"].startswith("voiceplane bench gate --only micro")
    assert ("micro: measured twice; its figures are the second time's" in result["notes"]) is (status == 1)
