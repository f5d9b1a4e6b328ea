"""What authentication counts."""

from __future__ import annotations

from prometheus_client import Counter

ATTEMPTS = Counter(
    "voiceplane_control_auth_total",
    "Requests that needed a credential, by its kind (key, jwt, local, other, none) and what came of it.",
    ["kind", "outcome"],
)
STALE_KEYS = Counter(
    "voiceplane_control_auth_stale_total",
    "Requests let in by what was known of their key before the database went away.",
)
JWKS_FETCHES = Counter(
    "voiceplane_control_jwks_fetches_total", "Fetches of the token issuer's keys.", ["outcome"]
)
