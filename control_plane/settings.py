"""Settings of the control plane and the worker: environment variables, or `.env` in the working directory."""

from __future__ import annotations

from functools import cached_property
from typing import Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from protos.gemini.check import Service
from protos.gemini.models import DEFAULT_MODEL


class Settings(BaseSettings):
    """Every field is the variable of the same name in capitals. Frozen after start."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    environment: str = "development"  # `production`: JSON logs
    log_level: str = "INFO"

    base_url: str = "http://127.0.0.1:8000"  # as Twilio sees us: webhooks are signed over it
    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=1, le=65535)
    grpc_port: int = Field(default=50050, ge=1, le=65535)
    control_metrics_port: int = Field(default=9101, ge=1, le=65535)
    worker_metrics_port: int = Field(default=9103, ge=1, le=65535)

    database_url: str = "postgresql://postgres@127.0.0.1:5432/voiceplane"
    redis_url: str = "redis://127.0.0.1:6379/0"
    redis_password: SecretStr = SecretStr("")
    redis_session_ttl: int = Field(default=7200, ge=60)  # seconds
    temporal_host: str = "127.0.0.1:7233"
    temporal_namespace: str = "default"

    twilio_account_sid: str = ""
    twilio_auth_token: SecretStr = SecretStr("")
    twilio_phone_number: str = ""  # E.164, the number calls come from
    twilio_api_base_url: str = "https://api.twilio.com"

    # The media nodes', where they must be the same: a call that its model would refuse is refused at once.
    gemini_model: str = DEFAULT_MODEL
    gemini_api_version: str = ""
    gemini_vertex_project: str = ""
    gemini_unknown_models: Literal["allow", "refuse"] = "allow"

    # Requests to HTTP tools are signed with it (docs/tools.md); empty: they are not signed.
    tool_signing_secret: SecretStr = SecretStr("")
    # Hosts, as tools' URLs write them, that may be private, use http and any port: "localhost,10.1.2.3".
    tool_allow_private: str = ""
    tool_ports: str = "443"  # that tools' URLs may use otherwise, "443,8443"

    @field_validator("tool_ports")
    @classmethod
    def _ports(cls, value: str) -> str:
        ports = [port.strip() for port in value.split(",")]
        if not all(port.isdecimal() and 1 <= int(port) <= 65535 for port in ports):
            raise ValueError("must be ports, 1 to 65535, with commas between them")
        return value

    @field_validator("base_url", "twilio_api_base_url")
    @classmethod
    def _no_trailing_slash(cls, value: str) -> str:
        if urlsplit(value).scheme not in ("http", "https"):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    @field_validator("temporal_host")
    @classmethod
    def _with_port(cls, value: str) -> str:
        return value if ":" in value else f"{value}:7233"

    @cached_property
    def gemini_service(self) -> Service:
        """What calls may ask of their model."""
        return Service.of(
            self.gemini_model,
            self.gemini_api_version,
            self.gemini_vertex_project,
            self.gemini_unknown_models,
        )

    @cached_property
    def redis_dsn(self) -> str:
        """`redis_url` with `redis_password` put in, unless it names one itself."""
        password = self.redis_password.get_secret_value()
        parts = urlsplit(self.redis_url)
        if not password or parts.password:
            return self.redis_url
        return urlunsplit(parts._replace(netloc=f":{quote(password, safe='')}@{parts.netloc}"))
