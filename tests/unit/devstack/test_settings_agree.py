"""One list of settings, told in four places: docs/seams.md, .env.example, the Settings classes, the stack."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from control_plane.devstack import environment
from control_plane.settings import Settings as ControlSettings
from media_plane.settings import Settings as MediaSettings

ROOT = Path(__file__).parents[3]
SETTINGS_CLASSES: list[type[BaseSettings]] = [ControlSettings, MediaSettings]
# Written in the documents in terms of other settings.
COMPOSED = {"MEDIA_PUBLIC_WS_URL", "MEDIA_GRPC_ADVERTISE", "MEDIA_NODE_ID"}


def documented() -> dict[str, str]:
    """The variables of docs/seams.md's table, with their defaults; empty: none."""
    table = (ROOT / "docs/seams.md").read_text().split("## Settings", 1)[1].split("\n## ", 1)[0]
    found: dict[str, str] = {}
    for row in re.findall(r"^\| (`[^|]+) \|([^|]*)\|", table, re.MULTILINE):
        names = re.findall(r"`([A-Z_]+)`", row[0])
        told = row[1].split(",") if len(names) > 1 else [row[1]]
        values = [value.strip().strip("`") for value in told]
        values = ["" if value == "empty" else value for value in values]
        found |= dict(zip(names, values + [""] * (len(names) - len(values)), strict=True))
    return found


def example() -> dict[str, str]:
    """The variables of .env.example, commented out or not."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    found = [re.fullmatch(r"#?([A-Z_]+)=(.*)", line) for line in lines]
    return {match[1]: match[2] for match in found if match}


def of_class(settings: type[BaseSettings]) -> dict[str, str]:
    """The variables a Settings class reads, with their defaults as one would write them."""
    found = {}
    for name, field in settings.model_fields.items():
        default = field.default
        value = default.get_secret_value() if isinstance(default, SecretStr) else default
        found[name.upper()] = f"{value:g}" if isinstance(value, float) else str(value)
    return found


def test_the_example_lists_exactly_the_documented_settings() -> None:
    assert sorted(example()) == sorted(documented())


def test_the_example_shows_the_documented_defaults() -> None:
    shown = {name: value for name, value in example().items() if name not in COMPOSED}
    assert shown == {name: value for name, value in documented().items() if name not in COMPOSED}


def test_only_credentials_are_not_commented_out() -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    live = [line.rstrip("=") for line in lines if line and not line.startswith("#")]
    assert live == ["GEMINI_API_KEY", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN", "TWILIO_PHONE_NUMBER"]


@pytest.mark.parametrize("settings", SETTINGS_CLASSES, ids=lambda cls: cls.__module__)
def test_a_class_reads_nothing_undocumented_and_has_the_documented_defaults(
    settings: type[BaseSettings],
) -> None:
    known = documented()
    for name, default in of_class(settings).items():
        assert name in known, f"{name} is not in docs/seams.md"
        if name not in COMPOSED:
            assert default == known[name], name


def test_every_documented_setting_is_read_by_somebody() -> None:
    read = {name for settings in SETTINGS_CLASSES for name in of_class(settings)}
    assert sorted(read) == sorted(documented())


def test_the_stack_fills_in_every_documented_setting() -> None:
    assert sorted(documented()) == sorted(environment.SETTINGS)


def test_the_stacks_defaults_are_the_documented_ones() -> None:
    known = documented()
    assert {name: known[name] for name in environment.DEFAULTS} == environment.DEFAULTS
    ports = {setting: str(port) for setting, port in environment.PORTS.values() if setting}
    assert {name: known[name] for name in ports} == ports
