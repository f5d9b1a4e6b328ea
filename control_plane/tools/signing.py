"""Requests to tools are signed, so that a tool knows who calls and that nothing was changed or sent again.

X-Voiceplane-Timestamp: seconds since the Unix epoch, decimal
X-Voiceplane-Signature: v1=HMAC-SHA256 in lower-case hex, over
    timestamp "." method "." path and query "." body
    with the secret TOOL_SIGNING_SECRET (docs/tools.md has the same check to copy)
"""

from __future__ import annotations

import hashlib
import hmac

TIMESTAMP = "X-Voiceplane-Timestamp"
SIGNATURE = "X-Voiceplane-Signature"
WINDOW_S = 300  # a request older than this is refused; also how far clocks may differ


def sign(secret: str, timestamp: int, method: str, target: str, body: bytes) -> str:
    """`target`: path and query, as in the request line."""
    signed = f"{timestamp}.{method}.{target}.".encode() + body
    return "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def verify(
    secret: str, timestamp: str, signature: str, method: str, target: str, body: bytes, now: float
) -> bool:
    """Whether a request was signed with `secret` within the last five minutes."""
    if not (timestamp.isascii() and timestamp.isdecimal()) or abs(now - int(timestamp)) > WINDOW_S:
        return False
    expected = sign(secret, int(timestamp), method, target, body)
    return hmac.compare_digest(expected.encode(), signature.encode())
