"""Telling the process that started us that we serve."""

from __future__ import annotations

import json
import os

VARIABLE = "VOICEPLANE_READY_FD"


def announce(**endpoints: str) -> None:
    """Write a JSON line, `{"ready": true, …endpoints}`, to descriptor VOICEPLANE_READY_FD; close it.

    Without that variable, does nothing. The variable is removed, so that a child does not write there too.
    """
    number = os.environ.pop(VARIABLE, "")
    if not number:
        return
    try:
        with os.fdopen(int(number), "w") as pipe:
            pipe.write(json.dumps({"ready": True, **endpoints}) + "\n")
    except (OSError, ValueError) as error:
        # Nobody listens any more, or never did: serving matters more than saying so.
        os.write(2, f"{VARIABLE}={number}: {error}\n".encode())
