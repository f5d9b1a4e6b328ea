"""`voiceplane demo` as a user runs it: its exit status, and what it leaves."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.demo.analysis import audible_seconds, read_wav
from tests.support.stack import temporary_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    import shutil

    folder = temporary_folder()
    yield folder
    shutil.rmtree(folder)


async def demo(folder: Path, *options: str) -> tuple[int, str, str]:
    """Exit status, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "control_plane.cli", "demo"),
        *("--out", str(folder), "--data-dir", str(folder / "data"), *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.speech
async def test_the_demo_leaves_a_conversation_that_can_be_heard_seen_and_read(folder: Path) -> None:
    status, out, err = await demo(folder, "--json")
    assert status == 0, err
    (call,) = json.loads(out)["calls"]
    assert call["ok"] is True
    assert json.loads((folder / "demo-call.json").read_text()) == json.loads(out)

    lines = call["result"]["transcript"]
    assert lines[0]["text"] == "Hello! How can I help you today?"
    heard = " ".join(line["text"].lower() for line in lines if line["speaker"] == "caller")
    assert "young man" in heard
    assert "cold" in heard
    assert [line["interrupted"] for line in lines].count(True) == 1
    assert len(call["measured"]["responses"]) == 2
    assert len(call["measured"]["barge_ins"]) == 1

    samples, rate = read_wav((folder / "demo-call.wav").read_bytes())
    assert rate == 8000
    assert audible_seconds(samples[:, 0], rate) > 3
    assert audible_seconds(samples[:, 1], rate) > 3
    assert (folder / "demo-call.png").read_bytes().startswith(b"\x89PNG")
    assert "barge-in" in err  # the conversation goes to standard error when standard output is for programs


@pytest.mark.parametrize("options", [["--calls", "0"], ["--calls", "101"], ["--audio", __file__]])
async def test_options_that_cannot_be_are_refused_before_anything_starts(
    folder: Path, options: list[str]
) -> None:
    status, out, err = await demo(folder, *options)
    assert status == 2
    assert "error:" in out + err
    assert not (folder / "data").exists()
