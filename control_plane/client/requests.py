"""What both clients send, and how they are set up: all but the waiting."""

from __future__ import annotations

from protos.voiceplane.calls.v1 import calls_pb2 as pb

# WatchCall is quiet for minutes: pings notice a server that has gone. The server allows one every 5 s.
CHANNEL_OPTIONS = [
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]
WATCH_GIVE_UP_S = 120.0  # without a server that a cut watch could be resumed at


def metadata(api_key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {api_key}"),) if api_key else ()


def send_text(workflow_id: str, text: str, *, instruct: bool) -> pb.SendTextRequest:
    mode = pb.TEXT_MODE_INSTRUCT if instruct else pb.TEXT_MODE_SPEAK
    return pb.SendTextRequest(workflow_id=workflow_id, text=text, mode=mode)


def transfer(
    workflow_id: str, to: str, *, warm: bool, summary: str, timeout_seconds: int
) -> pb.TransferCallRequest:
    return pb.TransferCallRequest(
        workflow_id=workflow_id,
        to=to,
        mode=pb.TRANSFER_MODE_WARM if warm else pb.TRANSFER_MODE_COLD,
        summary=summary,
        timeout_seconds=timeout_seconds,
    )
