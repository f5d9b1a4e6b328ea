"""What the dialing policy counts, in the API's process and in the worker's, by Prometheus names."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

REFUSED = Counter(
    "voiceplane_dialing_refused_total", "Calls that the dialing policy did not allow.", ["rule"]
)
WAIT_SECONDS = Histogram(
    "voiceplane_dialing_wait_seconds",
    "How long calls waited for their turn to be asked for at Twilio.",
    buckets=(0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120),
)
HELD = Counter(
    "voiceplane_dialing_held_total",
    "Times that all workers held their requests back because of what Twilio said: busy, or queued.",
    ["why"],
)
AUDIT_DROPPED = Counter(
    "voiceplane_dialing_audit_dropped_total",
    "Audit entries that are only in the log: too many waited while Postgres was away.",
)
