"""Generate `protos/**/*_pb2.py`, their type stubs and gRPC modules; `--check` fails when they are stale.

Imports in the generated code start at the repository's root (`protos.voiceplane.…`), so protoc runs there.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")


def generate(out: Path) -> None:
    """Write the generated modules of every .proto under `out`. Raises SystemExit when protoc fails."""
    import grpc_tools
    from grpc_tools import protoc

    # protoc finds its plugins (protoc-gen-mypy) on PATH; they sit beside this interpreter.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    sources = sorted(str(p.relative_to(ROOT)) for p in (ROOT / "protos").rglob("*.proto"))
    arguments = [
        "protoc",
        f"-I{ROOT}",
        f"-I{well_known}",
        f"--python_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_out=quiet:{out}",
        f"--mypy_grpc_out=quiet:{out}",
        *sources,
    ]
    if protoc.main(arguments) != 0:
        raise SystemExit("protoc failed")


def generated(root: Path) -> dict[str, bytes]:
    """Relative path -> content of every generated file below `root`/protos."""
    files = (p for p in (root / "protos").rglob("*") if p.name.endswith(SUFFIXES))
    return {str(p.relative_to(root)): p.read_bytes() for p in files}


def main() -> None:
    if "--check" not in sys.argv[1:]:
        generate(ROOT)
        return
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh, committed = generated(Path(scratch)), generated(ROOT)
    stale = sorted(name for name in fresh.keys() | committed.keys() if fresh.get(name) != committed.get(name))
    if stale:
        raise SystemExit("stale generated code; run `make proto`:\n  " + "\n  ".join(stale))


if __name__ == "__main__":
    main()
