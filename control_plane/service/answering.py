"""What Twilio shall do with a call it asks instructions for: connect it to its media node, or hang up."""

from __future__ import annotations

import asyncio

from control_plane.domain.calls import is_workflow_id
from control_plane.errors import DependencyUnavailable
from control_plane.service.ports import Session, SessionStore
from workflows.contracts import CallStatus

# Twilio gives a TwiML request 15 s; the callee hears silence meanwhile.
WAIT_S = 8.0
POLL_S = 0.05  # a look at Redis costs 0.1 ms; this is the most it adds to the answer


async def stream_session(sessions: SessionStore, workflow_id: str, wait_s: float = WAIT_S) -> Session | None:
    """The session of a live call with its media leg prepared (`stream_url` set), awaited up to `wait_s`.

    None: there is nobody to talk to: the call is unknown or over, or no media leg came in time.

    Raises:
        DependencyUnavailable: Redis was away, and still is at the end of the wait.
    """
    if not is_workflow_id(workflow_id):
        return None
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    while True:
        away: DependencyUnavailable | None = None
        try:
            session = await sessions.get(workflow_id)
        except DependencyUnavailable as error:
            # Somebody has just picked up the phone: a short outage must not cost the call.
            away = error
        else:
            if session is None or CallStatus(session.status).final:
                return None
            if session.stream_url:
                return session
        if loop.time() + POLL_S >= deadline:
            if away is not None:
                raise away
            return None
        await asyncio.sleep(POLL_S)
