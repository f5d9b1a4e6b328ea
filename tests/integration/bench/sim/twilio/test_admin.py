"""The admin port's answers to good and bad input."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.twilio_sim import CALLEE, bed


async def test_health_counts_live_calls() -> None:
    async with bed() as b:
        assert (await b.admin.get("/health")).json() == {"ok": True, "calls": 0}
        sid = await b.call("<Pause length='60'/>")
        assert (await b.admin.get("/health")).json() == {"ok": True, "calls": 1}
        assert [call["sid"] for call in (await b.admin.get("/calls")).json()] == [sid]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", f"/numbers/{CALLEE}", {"outcome": "maybe"}, 422),
        ("PUT", f"/numbers/{CALLEE}", {"script": [{"play": "/nowhere.wav"}]}, 422),
        ("PUT", f"/numbers/{CALLEE}", {"script": [{"say": "no voice here"}]}, 422),
        ("PUT", "/numbers/7", {}, 422),
        ("POST", "/faults", {"fault": "none"}, 422),
        ("POST", "/calls", {"from": CALLEE}, 422),
        ("POST", "/calls", {"from": CALLEE, "to": CALLEE}, 409),
        ("GET", "/calls/CA0", None, 404),
        ("POST", "/calls/CA0/hangup", None, 404),
    ],
)
async def test_bad_input_is_refused(method: str, path: str, body: Any, status: int) -> None:
    async with bed() as b:
        response = await b.admin.request(method, path, json=body)
        assert response.status_code == status


async def test_broken_json_is_422() -> None:
    async with bed() as b:
        assert (await b.admin.post("/faults", content=b"{")).status_code == 422


async def test_reset_forgets_what_is_over() -> None:
    async with bed() as b:
        over = await b.call("<Say>x</Say>")
        await b.ended(over)
        live = await b.call("<Pause length='60'/>")
        await b.persona({"outcome": "busy"})
        await b.arm("stream_drop")
        assert len((await b.admin.get("/faults")).json()) == 1
        assert (await b.admin.post("/reset")).status_code == 204
        assert [call["sid"] for call in (await b.admin.get("/calls")).json()] == [live]
        assert (await b.admin.get("/faults")).json() == []
        assert b.simulator.world is not None
        assert b.simulator.world.personas == {}


async def test_faults_can_be_disarmed() -> None:
    async with bed() as b:
        await b.arm("api_error", code=21215, call="all")
        assert (await b.create(Twiml="<Response/>")).json()["code"] == 21215
        assert (await b.admin.delete("/faults")).status_code == 204
        assert (await b.create(Twiml="<Response/>")).status_code == 201
