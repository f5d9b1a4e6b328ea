"""Settings of a media node: environment variables, or `.env` in the working directory (docs/seams.md)."""

from __future__ import annotations

import os
import re
import socket
from enum import StrEnum
from functools import cached_property
from typing import Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from protos.gemini.check import Service
from protos.gemini.models import DEFAULT_MODEL
from protos.tls import Identity, Pem

MAX_WORKERS = 128
GEMINI_API = "https://generativelanguage.googleapis.com"


class Resampler(StrEnum):
    """What changes sample rates on the live path."""

    KERNEL = "kernel"  # our FIR kernels: at most 2 ms of delay
    SOXR_QQ = "soxr-qq"
    SOXR_HQ = "soxr-hq"  # holds back 12-115 ms, in lumps
    SOXR_VHQ = "soxr-vhq"


class Settings(BaseSettings):
    """Every field is the variable of the same name in capitals. Frozen after start."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True)

    environment: str = "development"  # `production`: JSON logs
    log_level: str = "INFO"

    redis_url: str = "redis://127.0.0.1:6379/0"
    redis_password: SecretStr = SecretStr("")
    redis_session_ttl: int = Field(default=7200, ge=60)  # seconds

    gemini_api_key: SecretStr = SecretStr("")  # or the name of an ephemeral token: auth_tokens/…
    gemini_base_url: str = GEMINI_API  # http means ws; on Vertex AI this default means the location's address
    gemini_api_version: str = ""  # empty: v1beta; v1alpha with an ephemeral token, v1beta1 on Vertex AI
    gemini_model: str = DEFAULT_MODEL
    gemini_voice: str = "Puck"
    gemini_unknown_models: Literal["allow", "refuse"] = "allow"
    gemini_tell_heard: Literal["yes", "no"] = "yes"
    # What the model is sent, Hz. 8000 is telephone audio as it is.
    gemini_uplink_rate: Literal[8000, 16000] = 16000
    # With a project, sessions run on Vertex AI.
    gemini_vertex_project: str = ""
    gemini_vertex_location: str = "us-central1"
    gemini_vertex_credentials: str = ""  # a service account's file; empty: Application Default Credentials
    # Some refused setups are answered with silence, so the wait for setupComplete (usually 0.3 s) must end by
    # itself.
    gemini_setup_timeout_s: float = Field(default=10.0, gt=0)
    # Warm connections to the model: docs/pool.md.
    gemini_pool_max: int = Field(default=16, ge=0)  # of both levels; 0: no pool
    gemini_pool_sockets_min: int = Field(default=2, ge=0)
    gemini_pool_sessions_min: int = Field(default=0, ge=0)  # for each setup asked for lately
    gemini_pool_sessions_max: int = Field(default=8, ge=0)  # for each setup
    gemini_pool_opening: int = Field(default=4, ge=1)  # at once
    gemini_pool_socket_age_s: float = Field(default=30.0, gt=0)  # the service cuts sockets that say nothing
    # A connection is cut after about ten minutes, which a call should have for itself.
    gemini_pool_session_age_s: float = Field(default=120.0, gt=0)
    gemini_pool_window_s: float = Field(default=60.0, gt=0)  # over which the rate of calls is taken
    # When a call's session is renewed without being asked to: those that the service did not announce the end
    # of were cut after 58 minutes.
    gemini_session_age_s: float = Field(default=3300.0, gt=0)
    gemini_renew_within_s: float = Field(default=15.0, gt=0)  # a call goes on for so long without its model
    # after_hello: how long the agent waits for the callee to speak first. What is said meanwhile must fit
    # into the 5 s that are kept for the model.
    greeting_silence_s: float = Field(default=1.2, ge=0.2, le=2.5)
    # Models that are silent when they should speak: docs/stalls.md.
    stall_watch: Literal["yes", "no"] = "yes"
    stall_wait_min_s: float = Field(default=2.0, ge=0.5, le=60)  # for an answer, however fast they have been
    stall_wait_max_s: float = Field(default=8.0, ge=0.5, le=60)  # however slow
    stall_gap_s: float = Field(default=1.5, ge=0.5, le=60)  # of silence in the middle of an answer
    stall_then: Literal["wait", "end_call"] = "wait"  # when nothing has helped
    # Said to callers whose model stays silent; empty: nothing is.
    stall_hold_line: str = Field(default="One moment, please.", max_length=200)
    stall_goodbye_line: str = Field(
        default="I am sorry, something is not working. Please call again later. Goodbye.", max_length=200
    )

    # With one of these, streams must be signed by Twilio, over the address of MEDIA_PUBLIC_WS_URL.
    twilio_auth_token: SecretStr = SecretStr("")
    twilio_shared_key_id: str = ""
    twilio_shared_key_secret: SecretStr = SecretStr("")
    dtmf_to_model: Literal["yes", "no"] = "yes"  # which keys the caller presses

    media_node_id: str = Field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    media_workers: int | Literal["auto"] = 1  # processes; auto: one per usable core
    media_host: str = "127.0.0.1"
    media_ws_port: int = Field(default=8081, ge=0, le=65535)  # 0: any free one
    media_grpc_port: int = Field(default=50051, ge=0, le=65535)
    media_metrics_port: int = Field(default=9102, ge=0, le=65535)
    # {worker} in these two stands for the worker's number, {port} for the port it bound.
    # PEM files of the gRPC server; with a client CA, the control plane must show a certificate of it.
    media_grpc_tls_cert: str = ""
    media_grpc_tls_key: str = ""
    media_grpc_tls_client_ca: str = ""
    media_public_ws_url: str = ""  # as Twilio dials it, wss://… in production; empty: media_host and port
    media_grpc_advertise: str = ""  # as the control plane dials it; empty: media_host and port
    media_capacity: int = Field(default=400, ge=1)  # calls, prepared and live
    media_resampler: Resampler = Resampler.KERNEL
    media_drain_s: float = Field(
        default=5.0, ge=0
    )  # how long SIGTERM lets live calls finish before it ends them

    @field_validator("gemini_base_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if urlsplit(value).scheme not in ("http", "https"):
            raise ValueError("must start with http:// or https://")
        return value.rstrip("/")

    @field_validator("gemini_uplink_rate", mode="before")
    @classmethod
    def _rate(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and value.isdecimal() else value

    @field_validator("gemini_api_version")
    @classmethod
    def _version(cls, value: str) -> str:
        if not re.fullmatch(r"(v[0-9][a-z0-9]*)?", value):
            raise ValueError("must be a version of the API, like v1beta, or empty")
        return value

    @field_validator("gemini_vertex_location")
    @classmethod
    def _location(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z0-9-]{1,63}", value):
            raise ValueError("must be a location of Google Cloud, like us-central1")
        return value

    @field_validator("media_public_ws_url")
    @classmethod
    def _websocket(cls, value: str) -> str:
        if value and urlsplit(value).scheme not in ("ws", "wss"):
            raise ValueError("must start with ws:// or wss://")
        return value.rstrip("/")

    @field_validator("media_public_ws_url", "media_grpc_advertise")
    @classmethod
    def _address(cls, value: str) -> str:
        if re.search(r"[{}]", re.sub(r"\{(worker|port)\}", "", value)):
            raise ValueError("may hold {worker} and {port}, and no other braces")
        return value

    @field_validator("media_workers", mode="plain")
    @classmethod
    def _workers(cls, value: object) -> int | str:
        text = str(value)
        if text == "auto":
            return text
        if not text.isdecimal() or not 1 <= int(text) <= MAX_WORKERS:
            raise ValueError(f"must be auto, or a number from 1 to {MAX_WORKERS}")
        return int(text)

    @field_validator("media_node_id")
    @classmethod
    def _identifier(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", value):
            raise ValueError("must be 1-128 characters of A-Z a-z 0-9 _ . -")
        return value

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
    def media_grpc_tls(self) -> Identity:
        """Of the gRPC server."""
        return Identity(
            cert=Pem("MEDIA_GRPC_TLS_CERT", self.media_grpc_tls_cert),
            key=Pem("MEDIA_GRPC_TLS_KEY", self.media_grpc_tls_key),
            ca=Pem("MEDIA_GRPC_TLS_CLIENT_CA", self.media_grpc_tls_client_ca),
        )

    @cached_property
    def redis_dsn(self) -> str:
        """`redis_url` with `redis_password` put in, unless it names one itself."""
        password = self.redis_password.get_secret_value()
        parts = urlsplit(self.redis_url)
        if not password or parts.password:
            return self.redis_url
        return urlunsplit(parts._replace(netloc=f":{quote(password, safe='')}@{parts.netloc}"))

    def public_ws_url(self, port: int) -> str:
        """What Twilio dials, of a node whose WebSocket server is on `port`."""
        return _addressed(self.media_public_ws_url or f"ws://{self.media_host}:{port}", port)

    def grpc_advertise(self, port: int) -> str:
        """What the control plane dials, of a node whose gRPC server is on `port`."""
        return _addressed(self.media_grpc_advertise or f"{self.media_host}:{port}", port)


def _addressed(address: str, port: int) -> str:
    # A supervisor has put in its workers' numbers; a node alone is the first.
    return address.replace("{worker}", "0").replace("{port}", str(port))
