"""The first message of a Gemini Live session, from google-genai's types.

The SDK knows the fields and their names; a contract test compares this message, field by field, with what the
SDK's own client sends for the same configuration. Frames after it never touch the SDK.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from google.genai import types

# What LiveConnectConfig holds flat and the wire puts under generationConfig.
_GENERATION = frozenset(
    {
        *("responseModalities", "temperature", "topP", "topK", "maxOutputTokens", "mediaResolution", "seed"),
        *("speechConfig", "thinkingConfig", "enableAffectiveDialog", "translationConfig"),
    }
)


def live_config(
    system_prompt: str, voice: str, functions: Sequence[types.FunctionDeclaration] = ()
) -> types.LiveConnectConfig:
    """The configuration of a telephone call: audio both ways, transcribed, resumable, without a length
    limit."""
    return types.LiveConnectConfig(
        response_modalities=[types.Modality.AUDIO],
        speech_config=types.SpeechConfig(
            voice_config=types.VoiceConfig(prebuilt_voice_config=types.PrebuiltVoiceConfig(voice_name=voice))
        ),
        system_instruction=types.Content(role="user", parts=[types.Part(text=system_prompt)]),
        input_audio_transcription=types.AudioTranscriptionConfig(),
        output_audio_transcription=types.AudioTranscriptionConfig(),
        tools=[types.Tool(function_declarations=list(functions))] if functions else None,
        session_resumption=types.SessionResumptionConfig(),
        context_window_compression=types.ContextWindowCompressionConfig(sliding_window=types.SlidingWindow()),
    )


def setup_message(model: str, config: types.LiveConnectConfig) -> bytes:
    """The `setup` frame for `config`; `model` with or without its `models/` prefix."""
    fields = config.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"http_options"})
    setup: dict[str, object] = {"model": model if model.startswith("models/") else f"models/{model}"}
    generation = {name: fields.pop(name) for name in sorted(_GENERATION & fields.keys())}
    if generation:
        setup["generationConfig"] = generation
    return json.dumps({"setup": setup | fields}).encode()
