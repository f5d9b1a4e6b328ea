"""What the commands that ask a running server share: its address and our key, JSON or tables, errors."""

from __future__ import annotations

import functools
import inspect
import json as json_lib
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, Never, ParamSpec

import typer

from control_plane.devstack.options import StackOptions

if TYPE_CHECKING:
    import grpc

    from control_plane.client import ApiError, Client

_P = ParamSpec("_P")
TIMEOUT_S = 10.0
_TLS = "https://"
_UNSAFE = frozenset({"Cc", "Zl", "Zp"})
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

Address = Annotated[
    str,
    typer.Option(
        envvar="VOICEPLANE_ADDRESS",
        metavar="HOST:PORT",
        help="The API's gRPC port; https://HOST:PORT for TLS. Unset: the stack that runs here, or GRPC_PORT.",
    ),
]
ApiKey = Annotated[
    str, typer.Option(envvar="VOICEPLANE_API_KEY", help="A key or token (docs/auth.md).", show_default=False)
]
TlsCa = Annotated[
    Path | None, typer.Option(envvar="VOICEPLANE_TLS_CA", help="PEM file: who must have signed the server.")
]
TlsCert = Annotated[
    Path | None, typer.Option(envvar="VOICEPLANE_TLS_CERT", help="PEM file: what we show the server.")
]
TlsKey = Annotated[Path | None, typer.Option(envvar="VOICEPLANE_TLS_KEY", help="PEM file: its key.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True)
class Remote:
    """The server to ask, and how to print what it says."""

    address: Address = ""
    api_key: ApiKey = ""
    tls_ca: TlsCa = None
    tls_cert: TlsCert = None
    tls_key: TlsKey = None
    json: Json = False

    @functools.cached_property
    def target(self) -> str:
        return self.address.removeprefix(_TLS) or _local_address()

    def client(self) -> Client:
        from control_plane.client import Client

        return Client(self.target, api_key=self.api_key, credentials=self._credentials())

    @contextmanager
    def agents(self) -> Iterator[Callable[[str, Any], Any]]:
        """Sends a request to a method of AgentService; raises ApiError."""
        import grpc

        from control_plane.client import ApiError, requests
        from protos.voiceplane.agents.v1.agent_service_pb2_grpc import AgentServiceStub

        credentials, options = self._credentials(), requests.CHANNEL_OPTIONS
        if credentials is None:
            channel = grpc.insecure_channel(self.target, options=options)
        else:
            channel = grpc.secure_channel(self.target, credentials, options=options)
        with channel:
            stub = AgentServiceStub(channel)

            def send(method: str, request: Any) -> Any:
                try:
                    metadata = requests.metadata(self.api_key)
                    return getattr(stub, method)(request, metadata=metadata, timeout=TIMEOUT_S)
                except grpc.RpcError as failure:
                    raise ApiError.of(failure) from failure

            yield send

    def print_json(self, value: object) -> None:
        typer.echo(json_lib.dumps(value, ensure_ascii=False))

    def _credentials(self) -> grpc.ChannelCredentials | None:
        import grpc

        if not (self.address.startswith(_TLS) or self.tls_ca or self.tls_cert):
            return None
        if (self.tls_cert is None) != (self.tls_key is None):
            usage("--tls-cert and --tls-key must be given together")
        ca, cert, key = (
            None if path is None else read_file(option, path).encode()
            for option, path in (
                ("--tls-ca", self.tls_ca),
                ("--tls-cert", self.tls_cert),
                ("--tls-key", self.tls_key),
            )
        )
        return grpc.ssl_channel_credentials(ca, key, cert)


def remote_command(command: Callable[Concatenate[Remote, _P], None]) -> Callable[..., None]:
    """Add the options of `Remote` to a command. What the server refuses ends it with a sentence, status 1."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    added = list(inspect.signature(Remote, eval_str=True).parameters.values())
    names = [each.name for each in fields(Remote)]

    @functools.wraps(command)
    def run(*args: _P.args, **given: _P.kwargs) -> None:
        remote = Remote(**{name: given.pop(name) for name in names})  # type: ignore[arg-type]
        with _sentences(remote):
            command(remote, *args, **given)

    run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (*own, *added)]
    )
    return run


def usage(message: str) -> Never:
    """End the command: it was not called right."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(2)


def refused(message: str) -> Never:
    """End the command: the server said no."""
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(1)


def read_file(option: str, path: Path) -> str:
    """Its text; of standard input for `-`."""
    try:
        return typer.get_text_stream("stdin").read() if str(path) == "-" else path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        usage(f"{option}: {path}: {getattr(error, 'strerror', None) or error}")


def pairs(option: str, texts: list[str] | None) -> dict[str, str]:
    """Of `name=value`."""
    found = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            usage(f"{option}: {text!r} is not name=value")
        found[name] = value
    return found


def plain(text: str) -> str:
    """Without what would move a terminal's cursor or colour it: others wrote it."""
    return "".join(" " if unicodedata.category(each) in _UNSAFE or each in _BIDI else each for each in text)


def sentence(error: ApiError, address: str) -> str:
    """What the server refused, with the field."""
    if error.violations:
        return "; ".join(f"{field}: {why}" for field, why in error.violations.items())
    name = error.code.name
    if name == "UNAVAILABLE" and not error.reason:
        return f"no server answers at {address} (--address, VOICEPLANE_ADDRESS)"
    if name == "UNAUTHENTICATED":
        return f"{error.message} (--api-key, VOICEPLANE_API_KEY)"
    if error.retry_after_s:
        return f"{error.message}; try again in {error.retry_after_s:.0f} s"
    return error.message


@contextmanager
def _sentences(remote: Remote) -> Iterator[None]:
    from control_plane.client import ApiError

    try:
        yield
    except ApiError as error:
        refused(plain(sentence(error, remote.target)))


def _local_address() -> str:
    """Of the stack that runs in this folder; without one, what the settings name."""
    from pydantic import ValidationError

    from control_plane.devstack.datadir import DataDir
    from control_plane.settings import Settings

    state: dict[str, Any] | None = DataDir(StackOptions.data_dir).read_state()
    if state is not None and "grpc" in state["endpoints"]:
        return str(state["endpoints"]["grpc"])
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        usage(f"{str(first['loc'][0]).upper()}: {first['msg']}")
    host = "127.0.0.1" if settings.api_host in ("0.0.0.0", "::") else settings.api_host
    return f"{host}:{settings.grpc_port}"
