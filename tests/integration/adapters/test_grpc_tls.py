"""TLS and mutual TLS of both planes' gRPC servers, and of the control plane's way to media nodes."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from redis.asyncio import Redis

from control_plane.adapters import redis_client
from control_plane.adapters.media_nodes import RegisteredMediaNodes
from control_plane.entrypoints import grpc_server
from control_plane.errors import DependencyUnavailable, SettingRefused
from control_plane.settings import Settings
from protos.tls import ClientTls, Identity, Pem, TlsFault, client_tls, server_credentials
from tests.support.certificates import Authority
from tests.support.media_peers import media_plane
from tests.support.stack import Servers


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def redis(servers: Servers) -> AsyncIterator[Redis]:
    redis = redis_client.connect(servers.redis_url)
    yield redis
    await redis.aclose()


def settings(**changes: str) -> Settings:
    return Settings(_env_file=None, **changes)  # type: ignore[call-arg, arg-type]


async def serving(address: str, credentials: grpc.ChannelCredentials | None) -> bool:
    channel = (
        grpc.aio.secure_channel(address, credentials) if credentials else grpc.aio.insecure_channel(address)
    )
    async with channel:
        try:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False
    return True


def credentials(ca: str, cert: str = "", key: str = "") -> grpc.ChannelCredentials:
    return ClientTls(Identity(Pem("C", cert), Pem("K", key), Pem("CA", ca)), "").credentials()


async def test_the_api_speaks_tls_and_only_that(authority: Authority) -> None:
    cert, key = authority.issue("api", "127.0.0.1")
    tls = settings(grpc_tls_cert=cert, grpc_tls_key=key).grpc_tls
    server = await grpc_server.start((), (), "127.0.0.1", 0, tls)
    try:
        address = f"127.0.0.1:{server.port}"
        assert await serving(address, credentials(authority.path))
        assert not await serving(address, None)
    finally:
        await server.stop(0)


async def test_with_a_client_ca_a_client_must_show_a_certificate_of_it(
    authority: Authority, tmp_path: Path
) -> None:
    cert, key = authority.issue("api", "127.0.0.1")
    mine = authority.issue("client", "client")
    others = Authority(tmp_path, "other").issue("stranger", "client")
    tls = settings(grpc_tls_cert=cert, grpc_tls_key=key, grpc_tls_client_ca=authority.path).grpc_tls
    server = await grpc_server.start((), (), "127.0.0.1", 0, tls)
    try:
        address = f"127.0.0.1:{server.port}"
        assert await serving(address, credentials(authority.path, *mine))
        assert not await serving(address, credentials(authority.path))
        assert not await serving(address, credentials(authority.path, *others))
    finally:
        await server.stop(0)


async def test_a_renewed_certificate_is_shown_without_a_restart(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.issue("api", "127.0.0.1")
    tls = settings(grpc_tls_cert=cert, grpc_tls_key=key).grpc_tls
    server = await grpc_server.start((), (), "127.0.0.1", 0, tls)
    try:
        address = f"127.0.0.1:{server.port}"
        assert await serving(address, credentials(authority.path))
        Path(key).write_text("half a file")
        assert await serving(address, credentials(authority.path))  # with what it had

        renewed = Authority(tmp_path, "next")
        renewed.issue("api", "127.0.0.1")  # over the files of the first
        assert await serving(address, credentials(renewed.path))
        assert not await serving(address, credentials(authority.path))
    finally:
        await server.stop(0)


async def test_the_control_plane_reaches_media_nodes_by_mutual_tls(
    authority: Authority, tmp_path: Path, servers: Servers, redis: Redis
) -> None:
    cert, key = authority.issue("node", "media.internal")
    mine, my_key = authority.issue("control", "control")
    tls = {
        "media_grpc_tls_cert": cert,
        "media_grpc_tls_key": key,
        "media_grpc_tls_client_ca": authority.path,
    }
    towards = settings(
        media_grpc_tls_ca=authority.path, media_grpc_tls_client_cert=mine, media_grpc_tls_client_key=my_key
    ).media_grpc_tls
    nodes = RegisteredMediaNodes(redis, client_tls(towards, "media.internal"))
    in_clear = RegisteredMediaNodes(redis)
    by_address = RegisteredMediaNodes(redis, client_tls(towards, ""))
    try:
        async with media_plane(servers.redis_url, **tls) as plane:
            address = str(plane.endpoints["media_grpc"])
            assert not await nodes.end(address, f"call-{uuid.uuid4()}", "no reason")
            for other in (in_clear, by_address):
                with pytest.raises(DependencyUnavailable):
                    await other.end(address, f"call-{uuid.uuid4()}", "no reason")

            renewed = Authority(
                tmp_path, "ca"
            )  # over the first one's file; the node asks for the new one, too
            renewed.issue("node", "media.internal")
            renewed.issue("control", "control")
            assert not await nodes.end(address, f"call-{uuid.uuid4()}", "no reason")
    finally:
        for each in (nodes, in_clear, by_address):
            await each.close()


def test_what_is_wrong_with_a_file_names_its_setting(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.issue("api", "127.0.0.1")
    other, other_key = authority.issue("other", "127.0.0.1")
    empty = tmp_path / "empty"
    empty.touch()
    gone = str(tmp_path / "gone")
    cases = {
        "GRPC_TLS_KEY: must be set together with GRPC_TLS_CERT": {"grpc_tls_cert": cert},
        "GRPC_TLS_CERT: must be set together with GRPC_TLS_KEY": {"grpc_tls_key": key},
        "GRPC_TLS_CLIENT_CA: needs GRPC_TLS_CERT as well": {"grpc_tls_client_ca": authority.path},
        f"GRPC_TLS_CERT: {gone}: No such file": {"grpc_tls_cert": gone, "grpc_tls_key": key},
        "GRPC_TLS_KEY: is not the key of": {"grpc_tls_cert": cert, "grpc_tls_key": other_key},
        "GRPC_TLS_CERT: with GRPC_TLS_KEY: not a": {"grpc_tls_cert": str(empty), "grpc_tls_key": key},
        f"GRPC_TLS_CLIENT_CA: {empty}: no cert": {
            "grpc_tls_cert": other,
            "grpc_tls_key": other_key,
            "grpc_tls_client_ca": str(empty),
        },
    }
    for message, changes in cases.items():
        with pytest.raises(TlsFault) as caught:
            server_credentials(settings(**changes).grpc_tls)
        assert str(caught.value).startswith(message)
    assert server_credentials(settings().grpc_tls) is None


def test_a_client_certificate_without_a_ca_is_refused(authority: Authority) -> None:
    cert, key = authority.issue("control", "control")
    towards = settings(media_grpc_tls_client_cert=cert, media_grpc_tls_client_key=key).media_grpc_tls
    with pytest.raises(TlsFault, match=r"^MEDIA_GRPC_TLS_CLIENT_CERT: needs MEDIA_GRPC_TLS_CA"):
        client_tls(towards, "")


async def test_the_api_does_not_start_with_files_that_it_can_not_use(authority: Authority) -> None:
    tls = settings(grpc_tls_cert=authority.path, grpc_tls_key=authority.path).grpc_tls
    with pytest.raises(SettingRefused, match=r"^GRPC_TLS_CERT: "):
        await grpc_server.start((), (), "127.0.0.1", 0, tls)
