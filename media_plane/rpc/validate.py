"""PrepareCallRequest → Request, field by field; the first fault is a sentence that names the field."""

from __future__ import annotations

import re

from media_plane.call.greeting import GreetingMode
from media_plane.errors import InvalidRequest
from media_plane.node import Request
from media_plane.rpc.validate_tools import functions
from media_plane.settings import Settings
from protos.gemini.check import violations
from protos.gemini.models import Platform, known
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings
from protos.voiceplane.media.v1.media_pb2 import AgentConfig, PrepareCallRequest

_WORKFLOW_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}\Z")
_NAME = re.compile(r"[A-Za-z0-9._/-]{1,128}\Z")
_EXPIRES_S = (180, 3600)  # default, longest
_MODES = {mode.name.lower(): mode for mode in GreetingMode} | {"": GreetingMode.IMMEDIATE}


def prepare_request(request: PrepareCallRequest, settings: Settings) -> Request:
    """Raises: InvalidRequest."""
    agent = request.agent
    _require(_WORKFLOW_ID.match(request.workflow_id), "workflow_id", "1-128 characters of [A-Za-z0-9_-]")
    _require(_TOKEN.match(request.stream_token), "stream_token", "16-128 characters of [A-Za-z0-9_-]")
    _require(agent.system_prompt.strip(), "agent.system_prompt", "not empty")
    _require(len(agent.system_prompt.encode()) <= 32768, "agent.system_prompt", "at most 32768 bytes")
    _require(len(agent.greeting.encode()) <= 4096, "agent.greeting", "at most 4096 bytes")
    _require(agent.greeting_mode in _MODES, "agent.greeting_mode", "immediate, after_hello or none")
    model, voice = agent.model or settings.gemini_model, agent.voice or settings.gemini_voice
    _require(_NAME.match(model), "agent.model", "1-128 characters of [A-Za-z0-9._/-]")
    _require(_NAME.match(voice), "agent.voice", "1-128 characters of [A-Za-z0-9._/-]")
    _require(request.expires_in_s <= _EXPIRES_S[1], "expires_in_s", f"at most {_EXPIRES_S[1]}")
    return Request(
        workflow_id=request.workflow_id,
        stream_token=request.stream_token,
        system_prompt=agent.system_prompt,
        greeting=agent.greeting.strip(),
        model=model,
        voice=voice,
        expires_in_s=request.expires_in_s or _EXPIRES_S[0],
        greeting_mode=_MODES[agent.greeting_mode],
        hello_silence_ns=int(settings.greeting_silence_s * 1e9),
        tools=functions(agent.tools, schedules=_schedules(model, settings)),
        settings=_settings(agent, model, settings),
    )


def _schedules(model: str, settings: Settings) -> bool:
    found = known(model)
    vertex = settings.gemini_service.platform is Platform.VERTEX
    return found is not None and found.scheduling and not vertex


def _settings(agent: AgentConfig, model: str, settings: Settings) -> AgentSettings:
    """What the call asks of its model, which takes it, as far as is known."""
    asked = AgentSettings()
    asked.CopyFrom(agent.settings)
    asked.model, asked.voice = model, agent.voice
    tools = {f"tools[{index}]": tool for index, tool in enumerate(agent.tools)}
    for field, reason in violations(asked, settings.gemini_service, tools).items():
        own = field.partition("[")[0] in ("model", "voice", "tools")
        raise InvalidRequest(f"agent.{field if own else 'settings.' + field}: {reason}")
    return asked


def _require(holds: object, field: str, rule: str) -> None:
    if not holds:
        raise InvalidRequest(f"{field} must be {rule}")
