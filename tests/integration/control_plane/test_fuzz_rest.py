"""Schemathesis reads the OpenAPI document and sends every operation what it allows and what it does not.

No answer may be a 5xx, or one that the document doesn't describe: its status, its content type, its body.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from control_plane.adapters.postgres import PostgresCalls
from control_plane.adapters.sessions import RedisSessions
from tests.support.control import Control, control_settings, new_workflow_id, running_control
from tests.support.records import finished, session
from tests.support.stack import Servers

SENSE = "not_a_server_error"
ALL = f"{SENSE},status_code_conformance,content_type_conformance,response_schema_conformance"
SEED = "20261123"
COVERED = "coverage,fuzzing"  # every field at and past its bounds, then random cases
RANDOM = "fuzzing"  # where bodies are large, covering one alone takes a thousand requests


@pytest.fixture(scope="module")
async def open_control(servers: Servers, temporal: Client) -> AsyncIterator[Control]:
    """Without a rate limit: the fuzzer would meet nothing else."""
    async with running_control(control_settings(servers, api_rate_limit=0)) as control:
        yield control
        await allow_dialing(control)


async def allow_dialing(control: Control) -> None:
    """Undo what the fuzzer may have forbidden to the tests that come after it."""
    assert (await control.http.delete("/dialing/stop")).status_code in (204, 404)
    listed = (await control.http.get("/dialing/do-not-call", params={"limit": 1000})).json()["numbers"]
    for each in listed:
        assert (await control.http.delete(f"/dialing/do-not-call/{each['number']}")).status_code == 204


async def schemathesis(
    control: Control,
    scratch: Path,
    paths: str,
    *,
    phases: str,
    examples: int,
    checks: str = ALL,
    workflow_id: str = "",
) -> None:
    """One run over the operations whose path `paths` matches; fails with what it found."""
    settings = f'[parameters]\n"path.workflow_id" = "{workflow_id}"\n' if workflow_id else ""
    (scratch / "schemathesis.toml").write_text(settings)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{control.endpoints.rest}/openapi.json"),
        *("--include-path-regex", paths, "--checks", checks, "--phases", phases),
        *("--max-examples", str(examples), "--seed", SEED, "--no-shrink", "--continue-on-failure"),
        # Bad credentials would shut this address out; tests of authentication send their own.
        *("--generation-with-security-parameters", "false", "--generation-database", "none"),
        *("--request-timeout", "10", "--warnings", "off", "--no-color"),
        cwd=scratch,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-20_000:]


async def test_calls_and_agents_answer_as_the_document_says(
    open_control: Control, worker: Worker, tmp_path: Path
) -> None:
    await schemathesis(open_control, tmp_path, "^/calls$|^/agents", phases=RANDOM, examples=15)


async def test_what_operators_and_twilio_use_never_fails(open_control: Control, tmp_path: Path) -> None:
    await schemathesis(open_control, tmp_path, "^/(?!calls|agents)", phases=RANDOM, examples=4, checks=SENSE)


async def test_events_of_a_call_that_is_over_are_as_described(
    open_control: Control, repository: PostgresCalls, tmp_path: Path
) -> None:
    """Those of one that lives go on as long as it does."""
    workflow_id = new_workflow_id()
    await repository.finish(finished(workflow_id))

    await schemathesis(
        open_control, tmp_path, "/events$", phases=COVERED, examples=5, workflow_id=workflow_id
    )


async def test_operations_on_a_call_that_lives_answer_so_too(
    open_control: Control, sessions: RedisSessions, tmp_path: Path
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="in_progress"))

    await schemathesis(
        open_control,
        tmp_path,
        "^/calls/{workflow_id}(?!/events)",
        phases=COVERED,
        examples=3,
        workflow_id=workflow_id,
    )
