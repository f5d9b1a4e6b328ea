"""The JSON bodies of `/agents`. Types are checked here; the rest, of both APIs alike, by `service.agents`."""

from __future__ import annotations

from typing import Any

from google.protobuf.json_format import MessageToDict
from pydantic import BaseModel, ConfigDict, Field

from control_plane.domain import calls
from control_plane.domain.agents import AgentVersion, Profile
from control_plane.entrypoints.agent_schema import Agent as Settings
from control_plane.tools.definitions import Definitions
from control_plane.tools.secrets import REDACTED, taken_out


class ProfileFields(BaseModel):
    """What calls of an agent are made with. Unknown fields and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    system_prompt: str = Field(
        description="what the agent is and does; 1 to 32768 bytes. `{{name}}` stands for a value that each "
        "call gives, `\\{{` for two braces",
        examples=["You answer the phone of {{company}}. Be brief."],
    )
    greeting: str = Field(
        default="",
        description="what the agent says first, at most 4096 bytes, with variables; empty: it waits",
        examples=["Hello {{first_name}}, this is {{company}}."],
    )
    greeting_mode: str = Field(
        default="",
        description="immediate, after_hello or none; empty: after_hello in calls that are made, immediate in "
        "calls that come in (docs/pool.md)",
        examples=["after_hello"],
    )
    settings: Settings = Field(default=Settings(), description="model, voice, turns, … (docs/models.md)")
    tools: Definitions = Field(
        default=[],
        description="functions the agent may call (docs/tools.md). Values of headers are never read back: "
        f"they are `{REDACTED}`, which, written, stands for the stored value of a tool at the same origin",
    )
    max_duration_seconds: int = Field(
        default=calls.DEFAULT_DURATION_SECONDS, description="1 to 14400", examples=[1800]
    )
    recording: bool = Field(default=False, description="calls are recorded")
    webhook_url: str = Field(
        default="",
        description="https; is told how each call goes; empty: nobody",
        examples=["https://hooks.example.com/calls"],
    )

    def read(self) -> Profile:
        return Profile(
            system_prompt=self.system_prompt,
            greeting=self.greeting,
            greeting_mode=self.greeting_mode,
            max_duration_seconds=self.max_duration_seconds,
            tools=self.tools,
            settings=self.settings.settings(),
            recording=self.recording,
            webhook_url=self.webhook_url,
        )


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    profile: ProfileFields


class NewAgentBody(_Body):
    """An agent to store."""

    name: str = Field(
        description="1-63 of a-z 0-9 _ -, with a letter or digit at both ends", examples=["receptionist"]
    )


class ProfileBody(_Body):
    """What a stored agent is to be from now on."""


class ShownProfile(BaseModel):
    """As in the request, but for secrets: written again as it is, it changes nothing."""

    system_prompt: str
    greeting: str
    greeting_mode: str
    settings: dict[str, Any] = Field(description="those that are set")
    tools: list[dict[str, Any]] = Field(description=f"with `{REDACTED}` for the values of headers")
    max_duration_seconds: int
    recording: bool
    webhook_url: str


class StoredAgent(BaseModel):
    """One version of an agent."""

    name: str
    version: int = Field(description="of this profile, from 1")
    latest_version: int
    profile: ShownProfile
    variables: list[str] = Field(description="which a call must give values for")
    created_at: str = Field(description="of this version; ISO 8601, UTC")
    created_by: str = Field(description="whose key or token wrote it", examples=["key:2f7k9qm4wx3c"])
    archived_at: str | None = Field(description="null: the agent takes calls")

    @classmethod
    def of(cls, agent: AgentVersion) -> StoredAgent:
        profile = agent.profile
        shown, _ = taken_out(profile.tools)
        return cls(
            name=agent.name,
            version=agent.version,
            latest_version=agent.latest,
            profile=ShownProfile(
                system_prompt=profile.system_prompt,
                greeting=profile.greeting,
                greeting_mode=profile.greeting_mode,
                settings=MessageToDict(profile.settings, preserving_proto_field_name=True),
                tools=[tool.model_dump(mode="json") for tool in shown],
                max_duration_seconds=profile.max_duration_seconds,
                recording=profile.recording,
                webhook_url=profile.webhook_url,
            ),
            variables=profile.variables,
            created_at=agent.created_at.isoformat(timespec="milliseconds"),
            created_by=agent.created_by,
            archived_at=agent.archived_at.isoformat(timespec="milliseconds") if agent.archived_at else None,
        )


class AgentList(BaseModel):
    agents: list[StoredAgent]
    next_page_token: str = Field(description="empty: this is the last page")
