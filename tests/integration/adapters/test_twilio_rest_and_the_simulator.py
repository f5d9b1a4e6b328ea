"""Our Twilio client against the simulator, which knows nothing of it: both read the vendor's documents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from control_plane.adapters.twilio_rest import TwilioRest
from control_plane.errors import DependencyUnavailable, DialAmbiguous, DialRefused
from control_plane.settings import Settings
from tests.support.twilio_sim import CALLEE, Bed, bed

UNDER_WAY = ("queued", "initiated", "ringing")


@pytest.fixture
async def sim() -> AsyncIterator[Bed]:
    async with bed() as found:
        yield found


@pytest.fixture
async def rest(sim: Bed) -> AsyncIterator[TwilioRest]:
    settings = Settings(
        _env_file=None,
        base_url=sim.customer.url,
        twilio_account_sid=sim.config.account_sid,
        twilio_auth_token=sim.config.auth_token,
        twilio_phone_number=sim.config.number,
        twilio_api_base_url=sim.simulator.rest_url,
    )
    rest = TwilioRest(settings)
    yield rest
    await rest.close()


async def dial(rest: TwilioRest, workflow_id: str = "call-1") -> str:
    return (await rest.dial(to=CALLEE, workflow_id=workflow_id, time_limit_s=90)).call_sid


def now() -> str:
    return datetime.now(UTC).isoformat()


async def test_a_call_rings_and_ends_when_told(sim: Bed, rest: TwilioRest) -> None:
    await sim.persona({"answer_after_ms": 60_000})
    sid = await dial(rest)
    assert (await sim.state(sid))["status"] in UNDER_WAY
    await rest.end(sid, "completed")
    assert (await sim.ended(sid))["status"] in ("completed", "canceled")
    await rest.end(sid, "completed")


@pytest.mark.parametrize(("code", "says"), [(21211, "no valid phone number"), (20003, "credentials")])
async def test_a_refusal_is_told_in_plain_words(sim: Bed, rest: TwilioRest, code: int, says: str) -> None:
    await sim.arm("api_error", code=code, on="create")
    with pytest.raises(DialRefused, match=says) as refused:
        await dial(rest)
    assert refused.value.code == code


async def test_too_many_requests_are_repeated_safely(sim: Bed, rest: TwilioRest) -> None:
    await sim.arm("api_error", code=20429, on="create")
    with pytest.raises(DependencyUnavailable):
        await dial(rest)
    assert (await dial(rest)).startswith("CA")


async def test_a_call_whose_creation_was_never_answered_is_found(sim: Bed, rest: TwilioRest) -> None:
    await sim.persona({"answer_after_ms": 60_000})
    since = now()
    assert await rest.find_recent(to=CALLEE, workflow_id="call-1", since=since) is None
    await sim.arm("api_lost_response", on="create")
    with pytest.raises(DialAmbiguous):
        await dial(rest)
    sid = await rest.find_recent(to=CALLEE, workflow_id="call-1", since=since)
    assert sid is not None
    assert (await sim.state(sid))["status"] in UNDER_WAY
    await rest.end(sid, "canceled")
