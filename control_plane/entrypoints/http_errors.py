"""How errors answer over HTTP: the only place that knows both."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from control_plane.errors import CallNotFound, CallNotOver, DependencyUnavailable, InvalidCall


def install(app: FastAPI) -> None:
    """Have `app` answer our errors as `{"detail": …}` with the status that fits."""

    @app.exception_handler(CallNotFound)
    async def not_found(_: Request, error: CallNotFound) -> Response:
        return _problem(404, str(error))

    @app.exception_handler(CallNotOver)
    async def not_over(_: Request, error: CallNotOver) -> Response:
        return _problem(409, str(error))

    @app.exception_handler(DependencyUnavailable)
    async def unavailable(_: Request, error: DependencyUnavailable) -> Response:
        # Which server is away may be known; its address and its own words belong in the log.
        return _problem(
            503, f"{error.dependency} is unavailable", headers={"Retry-After": str(error.retry_after_s)}
        )

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        # The input is left out: it may be large, secret, or no valid Unicode to answer with.
        detail = [
            {"loc": list(each["loc"]), "msg": each["msg"], "type": each["type"]} for each in error.errors()
        ]
        return JSONResponse({"detail": detail}, status_code=422)

    @app.exception_handler(InvalidCall)
    async def invalid_call(_: Request, error: InvalidCall) -> Response:
        detail = [
            {"loc": ["body", *_path(field)], "msg": reason, "type": "value_error"}
            for field, reason in error.violations.items()
        ]
        return JSONResponse({"detail": detail}, status_code=422)


def _path(field: str) -> list[str | int]:
    return [int(step) if step.isdecimal() else step for step in field.split(".")]


def _problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"detail": detail}, status_code=status, headers=headers)
