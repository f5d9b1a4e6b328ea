"""`python -m media_plane`: one media node."""

from __future__ import annotations

import sys

import uvloop
from pydantic import ValidationError

from media_plane.server import serve
from media_plane.settings import Settings


def main() -> None:
    try:
        settings = Settings()
    except ValidationError as error:
        for fault in error.errors():
            variable = "_".join(str(part) for part in fault["loc"]).upper()
            sys.stderr.write(f"{variable}: {fault['msg']}\n")
        sys.exit(2)
    uvloop.run(serve(settings))


if __name__ == "__main__":
    main()
