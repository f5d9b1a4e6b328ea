"""Functions that use the call's own line: what the model may ask, and what it is answered."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from control_plane.errors import CallBusy, DependencyUnavailable, PolicyRefused
from control_plane.tools.definitions import LeaveVoicemail, OnLine, SendDtmf, TransferCall, declared, load
from control_plane.tools.http_tool import ToolFailed, ToolRequest
from control_plane.tools.line_tool import LineTools
from workflows.contracts import TransferRequest

PEOPLE = {"billing": "+15557654321", "Dr. Ada": "+442071838750"}


class RecordedLine:
    """Keeps what it is asked for, or raises `error`."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[object] = []
        self._error = error

    def _take(self, *what: object) -> None:
        if self._error is not None:
            raise self._error
        self.asked.append(what)

    async def send_dtmf(self, workflow_id: str, digits: str) -> None:
        self._take(workflow_id, digits)

    async def transfer(self, workflow_id: str, request: TransferRequest) -> None:
        self._take(workflow_id, request)

    async def leave_voicemail(self, workflow_id: str, message: str) -> None:
        self._take(workflow_id, message)


def asked(tool: OnLine, **arguments: Any) -> ToolRequest:
    return ToolRequest("call-1", "fc-1", tool.type, arguments, "call-1:fc-1", 10)


@pytest.mark.parametrize(
    ("tool", "arguments", "done"),
    [
        (SendDtmf(), {"digits": "1w2#"}, "1w2#"),
        (LeaveVoicemail(), {"message": "Call us."}, "Call us."),
        (TransferCall(to=PEOPLE), {"to": "billing"}, TransferRequest("+15557654321")),
        (
            TransferCall(to=PEOPLE, mode="warm", timeout_seconds=9),
            {"to": "Dr. Ada", "summary": "About tea."},
            TransferRequest("+442071838750", "warm", "About tea.", 9),
        ),
        # A summary that nobody will hear is no reason to leave the caller where he is.
        (TransferCall(to=PEOPLE), {"to": "billing", "summary": "x"}, TransferRequest("+15557654321")),
    ],
)
async def test_what_the_model_asks_is_done(tool: OnLine, arguments: dict[str, Any], done: object) -> None:
    line = RecordedLine()
    answer = await LineTools(line).ask(tool, asked(tool, **arguments))
    assert line.asked == [("call-1", done)]
    assert "output" in answer


@pytest.mark.parametrize(
    ("tool", "arguments", "why"),
    [
        (SendDtmf(), {}, "digits"),
        (SendDtmf(), {"digits": 12}, "digits"),
        (SendDtmf(), {"digits": "call me"}, "0-9"),
        (SendDtmf(), {"digits": "1" * 65}, "64"),
        (LeaveVoicemail(), {"message": " "}, "message"),
        (LeaveVoicemail(), {"message": "x" * 2001}, "2000"),
        (TransferCall(to=PEOPLE), {}, "to"),
        (TransferCall(to=PEOPLE), {"to": "+19005551234"}, "one of billing, Dr. Ada"),
        (TransferCall(to=PEOPLE, mode="warm"), {"to": "billing", "summary": "x" * 2001}, "2000"),
    ],
)
async def test_what_can_t_be_done_is_a_sentence(tool: OnLine, arguments: dict[str, Any], why: str) -> None:
    line = RecordedLine()
    with pytest.raises(ToolFailed, match=why.replace(".", r"\.")):
        await LineTools(line).ask(tool, asked(tool, **arguments))
    assert line.asked == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CallBusy("keys or a transfer are under way"), "under way"),
        (PolicyRefused("premium", "this number is a premium number"), "premium number"),
        (DependencyUnavailable("temporal", "10.0.0.7:7233 refused"), "^this can't be done now$"),
    ],
)
async def test_the_model_hears_why_and_nothing_of_our_servers(error: Exception, said: str) -> None:
    with pytest.raises(ToolFailed, match=said):
        await LineTools(RecordedLine(error)).ask(SendDtmf(), asked(SendDtmf(), digits="1"))


def test_the_model_may_choose_among_the_people_and_is_not_told_their_numbers() -> None:
    declaration = declared(TransferCall(to=PEOPLE, mode="warm"))
    schema = json.loads(declaration.parameters_json)
    assert schema["properties"]["to"]["enum"] == ["billing", "Dr. Ada"]
    assert schema["required"] == ["to", "summary"]
    assert "+1555" not in declaration.parameters_json + declaration.description


@pytest.mark.parametrize("tool", [SendDtmf(), LeaveVoicemail(), TransferCall(to=PEOPLE)])
def test_each_is_declared_under_its_type(tool: OnLine) -> None:
    assert declared(tool).name == tool.type
    assert not declared(tool).ends_call


@pytest.mark.parametrize(
    "to",
    [
        {},
        {"": "+15557654321"},
        {"a": "15557654321"},
        {"a": "+1 555 765 4321"},
        {"a\n": "+15557654321"},
        {str(n): "+15557654321" for n in range(21)},
    ],
)
def test_people_need_names_and_numbers(to: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        TransferCall(to=to)


def test_one_of_each_is_enough() -> None:
    with pytest.raises(ValidationError, match="two tools are named send_dtmf"):
        load('[{"type":"send_dtmf"},{"type":"send_dtmf"}]')
