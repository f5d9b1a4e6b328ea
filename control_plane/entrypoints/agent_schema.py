"""`agent` in POST /calls: what a call asks of its model. Types are checked here, the rest, over both APIs
alike, by protos.gemini.check."""

from __future__ import annotations

from typing import Annotated, Literal

from google.protobuf.json_format import ParseDict
from pydantic import BaseModel, ConfigDict, Field

from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._/-]{0,128}$")]
Natural = Annotated[int, Field(ge=0, le=2**31 - 1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Turns(_Strict):
    """When a turn begins and ends. Names are Gemini Live's; null: the service's default."""

    mode: Literal["AUTO", "MANUAL"] | None = Field(
        default=None, description="who finds the caller's speech: the service (AUTO), or the media node"
    )
    start_sensitivity: Literal["START_SENSITIVITY_HIGH", "START_SENSITIVITY_LOW"] | None = None
    end_sensitivity: Literal["END_SENSITIVITY_HIGH", "END_SENSITIVITY_LOW"] | None = None
    prefix_padding_ms: Natural | None = Field(
        default=None, description="of speech, before a turn begins; at most 10000"
    )
    silence_duration_ms: Natural | None = Field(
        default=None, description="of silence, before a turn ends; 1 to 10000", examples=[500]
    )
    activity_handling: Literal["START_OF_ACTIVITY_INTERRUPTS", "NO_INTERRUPTION"] | None = None
    turn_coverage: (
        Literal[
            "TURN_INCLUDES_ONLY_ACTIVITY",
            "TURN_INCLUDES_ALL_INPUT",
            "TURN_INCLUDES_AUDIO_ACTIVITY_AND_ALL_VIDEO",
        ]
        | None
    ) = None
    speech_threshold: float | None = Field(
        default=None, description="MANUAL: how likely it must be that the caller speaks; above 0 and below 1"
    )
    speech_pad_ms: Natural | None = Field(
        default=None,
        description="MANUAL: of audio before the speech that belong to the turn; at most 2000",
    )
    hold_after_ms: Natural | None = Field(
        default=None,
        description="the agent falls silent once the caller has been audible over it for so long, at most "
        "2000; null: when the model says that it is interrupted",
        examples=[100],
    )
    hold_timeout_ms: Natural | None = Field(
        default=None,
        description="then it goes on when the model has said nothing of the kind for so long, 100 to 3000; "
        "null: 800",
    )


class Stalls(_Strict):
    """What is done about a model that is silent when it should speak (docs/stalls.md); null: as elsewhere."""

    watch: bool | None = Field(default=None, description="false: nothing is done")
    wait_min_ms: Natural | None = Field(
        default=None,
        description="for an answer, however fast the model has been; 500 to 60000",
        examples=[2000],
    )
    wait_max_ms: Natural | None = Field(
        default=None, description="however slow; wait_min_ms to 60000", examples=[8000]
    )
    then: Literal["WAIT", "END_CALL"] | None = Field(
        default=None, description="when nothing has helped: try again, or tell the caller and end the call"
    )


class Agent(_Strict):
    """What a call asks of its model; a call whose model would refuse it is not made (docs/models.md)."""

    model: Name = Field(default="", description="empty: GEMINI_MODEL", examples=["gemini-3.8-live"])
    voice: Name = Field(default="", description="a prebuilt voice; empty: GEMINI_VOICE", examples=["Kore"])
    language: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{0,35}$")] = Field(
        default="", description="BCP 47; Vertex AI only, other models choose it themselves"
    )
    temperature: float | None = Field(default=None, description="0 to 2")
    top_p: float | None = Field(default=None, description="above 0, at most 1")
    max_output_tokens: Natural | None = Field(default=None, description="of one answer, 1 to 65536")
    thinking_level: Literal["MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"] | None = None
    thinking_budget: Annotated[int, Field(ge=-(2**31), le=2**31 - 1)] | None = Field(
        default=None, description="tokens; 0: none, -1: the model's own choice"
    )
    affective_dialog: bool | None = Field(default=None, description="the voice answers to the caller's mood")
    proactive_audio: bool | None = Field(
        default=None, description="the model may leave unanswered what isn't said to it"
    )
    turns: Turns = Turns()
    stalls: Stalls = Stalls()
    tell_heard: bool | None = Field(
        default=None,
        description="the model is told what the caller did not hear of an answer that was cut off; null: if "
        "it takes it (docs/heard.md)",
    )

    def settings(self) -> AgentSettings:
        return ParseDict(self.model_dump(exclude_defaults=True, exclude_none=True), AgentSettings())
