"""Stored agents over REST: written, read, changed at once by two, archived; their secrets never read back."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import pytest

from tests.support.control import Control

TOOL = {
    "type": "http",
    "name": "book",
    "description": "Books a table.",
    "url": "https://tools.example.com/book",
    "headers": {"Authorization": "Bearer tool-secret"},
}
PROFILE: dict[str, Any] = {
    "system_prompt": "You answer the phone of {{company}}.",
    "greeting": "Hello {{ first_name }}, this is {{company}}.",
    "settings": {"voice": "Kore", "turns": {"silence_duration_ms": 500}},
    "tools": [TOOL],
    "max_duration_seconds": 600,
    "recording": True,
    "webhook_url": "https://hooks.example.com/calls",
}


def new_name() -> str:
    return f"agent-{uuid.uuid4().hex[:12]}"


async def created(control: Control, name: str, **changes: Any) -> dict[str, Any]:
    response = await control.http.post("/agents", json={"name": name, "profile": PROFILE | changes})
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    return found


async def put(control: Control, name: str, profile: dict[str, Any], **headers: str) -> Any:
    return await control.http.put(f"/agents/{name}", json={"profile": profile}, headers=headers)


async def test_an_agent_is_read_as_it_was_written_but_for_its_secrets(control: Control) -> None:
    name = new_name()
    response = await control.http.post("/agents", json={"name": name, "profile": PROFILE})

    assert response.status_code == 201
    assert response.headers["location"] == f"/agents/{name}"
    assert response.headers["etag"] == '"1"'
    agent = response.json()
    assert (agent["name"], agent["version"], agent["latest_version"]) == (name, 1, 1)
    assert agent["variables"] == ["company", "first_name"]
    assert (agent["created_by"], agent["archived_at"]) == ("local", None)
    profile = agent["profile"]
    assert {field: profile[field] for field in PROFILE if field not in ("tools", "settings")} == {
        field: value for field, value in PROFILE.items() if field not in ("tools", "settings")
    }
    assert profile["settings"] == PROFILE["settings"]
    assert profile["tools"][0]["headers"] == {"Authorization": "[redacted]"}
    for path in (f"/agents/{name}", f"/agents/{name}/versions/1", f"/agents/{name}/versions"):
        found = await control.http.get(path)
        assert found.status_code == 200
        assert "tool-secret" not in found.text
    assert (await control.http.get(f"/agents/{name}")).json() == agent


async def test_a_change_makes_the_next_version_and_the_former_stays(control: Control) -> None:
    name = new_name()
    first = await created(control, name)

    changed = await put(control, name, first["profile"] | {"greeting": "Hi."})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert changed.json()["version"] == 2
    assert (await control.http.get(f"/agents/{name}")).json()["profile"]["greeting"] == "Hi."
    former = (await control.http.get(f"/agents/{name}/versions/1")).json()
    assert former["profile"] == first["profile"]
    assert (former["version"], former["latest_version"]) == (1, 2)


async def test_the_same_profile_again_makes_no_version(control: Control) -> None:
    name = new_name()
    first = await created(control, name)

    again = await put(control, name, first["profile"])
    assert (again.status_code, again.json()["version"]) == (200, 1)


async def test_if_match_keeps_one_from_undoing_what_another_did(control: Control) -> None:
    name = new_name()
    profile = (await created(control, name))["profile"]

    answers = await asyncio.gather(
        *(put(control, name, profile | {"greeting": f"{i}"}, **{"If-Match": '"1"'}) for i in range(8))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
    refused = next(answer for answer in answers if answer.status_code == 412)
    assert refused.json()["code"] == "AGENT_CHANGED"
    for tag in ('"7"', 'W/"2"', "2", '"2", "3"', "nonsense"):
        assert (await put(control, name, profile, **{"If-Match": tag})).status_code == 412
        deleted = await control.http.delete(f"/agents/{name}", headers={"If-Match": tag})
        assert deleted.status_code == 412
    assert (await put(control, name, profile, **{"If-Match": "*"})).json()["version"] == 3


async def test_without_if_match_all_changes_are_made_one_after_the_other(control: Control) -> None:
    name = new_name()
    profile = (await created(control, name))["profile"]

    answers = await asyncio.gather(*(put(control, name, profile | {"greeting": f"{i}"}) for i in range(4)))
    assert sorted(answer.json()["version"] for answer in answers) == [2, 3, 4, 5]


async def test_a_name_is_taken_once(control: Control) -> None:
    name = new_name()
    body = {"name": name, "profile": PROFILE}
    answers = await asyncio.gather(*(control.http.post("/agents", json=body) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 4


async def test_an_archived_agent_is_not_listed_takes_no_change_and_comes_back_with_its_next_version(
    control: Control,
) -> None:
    name = new_name()
    profile = (await created(control, name))["profile"]

    for _ in range(2):
        assert (await control.http.delete(f"/agents/{name}")).status_code == 204
    archived = (await control.http.get(f"/agents/{name}")).json()
    assert archived["archived_at"] is not None
    assert name not in [agent["name"] for agent in await listed(control)]
    assert name in [agent["name"] for agent in await listed(control, archived="true")]
    refused = await put(control, name, profile | {"greeting": "Hi."})
    assert (refused.status_code, refused.json()["code"]) == (409, "AGENT_ARCHIVED")

    back = await created(control, name, greeting="Back.")
    assert (back["version"], back["archived_at"]) == (2, None)


async def listed(control: Control, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        response = await control.http.get("/agents", params={"page_size": 3, "page_token": token, **query})
        assert response.status_code == 200, response.text
        page = response.json()
        assert len(page["agents"]) <= 3
        found += page["agents"]
        token = page["next_page_token"]
        if not token:
            return found


async def test_pages_hold_every_agent_once_by_name(control: Control) -> None:
    names = sorted(new_name() for _ in range(7))
    for name in names:
        await created(control, name)

    found = [agent["name"] for agent in await listed(control)]
    assert found == sorted(found)
    assert len(set(found)) == len(found)
    assert set(names) <= set(found)


async def test_versions_are_paged_from_the_newest(control: Control) -> None:
    name = new_name()
    profile = (await created(control, name))["profile"]
    for i in range(4):
        await put(control, name, profile | {"greeting": f"{i}"})

    first = (await control.http.get(f"/agents/{name}/versions", params={"page_size": 3})).json()
    assert [agent["version"] for agent in first["agents"]] == [5, 4, 3]
    token = first["next_page_token"]
    second = (
        await control.http.get(f"/agents/{name}/versions", params={"page_size": 3, "page_token": token})
    ).json()
    assert [agent["version"] for agent in second["agents"]] == [2, 1]
    assert second["next_page_token"] == ""
    # A token is good for its own list.
    for path in ("/agents", "/agents/another/versions"):
        assert (await control.http.get(path, params={"page_token": token})).status_code == 422


@pytest.mark.parametrize("token", ["x", "====", "é", "YWdlbnRzOjA6Li4", "A" * 201])
async def test_what_is_no_page_token_is_refused(control: Control, token: str) -> None:
    assert (await control.http.get("/agents", params={"page_token": token})).status_code == 422


async def test_who_is_not_there_is_not_found(control: Control) -> None:
    name = new_name()
    await created(control, name)
    for path in (
        "/agents/nobody",
        "/agents/NOT%20A%20NAME",
        "/agents/%00",
        f"/agents/{name}/versions/2",
        f"/agents/{name}/versions/0",
        f"/agents/{name}/versions/99999999999999999999",
        "/agents/nobody/versions",
    ):
        response = await control.http.get(path)
        assert (response.status_code, response.json()["code"]) == (404, "AGENT_NOT_FOUND"), path
    assert (await put(control, "nobody", PROFILE)).status_code == 404
    assert (await control.http.delete("/agents/nobody")).status_code == 404


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"system_prompt": " "}, ["system_prompt"]),
        ({"system_prompt": "Hello {{"}, ["system_prompt"]),
        ({"greeting": "x" * 4097}, ["greeting"]),
        ({"greeting_mode": "later"}, ["greeting_mode"]),
        ({"max_duration_seconds": 0}, ["max_duration_seconds"]),
        ({"settings": {"thinking_budget": 0}}, ["settings", "thinking_budget"]),
        ({"settings": {"tone": "warm"}}, ["settings", "tone"]),
        ({"webhook_url": "http://127.0.0.1/"}, ["webhook_url"]),
        ({"tools": [TOOL | {"url": "https://10.1.2.3/"}]}, ["tools", 0, "url"]),
        ({"tools": [TOOL | {"headers": {"X-Key": "[redacted]"}}]}, ["tools", 0, "headers"]),
        ({"colour": "red"}, ["colour"]),
    ],
)
async def test_a_profile_that_calls_could_not_be_made_with_is_refused_by_field(
    control: Control, changes: dict[str, Any], place: list[str | int]
) -> None:
    body = {"name": new_name(), "profile": PROFILE | changes}
    response = await control.http.post("/agents", json=body)

    assert response.status_code == 422
    assert [problem["loc"] for problem in response.json()["detail"]] == [["body", "profile", *place]]


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a.b", "a" * 64, "é", "a\0b"])
async def test_a_name_that_is_none_is_refused(control: Control, name: str) -> None:
    response = await control.http.post("/agents", json={"name": name, "profile": PROFILE})

    assert response.status_code == 422
    assert [problem["loc"] for problem in response.json()["detail"]] == [["body", "name"]]


async def test_a_secret_is_kept_for_its_origin_and_goes_to_no_other(control: Control) -> None:
    name = new_name()
    profile = (await created(control, name))["profile"]

    elsewhere = [profile["tools"][0] | {"url": "https://evil.example.com/"}]
    refused = await put(control, name, profile | {"tools": elsewhere})
    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "profile", "tools", 0, "headers"]
    changed = await put(control, name, profile | {"greeting": "Hi."})
    assert changed.json()["version"] == 2


@pytest.mark.parametrize(
    "odd", ['{"a": NaN}', '{"a": 1e999}', r'{"a": "\u0000"}', '{"a": 123456789012345678901234567890}']
)
async def test_odd_values_in_a_tools_schema_never_break_the_database(control: Control, odd: str) -> None:
    name = new_name()
    tool = json.dumps(TOOL | {"parameters": {"type": "object", "properties": "ODD"}}).replace('"ODD"', odd)
    body = f'{{"name": "{name}", "profile": {{"system_prompt": "x", "tools": [{tool}]}}}}'
    response = await control.http.post("/agents", content=body)
    assert response.status_code in (201, 422)
    if response.status_code == 201:
        assert (await control.http.get(f"/agents/{name}")).status_code == 200
