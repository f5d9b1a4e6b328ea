"""AgentConfig.tools and AnswerTool, field by field."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from media_plane.call.tools import Tool
from media_plane.errors import InvalidRequest
from media_plane.io.gemini_tools import Function, declared
from protos.voiceplane.media.v1 import media_pb2 as pb

MAX_TOOLS = 64
MAX_RESPONSE = 65_536
_DEFAULT_TIMEOUT_MS = 10_000
_LONGEST_TIMEOUT_MS = 120_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")
_SCHEDULING = ("", "SILENT", "WHEN_IDLE", "INTERRUPT")


def functions(tools: Sequence[pb.Tool], *, schedules: bool = False) -> tuple[Function, ...]:
    """`schedules`: the call's model takes scheduling with answers; end_call's are then ours to schedule.

    Raises: InvalidRequest.
    """
    _require(len(tools) <= MAX_TOOLS, "agent.tools", f"at most {MAX_TOOLS}")
    found = tuple(_function(f"agent.tools[{index}]", tool, schedules) for index, tool in enumerate(tools))
    names = [function.tool.name for function in found]
    _require(len(set(names)) == len(names), "agent.tools", "of different names")
    try:
        declared(found)
    except ValueError as error:
        raise InvalidRequest(f"agent.tools: {error}") from None
    return found


def response(text: str) -> dict[str, Any]:
    """Raises: InvalidRequest."""
    _require(len(text.encode()) <= MAX_RESPONSE, "response_json", f"at most {MAX_RESPONSE} bytes")
    return _object("response_json", text)


def _function(field: str, tool: pb.Tool, schedules: bool) -> Function:
    _require(_NAME.match(tool.name), f"{field}.name", "1-64 characters of [A-Za-z0-9_], no digit first")
    _require(len(tool.description.encode()) <= 4096, f"{field}.description", "at most 4096 bytes")
    _require(len(tool.parameters_json) <= 16_384, f"{field}.parameters_json", "at most 16384 bytes")
    _require(tool.timeout_ms <= _LONGEST_TIMEOUT_MS, f"{field}.timeout_ms", f"at most {_LONGEST_TIMEOUT_MS}")
    _require(tool.scheduling in _SCHEDULING, f"{field}.scheduling", "SILENT, WHEN_IDLE, INTERRUPT or empty")
    _require(tool.built_in in pb.BuiltIn.values(), f"{field}.built_in", "one that this node knows")
    if tool.parameters_json:
        _object(f"{field}.parameters_json", tool.parameters_json)
    ends_call = tool.built_in == pb.BUILT_IN_END_CALL
    return Function(
        Tool(
            name=tool.name,
            blocking=tool.blocking,
            timeout_ms=tool.timeout_ms or _DEFAULT_TIMEOUT_MS,
            scheduling="WHEN_IDLE" if ends_call and schedules else tool.scheduling,
            ends_call=ends_call,
        ),
        description=tool.description,
        parameters_json=tool.parameters_json,
    )


def _object(field: str, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidRequest(f"{field} must be a JSON object")
    return value


def _require(holds: object, field: str, rule: str) -> None:
    if not holds:
        raise InvalidRequest(f"{field} must be {rule}")
