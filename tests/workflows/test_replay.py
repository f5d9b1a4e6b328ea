"""CallWorkflow takes the steps it took when the committed histories were recorded.

A worker of this version must be able to go on with calls that another one began. When the steps are meant to
change, guard the change with `workflow.patched`, or record anew (tests/support/record_histories.py) if no
call can be under way.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from tests.support.record_histories import HISTORIES, SCENARIOS
from workflows.call import CallWorkflow

FILES = sorted(HISTORIES.glob("*.json"))


def test_every_scenario_has_its_history() -> None:
    assert {file.stem for file in FILES} == set(SCENARIOS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_a_recorded_call_replays(file: Path) -> None:
    history = WorkflowHistory.from_json(f"call-{file.stem}", file.read_text())
    await Replayer(workflows=[CallWorkflow]).replay_workflow(history)


async def test_a_history_of_other_steps_does_not_replay() -> None:
    text = (HISTORIES / "caller_hangs_up.json").read_text().replace('"prepare_media"', '"prepare_nothing"')
    history = WorkflowHistory.from_json("call-caller_hangs_up", text)
    with pytest.raises(NondeterminismError):
        await Replayer(workflows=[CallWorkflow]).replay_workflow(history)
