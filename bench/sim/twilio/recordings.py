"""Recordings of calls asked for with `Record=true`: the callback, and the file behind its URL."""

from __future__ import annotations

import io
import wave
from typing import TYPE_CHECKING

import numpy as np

from bench.sim.twilio.mulaw import RATE
from bench.sim.twilio.request import CallRequest
from bench.sim.twilio.resource import API_VERSION, new_sid, rfc2822

if TYPE_CHECKING:
    from bench.sim.twilio.call import Call


def publish_recording(call: Call, request: CallRequest) -> None:
    """Make the recording fetchable and tell whoever asked. Twilio does so after the call's end."""
    world, resource = call.world, call.resource
    sid = new_sid("RE")
    world.recordings[sid] = (call.sid, request.recording_channels)
    if not request.recording.url:
        return
    params = {
        "AccountSid": resource.account_sid,
        "CallSid": call.sid,
        "RecordingSid": sid,
        "RecordingUrl": f"{world.base_url}/{API_VERSION}/Accounts/{resource.account_sid}/Recordings/{sid}",
        "RecordingStatus": "completed",
        "RecordingDuration": str(call.samples // RATE),
        "RecordingChannels": "2" if request.recording_channels == "dual" else "1",
        "RecordingStartTime": rfc2822(resource.answered) or "",
        "RecordingSource": "OutboundAPI",
        "RecordingTrack": "both",
        "ErrorCode": "0",
    }
    call.spawn(call.callback("recording", request.recording, params))


def mono(stereo: bytes) -> bytes:
    """A two-channel WAV as one channel: the mean of both."""
    with wave.open(io.BytesIO(stereo)) as file:
        both = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, 2)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(both.astype(np.int32).mean(axis=1).astype("<i2").tobytes())
    return buffer.getvalue()
