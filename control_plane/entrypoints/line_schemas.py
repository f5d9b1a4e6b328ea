"""JSON bodies of the REST API for what is done to a call while it lives, and for lists of calls."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from control_plane.domain import requests as rules
from control_plane.domain.calls import phone_number
from control_plane.service.listing import Page
from control_plane.service.ports import CallRow
from workflows.contracts import CallStatus, TransferRequest


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SayBody(_Strict):
    """Something for the agent to say, or to know."""

    text: Annotated[str, AfterValidator(rules.text)] = Field(
        description="1 to 4096 bytes", examples=["One moment, I am looking that up."]
    )
    mode: Literal["speak", "instruct"] = Field(
        default="speak",
        description="speak: the agent says it now, and what it was saying is cut off; instruct: it is told, "
        "and says nothing about it",
    )


class DtmfBody(_Strict):
    """Keys to press."""

    digits: Annotated[str, AfterValidator(rules.digits)] = Field(
        description="1 to 64 of 0-9 * # A-D, and w: half a second of silence", examples=["1ww42#"]
    )


class TransferBody(_Strict):
    """Whom to hand the callee over to."""

    to: Annotated[str, AfterValidator(phone_number)] = Field(description="E.164", examples=["+15557654321"])
    mode: Literal["cold", "warm"] = Field(
        default="cold",
        description="cold: the callee is sent there; warm: the person hears the summary first, and without a "
        "person the agent goes on",
    )
    summary: str = Field(default="", description="spoken to the person; warm only, at most 2000 bytes")
    timeout_seconds: Annotated[int, AfterValidator(rules.ring_seconds)] = Field(
        default=rules.DEFAULT_RING_SECONDS, description="how long the person's phone rings, 5 to 120"
    )

    @model_validator(mode="after")
    def _summary(self) -> TransferBody:
        rules.summary_for(warm=self.mode == "warm")(self.summary)
        return self

    def request(self) -> TransferRequest:
        return TransferRequest(self.to, self.mode, self.summary, self.timeout_seconds)


class Done(BaseModel):
    """It has been handed to the call."""

    workflow_id: str
    status: CallStatus


class ListedCall(BaseModel):
    workflow_id: str
    status: CallStatus
    phone_number: str
    created_at: str = Field(description="ISO 8601, UTC")
    answered_at: str = Field(description="empty: not answered")
    ended_at: str = Field(description="empty: not over")
    end_reason: str = Field(description="empty: not over")
    duration_seconds: float = Field(description="answered until ended")
    agent_name: str = Field(description="the stored agent it ran; empty: none")
    agent_version: int = Field(description="in this version; 0: none")

    @classmethod
    def of(cls, row: CallRow) -> ListedCall:
        return cls(
            workflow_id=row.workflow_id,
            status=CallStatus(row.status),
            phone_number=row.phone_number,
            created_at=row.created_at,
            answered_at=row.answered_at,
            ended_at=row.ended_at,
            end_reason=row.end_reason,
            duration_seconds=row.duration_seconds,
            agent_name=row.agent_name,
            agent_version=row.agent_version,
        )


class CallPage(BaseModel):
    """Newest first."""

    calls: list[ListedCall]
    next_page_token: str = Field(description="of the next page; empty: this one is the last")

    @classmethod
    def of(cls, page: Page) -> CallPage:
        return cls(calls=[ListedCall.of(row) for row in page.calls], next_page_token=page.next_token)
