"""What the model's closes mean: the code alone does not tell, the reason must be read."""

from __future__ import annotations

import pytest

from media_plane.io.gemini_endpoint import GeminiEndpoint
from media_plane.io.model_leg import closed


@pytest.mark.parametrize(
    ("code", "reason", "retryable"),
    [
        (1000, "", False),
        (1001, "", True),
        (1006, "", True),
        (1007, "Request contains an invalid argument.", False),
        (1007, "API key not valid. Please pass a valid API key.", False),
        (1008, "models/x is not found for API version v1beta", False),
        (1008, "The operation was aborted.", True),
        (1008, "Your API key was reported as leaked.", False),
        (1011, "Internal error encountered.", True),
        (1011, "Deadline expired before operation could complete.", True),
        (1011, "You exceeded your current quota, please check your plan and billing details.", False),
        (1011, "Your prepayment credits are depleted.", False),
        (1011, "Resource has been exhausted (e.g. check quota).", True),
        (1012, "", True),
        (1013, "", True),
    ],
)
def test_closes_are_told_apart(code: int, reason: str, retryable: bool) -> None:
    failure = closed(code, reason)
    assert (failure.code, failure.retryable) == (code, retryable)
    assert failure.reason


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://127.0.0.1:8091", "ws://127.0.0.1:8091/ws/google.ai.generativelanguage.v1.GenerativeService"),
        ("https://host/proxy", "wss://host/proxy/ws/google.ai.generativelanguage.v1.GenerativeService"),
    ],
)
def test_http_means_ws_and_https_means_wss(base: str, url: str) -> None:
    assert GeminiEndpoint(base, "v1", "k", 10.0).url == f"{url}.BidiGenerateContent"
