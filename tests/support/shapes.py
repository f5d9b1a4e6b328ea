"""What a message's shape means, said once more with a regular expression."""

from __future__ import annotations

import re


def find(shape: tuple[bytes, bytes], data: bytes) -> tuple[int, int] | None:
    """Where the audio lies in `data`, if it begins and ends as `shape` says; a NUL is 1 to 19 digits."""
    before, after = shape
    pattern = b"([0-9]{1,19})".join(re.escape(text) for text in before.split(b"\0"))
    begins = re.match(pattern, data, re.DOTALL)
    if not before or begins is None or not data.endswith(after) or len(data) - len(after) < begins.end():
        return None
    return begins.end(), len(data) - len(after)
