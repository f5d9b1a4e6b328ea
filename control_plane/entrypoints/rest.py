"""The REST API: translates HTTP to handlers and back, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError

from control_plane.entrypoints import http_errors
from control_plane.entrypoints.middleware import BodyLimit, RequestMetrics
from control_plane.entrypoints.schemas import (
    Call,
    CallResult,
    CreateCallBody,
    CreatedCall,
    HealthReport,
    Invalid,
    Problem,
    TerminatedCall,
    request_schema,
)
from control_plane.service.handlers import Calls
from control_plane.service.health import Check, examine
from control_plane.service.views import CallViews

_NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "No such call"}}
_AWAY: dict[int | str, dict[str, Any]] = {
    503: {"model": Problem, "description": "A server we need is away; see Retry-After"}
}


def new_app(
    calls: Calls, views: CallViews, checks: Mapping[str, Check], webhooks: APIRouter, version: str
) -> FastAPI:
    """The HTTP application over the handlers given."""
    app = FastAPI(
        title="voiceplane",
        version=version,
        description="Phone calls that talk to the Gemini Live API.",
    )
    http_errors.install(app)
    app.include_router(_calls(calls, views))
    app.include_router(_operations(checks))
    app.include_router(webhooks)
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestMetrics)  # added last: the outermost, so that refused bodies count too
    return app


def _calls(calls: Calls, views: CallViews) -> APIRouter:
    router = APIRouter(prefix="/calls", tags=["calls"])

    # The body is validated from its bytes: pydantic's own parser tells apart what is no JSON, no UTF-8 and
    # no valid call, and names the place, where the framework's would answer 400 without one.
    @router.post(
        "",
        status_code=201,
        responses={**_AWAY, 413: {"model": Problem}, 422: {"model": Invalid}},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": request_schema(CreateCallBody)}},
            }
        },
    )
    async def create_call(request: Request, response: Response) -> CreatedCall:
        """Start a call; answers at once, while the phone is yet to ring."""
        try:
            body = CreateCallBody.model_validate_json(await request.body())
        except ValidationError as error:
            raise RequestValidationError(
                [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
            ) from error
        created = await calls.create(body.new_call())
        response.headers["Location"] = f"/calls/{created.workflow_id}"
        return CreatedCall.of(created)

    @router.get("/{workflow_id}", responses={**_NOT_FOUND, **_AWAY})
    async def get_call(workflow_id: str) -> Call:
        """Where the call is, and how much of it has been transcribed."""
        return Call.of(await views.call(workflow_id))

    @router.post(
        "/{workflow_id}/terminate",
        status_code=202,
        responses={**_NOT_FOUND, **_AWAY, 200: {"model": TerminatedCall, "description": "Over already"}},
    )
    async def terminate_call(workflow_id: str, response: Response) -> TerminatedCall:
        """End the call; one that is over already stays as it is."""
        terminated = await calls.terminate(workflow_id)
        if terminated.over:
            response.status_code = 200
        return TerminatedCall.of(terminated)

    @router.get(
        "/{workflow_id}/result",
        responses={**_NOT_FOUND, **_AWAY, 409: {"model": Problem, "description": "The call is not over"}},
    )
    async def get_call_result(workflow_id: str) -> CallResult:
        """How the call went, once it is over: who said what and when, and how fast."""
        return CallResult.of(await views.result(workflow_id))

    return router


def _operations(checks: Mapping[str, Check]) -> APIRouter:
    router = APIRouter(tags=["operations"])

    @router.get("/health", responses={503: {"model": HealthReport}})
    async def health(response: Response) -> HealthReport:
        """Each server we depend on, with its latency; 503 when a critical one does not answer."""
        found = await examine(checks)
        if not found.ok:
            response.status_code = 503
        return HealthReport.of(found)

    @router.get("/health/live")
    async def live() -> dict[str, str]:
        """That this process answers at all."""
        return {"status": "ok"}

    @router.get("/metrics", response_class=Response)
    async def prometheus() -> Response:
        """Prometheus text format."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router
