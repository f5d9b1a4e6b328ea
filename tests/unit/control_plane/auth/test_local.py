from __future__ import annotations

import pytest

from control_plane.auth import local
from control_plane.errors import SettingRefused
from control_plane.settings import Settings


def settings(**changes: object) -> Settings:
    return Settings(_env_file=None, **changes)  # type: ignore[arg-type]


def test_in_development_on_loopback_this_machine_needs_no_credential() -> None:
    assert local.why_not(settings()) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"api_auth": "required"},
        # A tunnel leads from there to this machine.
        {"base_url": "https://calls.example.com"},
        {"trusted_proxies": "10.0.0.0/8"},
    ],
)
def test_it_does_when_others_can_look_like_this_machine(changes: dict[str, object]) -> None:
    assert local.why_not(settings(**changes))


@pytest.mark.parametrize(
    "changes",
    [{"api_host": "0.0.0.0"}, {"api_host": "::"}, {"api_host": "10.1.2.3"}, {"environment": "production"}],
)
def test_elsewhere_the_setting_is_refused_and_named(changes: dict[str, object]) -> None:
    with pytest.raises(SettingRefused, match=r"^API_AUTH: is `local`, but "):
        local.why_not(settings(**changes))
    assert local.why_not(settings(api_auth="required", **changes))


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("127.0.0.1", {}),
        ("127.0.0.1", {"host": "127.0.0.1:8000"}),
        ("::1", {"host": "[::1]:8000"}),
        ("127.0.0.1", {"host": "localhost:8000", "origin": "http://localhost:8000"}),
        ("::ffff:127.0.0.1", {"sec-fetch-site": "same-origin"}),
    ],
)
def test_a_request_that_this_machine_makes_directly(address: str, headers: dict[str, str]) -> None:
    assert local.is_direct(address, headers)


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        ("192.0.2.1", {}),
        ("", {}),
        ("127.0.0.1", {"x-forwarded-for": "192.0.2.1"}),
        ("127.0.0.1", {"x-forwarded-proto": "https"}),
        ("127.0.0.1", {"forwarded": "for=192.0.2.1"}),
        ("127.0.0.1", {"cf-connecting-ip": "192.0.2.1"}),
        ("127.0.0.1", {"host": "abc.ngrok.app"}),
        ("127.0.0.1", {"host": "localhost.example.com"}),
        ("127.0.0.1", {"host": "["}),
        # A web page that the developer looks at.
        ("127.0.0.1", {"host": "127.0.0.1:8000", "origin": "https://example.com"}),
        ("127.0.0.1", {"host": "127.0.0.1:8000", "origin": "null"}),
        ("127.0.0.1", {"host": "127.0.0.1:8000", "sec-fetch-site": "cross-site"}),
    ],
)
def test_a_request_that_came_from_elsewhere(address: str, headers: dict[str, str]) -> None:
    assert not local.is_direct(address, headers)
