"""What an operator may set about audio, over real sockets: the resampler, and the rate the model is sent."""

from __future__ import annotations

import asyncio
import base64
import urllib.request

import numpy as np
import pytest

from media_plane.dsp.g711 import expand
from tests.support.media_peers import NOWHERE, Plane, media_plane, tone

HELD = "voiceplane_media_resampler_held_back"


async def scraped(plane: Plane, names: str) -> dict[str, float]:
    """The node's metrics whose names begin with `names`, by what follows."""
    url = str(plane.endpoints["media_metrics"])
    text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read().decode())
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(names)]
    return {name.removeprefix(names): float(value) for name, value in lines}


@pytest.mark.parametrize(("resampler", "least_ms"), [("kernel", 0), ("soxr-hq", 20)])
async def test_metrics_show_what_the_live_resampler_holds_back(resampler: str, least_ms: float) -> None:
    async with media_plane(NOWHERE, media_resampler=resampler) as plane:
        caller, model, _ = await plane.call()
        for _ in range(100):
            caller.media(bytes(range(160)))
        for _ in range(50):
            model.speak(tone(440, 40, 24_000))
        await model.until(lambda: len(model.heard) > 100 * 320 - 3200)
        await caller.until(lambda: len(caller.heard) > 50 * 320 - 1600)
        seen = await scraped(plane, HELD)
        for direction in ("up", "down"):
            label = f'{{direction="{direction}",resampler="{resampler}"}}'
            mean, most = seen[f"_seconds{label}"], seen[f"_max_seconds{label}"]
            assert mean <= most < 0.2
            if least_ms:
                assert mean * 1000 > least_ms
            else:
                assert most == 0


async def test_the_model_may_be_sent_telephone_audio_as_it_is() -> None:
    codes = np.random.default_rng(1).integers(0, 256, 50 * 160, np.uint8)
    async with media_plane(NOWHERE, gemini_uplink_rate=8000) as plane:
        caller, model, _ = await plane.call()
        for at in range(0, len(codes), 160):
            caller.media(codes[at : at + 160].tobytes())
        await model.until(lambda: len(model.messages) == 1 + 50)  # the setup, and every frame
        blobs = [message["realtimeInput"]["audio"] for message in model.messages[1:]]
        assert {blob["mimeType"] for blob in blobs} == {"audio/pcm;rate=8000"}
        pcm = b"".join(base64.b64decode(blob["data"], validate=True) for blob in blobs)
        assert np.array_equal(np.frombuffer(pcm, "<i2"), expand(codes))
