"""Requests of CallService, checked field by field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import ValidationError

from control_plane.domain import calls as rules
from control_plane.domain.listing import MAX_STATUSES, Filters
from control_plane.domain.requests import agent_name, idempotency_key
from control_plane.errors import InvalidCall, InvalidField
from control_plane.tools.definitions import Definition, load
from protos.voiceplane.calls.v1 import calls_pb2 as pb
from workflows.contracts import CallStatus

_In = TypeVar("_In")
_Out = TypeVar("_Out")


class Fields(AbstractContextManager["Fields"]):
    """Checks within a block; all that are refused are named at its end, by one InvalidField.

    What `check` returns may be used after the block, and within it to choose another field's rule.
    """

    def __init__(self) -> None:
        self.violations: dict[str, str] = {}

    def check(self, field: str, rule: Callable[[_In], _Out], value: _In) -> _Out:
        try:
            return rule(value)
        except ValueError as error:
            self.violations.setdefault(field, str(error))
            return value  # type: ignore[return-value]  # seen by nobody: the block ends with InvalidField

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None and self.violations:
            raise InvalidField(self.violations)


def known_in(enum: Any) -> Callable[[int], int]:
    """The rule that a number is one of an enum's."""

    def known(number: int) -> int:
        if number not in enum.values():
            raise ValueError(f"must be one of {', '.join(enum.keys())}")
        return number

    return known


def new_call(request: pb.CreateCallRequest) -> tuple[rules.NewCall | rules.AgentCall, str]:
    """The call, and its idempotency key. Raises InvalidField, naming every field that is wrong."""
    if request.agent_name:
        return _agent_call(request)
    with Fields() as fields:
        number = fields.check("phone_number", rules.phone_number, request.phone_number)
        greeting = fields.check("greeting", rules.greeting, request.greeting)
        mode = fields.check("greeting_mode", rules.greeting_mode, request.greeting_mode)
        prompt = fields.check("system_prompt", rules.system_prompt, request.system_prompt)
        seconds = fields.check(
            "max_duration_seconds",
            rules.max_duration_seconds,
            request.max_duration_seconds or rules.DEFAULT_DURATION_SECONDS,
        )
        key = fields.check("idempotency_key", idempotency_key, request.idempotency_key)
        tools = _tools(fields, request.tools_json)
        for name in ("agent_version", "variables"):
            fields.check(name, _without_agent, getattr(request, name))
    call = rules.NewCall(number, prompt, greeting, seconds, tools, agent=request.agent, greeting_mode=mode)
    return call, key


def _agent_call(request: pb.CreateCallRequest) -> tuple[rules.AgentCall, str]:
    with Fields() as fields:
        number = fields.check("phone_number", rules.phone_number, request.phone_number)
        seconds = request.max_duration_seconds and fields.check(
            "max_duration_seconds", rules.max_duration_seconds, request.max_duration_seconds
        )
        version = fields.check("agent_version", _version, request.agent_version)
        for name in ("greeting", "greeting_mode", "system_prompt", "tools_json"):
            fields.check(name, _of_the_agent, getattr(request, name))
        fields.check("agent", _of_the_agent, request.HasField("agent"))
        key = fields.check("idempotency_key", idempotency_key, request.idempotency_key)
    return rules.AgentCall(number, request.agent_name, version, dict(request.variables), seconds), key


def named(error: InvalidCall) -> InvalidCall:
    """The error of an agent's call, with the names that this API has for its fields."""
    return InvalidCall({"agent_name" if f == "agent" else f: why for f, why in error.violations.items()})


def _version(number: int) -> int:
    if number >= 2**31:
        raise ValueError("must be below 2147483648")
    return number


def _of_the_agent(value: object) -> None:
    if value:
        raise ValueError("must not be set together with agent_name: it is the agent's")


def _without_agent(value: object) -> None:
    if value:
        raise ValueError("needs agent_name")


def filters(request: pb.ListCallsRequest) -> Filters:
    """Raises InvalidField."""
    with Fields() as fields:
        statuses = fields.check("statuses", _statuses, request.statuses)
        number = request.phone_number and fields.check(
            "phone_number", rules.phone_number, request.phone_number
        )
        agent = fields.check("agent_name", agent_name, request.agent_name)
        after = before = None
        if request.HasField("created_after"):
            after = fields.check("created_after", _datetime, request.created_after)
        if request.HasField("created_before"):
            before = fields.check("created_before", _datetime, request.created_before)
    return Filters(tuple(statuses), number, after, before, agent)


def _tools(fields: Fields, tools_json: str) -> Sequence[Definition]:
    try:
        return load(tools_json) if tools_json else ()
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False):
            where = ".".join(("tools_json", *(str(step) for step in each["loc"])))
            fields.violations.setdefault(where, each["msg"])
        return ()


def _statuses(numbers: Sequence[int]) -> list[CallStatus]:
    if len(numbers) > MAX_STATUSES:
        raise ValueError(f"must be at most {MAX_STATUSES}")
    known = {int(pb.CallStatus.Value(f"CALL_STATUS_{status.name}")): status for status in CallStatus}
    unknown = [number for number in numbers if number not in known]
    if unknown:
        raise ValueError(f"{unknown[0]} is no status of a call")
    return sorted({known[number] for number in numbers})


def _datetime(timestamp: Timestamp) -> datetime:
    try:
        return timestamp.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("must be a time of the years 1 to 9999") from error
