"""`/dialing`: the kill switch, the do-not-call list and the audit over HTTP. For admins (docs/auth.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from control_plane.domain import calls, principal
from control_plane.domain.dialing.caps import Caps, Usage
from control_plane.entrypoints.problems import problems
from control_plane.service.dialing_ports import Entry, Listed, Stop
from control_plane.service.dialing_rules import MAX_PAGE, DialingRules

Number = Annotated[
    str, Path(description="E.164", examples=["+15551234567"]), AfterValidator(calls.phone_number)
]


class Reason(BaseModel):
    """Why, for whoever is refused and for the audit; may be left out."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: Annotated[str, AfterValidator(calls.reason)] = Field(
        default="", examples=["asked not to be called"]
    )


class StopState(BaseModel):
    """The kill switch. `at`: ISO 8601 UTC; `by`: the principal that threw it."""

    stopped: bool
    at: str = ""
    by: str = ""
    reason: str = ""

    @classmethod
    def of(cls, stop: Stop | None) -> StopState:
        if stop is None:
            return cls(stopped=False)
        return cls(stopped=True, at=stop.at, by=stop.by, reason=stop.reason)


class DialingState(BaseModel):
    """The kill switch; the account's use and its caps; how long a call asked for now waits for its turn."""

    stop: StopState
    usage: Usage
    caps: Caps
    waiting_s: float


class ListedNumber(BaseModel):
    """An entry of the do-not-call list. `at`: ISO 8601 UTC."""

    number: str
    at: str
    by: str
    reason: str

    @classmethod
    def of(cls, listed: Listed) -> ListedNumber:
        return cls(number=listed.number, at=listed.at, by=listed.by, reason=listed.reason)


class ListedNumbers(BaseModel):
    """A page of the list, in the order of numbers. `next`: give it as `after`; empty: this was the last."""

    numbers: list[ListedNumber]
    next: str


class AuditEntry(BaseModel):
    """What was done. `action`: refused stop resume list unlist; fields that do not apply are empty."""

    at: datetime
    action: str
    by: str
    number: str
    rule: str
    workflow_id: str
    detail: str

    @classmethod
    def of(cls, entry: Entry) -> AuditEntry:
        return cls(**{name: getattr(entry, name) for name in cls.model_fields})


def new_router(rules: DialingRules) -> APIRouter:
    router = APIRouter(prefix="/dialing", tags=["dialing"])

    @router.get("", responses=problems())
    async def get_dialing() -> DialingState:
        """Whether calls are placed, and how much of the account's caps is used."""
        found = await rules.status()
        return DialingState(
            stop=StopState.of(found.stop), usage=found.usage, caps=found.caps, waiting_s=found.waiting_s
        )

    @router.put("/stop", responses=problems())
    async def stop_dialing(body: Reason) -> StopState:
        """Stop all dialing, at once: nothing rings that does not ring yet. Calls under way go on."""
        return StopState.of(await rules.stop(principal.current().id, body.reason))

    @router.delete("/stop", status_code=204, response_class=Response, responses=problems())
    async def resume_dialing() -> Response:
        """Allow dialing again; no error when it was not stopped."""
        await rules.resume(principal.current().id)
        return Response(status_code=204)

    @router.get("/do-not-call", responses=problems())
    async def list_do_not_call(
        after: Annotated[str, Query(max_length=20, description="number that the page comes after")] = "",
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
    ) -> ListedNumbers:
        """The numbers that are never called."""
        # A NUL, which no text in Postgres may hold, comes after no number.
        found = await rules.page(after.replace("\0", ""), limit)
        following = found[-1].number if len(found) == limit else ""
        return ListedNumbers(numbers=[ListedNumber.of(each) for each in found], next=following)

    @router.put("/do-not-call/{number}", status_code=204, response_class=Response, responses=problems())
    async def add_do_not_call(number: Number, body: Reason) -> Response:
        """Never call this number again; no error when it is on the list already."""
        await rules.add([number], principal.current().id, body.reason)
        return Response(status_code=204)

    @router.delete("/do-not-call/{number}", status_code=204, response_class=Response, responses=problems())
    async def remove_do_not_call(number: Number) -> Response:
        """Take a number off the list; no error when it is not on it."""
        await rules.remove(number, principal.current().id)
        return Response(status_code=204)

    @router.get("/audit", responses=problems())
    async def list_audit(limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100) -> list[AuditEntry]:
        """What was refused, by which rule, and who changed the rules; newest first."""
        return [AuditEntry.of(each) for each in await rules.audit(limit)]

    return router
