"""The worker: serves the task queue with CallWorkflow and its activities, until it is told to stop.

    python -m workflows

Waits for Temporal to come up, says when it serves (VOICEPLANE_READY_FD), and on SIGTERM stops polling, lets
running activities finish or hand over, and exits 0; another worker goes on with its calls.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import structlog
from temporalio.client import Client
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
    PollerBehaviorAutoscaling,
    Worker,
)

from control_plane.settings import Settings
from workflows import metrics
from workflows.activities import CallActivities, Ports
from workflows.activities_events import EventActivities
from workflows.activities_line import LineActivities
from workflows.activities_webhooks import WebhookActivities
from workflows.call import CallWorkflow
from workflows.contracts import TASK_QUEUE
from workflows.webhook import WebhookWorkflow

_log = structlog.get_logger(__name__)

# Each call under way holds one activity, its follower, for as long as it lasts: this is how many calls a
# worker carries, and the SDK's default of 100 would stop the 101st call from being dialed.
MAX_ACTIVITIES = 4000
# Followers hand over within a second or so; a dial in flight gets its answer within 10 s.
GRACEFUL_SHUTDOWN = timedelta(seconds=10)
# A cancellation and a written position reach Temporal this late at most.
HEARTBEAT_THROTTLE = timedelta(seconds=5)
CONNECT_TIMEOUT = timedelta(seconds=5)
CONNECT_EVERY_S = 0.5


async def connect(settings: Settings) -> Client:
    """A client of Temporal; waits until there is one."""
    said = False
    while True:
        try:
            return await Client.connect(
                settings.temporal_host,
                namespace=settings.temporal_namespace,
                connect_timeout=CONNECT_TIMEOUT,
            )
        except RuntimeError as exc:  # what the SDK raises for every failure to connect
            if not said:
                _log.warning("waiting for Temporal", host=settings.temporal_host, error=str(exc))
                said = True
            await asyncio.sleep(CONNECT_EVERY_S)


def build(client: Client, ports: Ports, **options: Any) -> Worker:
    """The worker over these ports; `options` override Worker's arguments."""
    calls = CallActivities(ports)
    events = EventActivities(ports)
    line = LineActivities(ports)
    webhooks = WebhookActivities(ports)
    arguments: dict[str, Any] = {
        "task_queue": TASK_QUEUE,
        "workflows": [CallWorkflow, WebhookWorkflow],
        "activities": [
            calls.prepare_media,
            calls.dial,
            calls.hang_up,
            calls.end_media,
            calls.record_status,
            calls.finish_call,
            line.expect_stream,
            line.steer_call,
            line.call_person,
            line.tell_agent,
            events.follow_events,
            webhooks.log_webhook,
            webhooks.deliver_webhook,
            webhooks.give_up_webhook,
        ],
        "interceptors": [_Timing()],
        "max_concurrent_activities": MAX_ACTIVITIES,
        "max_heartbeat_throttle_interval": HEARTBEAT_THROTTLE,
        "graceful_shutdown_timeout": GRACEFUL_SHUTDOWN,
        "workflow_task_poller_behavior": PollerBehaviorAutoscaling(),
        "activity_task_poller_behavior": PollerBehaviorAutoscaling(),
    }
    return Worker(client, **{**arguments, **options})


class _Timing(Interceptor):
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _TimedActivity(next)


class _TimedActivity(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        started = time.perf_counter()
        outcome = "failed"
        try:
            result = await super().execute_activity(input)
            outcome = "ok"
            return result
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        finally:
            name = getattr(input.fn, "__name__", "activity")
            metrics.ACTIVITY_SECONDS.labels(name, outcome).observe(time.perf_counter() - started)
