"""Declarations of functions for a Gemini Live session, from google-genai's types."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from media_plane.call.tools import Tool

if TYPE_CHECKING:
    from google.genai import types


@dataclass(frozen=True, slots=True)
class Function:
    """A function as the model is told of it, and how its calls are treated. `parameters`: JSON Schema of an
    object; empty: none."""

    tool: Tool
    description: str
    parameters_json: str = ""


def declared(functions: Iterable[Function]) -> list[types.FunctionDeclaration]:
    """For the setup message. Schema types go in protobuf's spelling (OBJECT), which every version takes.

    Raises:
        ValueError: parameters are not a schema that the service knows; names the function.
    """
    return [_declaration(function) for function in functions]


def _declaration(function: Function) -> types.FunctionDeclaration:
    from google.genai import types  # see gemini_sdk

    blocking = function.tool.blocking
    try:
        parameters = _schema(function.parameters_json) if function.parameters_json else None
    except ValueError as error:
        raise ValueError(f"parameters of {function.tool.name}: {error}") from None
    return types.FunctionDeclaration(
        name=function.tool.name,
        description=function.description,
        parameters=parameters,
        behavior=types.Behavior.BLOCKING if blocking else types.Behavior.NON_BLOCKING,
    )


def _schema(text: str) -> types.Schema | None:
    from google.genai import types  # see gemini_sdk

    schema = types.Schema.from_json_schema(json_schema=types.JSONSchema.model_validate_json(text))
    # An OBJECT must have properties.
    return schema if schema.properties else None
