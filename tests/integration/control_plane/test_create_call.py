from __future__ import annotations

import json
from typing import Any

import pytest
from redis.asyncio import Redis
from temporalio.client import Client
from temporalio.worker import Worker

from tests.support.control import NEW_CALL, Control
from workflows.contracts import CallParams


async def test_a_valid_request_starts_a_workflow_and_answers_with_four_fields(
    control: Control, temporal: Client, worker: Worker, redis: Redis
) -> None:
    response = await control.http.post("/calls", json=NEW_CALL)

    assert response.status_code == 201
    body = response.json()
    assert set(body) == {"workflow_id", "run_id", "phone_number", "status"}
    assert body["phone_number"] == "+15551234567"
    assert body["status"] == "initiated"
    assert response.headers["location"] == f"/calls/{body['workflow_id']}"

    handle = temporal.get_workflow_handle(body["workflow_id"])
    assert (await handle.describe()).run_id == body["run_id"]
    params = await handle.query("params", result_type=CallParams)
    assert params.workflow_id == f"call-{params.call_id}" == body["workflow_id"]
    assert params.greeting == NEW_CALL["greeting"]
    assert params.system_prompt == NEW_CALL["system_prompt"]
    assert params.max_duration_seconds == 300
    assert len(params.stream_token) >= 32

    key = f"session:{body['workflow_id']}"
    session = json.loads(await redis.get(key))
    assert session["call_id"] == params.call_id
    assert session["status"] == "initiated"
    assert session["stream_sid"] == ""
    assert session["created_at"] == params.created_at
    assert "stream_token" not in session
    assert 7190 < await redis.ttl(key) <= 7200
    await handle.signal("terminate", {"reason": ""})


async def test_greeting_and_duration_have_defaults(
    control: Control, temporal: Client, worker: Worker
) -> None:
    response = await control.http.post(
        "/calls", json={"phone_number": "+442079460000", "system_prompt": "You sell tea."}
    )

    assert response.status_code == 201
    handle = temporal.get_workflow_handle(response.json()["workflow_id"])
    params = await handle.query("params", result_type=CallParams)
    assert params.greeting == ""
    assert params.max_duration_seconds == 1800
    await handle.signal("terminate", {"reason": ""})


def _changed(**changes: Any) -> bytes:
    return json.dumps(NEW_CALL | changes).encode()


def _without(field: str) -> bytes:
    return json.dumps({name: value for name, value in NEW_CALL.items() if name != field}).encode()


BAD = {
    "number without plus": (_changed(phone_number="15551234567"), "phone_number"),
    "number with spaces": (_changed(phone_number="+1 555 123 4567"), "phone_number"),
    "number with letters": (_changed(phone_number="+1555CALLNOW"), "phone_number"),
    "number in other digits": (_changed(phone_number="+１５５５１２３４５６７"), "phone_number"),
    "number with an extension": (_changed(phone_number="+15551234567;ext=2"), "phone_number"),
    "number too short": (_changed(phone_number="+1555"), "phone_number"),
    "number too long": (_changed(phone_number="+1555123456789012"), "phone_number"),
    "number of no country": (_changed(phone_number="+9995551234567"), "phone_number"),
    "number empty": (_changed(phone_number=""), "phone_number"),
    "number an integer": (_changed(phone_number=15551234567), "phone_number"),
    "number missing": (_without("phone_number"), "phone_number"),
    "number a tel: URI": (_changed(phone_number="tel:+15551234567"), "phone_number"),
    "prompt empty": (_changed(system_prompt=""), "system_prompt"),
    "prompt blank": (_changed(system_prompt=" \n\t "), "system_prompt"),
    "prompt of 100 kB": (_changed(system_prompt="x" * 100_000), "system_prompt"),
    "prompt one byte too long": (_changed(system_prompt="é" * 16_384 + "x"), "system_prompt"),
    "prompt missing": (_without("system_prompt"), "system_prompt"),
    "prompt null": (_changed(system_prompt=None), "system_prompt"),
    "prompt with NUL": (_changed(system_prompt="be\0kind"), "system_prompt"),
    "prompt with half a surrogate pair": (_changed(system_prompt="x").replace(b'"x"', b'"\\ud83d"'), ""),
    "greeting too long": (_changed(greeting="x" * 4097), "greeting"),
    "greeting a list": (_changed(greeting=["hello"]), "greeting"),
    "duration 0": (_changed(max_duration_seconds=0), "max_duration_seconds"),
    "duration negative": (_changed(max_duration_seconds=-1), "max_duration_seconds"),
    "duration 10 h": (_changed(max_duration_seconds=36_000), "max_duration_seconds"),
    "duration a string": (_changed(max_duration_seconds="300"), "max_duration_seconds"),
    "duration a fraction": (_changed(max_duration_seconds=1.5), "max_duration_seconds"),
    "duration true": (_changed(max_duration_seconds=True), "max_duration_seconds"),
    "duration huge": (_changed(max_duration_seconds=10**30), "max_duration_seconds"),
    "duration NaN": (_changed(max_duration_seconds=float("nan")), "max_duration_seconds"),
    "unknown field": (_changed(voice="Kore"), "voice"),
    "no JSON": (b"{phone_number: +15551234567}", ""),
    "JSON cut off": (_changed()[:-1], ""),
    "no UTF-8": (_changed(greeting="x").replace(b'"x"', b'"\xff\xfe"'), ""),
    "a list": (b"[]", ""),
    "a number": (b"1", ""),
    "nothing": (b"", ""),
    "nested without end": (b"[" * 100_000, ""),
    "a form": (b"phone_number=%2B15551234567", ""),
}


@pytest.mark.parametrize(("body", "field"), BAD.values(), ids=BAD.keys())
async def test_a_bad_body_is_refused_with_422_naming_the_field_and_starts_nothing(
    control: Control, redis: Redis, body: bytes, field: str
) -> None:
    before = set(await redis.keys("session:*"))

    response = await control.http.post("/calls", content=body)

    assert response.status_code == 422
    problems = response.json()["detail"]
    assert [problem["loc"][:2] for problem in problems] == [["body", field] if field else ["body"]]
    assert all(problem["msg"] for problem in problems)
    assert len(response.content) < 1000  # what was sent is not sent back
    assert set(await redis.keys("session:*")) == before


async def test_every_bad_field_is_named_at_once(control: Control) -> None:
    response = await control.http.post(
        "/calls", json={"phone_number": "911", "max_duration_seconds": 0, "x": 1}
    )

    named = {problem["loc"][1] for problem in response.json()["detail"]}
    assert named == {"phone_number", "system_prompt", "max_duration_seconds", "x"}


async def test_the_largest_valid_request_is_taken(control: Control, temporal: Client, worker: Worker) -> None:
    response = await control.http.post(
        "/calls",
        json={
            "phone_number": "+4915112345678",
            "system_prompt": "é" * 16_384,
            "greeting": "x" * 4096,
            "max_duration_seconds": 14_400,
        },
    )

    assert response.status_code == 201
    await temporal.get_workflow_handle(response.json()["workflow_id"]).signal("terminate", {"reason": ""})


async def test_a_body_over_256_kib_is_refused_with_413(control: Control) -> None:
    response = await control.http.post("/calls", json=NEW_CALL | {"system_prompt": "x" * 300_000})

    assert response.status_code == 413
    assert "262144" in response.json()["detail"]


@pytest.mark.parametrize("count", [27, 40])  # the limit is passed by the last chunk, or long before it
async def test_a_body_over_256_kib_that_hides_its_length_is_refused_with_413(
    control: Control, count: int
) -> None:
    async def chunks() -> Any:
        for _ in range(count):
            yield b" " * 10_000

    response = await control.http.post("/calls", content=chunks())

    assert response.status_code == 413


async def test_other_methods_are_refused(control: Control) -> None:
    assert (await control.http.put("/calls")).status_code == 405
    assert (await control.http.delete("/calls/call-1")).status_code == 405
