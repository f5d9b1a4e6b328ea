"""Having Twilio place a call, at most once, whatever happens to attempts, workers and answers.

Twilio's request to call has no idempotency key, and its answer may be lost after the telephone has begun to
ring. Three things keep a person from being rung twice:

1. One sender. Each attempt takes over from those before it (`Intents.enter`), and only the newest may send:
   a worker that was cut off from Temporal, and comes back, finds that it has been superseded.
2. What was sent is written down before it is sent. An attempt that finds such a note waits until the request
   can no longer be on its way, then looks for the call: where Twilio's webhooks leave its sid, and in
   Twilio's own list.
3. The same look after an answer that never came, before the attempt gives up; and a cancelled attempt stays
   until it knows what became of its request, so that the call can be ended.

In front of all that the call waits for its turn (TWILIO_CPS) and the dialing policy is asked once more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from control_plane import dialing_metrics
from control_plane.domain.dialing.policy import queue_full
from control_plane.errors import (
    DependencyUnavailable,
    DialAmbiguous,
    DialLater,
    DialRefused,
    PolicyRefused,
)
from control_plane.service.dialing import MAX_WAIT_S, Admission, Ask
from control_plane.service.dialing_ports import CallOver, Intents, Owners, Pacer, Superseded
from control_plane.service.ports import Placed, SessionStore, Telephony
from workflows import metrics
from workflows.contracts import Dial, Dialed

_log = structlog.get_logger(__name__)

# Twilio hangs up by itself this long after the workflow should have: the second net.
TIME_LIMIT_SLACK_S = 30
# How long a call that Twilio took without our hearing so needs to show: in its list, or by a first callback.
RECONCILE_S = 8.0
RECONCILE_EVERY_S = 0.5
# A request that was sent longer ago than this has been answered, or its client has given up (10 s), and what
# it brought about shows in Twilio's list.
SETTLE_S = 12.0
# A worker's last sign of life may be this old; stays well under the activity's heartbeat timeout.
HEARTBEAT_EVERY_S = 2.0
# How long a sleeping call may be unaware that all turns were moved, or that this worker is to stop.
NAP_S = 1.0
# Twilio's own queue is in use: more calls were asked for than it places. Below this it is mere rounding.
QUEUED_MS = 250


class Dialer:
    """`dial` once for each attempt of the activity."""

    def __init__(
        self,
        telephony: Telephony,
        sessions: SessionStore,
        admission: Admission,
        pacer: Pacer,
        intents: Intents,
        owners: Owners,
        *,
        reconcile_s: float = RECONCILE_S,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._telephony = telephony
        self._sessions = sessions
        self._admission = admission
        self._pacer = pacer
        self._intents = intents
        self._owners = owners
        self._reconcile_s = reconcile_s
        self._settle_s = settle_s

    async def dial(self, request: Dial, attempt: int) -> Dialed:
        """Place the call, or find it placed.

        Args:
            attempt: of the activity, from 1.

        Raises:
            DialRefused: Twilio will not place it.
            PolicyRefused: the dialing policy does not allow it.
            DependencyUnavailable: not placed so far; the next attempt looks again before it dials.
            ApplicationError: a later attempt has taken over, or the call is over.
        """
        try:
            async with _beating():
                return await self._dial(request, attempt)
        except (Superseded, CallOver) as exc:
            raise ApplicationError(
                f"this attempt must not dial: {type(exc).__name__}",
                type=type(exc).__name__,
                non_retryable=True,
            ) from exc
        except PolicyRefused:
            metrics.DIALS.labels("not allowed").inc()
            raise

    async def _dial(self, request: Dial, attempt: int) -> Dialed:
        sent_ms = await self._intents.enter(request.workflow_id, attempt)
        if attempt > 1 or sent_ms is not None:
            # An earlier attempt may have placed the call without living to tell.
            if sent_ms is not None:
                await self._nap_until(sent_ms / 1000 + self._settle_s)
            sid = await self._find_placed(request)
            if sid is not None:
                return await self._found(request, sid)
        ask = Ask(request.workflow_id, request.principal, request.phone_number, request.max_duration_seconds)
        await self._admission.confirm(ask)
        if await self._await_turn(request.workflow_id):
            await self._admission.recheck(ask)
        await self._intents.sending(request.workflow_id, attempt, _now_ms())
        placing = asyncio.create_task(self._place(request, attempt), name=f"dial {request.workflow_id}")
        try:
            return await asyncio.shield(placing)
        except asyncio.CancelledError:
            # What was sent can't be called back; who cancels needs the sid to end the call.
            return await placing

    async def _place(self, request: Dial, attempt: int) -> Dialed:
        try:
            placed = await self._telephony.dial(
                to=request.phone_number,
                workflow_id=request.workflow_id,
                time_limit_s=request.max_duration_seconds + TIME_LIMIT_SLACK_S,
                detect_machine=request.detect_machine,
            )
        except DialRefused:
            metrics.DIALS.labels("refused").inc()
            raise
        except DependencyUnavailable as exc:
            metrics.DIALS.labels("unavailable").inc()
            await self._intents.not_placed(request.workflow_id, attempt)
            if isinstance(exc, DialLater):
                await self._hold("busy", exc.retry_after_s * 1000)
            raise
        except DialAmbiguous as exc:
            metrics.DIALS.labels("unanswered").inc()
            _log.warning("no word whether Twilio placed the call", workflow_id=request.workflow_id)
            sid = await self._await_placed(request)
            if sid is None:
                # Retried: the next attempt looks once more before it dials.
                raise DependencyUnavailable("twilio", str(exc)) from exc
            return await self._found(request, sid)
        metrics.DIALS.labels("placed").inc()
        await self._note(request.workflow_id, placed)
        return Dialed(placed.call_sid)

    async def _note(self, workflow_id: str, placed: Placed) -> None:
        """Leave word of the call for attempts and webhooks to come; losing it costs them a look at Twilio."""
        try:
            await self._owners.placed(workflow_id, placed.call_sid)
            await self._sessions.update(workflow_id, call_sid=placed.call_sid)
            if placed.queue_ms >= QUEUED_MS:
                await self._hold("queued", placed.queue_ms)
        except DependencyUnavailable as exc:
            _log.warning("call sid not noted", workflow_id=workflow_id, error=str(exc))

    async def _hold(self, why: str, for_ms: int) -> None:
        dialing_metrics.HELD.labels(why).inc()
        await self._pacer.hold(_now_ms(), for_ms)

    async def _await_turn(self, workflow_id: str) -> bool:
        """Wait until Twilio may be asked. True: that took long enough for rules to have changed.

        Raises:
            PolicyRefused: it would take too long.
        """
        began = time.monotonic()
        while True:
            waited_s = time.monotonic() - began
            wait_ms = await self._pacer.turn(workflow_id, _now_ms(), int((MAX_WAIT_S - waited_s) * 1000))
            if wait_ms == 0:
                dialing_metrics.WAIT_SECONDS.observe(waited_s)
                return waited_s > NAP_S
            if wait_ms is None or waited_s + wait_ms / 1000 > MAX_WAIT_S + NAP_S:
                refusal = queue_full(MAX_WAIT_S, MAX_WAIT_S)
                raise PolicyRefused(refusal.rule, refusal.sentence, retry_after_s=refusal.retry_after_s)
            _stop_if_leaving()
            await asyncio.sleep(min(wait_ms / 1000, NAP_S))

    async def _nap_until(self, unix_s: float) -> None:
        while (left := unix_s - time.time()) > 0:
            _stop_if_leaving()
            await asyncio.sleep(min(left, NAP_S))

    async def _found(self, request: Dial, sid: str) -> Dialed:
        metrics.DIALS.labels("reconciled").inc()
        _log.info("found the call placed", workflow_id=request.workflow_id, call_sid=sid)
        await self._note(request.workflow_id, Placed(sid))
        return Dialed(sid)

    async def _find_placed(self, request: Dial) -> str | None:
        """The call's sid, if a webhook brought it or Twilio lists it. Raises DependencyUnavailable."""
        try:
            session = await self._sessions.get(request.workflow_id)
        except DependencyUnavailable:
            session = None  # Twilio's own list decides
        if session is not None and session.call_sid:
            return session.call_sid

        async def may_be_ours(call_sid: str) -> bool:
            return await self._owners.owner(call_sid) in (None, request.workflow_id)

        return await self._telephony.find_recent(
            to=request.phone_number,
            workflow_id=request.workflow_id,
            since=request.started_at,
            may_be_ours=may_be_ours,
        )

    async def _await_placed(self, request: Dial) -> str | None:
        """Look for the call for a while; None when Twilio, asked at the end, lists none."""
        deadline = time.monotonic() + self._reconcile_s
        while True:
            last = time.monotonic() >= deadline or activity.is_worker_shutdown()
            try:
                sid = await self._find_placed(request)
            except DependencyUnavailable:
                if last:
                    raise
                sid = None
            if sid is not None or last:
                return sid
            await asyncio.sleep(RECONCILE_EVERY_S)


def _stop_if_leaving() -> None:
    """This worker is going, and nothing has been sent: the next attempt goes on elsewhere."""
    if activity.is_worker_shutdown():
        raise ApplicationError(
            "the worker is shutting down", type="WorkerShutdown", category=ApplicationErrorCategory.BENIGN
        )


@asynccontextmanager
async def _beating(beat: Callable[[], None] = activity.heartbeat) -> AsyncIterator[None]:
    """Within this block, Temporal hears that the attempt lives, and the attempt that it is cancelled."""

    async def beat_on() -> None:
        while True:
            beat()
            await asyncio.sleep(HEARTBEAT_EVERY_S)

    beating = asyncio.create_task(beat_on())
    try:
        yield
    finally:
        beating.cancel()


def _now_ms() -> int:
    return int(time.time() * 1000)
