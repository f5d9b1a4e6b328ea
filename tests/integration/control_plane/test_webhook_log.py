"""The log of webhooks over HTTP, and sending one again."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client

from control_plane.adapters.postgres_webhooks import PostgresWebhooks
from control_plane.service.webhook_ports import Delivery, Outcome
from control_plane.settings import Settings
from tests.support.control import Control, new_workflow_id
from tests.support.eventually import eventually


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[PostgresWebhooks]:
    log = PostgresWebhooks(settings.database_url)
    yield log
    await log.close()


def delivery(workflow_id: str, event: str = "call.ended", *, minutes_ago: float = 0) -> Delivery:
    id_ = f"{workflow_id}.{event}"
    at = (datetime.now(UTC) - timedelta(minutes=minutes_ago)).isoformat(timespec="milliseconds")
    body = {
        "id": id_,
        "type": event,
        "created_at": at,
        "data": {"workflow_id": workflow_id, "status": "busy"},
    }
    return Delivery(id_, workflow_id, event, "https://crm.example.com/hook", json.dumps(body), at)


async def test_a_webhook_is_shown_with_what_became_of_it(control: Control, log: PostgresWebhooks) -> None:
    one = delivery(new_workflow_id())
    await log.add(one)
    await log.attempted(one.id, Outcome(503, "HTTP 503"))
    shown = (await control.http.get(f"/webhooks/deliveries/{one.id}")).json()
    assert shown["body"] == json.loads(one.body)
    assert {name: shown[name] for name in ("state", "attempts", "last_status", "last_error")} == {
        "state": "pending",
        "attempts": 1,
        "last_status": 503,
        "last_error": "HTTP 503",
    }
    await log.give_up(one.id)
    assert (await control.http.get(f"/webhooks/deliveries/{one.id}")).json()["state"] == "failed"
    await log.attempted(one.id, Outcome(200))
    await log.attempted(one.id, Outcome(500))
    assert (await control.http.get(f"/webhooks/deliveries/{one.id}")).json()["state"] == "delivered"


async def test_webhooks_of_a_call_are_listed_newest_first_page_by_page(
    control: Control, log: PostgresWebhooks
) -> None:
    workflow_id = new_workflow_id()
    for age, event in enumerate(("transcript.ready", "call.ended", "call.answered")):
        await log.add(delivery(workflow_id, event, minutes_ago=age))
    await log.attempted(f"{workflow_id}.call.ended", Outcome(204))
    asked = {"workflow_id": workflow_id, "limit": 2}
    first = (await control.http.get("/webhooks/deliveries", params=asked)).json()
    assert [each["event"] for each in first["deliveries"]] == ["transcript.ready", "call.ended"]
    rest = (await control.http.get("/webhooks/deliveries", params=asked | {"before": first["next"]})).json()
    assert [each["event"] for each in rest["deliveries"]] == ["call.answered"]
    assert rest["next"] == ""
    taken = (await control.http.get("/webhooks/deliveries", params=asked | {"state": "delivered"})).json()
    assert [each["event"] for each in taken["deliveries"]] == ["call.ended"]


async def test_a_webhook_is_sent_again_as_it_was(
    control: Control, log: PostgresWebhooks, temporal: Client
) -> None:
    one = delivery(new_workflow_id())
    await log.add(one)
    response = await control.http.post(f"/webhooks/deliveries/{one.id}/replay")
    assert (response.status_code, response.json()["id"]) == (202, one.id)

    async def started() -> str:
        found = [each.id async for each in temporal.list_workflows("WorkflowType = 'WebhookWorkflow'")]
        return next((each for each in found if each.startswith(f"webhook-{one.id}-")), "")

    handle = temporal.get_workflow_handle(await eventually(started))
    await handle.terminate()


@pytest.mark.parametrize("path", ["/webhooks/deliveries/{}", "/webhooks/deliveries?before={}"])
async def test_a_webhook_that_nobody_sent_is_not_found(control: Control, path: str) -> None:
    for unknown in (uuid.uuid4().hex, "%00"):
        response = await control.http.get(path.format(unknown))
        assert (response.status_code, response.json()["code"]) == (404, "WEBHOOK_NOT_FOUND")
    assert (await control.http.post("/webhooks/deliveries/nothing/replay")).status_code == 404
