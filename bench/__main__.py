"""`python -m bench`: the same as `voiceplane bench`."""

from __future__ import annotations

import sys


def main() -> None:
    try:
        from bench.cli.app import app
    except ModuleNotFoundError as error:
        print(f"error: {error.name} is missing: `pip install 'voiceplane[bench]'` brings it", file=sys.stderr)
        sys.exit(2)
    app(prog_name="voiceplane bench")


if __name__ == "__main__":
    main()
