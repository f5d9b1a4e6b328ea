"""The HTTP application: routes, errors, and what every request passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastapi import APIRouter, FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware.cors import CORSMiddleware

from control_plane.auth.authenticator import Authenticator
from control_plane.entrypoints import agents_rest, dialing, http_errors, numbers_rest, rest_calls, webhook_log
from control_plane.entrypoints.middleware import BodyLimit, RateLimit, RequestMetrics
from control_plane.entrypoints.rest_auth import Authentication, describe
from control_plane.entrypoints.schemas import HealthReport
from control_plane.service.health import Check, examine
from control_plane.service.limits import RequestLimit
from control_plane.service.use_cases import UseCases

_DESCRIPTION = """Phone calls that talk to the Gemini Live API.

Errors are problem details (RFC 9457). Requests are limited by key; `RateLimit` (of
draft-ietf-httpapi-ratelimit-headers-10) tells what is left."""


def new_app(
    use: UseCases,
    checks: Mapping[str, Check],
    webhooks: APIRouter,
    limit: RequestLimit,
    version: str,
    *,
    authenticator: Authenticator,
    open_metrics: bool = False,
    cors_origins: Sequence[str] = (),
) -> FastAPI:
    """The HTTP application over the handlers given."""
    app = FastAPI(title="voiceplane", version=version, description=_DESCRIPTION)
    http_errors.install(app)
    app.include_router(rest_calls.new_router(use))
    app.include_router(dialing.new_router(use.dialing))
    app.include_router(webhook_log.new_router(use.webhooks))
    app.include_router(agents_rest.new_router(use.agents))
    app.include_router(numbers_rest.new_router(use.numbers))
    app.include_router(_operations(checks))
    app.include_router(webhooks)
    # From the innermost to the outermost.
    app.add_middleware(BodyLimit)
    app.add_middleware(RateLimit, limit=limit)
    app.add_middleware(Authentication, authenticator=authenticator, open_metrics=open_metrics)
    if cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(cors_origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Last-Event-ID"],
            expose_headers=["ETag", "Location", "Retry-After", "RateLimit", "RateLimit-Policy"],
        )
    app.add_middleware(RequestMetrics)  # so that refused requests count too
    describe(app)
    return app


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
