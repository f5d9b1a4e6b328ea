"""Where the model's service is, how to get in, and what it calls its models."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from media_plane.settings import GEMINI_API, Settings

_DEVELOPER = "/ws/google.ai.generativelanguage.{version}.GenerativeService.{method}"
_VERTEX = "/ws/google.cloud.aiplatform.{version}.LlmBidiService/BidiGenerateContent"
_TOKEN = "auth_tokens/"  # what an ephemeral token's name begins with
_MULTI_REGIONS = ("us", "eu")


class Bearer(Protocol):
    """Google Cloud credentials."""

    def headers(self) -> dict[str, str]:
        """Those that let a request in now. Raises ModelFailure: there is no valid token at the moment."""


@dataclass(frozen=True)
class Vertex:
    """A Google Cloud project that pays for the sessions, and where they run."""

    project: str
    location: str
    bearer: Bearer


@dataclass(frozen=True)
class GeminiEndpoint:
    """The Gemini API with `api_key` (a key, or an ephemeral token's name), or Vertex AI."""

    base_url: str  # http(s)://host[:port]
    api_version: str
    api_key: str
    setup_timeout_s: float
    # None: the system's trust, read from disk for every connection.
    ssl_context: ssl.SSLContext | None = None
    vertex: Vertex | None = None

    @classmethod
    def of(cls, settings: Settings, bearer: Bearer | None) -> GeminiEndpoint:
        """`bearer`: for Vertex AI, which is what a project in the settings asks for."""
        vertex, base_url = None, settings.gemini_base_url
        version = settings.gemini_service.api_version
        if settings.gemini_vertex_project:
            assert bearer is not None, "Vertex AI needs credentials"
            vertex = Vertex(settings.gemini_vertex_project, settings.gemini_vertex_location, bearer)
            if base_url == GEMINI_API:
                base_url = _address(settings.gemini_vertex_location)
        elif not settings.gemini_api_version and is_ephemeral(settings.gemini_api_key.get_secret_value()):
            version = "v1alpha"  # the only one that google-genai takes tokens for without a warning
        return cls(
            base_url=base_url,
            api_version=version,
            api_key=settings.gemini_api_key.get_secret_value(),
            setup_timeout_s=settings.gemini_setup_timeout_s,
            ssl_context=ssl.create_default_context(),
            vertex=vertex,
        )

    @property
    def url(self) -> str:
        parts = urlsplit(self.base_url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        if self.vertex is not None:
            path = _VERTEX.format(version=self.api_version)
        else:
            method = "BidiGenerateContentConstrained" if self._ephemeral else "BidiGenerateContent"
            path = _DEVELOPER.format(version=self.api_version, method=method)
        return f"{scheme}://{parts.netloc}{parts.path}{path}"

    def headers(self) -> dict[str, str]:
        """Of the upgrade request, as google-genai sends them. Raises ModelFailure as `Bearer.headers`."""
        if self.vertex is not None:
            return self.vertex.bearer.headers()
        found = {"x-goog-api-key": self.api_key}
        if self._ephemeral:
            found["Authorization"] = f"Token {self.api_key}"
        return found

    def model(self, name: str) -> str:
        """The resource name of the model `name`, which may be one already."""
        if self.vertex is None:
            return name if name.startswith(("models/", "tunedModels/")) else f"models/{name}"
        if name.startswith(("projects/", "models/")):
            return name
        if not name.startswith("publishers/"):
            publisher, _, model = name.rpartition("/")
            name = f"publishers/{publisher or 'google'}/models/{model}"
        return f"projects/{self.vertex.project}/locations/{self.vertex.location}/{name}"

    @property
    def _ephemeral(self) -> bool:
        return is_ephemeral(self.api_key)


def is_ephemeral(api_key: str) -> bool:
    """Whether what is used as a key is an ephemeral token's name."""
    return api_key.startswith(_TOKEN)


def _address(location: str) -> str:
    """Vertex AI's address in a location, or `global`."""
    if location == "global":
        return "https://aiplatform.googleapis.com"
    if location in _MULTI_REGIONS:
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"
