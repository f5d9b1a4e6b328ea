"""Whether a model is told what the caller did not hear: an agent's own switch, over real sockets."""

from __future__ import annotations

import uuid

import pytest

from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings
from protos.voiceplane.media.v1 import media_pb2 as pb
from tests.support.media_peers import media_plane, tone


@pytest.mark.parametrize(
    ("settings", "told"), [(AgentSettings(), True), (AgentSettings(tell_heard=False), False)]
)
async def test_a_model_is_told_what_was_not_heard_unless_its_agent_says_no(
    settings: AgentSettings, told: bool
) -> None:
    async with media_plane() as plane:
        agent = pb.AgentConfig(system_prompt="You answer.", model="gemini-3.8-live", settings=settings)
        prepared = await plane.prepare(f"call-{uuid.uuid4()}", agent=agent)
        model = plane.gemini.sessions[-1]
        caller = await plane.dial(prepared.stream_url)
        caller.start()
        for _ in range(4):
            model.speak(tone(440, 500, 24_000))
        await caller.until(lambda: len(caller.heard) == 16_000)
        model.content(interrupted=True)
        await caller.until(lambda: caller.of("clear"))
        # What comes next from the caller is behind the note on the same socket.
        caller.media(bytes(160) * 5)
        await model.until(lambda: len(model.heard) > 0)
        notes = [message for message in model.messages if "clientContent" in message]
        assert bool(notes) is told
