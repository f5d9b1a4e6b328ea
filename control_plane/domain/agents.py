"""Stored agents: what one consists of, and how a call comes out of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from control_plane.domain import calls as rules
from control_plane.domain import templates
from control_plane.domain.calls import AgentCall, NewCall
from control_plane.errors import InvalidCall
from control_plane.tools.definitions import Definition
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings
from workflows.contracts import Direction

_NAME = re.compile(r"[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Profile:
    """What calls of an agent are made with; each field checked by the functions of `domain.calls` and below.

    `system_prompt` and `greeting` are templates (`domain.templates`).
    """

    system_prompt: str
    greeting: str = ""
    greeting_mode: str = ""
    max_duration_seconds: int = rules.DEFAULT_DURATION_SECONDS
    tools: Sequence[Definition] = ()
    settings: AgentSettings = field(default_factory=AgentSettings)
    recording: bool = False
    webhook_url: str = ""

    @property
    def variables(self) -> list[str]:
        """The names that a call must give values for, in order."""
        names = dict.fromkeys(templates.variables(self.system_prompt))
        return list(names | dict.fromkeys(templates.variables(self.greeting)))


@dataclass(frozen=True)
class AgentVersion:
    """One version, as it was written and stays. `latest`: the newest version there is; `archived_at`, of the
    agent; `created_by`: a principal's id."""

    name: str
    version: int
    profile: Profile
    created_at: datetime
    created_by: str
    latest: int
    archived_at: datetime | None = None


def name(text: str) -> str:
    """1 to 63 of a-z 0-9 _ -, beginning and ending with a letter or a digit. Raises ValueError."""
    if not _NAME.fullmatch(text):
        raise ValueError("must be 1-63 characters of a-z 0-9 _ -, with a letter or digit at both ends")
    return text


def template(text: str) -> str:
    """The text, when its variables can be told. Raises ValueError."""
    templates.variables(text)
    return text


def greeting_mode(profile_says: str, direction: Direction) -> str:
    """When a stored agent greets: as its profile says, else as people expect of the one who called them, who
    waits for their "hello?", and of the one they called, who speaks first."""
    if profile_says:
        return profile_says
    return "immediate" if direction is Direction.INBOUND else "after_hello"


def new_call(asked: AgentCall, agent: AgentVersion) -> NewCall:
    """The call that a request for an agent's call means.

    Raises:
        InvalidCall: a value is missing, unknown or unfit, or a text grows too long with the values.
    """
    profile = agent.profile
    violations = templates.violations(set(profile.variables), asked.variables)
    if violations:
        raise InvalidCall(violations)
    filled = {}
    for what, rule in (("system_prompt", rules.system_prompt), ("greeting", rules.greeting)):
        text = templates.fill(getattr(profile, what), asked.variables)
        try:
            filled[what] = rule(text)
        except ValueError as error:
            raise InvalidCall({"variables": f"with these values, the agent's {what} {error}"}) from error
    return NewCall(
        phone_number=asked.phone_number,
        system_prompt=filled["system_prompt"],
        greeting=filled["greeting"],
        greeting_mode=greeting_mode(profile.greeting_mode, asked.direction),
        max_duration_seconds=asked.max_duration_seconds or profile.max_duration_seconds,
        tools=profile.tools,
        agent=profile.settings,
        agent_name=agent.name,
        agent_version=agent.version,
        recording=profile.recording,
        webhook_url=profile.webhook_url,
        on_voicemail=asked.on_voicemail,
        voicemail_message=asked.voicemail_message,
    )
