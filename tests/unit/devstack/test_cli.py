"""The command line: which commands there are, and what they say when they can't."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from control_plane.cli.app import app


def invoke(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, words)
    return result.exit_code, result.output


def test_help_names_every_command() -> None:
    status, text = invoke("--help")
    assert status == 0
    for command in ("up", "down", "status", "db", "media", "control", "worker", "demo"):
        assert f" {command} " in text


@pytest.mark.parametrize("command", ["up", "down", "status", "demo", "media", "control", "worker"])
def test_every_command_explains_itself(command: str) -> None:
    status, text = invoke(command, "--help")
    assert status == 0
    assert f"Usage: root {command}" in text


@pytest.mark.parametrize("command", ["status", "down"])
def test_without_a_stack_there_is_nothing_to_ask(command: str, tmp_path: Path) -> None:
    status, text = invoke(command, "--data-dir", str(tmp_path))
    assert status == 3
    assert "no stack runs in" in text


def test_help_is_quick_to_load() -> None:
    """What only some commands need is imported by them."""
    heavy = "{'psycopg', 'alembic', 'temporalio', 'grpc', 'fastapi', 'numpy', 'bench.demo'}"
    code = f"import sys, control_plane.cli; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
