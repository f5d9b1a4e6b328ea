"""`python -m control_plane`: the API process."""

from __future__ import annotations

import sys

import uvloop
from pydantic import ValidationError

from control_plane import logs
from control_plane.settings import Settings


def main() -> int:
    """Returns the exit status: 0 after an orderly end, 2 for settings that cannot be used."""
    try:
        settings = Settings()
        logs.configure(settings.environment, settings.log_level)
    except ValidationError as error:
        for each in error.errors():
            name = "_".join(str(part) for part in each["loc"]).upper()
            sys.stderr.write(f"{name}: {each['msg']}\n")
        return 2
    except ValueError as error:
        sys.stderr.write(f"LOG_LEVEL: {error}\n")
        return 2
    # After the settings are known to be of use: these imports are most of the process's start.
    from control_plane.server import serve

    try:
        uvloop.run(serve(settings))
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
