"""What requests about a call may hold, field by field. Pure; each returns its value or raises ValueError."""

from __future__ import annotations

import re
from collections.abc import Callable

from control_plane.domain import agents

MAX_TEXT_BYTES = 4096
MAX_SUMMARY_BYTES = 2000
RING_SECONDS = (5, 120)
DEFAULT_RING_SECONDS = 30

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_DIGITS = re.compile(r"[0-9*#A-Dw]{1,64}")


def idempotency_key(text: str) -> str:
    """1 to 255 visible ASCII characters; empty: none."""
    if text and not _KEY.fullmatch(text):
        raise ValueError("must be 1 to 255 visible ASCII characters")
    return text


def agent_name(text: str) -> str:
    """Of a stored agent, whether or not there is one; empty: any."""
    return agents.name(text) if text else text


def text(words: str) -> str:
    """What the agent is to say or to know: 1 to 4096 bytes of UTF-8, not only white space."""
    if not words.strip():
        raise ValueError("must not be empty")
    return _bounded(words, MAX_TEXT_BYTES)


def digits(keys: str) -> str:
    """Keys of a telephone, and `w` for half a second of silence."""
    if not _DIGITS.fullmatch(keys) or not keys.strip("w"):
        raise ValueError("must be 1 to 64 of 0-9 * # A-D, and w for half a second of silence")
    return keys


def summary_for(*, warm: bool) -> Callable[[str], str]:
    """The rule of a transfer's summary, at most 2000 bytes of UTF-8 (some two minutes of speech), which only
    the person of a warm one hears."""

    def summary(words: str) -> str:
        if words and not warm:
            raise ValueError("must be empty: nobody hears it in a cold transfer")
        return _bounded(words, MAX_SUMMARY_BYTES)

    return summary


def ring_seconds(seconds: int) -> int:
    """How long the other telephone rings, 5 to 120."""
    if not RING_SECONDS[0] <= seconds <= RING_SECONDS[1]:
        raise ValueError(f"must be from {RING_SECONDS[0]} to {RING_SECONDS[1]}")
    return seconds


def _bounded(words: str, limit: int) -> str:
    try:
        size = len(words.encode())
    except UnicodeEncodeError as error:
        raise ValueError("must be valid Unicode: it holds half of a surrogate pair") from error
    if size > limit:
        raise ValueError(f"must be at most {limit} bytes of UTF-8, not {size}")
    if "\0" in words:
        raise ValueError("must not hold the character U+0000")
    return words
