"""Bodies of HTTP requests: read from their bytes, and described in the OpenAPI document.

pydantic's own parser tells apart what is no JSON, no UTF-8 and no valid body, and names the place, where the
framework's would answer 400 without one.
"""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

Body = TypeVar("Body", bound=BaseModel)


async def read(model: type[Body], request: Request) -> Body:
    """Raises RequestValidationError."""
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        raise RequestValidationError(
            [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        ) from error


def described(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """`openapi_extra` of an operation that reads such a body."""
    content = {"application/json": {"schema": schema(model), "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """The body's JSON Schema in one piece, as a description of an operation can hold it."""
    found = model.model_json_schema()
    definitions = found.pop("$defs", {})

    def whole(part: Any) -> Any:
        if isinstance(part, list):
            return [whole(each) for each in part]
        if not isinstance(part, dict):
            return part
        if "$ref" in part:
            return whole(definitions[part["$ref"].rpartition("/")[2]])
        return {name: whole(value) for name, value in part.items() if name != "discriminator"}

    in_one_piece: dict[str, Any] = whole(found)
    return in_one_piece
