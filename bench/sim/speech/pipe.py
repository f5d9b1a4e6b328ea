"""Messages between a simulator and its speech process: a JSON header and, for audio, raw int16 samples.

    u32 header bytes | u32 payload bytes | header (UTF-8 JSON object) | payload      (little-endian)

To the process: `{"id", "do": "say", "text", "rate", "path"}`, `{"id", "do": "hear"}` + samples at 16 kHz,
`{"id", "do": "forget"}` (skip that job if it hasn't begun). From it: `{"ready": true}` once, then
`{"id"}` + samples, `{"id", "text", "ms"}`, or `{"id", "error"}`.
"""

from __future__ import annotations

import json
import struct
from typing import Any

PREFIX = struct.Struct("<II")


def pack(header: dict[str, Any], payload: bytes = b"") -> bytes:
    """One message as bytes."""
    text = json.dumps(header).encode()
    return PREFIX.pack(len(text), len(payload)) + text + payload
