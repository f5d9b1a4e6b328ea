from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from control_plane import logs


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_json_where_nobody_watches() -> None:
    out = io.StringIO()
    logs.configure("development", "INFO", out)

    structlog.get_logger("a.b").info("call created", workflow_id="call-1")

    (line,) = lines(out)
    assert line | {"timestamp": ""} == {
        "event": "call created",
        "workflow_id": "call-1",
        "level": "info",
        "logger": "a.b",
        "timestamp": "",
    }


def test_libraries_come_out_in_the_same_form_with_their_exceptions() -> None:
    out = io.StringIO()
    logs.configure("production", "INFO", out)

    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("temporalio.worker").exception("failed %s", "badly")

    (line,) = lines(out)
    assert (line["event"], line["logger"], line["level"]) == ("failed badly", "temporalio.worker", "error")
    assert "ValueError: broken" in str(line["exception"])


def test_a_terminal_gets_text_and_in_production_json_all_the_same() -> None:
    terminal = Terminal()
    logs.configure("development", "INFO", terminal)
    structlog.get_logger("a").info("hello")
    assert not terminal.getvalue().startswith("{")

    structlog.reset_defaults()
    terminal = Terminal()
    logs.configure("production", "INFO", terminal)
    structlog.get_logger("a").info("hello")
    assert lines(terminal)[0]["event"] == "hello"


def test_what_is_below_the_level_is_left_out_and_so_is_chatter() -> None:
    out = io.StringIO()
    logs.configure("development", "info", out)

    structlog.get_logger("a").debug("detail")
    logging.getLogger("httpx").info("HTTP Request")

    assert out.getvalue() == ""


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="LOUD"):
        logs.configure("development", "loud")
