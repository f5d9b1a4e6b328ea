"""Whole calls: dialled, answered, streamed, ended; heard by listening to the recording."""

from __future__ import annotations

from typing import Any

import numpy as np
from twilio.request_validator import RequestValidator

from bench.sim.twilio import mulaw, voice
from bench.sim.twilio.config import AUDIO
from tests.support.media_server import Connection
from tests.support.twilio_sim import CONFIG, bed

SPEECH = str(AUDIO / "austen-0880.wav")


def echo(connection: Connection, message: dict[str, Any]) -> None:
    if message["event"] == "media":
        connection.send(
            event="media", streamSid=message["streamSid"], media={"payload": message["media"]["payload"]}
        )


async def test_a_callee_who_speaks_hears_the_echo_and_hangs_up() -> None:
    async with bed() as b:
        b.customer.on_message = echo
        await b.persona({"script": [{"play": SPEECH}, {"pause_ms": 300}]})
        sid = await b.call(
            '<Connect><Stream url="{ws}/s/1?dropped=1"><Parameter name="k" value="v"/></Stream></Connect>'
        )
        state = await b.ended(sid)

        assert b.customer.statuses() == ["initiated", "ringing", "in-progress", "completed"]
        assert [h.params["SequenceNumber"] for h in b.customer.at("/status")] == ["0", "1", "2", "3"]
        assert all(h.valid for h in b.customer.webhooks)
        assert b.customer.at("/twiml")[0].params["CallStatus"] == "in-progress"

        (connection,) = b.customer.connections
        assert connection.path == "/s/1"
        assert connection.messages[0] == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
        start = connection.messages[1]
        assert start["sequenceNumber"] == "1"
        assert start["start"]["customParameters"] == {"k": "v"}
        assert [m["sequenceNumber"] for m in connection.messages[1:]] == [
            str(n + 1) for n in range(len(connection.messages) - 1)
        ]
        assert connection.messages[-1]["event"] == "stop"
        headers = {name.lower(): value for name, value in connection.headers.items()}
        assert headers["user-agent"] == "Twilio.TmeWs/1.0"
        assert not headers.keys() & {"origin", "sec-websocket-extensions", "sec-websocket-protocol"}
        url = f"{b.customer.ws_url}/s/1"
        assert RequestValidator(CONFIG.auth_token).validate(url, {}, headers["x-twilio-signature"])

        said, heard = await b.recording(sid)
        speech = mulaw.decode(voice.read_wav((AUDIO / "austen-0880.wav").read_bytes())).astype(float)
        assert loudest_lag(said, speech) >= 0
        lag = loudest_lag(heard, speech) - loudest_lag(said, speech)
        assert 160 <= lag < 160 + 400, "heard one frame after it was said, and what the loop took"
        assert state["status"] == "completed"
        assert state["stream"]["closed_by"] == "twilio"
        assert state["stream"]["media_out"] == len(connection.of("media"))


def loudest_lag(channel: np.ndarray[Any, Any], pattern: np.ndarray[Any, Any]) -> int:
    """Where `pattern` is found in `channel`, in samples."""
    size = len(channel) + len(pattern)
    product = np.fft.rfft(channel.astype(float), size) * np.conj(np.fft.rfft(pattern, size))
    return int(np.argmax(np.fft.irfft(product, size)[: len(channel)]))
