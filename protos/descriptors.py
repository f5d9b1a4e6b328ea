"""The .proto files below protos/voiceplane as one FileDescriptorSet, comments included."""

from __future__ import annotations

import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

ROOT = Path(__file__).resolve().parent.parent
OURS = "protos/voiceplane/"


def compiled(root: Path = ROOT) -> FileDescriptorSet:
    """Of the files under `root`. Raises SystemExit when protoc fails."""
    import grpc_tools
    from grpc_tools import protoc

    well_known = Path(grpc_tools.__file__).parent / "_proto"
    sources = sorted(str(path.relative_to(root)) for path in (root / OURS).rglob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "set"
        arguments = ["protoc", f"-I{root}", f"-I{well_known}", f"--descriptor_set_out={out}"]
        if protoc.main([*arguments, "--include_source_info", *sources]) != 0:
            raise SystemExit("protoc failed")
        return FileDescriptorSet.FromString(out.read_bytes())
