from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from media_plane.call.sent_audio import SentAudio


def test_what_was_not_played_is_there_from_the_sample_on() -> None:
    kept = SentAudio(100)
    kept.add(b"abcd", 4)
    kept.add(b"efgh", 8)
    assert kept.take(3) == b"defgh"
    assert len(kept) == 0


def test_nothing_is_left_of_what_was_played() -> None:
    kept = SentAudio(100)
    kept.add(b"abcd", 4)
    kept.add(b"efgh", 8)
    kept.played(5)
    assert len(kept) == 4
    assert kept.take(8) == b""


def test_what_is_not_there_is_not_made_up() -> None:
    kept = SentAudio(6)
    kept.add(b"abcd", 4)
    kept.add(b"efgh", 8)
    assert kept.take(2) is None
    assert kept.take(4) == b"efgh"
    assert SentAudio(6).take(0) == b""


@given(
    st.lists(st.integers(1, 40), max_size=30), st.integers(0, 200), st.integers(0, 1200), st.integers(0, 1200)
)
def test_it_gives_back_exactly_what_was_sent_or_nothing(
    sizes: list[int], limit: int, played: int, position: int
) -> None:
    kept = SentAudio(limit)
    sent = b""
    for size in sizes:
        part = bytes((len(sent) + i) % 251 for i in range(size))
        sent += part
        kept.add(part, len(sent))
        kept.played(min(played, len(sent)))
        assert len(kept) <= limit
    position = min(position, len(sent))
    found = kept.take(position)
    assert found is None or found == sent[position:]
    if position >= max(len(sent) - limit, min(played, len(sent))) and limit >= 40 + len(sent) - position:
        assert found is not None
