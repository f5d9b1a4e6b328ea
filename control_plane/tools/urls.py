"""A tool's URL, checked as text: before a call is made with it, and again before it is fetched."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from control_plane.tools import addresses

MAX_URL = 2048
# Printable ASCII without space, quotes, backslash and what browsers and servers disagree about.
_URL = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}$)({_LABEL}\.)*{_LABEL}")
_DEFAULT_PORTS = {"https": 443, "http": 80}


class ToolRefused(Exception):
    """A tool is not asked, or its answer not taken, for safety's sake; the message says why."""


@dataclass(frozen=True)
class UrlPolicy:
    """`allowed_hosts`: names or addresses, as URLs write them, that may be private, use http and any port:
    for development, and for services one runs oneself. `ports`: those that all other URLs may use."""

    allowed_hosts: frozenset[str] = frozenset()
    ports: frozenset[int] = frozenset({443})


@dataclass(frozen=True)
class Target:
    """Where a URL leads. `trusted`: its host is an allowed one, so that any address will do."""

    scheme: str
    host: str
    port: int
    trusted: bool


def check(url: str, policy: UrlPolicy) -> Target:
    """Raises: ToolRefused."""
    if len(url) > MAX_URL:
        raise ToolRefused(f"the URL is longer than {MAX_URL} characters")
    if not _URL.fullmatch(url):
        raise ToolRefused("the URL holds characters that must be percent-encoded")
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").lower()
    except ValueError as error:
        raise ToolRefused(f"not a URL: {error}") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise ToolRefused("the URL must start with https://")
    if "@" in parts.netloc:
        raise ToolRefused("the URL holds credentials; send them in a header")
    if parts.fragment:
        raise ToolRefused("the URL has a fragment, which is never sent")
    try:
        address = addresses.literal(host)
    except ValueError as error:
        raise ToolRefused(str(error)) from None
    if address is None and not _NAME.fullmatch(host):
        raise ToolRefused(f"{host or 'the empty string'} is not a host name")
    port = port if port is not None else _DEFAULT_PORTS[parts.scheme]
    if host in policy.allowed_hosts:
        return Target(parts.scheme, host, port, trusted=True)
    if address is not None and (reason := addresses.refusal(address)):
        raise ToolRefused(reason)
    if parts.scheme != "https":
        raise ToolRefused("the URL must start with https://")
    if port not in policy.ports:
        raise ToolRefused(f"port {port} is not one that tools may use")
    return Target(parts.scheme, host, port, trusted=False)
