from __future__ import annotations

import os

import pytest

from control_plane import readiness


def test_one_line_is_written_and_the_descriptor_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setenv(readiness.VARIABLE, str(writing))

    readiness.announce(rest="http://127.0.0.1:8000")

    with open(reading, "rb") as pipe:
        assert pipe.read() == b'{"ready": true, "rest": "http://127.0.0.1:8000"}\n'
    assert readiness.VARIABLE not in os.environ


def test_without_the_variable_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(readiness.VARIABLE, raising=False)

    readiness.announce()


def test_a_reader_that_has_gone_is_no_reason_to_die(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setenv(readiness.VARIABLE, str(writing))

    readiness.announce()

    assert readiness.VARIABLE in capfd.readouterr().err


@pytest.mark.parametrize("value", ["nonsense", "999999"])
def test_a_variable_that_names_no_descriptor_is_no_reason_to_die(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], value: str
) -> None:
    monkeypatch.setenv(readiness.VARIABLE, value)

    readiness.announce()

    assert value in capfd.readouterr().err
