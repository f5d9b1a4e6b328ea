"""Twilio's request signature: base64 of HMAC-SHA1 over the URL and the sorted form parameters.

Source: Twilio's "Webhooks security". A WebSocket upgrade is signed over its URL without the query, and
without the default port, with no parameters.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit


def sign(auth_token: str, url: str, params: Mapping[str, str] | None = None) -> str:
    """`url`: exactly as requested, with its query. `params`: the form's fields, decoded."""
    signed = url + "".join(name + value for name, value in sorted((params or {}).items()))
    return base64.b64encode(hmac.new(auth_token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


def stream_url(url: str) -> str:
    """The address that Twilio dials for `<Stream url>`: the query and a default port are taken off."""
    parts = urlsplit(url)
    netloc = parts.netloc
    default = {"wss": ":443", "ws": ":80"}[parts.scheme]
    return urlunsplit((parts.scheme, netloc.removesuffix(default), parts.path, "", ""))
