# ruff: noqa: T201
"""Make a call, print the conversation as it happens, then how it went.

    python docs/examples/watch_a_call.py +15551234567 --address 127.0.0.1:50050

`VOICEPLANE_API_KEY` is the key; none is needed on the machine that `make up` runs on.
"""

from __future__ import annotations

import argparse
import os

from control_plane.client import Client, Ended, NewCall, Segment, StatusReached, TurnDone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("phone_number", help="E.164, +15551234567")
    parser.add_argument("--address", default="127.0.0.1:50050", help="of the control plane's gRPC port")
    parser.add_argument("--greeting", default="Hello! How can I help you today?")
    arguments = parser.parse_args()

    new = NewCall(
        phone_number=arguments.phone_number,
        greeting=arguments.greeting,
        system_prompt="You are a helpful voice assistant. Be concise and natural.",
        tools=[{"type": "end_call"}],
    )
    with Client(arguments.address, api_key=os.environ.get("VOICEPLANE_API_KEY", "")) as client:
        call = client.create(new)
        print(call.workflow_id)
        for item in client.watch(call.workflow_id):
            match item:
                case StatusReached():
                    print(f"-- {item.status}")
                case Segment():
                    print(f"{item.line.speaker}: {item.line.text}")
                case TurnDone() if item.turn.response_ms >= 0:
                    print(f"   answered after {item.turn.response_ms} ms")
                case Ended():
                    print(f"-- {item.status}: {item.end_reason} after {item.duration_seconds:.1f} s")


if __name__ == "__main__":
    main()
