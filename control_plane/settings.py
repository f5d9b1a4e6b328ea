"""Settings of the control plane and the worker: environment variables, or `.env` in the working directory."""

from __future__ import annotations

from functools import cached_property
from ipaddress import ip_network
from typing import Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import SettingsConfigDict

from control_plane.dialing_settings import DialingSettings
from protos.gemini.check import Service
from protos.gemini.models import DEFAULT_MODEL
from protos.tls import Identity, Pem

# Signatures that only the issuer of tokens can make: with HMAC, whoever can verify can sign.
JWT_ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)


class Settings(DialingSettings):
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

    api_rate_limit: int = Field(default=6000, ge=0, le=1_000_000)  # requests a minute of one key; 0: no limit
    cors_origins: str = (
        ""  # web pages that may use the API, "https://a.example,https://b.example"; empty: none
    )

    database_url: str = "postgresql://postgres@127.0.0.1:5432/voiceplane"
    redis_url: str = "redis://127.0.0.1:6379/0"
    redis_password: SecretStr = SecretStr("")
    redis_session_ttl: int = Field(default=7200, ge=60)  # seconds
    temporal_host: str = "127.0.0.1:7233"
    temporal_namespace: str = "default"

    twilio_account_sid: str = ""
    twilio_auth_token: SecretStr = SecretStr("")
    twilio_shared_key_id: str = ""  # of Twilio's HMAC-SHA256 signatures; empty: none
    twilio_shared_key_secret: SecretStr = SecretStr("")
    twilio_api_base_url: str = "https://api.twilio.com"

    # The media nodes', where they must be the same: a call that its model would refuse is refused at once.
    gemini_model: str = DEFAULT_MODEL
    gemini_api_version: str = ""
    gemini_vertex_project: str = ""
    gemini_unknown_models: Literal["allow", "refuse"] = "allow"

    # Who may ask (docs/auth.md). local: requests of this machine need no credential, in development.
    api_auth: Literal["local", "required"] = "local"
    api_metrics: Literal["guarded", "open"] = "guarded"  # /metrics of the API
    # Addresses and networks of proxies whose X-Forwarded-For is believed: "10.0.0.0/8,192.0.2.7".
    trusted_proxies: str = ""
    jwt_issuer: str = ""
    jwt_audience: str = ""
    jwt_algorithms: str = "RS256"  # several: "RS256,ES256"
    jwt_scope_claim: str = "scope"
    jwt_leeway_s: int = Field(default=30, ge=0, le=300)
    jwt_jwks_url: str = ""  # empty: tokens are not taken, API keys alone

    # PEM files. Of the API's gRPC server; with a client CA, clients must show a certificate of it.
    grpc_tls_cert: str = ""
    grpc_tls_key: str = ""
    grpc_tls_client_ca: str = ""
    # Towards the media nodes' gRPC servers: what they must be signed by, what we show them, and the name in
    # their certificates, where that is not the address they are dialed at.
    media_grpc_tls_ca: str = ""
    media_grpc_tls_client_cert: str = ""
    media_grpc_tls_client_key: str = ""
    media_grpc_tls_name: str = ""

    # Requests to HTTP tools are signed with it (docs/tools.md); empty: they are not signed.
    tool_signing_secret: SecretStr = SecretStr("")
    # Webhooks that we send are signed with it (docs/webhooks.md); empty: they are not signed.
    webhook_signing_secret: SecretStr = SecretStr("")
    # Hosts, as tools' URLs write them, that may be private, use http and any port: "localhost,10.1.2.3".
    tool_allow_private: str = ""
    tool_ports: str = "443"  # that tools' URLs may use otherwise, "443,8443"

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        for each in filter(None, (part.strip() for part in value.split(","))):
            ip_network(each, strict=False)
        return value

    @field_validator("jwt_algorithms")
    @classmethod
    def _algorithms(cls, value: str) -> str:
        unknown = {name.strip() for name in value.split(",")} - JWT_ALGORITHMS
        if unknown:
            raise ValueError(f"must be among {', '.join(sorted(JWT_ALGORITHMS))}, with commas between them")
        return value

    @field_validator("jwt_jwks_url")
    @classmethod
    def _complete(cls, value: str, info: ValidationInfo) -> str:
        needed = [name for name in ("jwt_issuer", "jwt_audience") if not info.data.get(name)]
        if value and needed:
            raise ValueError(f"needs {' and '.join(needed).upper()} as well")
        if not value and len(needed) < 2:
            raise ValueError("must be set together with JWT_ISSUER and JWT_AUDIENCE")
        if value and urlsplit(value).scheme not in ("http", "https"):
            raise ValueError("must start with https://")
        return value

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

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        for origin in filter(None, (each.strip() for each in value.split(","))):
            parts = urlsplit(origin)
            if origin != "*" and (parts.scheme not in ("http", "https") or parts.path or not parts.netloc):
                raise ValueError(
                    "must be origins, like https://console.example.com, with commas between them"
                )
        return value

    @cached_property
    def cors_allowed(self) -> tuple[str, ...]:
        return tuple(filter(None, (origin.strip() for origin in self.cors_origins.split(","))))

    @cached_property
    def gemini_service(self) -> Service:
        """What calls may ask of their model."""
        return Service.of(
            self.gemini_model,
            self.gemini_api_version,
            self.gemini_vertex_project,
            self.gemini_unknown_models,
        )

    @property
    def jwt_allowed(self) -> frozenset[str]:
        """Algorithms."""
        return frozenset(name.strip() for name in self.jwt_algorithms.split(","))

    @property
    def grpc_tls(self) -> Identity:
        """Of the API's gRPC server."""
        return Identity(
            cert=Pem("GRPC_TLS_CERT", self.grpc_tls_cert),
            key=Pem("GRPC_TLS_KEY", self.grpc_tls_key),
            ca=Pem("GRPC_TLS_CLIENT_CA", self.grpc_tls_client_ca),
        )

    @property
    def media_grpc_tls(self) -> Identity:
        """Towards the media nodes."""
        return Identity(
            cert=Pem("MEDIA_GRPC_TLS_CLIENT_CERT", self.media_grpc_tls_client_cert),
            key=Pem("MEDIA_GRPC_TLS_CLIENT_KEY", self.media_grpc_tls_client_key),
            ca=Pem("MEDIA_GRPC_TLS_CA", self.media_grpc_tls_ca),
        )

    @cached_property
    def redis_dsn(self) -> str:
        """`redis_url` with `redis_password` put in, unless it names one itself."""
        password = self.redis_password.get_secret_value()
        parts = urlsplit(self.redis_url)
        if not password or parts.password:
            return self.redis_url
        return urlunsplit(parts._replace(netloc=f":{quote(password, safe='')}@{parts.netloc}"))
