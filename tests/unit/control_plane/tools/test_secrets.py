from __future__ import annotations

from control_plane.tools.definitions import EndCall, HttpTool, McpServer
from control_plane.tools.secrets import REDACTED, kept, put_back, taken_out

BOOK = HttpTool(
    name="book",
    description="Books a table.",
    url="https://tools.example.com/book",
    headers={"Authorization": "Bearer abc", "X-Team": "red"},
)
SHOP = McpServer(name="shop", url="https://shop.example.com/mcp", headers={"X-Key": "k"})
TOOLS = [BOOK, SHOP, EndCall()]


def test_no_value_of_a_header_is_shown_and_all_come_back() -> None:
    shown, secrets = taken_out(TOOLS)

    assert "abc" not in repr(shown)
    assert isinstance(shown[0], HttpTool)
    assert shown[0].headers == {"Authorization": REDACTED, "X-Team": REDACTED}
    assert put_back(shown, secrets) == TOOLS


def test_what_was_shown_written_again_changes_nothing() -> None:
    shown, _ = taken_out(TOOLS)
    assert kept(shown, TOOLS) == (TOOLS, {})


def test_a_new_value_takes_the_place_of_the_stored_one_and_the_others_stay() -> None:
    written = BOOK.model_copy(update={"headers": {"Authorization": "Bearer new", "X-Team": REDACTED}})
    found, violations = kept([written], TOOLS)

    assert violations == {}
    assert isinstance(found[0], HttpTool)
    assert found[0].headers == {"Authorization": "Bearer new", "X-Team": "red"}


def test_a_secret_is_not_sent_to_another_origin() -> None:
    for url in (
        "https://evil.example.com/book",
        "http://tools.example.com/book",
        "https://tools.example.com:8443/",
    ):
        shown = BOOK.model_copy(update={"url": url, "headers": {"Authorization": REDACTED}})
        found, violations = kept([EndCall(), shown], TOOLS)

        assert list(violations) == ["tools.1.headers"]
        assert "abc" not in repr(found)


def test_another_path_of_the_same_origin_keeps_it() -> None:
    shown = BOOK.model_copy(update={"url": "https://tools.example.com/v2", "headers": {"X-Team": REDACTED}})
    found, violations = kept([shown], TOOLS)

    assert violations == {}
    assert isinstance(found[0], HttpTool)
    assert found[0].headers == {"X-Team": "red"}


def test_a_redacted_value_that_is_not_stored_is_refused() -> None:
    renamed = BOOK.model_copy(update={"name": "reserve", "headers": {"X-Team": REDACTED}})
    _, violations = kept([renamed], TOOLS)
    assert list(violations) == ["tools.0.headers"]

    _, violations = kept([BOOK.model_copy(update={"headers": {"X-Other": REDACTED}})], TOOLS)
    assert list(violations) == ["tools.0.headers"]
