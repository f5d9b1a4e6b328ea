"""What the children are told: the user's settings, and the stack's own addresses over them."""

from __future__ import annotations

from pathlib import Path

import pytest

from control_plane.devstack import environment
from control_plane.devstack.environment import child_environment, given, media_workers, notices, wanted_ports
from control_plane.devstack.errors import StackError
from control_plane.devstack.options import StackOptions

PORTS = {name: number for number, name in enumerate(environment.PORTS, start=1000)}


@pytest.fixture(autouse=True)
def nobodys_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder and an environment without any setting; `.env` may be written there."""
    for name in environment.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def env_for(options: StackOptions) -> dict[str, str]:
    return child_environment(given(options), PORTS)


def test_without_credentials_both_services_are_simulated() -> None:
    env = env_for(StackOptions())
    assert env["GEMINI_BASE_URL"] == f"http://127.0.0.1:{PORTS['gemini']}"
    assert env["GEMINI_API_KEY"]
    assert env["TWILIO_API_BASE_URL"] == f"http://127.0.0.1:{PORTS['twilio']}"
    assert env["BASE_URL"] == f"http://127.0.0.1:{PORTS['rest']}"
    assert env["MEDIA_PUBLIC_WS_URL"] == f"ws://127.0.0.1:{PORTS['media_ws']}"
    assert len(env["TWILIO_ACCOUNT_SID"]) == 34


def test_a_gemini_key_makes_gemini_real_and_leaves_twilio_simulated(nobodys_settings: Path) -> None:
    (nobodys_settings / ".env").write_text("GEMINI_API_KEY=key\nTWILIO_ACCOUNT_SID=\n")
    user = given(StackOptions())
    assert (user.real_gemini, user.real_twilio) == (True, False)
    env = child_environment(user, PORTS)
    assert (env["GEMINI_API_KEY"], env["GEMINI_BASE_URL"]) == (
        "key",
        "https://generativelanguage.googleapis.com",
    )
    assert "gemini" not in wanted_ports(StackOptions(), user)


def test_twilio_credentials_make_twilio_real_and_keep_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", "AC1")
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "token")
    monkeypatch.setenv("BASE_URL", "https://voice.example.com")
    user = given(StackOptions())
    assert (user.real_gemini, user.real_twilio) == (False, True)
    env = child_environment(user, PORTS)
    assert env["TWILIO_API_BASE_URL"] == "https://api.twilio.com"
    assert env["BASE_URL"] == "https://voice.example.com"
    assert "twilio_admin" not in wanted_ports(StackOptions(), user)
    assert [sentence for sentence in notices(user) if "MEDIA_PUBLIC_WS_URL" in sentence]


def test_simulated_means_simulated_whatever_the_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "key")
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", "AC1")
    env = env_for(StackOptions(simulated=True))
    assert env["GEMINI_API_KEY"] != "key"
    assert env["TWILIO_ACCOUNT_SID"] != "AC1"


def test_an_isolated_stack_sees_neither_file_nor_environment(
    nobodys_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nobodys_settings / ".env").write_text("GEMINI_API_KEY=key\n")
    monkeypatch.setenv("GEMINI_MODEL", "other")
    env = env_for(StackOptions(isolated=True, environ={"GEMINI_VOICE": "Kore"}))
    assert env["GEMINI_API_KEY"] != "key"
    assert env["GEMINI_MODEL"] == "gemini-3.8-live"
    assert env["GEMINI_VOICE"] == "Kore"


def test_the_environment_wins_over_the_file_unless_it_is_empty(
    nobodys_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (nobodys_settings / ".env").write_text("LOG_LEVEL=DEBUG\nGEMINI_VOICE=Kore\n")
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    monkeypatch.setenv("GEMINI_VOICE", "")
    env = env_for(StackOptions())
    assert (env["LOG_LEVEL"], env["GEMINI_VOICE"]) == ("WARNING", "Kore")


def test_the_stacks_own_servers_win_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://production/voiceplane")
    user = given(StackOptions())
    assert child_environment(user, PORTS)["DATABASE_URL"].startswith("postgresql://postgres@127.0.0.1:")
    assert notices(user) == ["DATABASE_URL is ignored: the stack starts its own server"]


def test_a_port_of_the_users_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "8123")
    ports = wanted_ports(StackOptions(), given(StackOptions()))
    assert (ports["rest"], ports["postgres"]) == (8123, 5432)


@pytest.mark.parametrize("value", ["0", "65536", "http", "-1"])
def test_a_port_that_cannot_be_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("API_PORT", value)
    with pytest.raises(StackError, match="API_PORT"):
        wanted_ports(StackOptions(), given(StackOptions()))


def test_one_media_worker_has_the_addresses_of_its_ports() -> None:
    env = env_for(StackOptions())
    assert env["MEDIA_WORKERS"] == "1"
    assert env["MEDIA_GRPC_ADVERTISE"] == f"127.0.0.1:{PORTS['media_grpc']}"


def test_several_media_workers_put_in_their_own_ports() -> None:
    env = child_environment(given(StackOptions()), PORTS, media_workers=3)
    assert env["MEDIA_WORKERS"] == "3"
    assert env["MEDIA_PUBLIC_WS_URL"] == "ws://127.0.0.1:{port}"
    assert env["MEDIA_GRPC_ADVERTISE"] == "127.0.0.1:{port}"


def test_the_number_of_media_workers_is_the_option_s_or_the_setting_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MEDIA_WORKERS", "2")
    assert media_workers(StackOptions(), given(StackOptions())) == 2
    assert media_workers(StackOptions(media_workers=3), given(StackOptions())) == 3


def test_as_many_media_workers_as_there_are_cores_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIA_WORKERS", "auto")
    with pytest.raises(StackError, match="MEDIA_WORKERS is 'auto'"):
        media_workers(StackOptions(), given(StackOptions()))


def test_without_the_ui_it_has_no_port() -> None:
    assert "temporal_ui" not in wanted_ports(StackOptions(ui=False), given(StackOptions()))


def test_children_reach_each_other_past_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
    monkeypatch.setenv("NO_PROXY", "example.com")
    assert env_for(StackOptions())["NO_PROXY"] == "example.com,127.0.0.1,localhost"
