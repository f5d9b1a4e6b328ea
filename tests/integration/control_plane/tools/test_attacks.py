"""Everything a tool's URL or answer can be made of to harm us, against real servers: each is refused, and the
reason names it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bench.sim.gemini import tls
from bench.sim.tools import server as tool_server
from bench.sim.tools.server import Fault, ToolServer
from control_plane.tools.definitions import HttpTool
from control_plane.tools.http_tool import HttpTools, ToolFailed, ToolRequest
from control_plane.tools.pinned import PinnedTransport, Resolve, resolve
from control_plane.tools.urls import ToolRefused, UrlPolicy

ANYWHERE = UrlPolicy(allowed_hosts=frozenset({"127.0.0.1", "localhost"}))


@pytest.fixture
async def tools() -> AsyncIterator[ToolServer]:
    async with tool_server.running() as server:
        yield server


def new_request(timeout_s: float = 5.0, **arguments: Any) -> ToolRequest:
    return ToolRequest("call-1", "fc-1", "f", arguments, "call-1:fc-1", timeout_s)


def new_tool(url: str, **changes: Any) -> HttpTool:
    return HttpTool.model_validate({"name": "f", "description": "does f", "url": url, **changes})


async def ask(
    url: str,
    *,
    policy: UrlPolicy = ANYWHERE,
    resolver: Resolve = resolve,
    trust: ssl.SSLContext | None = None,
    timeout_s: float = 5.0,
) -> dict[str, Any]:
    transport = PinnedTransport(policy, ssl_context=trust, resolver=resolver)
    http = HttpTools(transport, secret="")
    try:
        return await http.ask(new_tool(url), new_request(timeout_s))
    finally:
        await http.close()


class Names:
    """A name server whose answers change: what DNS rebinding does."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        return self._answers[min(self.asked, len(self._answers)) - 1]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (["127.0.0.1"], "loopback"),
        (["10.1.2.3"], "private"),
        (["169.254.169.254"], "metadata"),
        (["93.184.216.34", "192.168.0.1"], "private"),
        (["::ffff:10.0.0.1"], "IPv4-mapped"),
        (["64:ff9b::a9fe:a9fe"], "NAT64"),
        (["2002:c0a8:1::1"], "6to4"),
        ([], "no address"),
    ],
)
async def test_a_name_that_leads_inside_is_refused(found: list[str], reason: str) -> None:
    with pytest.raises(ToolRefused, match=reason):
        await ask("https://tools.example.com/f", policy=UrlPolicy(), resolver=Names(found))


async def test_a_name_is_resolved_once_so_that_rebinding_finds_nothing_to_change(tools: ToolServer) -> None:
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    port = urlsplit(tools.url).port
    tools.answers["f"] = {"output": "from the first address"}
    assert await ask(f"http://localhost:{port}/f", resolver=names) == {"output": "from the first address"}
    assert names.asked == 1


async def test_a_connection_goes_to_the_address_that_was_found_and_asks_for_the_name(tmp_path: Path) -> None:
    cert, key = tls.self_signed(tmp_path)
    async with tool_server.running(tls=tls.server_context(cert, key)) as server:
        port = urlsplit(server.url).port
        names = Names(["127.0.0.1"])
        policy = UrlPolicy(allowed_hosts=frozenset({"localhost"}))
        trust = ssl.create_default_context(cafile=str(cert))
        server.answers["f"] = {"output": "here"}
        answer = await ask(f"https://localhost:{port}/f", policy=policy, resolver=names, trust=trust)
        assert answer == {"output": "here"}
        assert names.asked == 1
        assert server.requests[0].headers["Host"] == f"localhost:{port}"


@pytest.mark.parametrize("trusting", [False, True], ids=["unknown issuer", "another name"])
async def test_bad_tls_is_refused(tmp_path: Path, trusting: bool) -> None:
    cert, key = tls.self_signed(tmp_path)
    trust = ssl.create_default_context(cafile=str(cert)) if trusting else None
    async with tool_server.running(tls=tls.server_context(cert, key)) as server:
        port = urlsplit(server.url).port
        policy = UrlPolicy(allowed_hosts=frozenset({"tools.example.com"}))
        with pytest.raises(ToolRefused, match="TLS"):
            await ask(
                f"https://tools.example.com:{port}/f",
                policy=policy,
                resolver=Names(["127.0.0.1"]),
                trust=trust,
            )
        assert server.requests == []


async def test_plain_http_behind_https_is_refused(tools: ToolServer) -> None:
    with pytest.raises(ToolRefused, match="TLS"):
        await ask(tools.url.replace("http:", "https:") + "/f")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(redirect="http://169.254.169.254/latest/meta-data/"), r"redirect \(307\)"),
        (Fault(status=301), r"redirect \(301\)"),
        (Fault(status=304), r"redirect \(304\)"),
        (Fault(size=200_000), "longer than 64512 bytes"),
        (Fault(size=200_000, chunked=True), "longer than 64512 bytes"),
        (Fault(encoding="gzip"), "compressed"),
        (Fault(content_type="text/html", body="<html>"), "text/html, neither JSON nor plain text"),
        (Fault(content_type="application/octet-stream"), "neither JSON nor plain text"),
    ],
)
async def test_an_answer_that_could_harm_is_refused(tools: ToolServer, fault: Fault, reason: str) -> None:
    tools.faults["f"] = fault
    with pytest.raises(ToolRefused, match=reason):
        await ask(f"{tools.url}/f")
    assert len(tools.requests) == 1, "a redirect was followed"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(delay_ms=60_000), "no answer within 0.5 s"),
        (Fault(drip_ms=100), "no answer within 0.5 s"),
        (Fault(cut=True), "disconnected"),
        (Fault(status=500, content_type="text/plain", body="on fire"), "HTTP 500: on fire"),
        (Fault(status=404, content_type="text/html", body="<html>"), "HTTP 404$"),
        (Fault(body="{broken"), "not the JSON it says"),
    ],
)
async def test_a_tool_that_fails_is_told_apart_from_one_that_is_refused(
    tools: ToolServer, fault: Fault, reason: str
) -> None:
    tools.faults["f"] = fault
    with pytest.raises(ToolFailed, match=reason):
        await ask(f"{tools.url}/f", timeout_s=0.5)


async def test_headers_without_an_end_are_refused_in_time() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        try:
            while True:
                writer.write(b"X-More: " + b"x" * 1000 + b"\r\n")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(endless, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ToolFailed, match="RemoteProtocolError"):
            await ask(f"http://127.0.0.1:{port}/f")


async def test_two_host_names_of_one_address_never_share_a_connection(tools: ToolServer) -> None:
    transport = PinnedTransport(ANYWHERE, resolver=Names(["127.0.0.1"]))
    http = HttpTools(transport, secret="")
    port = urlsplit(tools.url).port
    for host in ("localhost", "127.0.0.1"):
        await http.ask(new_tool(f"http://{host}:{port}/f"), new_request())
    await http.close()
    assert [asked.headers["Host"] for asked in tools.requests] == [f"localhost:{port}", f"127.0.0.1:{port}"]
