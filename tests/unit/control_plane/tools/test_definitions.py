"""What may be said of a tool."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from control_plane.tools.definitions import DEFINITIONS, HttpTool, declared, dump, load

TOOL = {"type": "http", "name": "f", "description": "does f", "url": "https://tools.example.com/f"}


def tool(**changes: Any) -> list[dict[str, Any]]:
    return [{**TOOL, **changes}]


@pytest.mark.parametrize(
    ("definitions", "reason"),
    [
        (tool(name="1f"), "1-64 characters"),
        (tool(name="f\n"), "1-64 characters"),
        (tool(name="x" * 65), "1-64 characters"),
        (tool(description=" "), "chooses by it"),
        (tool(parameters={"type": "string"}), "of an object"),
        (tool(parameters={"type": "object", "x": "y" * 20_000}), "16384 bytes"),
        (tool(method="TRACE"), "Input should be"),
        (tool(timeout_ms=0), "greater than or equal"),
        (tool(timeout_ms=600_000), "less than or equal"),
        (tool(headers={"X-A": "b\r\nX-Evil: 1"}), "no header may hold"),
        (tool(headers={"X-A": "b\x00"}), "no header may hold"),
        (tool(headers={"X-A\r\nX-Evil": "1"}), "not a header's name"),
        (tool(headers={"X A": "1"}), "not a header's name"),
        (tool(headers={"Host": "169.254.169.254"}), "not a header that tools may set"),
        (tool(headers={"content-length": "0"}), "not a header that tools may set"),
        (tool(headers={"Transfer-Encoding": "chunked"}), "not a header that tools may set"),
        (tool(headers={"X-Voiceplane-Signature": "v1=0"}), "not a header that tools may set"),
        (tool(headers={f"X-{n}": "" for n in range(21)}), "at most 20"),
        (tool(unknown=1), "Extra inputs"),
        ([TOOL, TOOL], "two tools are named f"),
        ([{"type": "end_call"}, {"type": "end_call"}], "two tools are named end_call"),
        ([{"type": "open_door"}], "does not match any of the expected tags"),
        ([{**TOOL, "name": f"f{n}"} for n in range(33)], "at most 32"),
    ],
)
def test_a_tool_that_is_not_as_it_must_be_is_refused(definitions: list[Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        DEFINITIONS.validate_python(definitions)


def test_what_is_kept_is_what_was_given() -> None:
    given = DEFINITIONS.validate_python(
        [
            {**TOOL, "headers": {"Authorization": "Bearer x"}, "blocking": True},
            {"type": "mcp", "name": "shop", "url": "https://mcp.example.com/", "allowed": ["buy"]},
            {"type": "end_call"},
        ]
    )
    assert load(dump(given)) == given


def test_a_declaration_holds_nothing_of_where_the_tool_is() -> None:
    tool = HttpTool.model_validate({**TOOL, "parameters": {"type": "object", "properties": {}}})
    declaration = declared(tool)
    assert (declaration.name, declaration.description) == ("f", "does f")
    assert "example.com" not in str(declaration)
