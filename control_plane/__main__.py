"""`python -m control_plane`: the API process."""

from __future__ import annotations

import sys

from control_plane import startup
from control_plane.settings import Settings


def _serve(settings: Settings) -> None:
    # After the settings are known to be of use: these imports are most of the process's start.
    import uvloop

    from control_plane.server import serve

    uvloop.run(serve(settings))


def main() -> int:
    """Returns the exit status, as `startup.run` explains it."""
    return startup.run(_serve)


if __name__ == "__main__":
    sys.exit(main())
