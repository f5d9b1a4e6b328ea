"""What the control plane counts, by Prometheus names. Served at /metrics and on CONTROL_METRICS_PORT."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

# From a cached read to TwiML that waited for the media leg.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

HTTP_REQUESTS = Counter(
    "voiceplane_control_http_requests_total",
    "HTTP requests answered, by route template.",
    ["method", "route", "status"],
)
HTTP_SECONDS = Histogram(
    "voiceplane_control_http_request_seconds",
    "Time from a request's headers to its answer's last byte.",
    ["method", "route"],
    buckets=_SECONDS,
)
GRPC_REQUESTS = Counter(
    "voiceplane_control_grpc_requests_total", "gRPC requests answered.", ["method", "code"]
)
CALLS_CREATED = Counter("voiceplane_control_calls_created_total", "Calls whose workflow was started.")
CALLS_REFUSED = Counter(
    "voiceplane_control_calls_refused_total",
    "Valid requests for calls that could not be started, by the server that was away.",
    ["dependency"],
)
STARTS_UNDONE = Counter(
    "voiceplane_control_starts_undone_total",
    "Workflows found running although their start had been answered with 503, and ended.",
)
STARTS_UNCHECKED = Counter(
    "voiceplane_control_starts_unchecked_total",
    "Failed starts of which we could not learn whether they had reached Temporal after all.",
)
WEBHOOKS_REJECTED = Counter(
    "voiceplane_control_webhooks_rejected_total",
    "Requests to Twilio's webhooks that were not taken.",
    ["hook", "reason"],
)
WEBHOOKS_LOST = Counter(
    "voiceplane_control_webhooks_lost_total",
    "Verified status callbacks that could not be handed to their workflow.",
    ["dependency"],
)
WEBHOOKS_REPEATED = Counter(
    "voiceplane_control_webhooks_repeated_total", "News of Twilio's that had been told before.", ["hook"]
)
INBOUND = Counter(
    "voiceplane_control_inbound_total", "Calls to our numbers, by what became of them.", ["outcome"]
)
TWIML = Counter("voiceplane_control_twiml_total", "TwiML documents answered, by what they say.", ["verb"])
WATCHERS = Gauge("voiceplane_control_watchers", "Calls being watched, over gRPC or HTTP.")
REQUESTS_LIMITED = Counter(
    "voiceplane_control_requests_limited_total", "Requests refused because of the rate limit."
)
REQUESTS_UNLIMITED = Counter(
    "voiceplane_control_requests_unlimited_total",
    "Requests served without asking the rate limit, because Redis was away.",
)
