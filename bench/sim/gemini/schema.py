"""The client's messages as the service's proto defines them, and the ProtoJSON rules for reading them.

Field names are the proto's (snake_case); a client may write them so or in lowerCamelCase, at every level, as
google-genai does within one message. What is read comes out in lowerCamelCase.

Kinds: `STR`, `BOOL`, `INT`, `NUM`, `ANY` (free-form JSON), a frozenset (enum), a dict (message), a list of
one kind (repeated). Sources: the Live API reference and google-genai's types.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from bench.sim.gemini.errors import Refused

STR: Final = "TYPE_STRING"
BOOL: Final = "TYPE_BOOL"
INT: Final = "TYPE_INT32"
NUM: Final = "TYPE_FLOAT"
ANY: Final = "ANY"

_BLOB = {"data": STR, "mime_type": STR, "display_name": STR}
_PART = {
    "text": STR,
    "inline_data": _BLOB,
    "file_data": ANY,
    "function_call": ANY,
    "function_response": ANY,
    "executable_code": ANY,
    "code_execution_result": ANY,
    "video_metadata": ANY,
    "thought": BOOL,
    "thought_signature": STR,
    "media_resolution": ANY,
}
_CONTENT = {"parts": [_PART], "role": STR}
_SPEECH_CONFIG = {
    "voice_config": {"prebuilt_voice_config": {"voice_name": STR}, "replicated_voice_config": ANY},
    "language_code": STR,
    "multi_speaker_voice_config": ANY,
}
_GENERATION_CONFIG = {
    "response_modalities": [frozenset({"MODALITY_UNSPECIFIED", "TEXT", "IMAGE", "AUDIO"})],
    "temperature": NUM,
    "top_p": NUM,
    "top_k": NUM,
    "max_output_tokens": INT,
    "candidate_count": INT,
    "presence_penalty": NUM,
    "frequency_penalty": NUM,
    "stop_sequences": [STR],
    "seed": INT,
    "media_resolution": STR,
    "speech_config": _SPEECH_CONFIG,
    "thinking_config": {
        "include_thoughts": BOOL,
        "thinking_budget": INT,
        "thinking_level": frozenset(
            {"THINKING_LEVEL_UNSPECIFIED", "MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"}
        ),
    },
    "enable_affective_dialog": BOOL,
    "translation_config": {"target_language_code": STR, "echo_target_language": BOOL},
    "response_mime_type": STR,
    "response_schema": ANY,
    "response_json_schema": ANY,
}
_FUNCTION_DECLARATION = {
    "name": STR,
    "description": STR,
    "parameters": ANY,
    "parameters_json_schema": ANY,
    "response": ANY,
    "response_json_schema": ANY,
    "behavior": frozenset({"UNSPECIFIED", "BLOCKING", "NON_BLOCKING"}),
}
_TOOL = {
    "function_declarations": [_FUNCTION_DECLARATION],
    "google_search": ANY,
    "google_search_retrieval": ANY,
    "code_execution": ANY,
    "url_context": ANY,
    "google_maps": ANY,
    "computer_use": ANY,
    "file_search": ANY,
    "mcp_servers": ANY,
    "retrieval": ANY,
    "enterprise_web_search": ANY,
}
_TRANSCRIPTION = {
    "language_codes": [STR],
    "custom_vocabulary": ANY,
    "word_timestamp": ANY,
    "diarization": ANY,
    "mode": frozenset({"MODE_UNSPECIFIED", "VERBATIM", "SMART"}),
}
_REALTIME_INPUT_CONFIG = {
    "automatic_activity_detection": {
        "disabled": BOOL,
        "start_of_speech_sensitivity": frozenset(
            {"START_SENSITIVITY_UNSPECIFIED", "START_SENSITIVITY_HIGH", "START_SENSITIVITY_LOW"}
        ),
        "end_of_speech_sensitivity": frozenset(
            {"END_SENSITIVITY_UNSPECIFIED", "END_SENSITIVITY_HIGH", "END_SENSITIVITY_LOW"}
        ),
        "prefix_padding_ms": INT,
        "silence_duration_ms": INT,
    },
    "activity_handling": frozenset(
        {"ACTIVITY_HANDLING_UNSPECIFIED", "START_OF_ACTIVITY_INTERRUPTS", "NO_INTERRUPTION"}
    ),
    "turn_coverage": frozenset(
        {
            "TURN_COVERAGE_UNSPECIFIED",
            "TURN_INCLUDES_ONLY_ACTIVITY",
            "TURN_INCLUDES_ALL_INPUT",
            "TURN_INCLUDES_AUDIO_ACTIVITY_AND_ALL_VIDEO",
        }
    ),
}
_SETUP = {
    "model": STR,
    "generation_config": _GENERATION_CONFIG,
    "system_instruction": _CONTENT,
    "tools": [_TOOL],
    "session_resumption": {"handle": STR, "transparent": BOOL},
    "context_window_compression": {"trigger_tokens": INT, "sliding_window": {"target_tokens": INT}},
    "input_audio_transcription": _TRANSCRIPTION,
    "output_audio_transcription": _TRANSCRIPTION,
    "realtime_input_config": _REALTIME_INPUT_CONFIG,
    "proactivity": {"proactive_audio": BOOL},
    "history_config": {"initial_history_in_client_content": BOOL},
    "safety_settings": ANY,
    "avatar_config": ANY,
    "labels": ANY,
    "explicit_vad_signal": BOOL,
}
_FUNCTION_RESPONSE = {
    "id": STR,
    "name": STR,
    "response": ANY,
    "will_continue": BOOL,
    "scheduling": frozenset({"SCHEDULING_UNSPECIFIED", "SILENT", "WHEN_IDLE", "INTERRUPT"}),
    "parts": ANY,
}
CLIENT_MESSAGE: Final[dict[str, Any]] = {
    "setup": _SETUP,
    "client_content": {"turns": [_CONTENT], "turn_complete": BOOL},
    "realtime_input": {
        "audio": _BLOB,
        "video": _BLOB,
        "text": STR,
        "media_chunks": [_BLOB],
        "activity_start": {},
        "activity_end": {},
        "audio_stream_end": BOOL,
    },
    "tool_response": {"function_responses": [_FUNCTION_RESPONSE]},
    "context_update": {"system_instruction": _CONTENT, "tools": {"tools": [_TOOL]}},
}

_CAPITAL = re.compile(r"[A-Z]")


@lru_cache(maxsize=1024)
def _snake(name: str) -> str:
    return _CAPITAL.sub(lambda match: "_" + match[0].lower(), name)


@lru_cache(maxsize=1024)
def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)


def read(value: Any, kind: Any = CLIENT_MESSAGE, path: str = "") -> Any:
    """Check `value` (parsed JSON) against `kind` and return it with lowerCamelCase keys.

    Raises Refused (1007) naming the path as the service does.
    """
    if kind is ANY:
        return value
    if isinstance(kind, dict):
        return _read_message(value, kind, path)
    if isinstance(kind, list):
        if not isinstance(value, list):
            raise _invalid(path, "repeated field", value)
        return [read(item, kind[0], f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(kind, frozenset):
        if value not in kind:
            raise _invalid(path, "TYPE_ENUM", value)
        return value
    return _read_scalar(value, kind, path)


def _read_message(value: Any, fields: dict[str, Any], path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(path or "message", "TYPE_MESSAGE", value)
    message: dict[str, Any] = {}
    for name, item in value.items():
        field = name if name in fields else _snake(name)
        if field not in fields or (field != name and _camel(field) != name):
            where = f" at '{path}'" if path else ""
            raise Refused(
                1007, f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.'
            )
        if item is not None:  # ProtoJSON: null is "unset"
            message[_camel(field)] = read(item, fields[field], f"{path}.{field}" if path else field)
    return message


def _read_scalar(value: Any, kind: str, path: str) -> Any:
    if kind is STR and isinstance(value, str):
        return value
    if kind is BOOL and isinstance(value, bool):
        return value
    if kind is not STR and kind is not BOOL and not isinstance(value, bool):
        number = value
        if isinstance(value, str):  # ProtoJSON: numbers may be written as strings
            try:
                number = float(value)
            except ValueError:
                raise _invalid(path, kind, value) from None
        if isinstance(number, int | float) and (kind is NUM or float(number).is_integer()):
            return int(number) if kind is INT else float(number)
    raise _invalid(path, kind, value)


def _invalid(path: str, kind: str, value: Any) -> Refused:
    shown = f'"{value}"' if isinstance(value, str) else type(value).__name__
    return Refused(1007, f"Invalid value at '{path}' ({kind}), {shown}")
