"""`/numbers`: which agent answers which of our telephone numbers. For admins (docs/auth.md)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from control_plane.domain import calls
from control_plane.entrypoints.problems import problems
from control_plane.service.numbers import MAX_PAGE, Number, Numbers

E164 = Annotated[
    str, Path(description="E.164", examples=["+15551234567"]), AfterValidator(calls.phone_number)
]


class NumberBody(BaseModel):
    """The agent that answers, and the values of its texts' variables but `caller` and `called`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    agent: str = Field(min_length=1, max_length=64, examples=["receptionist"])
    variables: dict[str, str] = Field(default_factory=dict, max_length=64)


class AnsweredNumber(BaseModel):
    """`at`: ISO 8601 UTC, since when; `by`: the principal that said so."""

    number: str
    agent: str
    variables: dict[str, str]
    at: str
    by: str

    @classmethod
    def of(cls, number: Number) -> AnsweredNumber:
        return cls(
            number=number.number,
            agent=number.agent,
            variables=dict(number.variables),
            at=number.at,
            by=number.by,
        )


class AnsweredNumbers(BaseModel):
    """A page, in the order of numbers. `next`: give it as `after`; empty: this was the last."""

    numbers: list[AnsweredNumber]
    next: str


def new_router(numbers: Numbers) -> APIRouter:
    router = APIRouter(prefix="/numbers", tags=["numbers"])

    @router.get("", responses=problems())
    async def list_numbers(
        after: Annotated[str, Query(max_length=20, description="number that the page comes after")] = "",
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    ) -> AnsweredNumbers:
        """The numbers that an agent answers."""
        # A NUL, which no text in Postgres may hold, comes after no number.
        found = await numbers.page(after.replace("\0", ""), limit)
        following = found[-1].number if len(found) == limit else ""
        return AnsweredNumbers(numbers=[AnsweredNumber.of(each) for each in found], next=following)

    @router.get("/{number}", responses=problems())
    async def get_number(number: E164) -> AnsweredNumber:
        """Who answers this number."""
        found = await numbers.get(number)
        if found is None:
            raise HTTPException(404, f"no agent answers {number}")
        return AnsweredNumber.of(found)

    @router.put("/{number}", responses=problems())
    async def put_number(number: E164, body: NumberBody) -> AnsweredNumber:
        """Let an agent answer a number, in its latest version of the moment when somebody calls."""
        return AnsweredNumber.of(await numbers.put(number, body.agent, body.variables))

    @router.delete("/{number}", status_code=204, response_class=Response, responses=problems())
    async def delete_number(number: E164) -> Response:
        """Let nobody answer it; no error when nobody did."""
        await numbers.remove(number)
        return Response(status_code=204)

    return router
