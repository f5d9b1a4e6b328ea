"""What the service says about a setup: which it refuses, and which it never answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bench.sim.gemini import models
from bench.sim.gemini.errors import Refused
from bench.sim.gemini.models import BAD_ARGUMENT
from bench.sim.gemini.scenario import Scenario
from bench.sim.gemini.vad import VadConfig


@dataclass(frozen=True, slots=True)
class Setup:
    """A setup as the session uses it."""

    model: str  # without its path
    instruction: str
    input_transcription: bool
    output_transcription: bool
    resumption: bool
    handle: str
    transparent: bool
    manual_activity: bool
    all_input: bool  # turns include what comes between them
    no_interruption: bool
    seed_history: bool
    explicit_vad: bool
    vad: VadConfig
    blocking: dict[str, bool] = field(default_factory=dict)  # declared functions; True: BLOCKING
    parameters: dict[str, list[str]] = field(default_factory=dict)  # their required parameters
    never_answered: bool = False  # the service goes silent on this one
    scheduling: bool = True  # of functions' answers
    content_any_time: bool = True  # else no clientContent after realtime input


def check_key(key: str | None, scenario: Scenario) -> None:
    """Raises Refused for a missing or bad API key. The handshake has succeeded by then, as it does there."""
    if not key:
        raise Refused(
            1008,
            "Method doesn't allow unregistered callers (callers without established identity). "
            "Please use API Key or other form of API consumer identity to call this API.",
        )
    if key in scenario.bad_keys or key.startswith("bad"):
        raise Refused(1007, "API key not valid. Please pass a valid API key.")


def read_setup(body: dict[str, Any], scenario: Scenario, api_version: str, *, vertex: bool) -> Setup:
    """Check a setup (lowerCamelCase keys, see schema.py). Raises Refused as the service closes."""
    path = body.get("model", "")
    model = path.rsplit("/", 1)[-1]
    if not path:
        raise Refused(1007, BAD_ARGUMENT)
    if "/" not in path or model not in scenario.models or not models.served(model, vertex=vertex):
        raise Refused(
            1008,
            f"models/{model} is not found for API version {api_version}, or is not supported for "
            "bidiGenerateContent. Call ListModels to see the list of available models.",
        )
    generation = body.get("generationConfig", {})
    if any(modality != "AUDIO" for modality in generation.get("responseModalities", [])):
        raise Refused(1007, BAD_ARGUMENT)  # native-audio models only speak
    resumption = body.get("sessionResumption", {})
    if (resumption.get("transparent") or body.get("explicitVadSignal")) and not vertex:
        raise Refused(1007, BAD_ARGUMENT)
    facts = models.find(model)
    answered = models.check(facts, body, api_version)
    blocking, parameters = _functions(body.get("tools", []), non_blocking_default=facts.non_blocking_default)
    if not facts.blocking and any(blocking.values()):
        raise Refused(1007, BAD_ARGUMENT)
    realtime = body.get("realtimeInputConfig", {})
    detection = realtime.get("automaticActivityDetection", {})
    for name in ("prefixPaddingMs", "silenceDurationMs"):
        if detection.get(name, 0) < 0:
            raise Refused(1007, BAD_ARGUMENT)
    return Setup(
        model=model,
        instruction=text_of([body["systemInstruction"]]) if "systemInstruction" in body else "",
        input_transcription="inputAudioTranscription" in body,
        output_transcription="outputAudioTranscription" in body,
        resumption="sessionResumption" in body,
        handle=resumption.get("handle", ""),
        transparent=resumption.get("transparent", False),
        manual_activity=detection.get("disabled", False),
        all_input=realtime.get("turnCoverage") == "TURN_INCLUDES_ALL_INPUT",
        no_interruption=realtime.get("activityHandling") == "NO_INTERRUPTION",
        seed_history=body.get("historyConfig", {}).get("initialHistoryInClientContent", False),
        explicit_vad=body.get("explicitVadSignal", False),
        vad=VadConfig.from_setup(detection, pause_at=scenario.pause_at),
        blocking=blocking,
        parameters=parameters,
        never_answered=not answered,
        scheduling=facts.scheduling and not vertex,
        content_any_time=facts.content_any_time,
    )


def text_of(contents: list[dict[str, Any]]) -> str:
    """The text parts of some Contents, joined by spaces."""
    return " ".join(
        part["text"] for content in contents for part in content.get("parts", []) if part.get("text")
    )


def _functions(
    tools: list[dict[str, Any]], *, non_blocking_default: bool
) -> tuple[dict[str, bool], dict[str, list[str]]]:
    blocking: dict[str, bool] = {}
    parameters: dict[str, list[str]] = {}
    for tool in tools:
        for declaration in tool.get("functionDeclarations", []):
            name = declaration.get("name", "")
            if not name or name in blocking:
                raise Refused(1007, BAD_ARGUMENT)
            behavior = declaration.get("behavior", "UNSPECIFIED")
            blocking[name] = behavior == "BLOCKING" or (
                behavior == "UNSPECIFIED" and not non_blocking_default
            )
            schema = declaration.get("parameters") or declaration.get("parametersJsonSchema") or {}
            required = schema.get("required") if isinstance(schema, dict) else None
            parameters[name] = [str(item) for item in required or []]
    return blocking, parameters
