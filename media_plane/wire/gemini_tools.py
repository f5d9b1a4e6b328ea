"""Function calls on Gemini Live's wire: toolCall, toolCallCancellation, toolResponse."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One element of toolCall.functionCalls. `arguments`: a JSON object as `canonical` writes it."""

    id: str
    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class ToolResponse:
    """One element of toolResponse.functionResponses. `scheduling`: SILENT, WHEN_IDLE, INTERRUPT; empty: not
    said, which is right for blocking calls and for models that know no scheduling."""

    id: str
    name: str
    response: dict[str, Any]
    scheduling: str = ""


def canonical(arguments: dict[str, Any]) -> str:
    """Equal arguments as equal text, whatever the order the model wrote them in."""
    return json.dumps(arguments, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def tool_response(responses: Iterable[ToolResponse]) -> bytes:
    """The message that answers `responses`, all in one frame, as the service prefers."""
    functions = []
    for answer in responses:
        function: dict[str, Any] = {"id": answer.id, "name": answer.name, "response": answer.response}
        if answer.scheduling:
            function["scheduling"] = answer.scheduling
        functions.append(function)
    return json.dumps({"toolResponse": {"functionResponses": functions}}).encode()
