"""When a request of this very machine needs no credential. Pure.

Only in development, bound to loopback. A tunnel or a proxy ends on loopback too, and makes whoever comes
through it look like this machine; so nobody is let in without a credential when either is known to exist
(BASE_URL is a public address, TRUSTED_PROXIES is set), or when the request shows that it came through one.
Web pages that the developer looks at can send requests to this machine as well: what a browser says of them
is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from control_plane.errors import SettingRefused
from control_plane.settings import Settings

_FORWARDED = frozenset(
    {
        *("forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "x-cluster-client-ip"),
        *("cf-connecting-ip", "cf-ray", "fastly-client-ip", "x-original-host", "x-envoy-external-address"),
        *("x-arr-ssl", "x-amzn-trace-id", "tailscale-user-login"),
    }
)


def why_not(settings: Settings) -> str:
    """Empty: requests of this machine need no credential; otherwise why they do.

    Raises:
        SettingRefused: the API would be open to others.
    """
    if settings.api_auth == "required":
        return "API_AUTH is required"
    remedy = "set it to `required`, and make keys with `voiceplane keys create`"
    if not is_loopback(settings.api_host):
        raise SettingRefused(
            "API_AUTH", f"is `local`, but API_HOST is {settings.api_host}, which others reach: {remedy}"
        )
    if settings.environment == "production":
        raise SettingRefused("API_AUTH", f"is `local`, but ENVIRONMENT is production: {remedy}")
    if settings.trusted_proxies:
        return "TRUSTED_PROXIES is set: requests come through a proxy"
    if not is_loopback(urlsplit(settings.base_url).hostname or ""):
        return "BASE_URL is a public address: what leads from there to this machine must not open the API"
    return ""


def is_direct(address: str, headers: Mapping[str, str]) -> bool:
    """Whether a request was made by a program on this machine, directly.

    Args:
        address: of the peer.
        headers: by names in lower case.
    """
    if not is_loopback(address):
        return False
    if any(name in _FORWARDED or name.startswith("x-forwarded") for name in headers):
        return False
    # A name that somebody else's DNS resolves to 127.0.0.1 is how web pages reach local servers.
    host = headers.get("host", "")
    if host and not is_loopback(_hostname(f"//{host}")):
        return False
    origin = headers.get("origin", "")
    if origin and not is_loopback(_hostname(origin)):
        return False
    return headers.get("sec-fetch-site", "none") in ("none", "same-origin", "same-site")


def is_loopback(host: str) -> bool:
    """Of a name or an address without port."""
    if host == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
