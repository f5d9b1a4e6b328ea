from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from control_plane.auth.keys import SECRET_BYTES, generate, id_of
from control_plane.domain.principal import Scope

NOW = datetime(2026, 5, 4, tzinfo=UTC)
READ = frozenset({Scope.READ})


def test_a_key_names_itself_and_holds_256_random_bits_that_are_not_kept() -> None:
    text, key = generate("ci", READ, NOW)
    other, _ = generate("ci", READ, NOW)

    assert id_of(text) == key.id
    assert len(text) == len("vp_") + 12 + 1 + 43
    assert SECRET_BYTES * 8 == 256
    assert text != other
    assert text.rpartition("_")[2] not in repr(key)


def test_only_the_whole_key_is_the_key() -> None:
    text, key = generate("ci", READ, NOW)

    assert key.is_of(text)
    assert not key.is_of(text[:-1] + ("a" if text[-1] != "a" else "b"))
    assert not key.is_of(text.upper())


@pytest.mark.parametrize("text", ["", "vp_", "vp_short_x", "Bearer", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln", "vp_é"])
def test_what_is_not_written_as_a_key_has_no_id(text: str) -> None:
    assert id_of(text) == ""


def test_a_key_is_over_from_the_moment_it_expires_or_is_revoked() -> None:
    _, key = generate("ci", READ, NOW, NOW + timedelta(days=1))

    assert key.state(NOW) == "active"
    assert key.state(NOW + timedelta(days=1)) == "expired"
    assert replace(key, revoked_at=NOW).state(NOW) == "revoked"


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101])
def test_a_key_has_a_name_that_can_be_shown(name: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        generate(name, READ, NOW)


def test_a_key_has_a_scope() -> None:
    with pytest.raises(ValueError, match="scope"):
        generate("ci", frozenset(), NOW)
