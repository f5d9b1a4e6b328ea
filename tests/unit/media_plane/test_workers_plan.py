"""What each worker is told, and which settings fit only one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from media_plane.settings import MAX_WORKERS, Settings
from media_plane.workers.cores import Cores
from media_plane.workers.plan import UnfitSettings, make_plan, worker_count

TWO = Cores(2, (4, 6))


def settings(**fields: object) -> Settings:
    values = {"media_node_id": "n", "media_host": "127.0.0.1"} | fields
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


def faults(count: int = 2, **fields: object) -> list[str]:
    with pytest.raises(UnfitSettings) as caught:
        make_plan(settings(**fields), count, TWO)
    return [variable for variable, _ in caught.value.faults]


@pytest.fixture(autouse=True)
def nobodys_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_every_worker_has_a_name_ports_and_a_core_of_its_own() -> None:
    first, second = make_plan(settings(), 2, TWO)
    assert (first.index, first.node_id, first.core) == (0, "n-0", 4)
    assert (second.index, second.node_id, second.core) == (1, "n-1", 6)
    assert first.env == {
        "MEDIA_WORKERS": "1",
        "MEDIA_NODE_ID": "n-0",
        "MEDIA_WS_PORT": "8081",
        "MEDIA_GRPC_PORT": "50051",
        "MEDIA_METRICS_PORT": "9102",
        "MEDIA_PUBLIC_WS_URL": "",
        "MEDIA_GRPC_ADVERTISE": "",
    }
    assert [second.env[f"MEDIA_{name}_PORT"] for name in ("WS", "GRPC", "METRICS")] == [
        "8181",
        "50151",
        "9202",
    ]


def test_no_worker_takes_a_port_that_another_process_has_by_default() -> None:
    page = (Path(__file__).parents[3] / "docs/seams.md").read_text()
    table = page.split("## Processes", 1)[1].split("\n\n", 1)[0]
    documented = {int(number) for number in re.findall(r"\b\d{4,5}\b", table)}
    own = {8081, 50051, 9102}
    assert own < documented
    taken = [
        int(value)
        for worker in make_plan(settings(), MAX_WORKERS, TWO)
        for name, value in worker.env.items()
        if name.endswith("_PORT")
    ]
    assert len(set(taken)) == 3 * MAX_WORKERS
    assert set(taken) & documented == own


def test_any_free_port_stays_any_free_port() -> None:
    workers = make_plan(settings(media_ws_port=0, media_grpc_port=0, media_metrics_port=0), 3, TWO)
    assert {value for w in workers for name, value in w.env.items() if name.endswith("_PORT")} == {"0"}


def test_addresses_get_the_worker_s_number_and_keep_the_port_for_the_worker_to_fill_in() -> None:
    workers = make_plan(
        settings(media_public_ws_url="wss://m{worker}.example.com/", media_grpc_advertise="media:{port}"),
        2,
        TWO,
    )
    assert [w.env["MEDIA_PUBLIC_WS_URL"] for w in workers] == ["wss://m0.example.com", "wss://m1.example.com"]
    assert [w.env["MEDIA_GRPC_ADVERTISE"] for w in workers] == ["media:{port}", "media:{port}"]


def test_a_node_fills_in_the_port_it_bound() -> None:
    node = settings(media_public_ws_url="wss://m{worker}.example.com:{port}", media_grpc_advertise="m:{port}")
    assert node.public_ws_url(1234) == "wss://m0.example.com:1234"
    assert node.grpc_advertise(4321) == "m:4321"
    assert settings(media_host="10.0.0.1").public_ws_url(80) == "ws://10.0.0.1:80"


def test_more_workers_than_cores_share_them_in_turn_and_unknown_cores_are_not_pinned_to() -> None:
    assert [worker.core for worker in make_plan(settings(), 5, TWO)] == [4, 6, 4, 6, 4]
    assert [worker.core for worker in make_plan(settings(), 2, Cores(2, ()))] == [None, None]


def test_addresses_that_are_the_same_for_every_worker_are_refused_by_name() -> None:
    assert faults(media_public_ws_url="wss://media.example.com", media_grpc_advertise="media:50051") == [
        "MEDIA_PUBLIC_WS_URL",
        "MEDIA_GRPC_ADVERTISE",
    ]


@pytest.mark.parametrize(
    ("fields", "variable"),
    [
        ({"media_ws_port": 65500}, "MEDIA_WS_PORT"),
        ({"media_metrics_port": 8181}, "MEDIA_WS_PORT"),  # the second worker's
        ({"media_node_id": "n" * 127}, "MEDIA_NODE_ID"),
    ],
)
def test_what_leaves_a_worker_without_a_port_or_a_name_is_refused(
    fields: dict[str, object], variable: str
) -> None:
    assert variable in faults(**fields)


def test_auto_is_what_the_machine_has() -> None:
    assert worker_count(settings(media_workers="auto"), Cores(7, ())) == 7
    assert worker_count(settings(media_workers="3"), Cores(7, ())) == 3
    assert worker_count(settings(), Cores(7, ())) == 1


@pytest.mark.parametrize("value", ["0", "-1", "129", "two", "", "1.5", "AUTO"])
def test_a_number_of_workers_that_cannot_be_is_refused(value: str) -> None:
    with pytest.raises(ValidationError, match="must be auto, or a number from 1 to 128"):
        settings(media_workers=value)


@pytest.mark.parametrize("value", ["ws://{host}", "ws://m{}", "ws://m{worker", "ws://m{{port}}"])
def test_no_other_placeholder_is_known(value: str) -> None:
    with pytest.raises(ValidationError, match=r"may hold \{worker\} and \{port\}"):
        settings(media_public_ws_url=value)
