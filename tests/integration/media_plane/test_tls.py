"""The model's socket over TLS, where picows hands bytes to the loop instead of writing them itself."""

from __future__ import annotations

import ssl
from base64 import b64encode
from pathlib import Path

import numpy as np
import pytest

from bench.sim.gemini import tls
from media_plane.dsp.codec import OFFSET, KernelCodecs
from media_plane.dsp.kernels import AUDIO_AT
from media_plane.errors import ModelFailure
from media_plane.io.gemini_endpoint import GeminiEndpoint
from media_plane.io.gemini_ws import open_session
from media_plane.leg import TEXT, Leg
from media_plane.wire import gemini
from tests.support.media_peers import fake_gemini

SETUP = b'{"setup":{"model":"models/gemini-3.8-live"}}'


class User:
    """Stands where the session does."""

    leg: Leg

    def model_ready(self, leg: Leg, connect_ms: int, setup_ms: int, now_ns: int) -> None:
        self.leg = leg

    def model_frame(self, data: bytes, now_ns: int) -> None:
        raise AssertionError("the model says nothing here")

    def model_closed(self, failure: ModelFailure, now_ns: int) -> None:
        raise failure


async def test_frames_written_from_one_buffer_all_arrive_whole(tmp_path: Path) -> None:
    cert, key = tls.self_signed(tmp_path / "tls")
    async with fake_gemini(tls.server_context(cert, key)) as server:
        trusting = ssl.create_default_context(cafile=str(cert))
        endpoint = GeminiEndpoint(server.url, "v1beta", "k", 10.0, trusting)
        user = User()
        await open_session(endpoint, user, SETUP)
        work = KernelCodecs()
        up = work.uplink(gemini.audio_head(16000))
        sent = []
        for value in range(500):
            payload = b64encode(np.full(160, value % 256, np.uint8).tobytes())
            result = up.encode(payload, 0, len(payload), 0)
            sent.append(bytes(up.buffer[AUDIO_AT : AUDIO_AT + 640]))
            user.leg.send(TEXT, up.buffer, result & OFFSET)
        model = server.sessions[0]
        await model.until(lambda: len(model.messages) == 501)
        assert model.heard.tobytes() == b"".join(sent)
        user.leg.close(1000, "")
        assert await model.closed() == 1000


async def test_a_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    cert, key = tls.self_signed(tmp_path / "tls")
    async with fake_gemini(tls.server_context(cert, key)) as server:
        endpoint = GeminiEndpoint(server.url, "v1beta", "k", 10.0)
        with pytest.raises(ModelFailure, match="no connection") as failed:
            await open_session(endpoint, User(), SETUP)
        assert not failed.value.retryable
