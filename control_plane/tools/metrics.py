"""What executing tools counts, by Prometheus names; served with the worker's figures."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

CALLS = Counter(
    "voiceplane_tools_calls_total",
    "Function calls taken up: ok, failed, refused, cancelled, expired, lost (another executor went on).",
    ["kind", "outcome"],
)
SECONDS = Histogram("voiceplane_tools_seconds", "How long a function took.", ["kind"], buckets=_SECONDS)
PICKUP_SECONDS = Histogram(
    "voiceplane_tools_pickup_seconds", "From the event's entry in Redis to the execution.", buckets=_SECONDS
)
RUNNING = Gauge("voiceplane_tools_running", "Functions being executed.")
TAKEN_OVER = Counter("voiceplane_tools_taken_over_total", "Calls taken from an executor that went silent.")
ANSWERS = Counter(
    "voiceplane_tools_answers_total",
    "Answers given to media nodes: taken, late (dropped there), undeliverable.",
    ["outcome"],
)
UNREADABLE = Counter(
    "voiceplane_tools_events_unreadable_total", "Entries that were no tool's event; skipped."
)
