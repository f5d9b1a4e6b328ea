"""The first message of a Gemini Live session, from google-genai's types.

The SDK knows the fields and their names, and checks their values; contract tests compare this message, field
by field, with what the SDK's own client sends for the same configuration. Frames after it never touch the
SDK.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from google.genai import types
from google.protobuf.json_format import MessageToDict

from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings

# What LiveConnectConfig holds flat and the wire puts under generationConfig.
_GENERATION = frozenset(
    {
        *("responseModalities", "temperature", "topP", "topK", "maxOutputTokens", "mediaResolution", "seed"),
        *("speechConfig", "thinkingConfig", "enableAffectiveDialog", "translationConfig"),
    }
)


def live_config(
    system_prompt: str,
    voice: str,
    functions: Sequence[types.FunctionDeclaration] = (),
    settings: AgentSettings | None = None,
    *,
    transparent: bool = False,
) -> types.LiveConnectConfig:
    """The configuration of a telephone call: audio both ways, transcribed, resumable, without a length
    limit, and what the call asks for. The settings' own model and voice are not looked at; what is not set
    in them is left out, so that the service's defaults hold. `transparent`: handles say which messages they
    include, which is asked of Vertex AI alone."""
    asked = _asked(settings) if settings is not None else {}
    return types.LiveConnectConfig(
        response_modalities=[types.Modality.AUDIO],
        speech_config=types.SpeechConfig(
            voice_config=types.VoiceConfig(prebuilt_voice_config=types.PrebuiltVoiceConfig(voice_name=voice)),
            language_code=asked.get("language"),
        ),
        temperature=asked.get("temperature"),
        top_p=asked.get("top_p"),
        max_output_tokens=asked.get("max_output_tokens"),
        thinking_config=_thinking(asked),
        enable_affective_dialog=asked.get("affective_dialog"),
        proactivity=types.ProactivityConfig(proactive_audio=asked["proactive_audio"])
        if "proactive_audio" in asked
        else None,
        system_instruction=types.Content(role="user", parts=[types.Part(text=system_prompt)]),
        input_audio_transcription=types.AudioTranscriptionConfig(),
        output_audio_transcription=types.AudioTranscriptionConfig(),
        realtime_input_config=_realtime_input(asked.get("turns", {})),
        tools=[types.Tool(function_declarations=list(functions))] if functions else None,
        session_resumption=types.SessionResumptionConfig(transparent=True if transparent else None),
        context_window_compression=types.ContextWindowCompressionConfig(sliding_window=types.SlidingWindow()),
    )


def setup_message(model: str, config: types.LiveConnectConfig) -> bytes:
    """The `setup` frame for `config`. `model` is named as the endpoint wants it (`GeminiEndpoint.model`); a
    bare name is taken for one of the Gemini API's."""
    fields = config.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"http_options"})
    setup: dict[str, object] = {"model": model if "/" in model else f"models/{model}"}
    generation = {name: fields.pop(name) for name in sorted(_GENERATION & fields.keys())}
    if generation:
        setup["generationConfig"] = generation
    return json.dumps({"setup": setup | fields}).encode()


def _asked(settings: AgentSettings) -> dict[str, Any]:
    """What is set, by field. Enum values by name, which is the SDK's too."""
    return MessageToDict(settings, preserving_proto_field_name=True)


def _thinking(asked: dict[str, Any]) -> types.ThinkingConfig | None:
    level, budget = asked.get("thinking_level"), asked.get("thinking_budget")
    if level is None and budget is None:
        return None
    return types.ThinkingConfig(thinking_level=level, thinking_budget=budget)


def _realtime_input(turns: dict[str, Any]) -> types.RealtimeInputConfig | None:
    detection = {
        "start_of_speech_sensitivity": turns.get("start_sensitivity"),
        "end_of_speech_sensitivity": turns.get("end_sensitivity"),
        "prefix_padding_ms": turns.get("prefix_padding_ms"),
        "silence_duration_ms": turns.get("silence_duration_ms"),
    }
    if turns.get("mode") == "MANUAL":  # the node detects, with these
        detection = {"disabled": True}
    config = {
        "automatic_activity_detection": detection if any(v is not None for v in detection.values()) else None,
        "activity_handling": turns.get("activity_handling"),
        "turn_coverage": turns.get("turn_coverage"),
    }
    if all(value is None for value in config.values()):
        return None
    return types.RealtimeInputConfig.model_validate(config)
