"""`voiceplane doctor`: is everything there that calls need, and what to do where it is not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from control_plane.cli.remote import plain, usage

if TYPE_CHECKING:
    from control_plane.doctor.finding import Finding
    from control_plane.settings import Settings

ANSWER_S = 5.0
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def run(data_dir: Path, *, as_json: bool) -> int:
    """Look at everything and print it; the exit status: 0 nothing has failed, 1 something has."""
    import json

    environment = _environment(data_dir)
    findings = asyncio.run(_examine(_settings(environment), environment))
    if as_json:
        healthy = all(each.level != "fail" for each in findings)
        typer.echo(json.dumps({"ok": healthy, "checks": [asdict(each) for each in findings]}))
    else:
        _print(findings)
    return 1 if any(each.level == "fail" for each in findings) else 0


async def _examine(settings: Settings, environment: Mapping[str, str]) -> list[Finding]:
    import httpx

    from control_plane.doctor import account, servers

    found = account.settings_present(settings, environment)
    async with (
        httpx.AsyncClient(timeout=ANSWER_S) as client,
        httpx.AsyncClient(timeout=ANSWER_S, trust_env=False) as local,  # no proxy leads to this machine
    ):
        credentials = found[0].level == "ok"
        at_twilio, hooks, redis, postgres, temporal, ports = await asyncio.gather(
            account.twilio(settings, client) if credentials else _nothing(),
            account.webhooks(settings, client),
            servers.redis(settings),
            servers.postgres(settings),
            servers.temporal(settings),
            servers.ports(settings, environment, local),
        )
    return [*found, *at_twilio, hooks, redis, postgres, temporal, *ports]


async def _nothing() -> list[Finding]:
    return []


def _environment(data_dir: Path) -> dict[str, str]:
    """As our processes see it: the environment over `.env`; of a stack that runs, what it gave them."""
    from dotenv import dotenv_values

    from control_plane.devstack.datadir import DataDir

    file = {name: value for name, value in dotenv_values(Path(".env")).items() if value}
    state = DataDir(data_dir).read_state()
    stack: dict[str, str] = state["env"] if state is not None else {}
    return file | stack | {name: value for name, value in os.environ.items() if value}


def _settings(environment: Mapping[str, str]) -> Settings:
    from pydantic import ValidationError

    from control_plane.settings import Settings

    values = {
        name: environment[name.upper()] for name in Settings.model_fields if name.upper() in environment
    }
    try:
        return Settings(**values)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        usage(f"{str(first['loc'][0]).upper()}: {first['msg']}")


def _sentences(finding: Finding) -> str:
    return f"{finding.found.rstrip('.')}. {finding.advice}" if finding.advice else finding.found


def _print(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    for each in findings:
        level = Text(each.level.upper(), _COLOURS[each.level])
        table.add_row(level, each.check, plain(_sentences(each)))
    Console(soft_wrap=True, markup=False, highlight=False).print(table)
