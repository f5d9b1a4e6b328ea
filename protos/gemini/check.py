"""Whether a model will accept what a call asks of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from protos.gemini.models import API_VERSION, DEFAULT_MODEL, Model, Platform, Proactivity, bare, known
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings, StallSettings, TurnSettings

MAX_TURN_MS = 10_000
MAX_PAD_MS = 2_000
MAX_HOLD_AFTER_MS = 2_000
HOLD_TIMEOUT_MS = (100, 3_000)
STALL_WAIT_MS = (500, 60_000)
MAX_OUTPUT_TOKENS = 65_536
MAX_THINKING_BUDGET = 32_768

_NAME = re.compile(r"[A-Za-z0-9._/-]{1,128}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")  # BCP 47, as far as speech needs it


@dataclass(frozen=True, slots=True)
class Service:
    """What the media nodes talk to, as far as it decides what a call may ask for."""

    default_model: str = DEFAULT_MODEL
    platform: Platform = Platform.DEVELOPER
    api_version: str = "v1beta"
    unknown_models: bool = True  # let through; the service itself says then what it does not know

    @classmethod
    def of(cls, model: str, api_version: str, vertex_project: str, unknown_models: str) -> Service:
        """From settings, as both planes have them: GEMINI_MODEL, GEMINI_API_VERSION and so on."""
        platform = Platform.VERTEX if vertex_project else Platform.DEVELOPER
        return cls(
            default_model=model,
            platform=platform,
            api_version=api_version or API_VERSION[platform],
            unknown_models=unknown_models == "allow",
        )

    def model(self, settings: AgentSettings) -> str:
        """The name of the model that a call with these settings gets."""
        return bare(settings.model or self.default_model)


class Function(Protocol):
    """A function the model may call."""

    @property
    def blocking(self) -> bool: ...
    @property
    def scheduling(self) -> str: ...


def violations(
    settings: AgentSettings, service: Service, functions: Mapping[str, Function] | None = None
) -> dict[str, str]:
    """What is wrong, by field (`turns.silence_duration_ms`); empty: nothing is.

    `functions` are those of the call, by the path that names each (`tools.0`), which is kept in the answer.
    """
    found = dict(_unnamed(settings)) | {f"turns.{name}": why for name, why in _unnamed(settings.turns)}
    found |= {f"stalls.{name}": why for name, why in _unnamed(settings.stalls)}
    if found:
        return found
    found = dict(_unfit(settings, service))
    model = known(service.model(settings))
    if model is not None:
        found |= dict(_unaccepted(settings, model, service))
        for path, function in (functions or {}).items():
            found |= {f"{path}{field}": why for field, why in _uncallable(function, model, service)}
    elif not service.unknown_models:
        found.setdefault("model", f"{service.model(settings)} is not a model we know")
    return found


def is_unknown(settings: AgentSettings, service: Service) -> bool:
    """Nothing is known of the model, so only the service can tell whether it takes these settings."""
    return known(service.model(settings)) is None


def _unnamed(message: AgentSettings | TurnSettings | StallSettings) -> Iterator[tuple[str, str]]:
    """Enums whose number has no name, which protobuf lets through."""
    for field, value in message.ListFields():
        if field.enum_type is not None and value not in field.enum_type.values_by_number:
            yield field.name, "must be a value that is known"


def _unfit(settings: AgentSettings, service: Service) -> Iterator[tuple[str, str]]:
    """What no model takes."""
    for field in ("model", "voice"):
        value = getattr(settings, field)
        if value and not _NAME.fullmatch(value):
            yield field, "must be 1-128 characters of [A-Za-z0-9._/-]"
    if settings.language and not _LANGUAGE.fullmatch(settings.language):
        yield "language", "must be a BCP 47 tag, like de-DE"
    # Written so that a NaN fails.
    if settings.HasField("temperature") and not 0 <= settings.temperature <= 2:
        yield "temperature", "must be from 0 to 2"
    if settings.HasField("top_p") and not 0 < settings.top_p <= 1:
        yield "top_p", "must be above 0 and at most 1"
    if settings.HasField("max_output_tokens") and not 1 <= settings.max_output_tokens <= MAX_OUTPUT_TOKENS:
        yield "max_output_tokens", f"must be from 1 to {MAX_OUTPUT_TOKENS}"
    if settings.HasField("thinking_budget") and not -1 <= settings.thinking_budget <= MAX_THINKING_BUDGET:
        yield "thinking_budget", f"must be from -1 to {MAX_THINKING_BUDGET}"
    if settings.thinking_level and settings.HasField("thinking_budget"):
        yield "thinking_budget", "can't be set together with thinking_level"
    yield from _unfit_turns(settings.turns)
    yield from _unfit_stalls(settings.stalls)


def _unfit_turns(turns: TurnSettings) -> Iterator[tuple[str, str]]:
    if turns.HasField("prefix_padding_ms") and turns.prefix_padding_ms > MAX_TURN_MS:
        yield "turns.prefix_padding_ms", f"must be at most {MAX_TURN_MS}"
    if turns.HasField("silence_duration_ms") and not 1 <= turns.silence_duration_ms <= MAX_TURN_MS:
        yield "turns.silence_duration_ms", f"must be from 1 to {MAX_TURN_MS}"
    if turns.mode != TurnSettings.MANUAL:
        for field in ("speech_threshold", "speech_pad_ms"):
            if turns.HasField(field):
                yield f"turns.{field}", "can only be set with mode MANUAL"
    if turns.HasField("speech_threshold") and not 0 < turns.speech_threshold < 1:
        yield "turns.speech_threshold", "must be above 0 and below 1"
    if turns.speech_pad_ms > MAX_PAD_MS:
        yield "turns.speech_pad_ms", f"must be at most {MAX_PAD_MS}"
    yield from _unfit_hold(turns)


def _unfit_hold(turns: TurnSettings) -> Iterator[tuple[str, str]]:
    holds = turns.HasField("hold_after_ms")
    if turns.hold_after_ms > MAX_HOLD_AFTER_MS:
        yield "turns.hold_after_ms", f"must be at most {MAX_HOLD_AFTER_MS}"
    if holds and turns.activity_handling == TurnSettings.NO_INTERRUPTION:
        yield "turns.hold_after_ms", "can't be set with NO_INTERRUPTION"
    if turns.HasField("hold_timeout_ms"):
        least, most = HOLD_TIMEOUT_MS
        if not holds:
            yield "turns.hold_timeout_ms", "can only be set with hold_after_ms"
        if not least <= turns.hold_timeout_ms <= most:
            yield "turns.hold_timeout_ms", f"must be from {least} to {most}"


def _unfit_stalls(stalls: StallSettings) -> Iterator[tuple[str, str]]:
    least, most = STALL_WAIT_MS
    for field in ("wait_min_ms", "wait_max_ms"):
        value = getattr(stalls, field)
        if value and not least <= value <= most:
            yield f"stalls.{field}", f"must be from {least} to {most}"
    if stalls.wait_max_ms and stalls.wait_max_ms < stalls.wait_min_ms:
        yield "stalls.wait_max_ms", "must be at least wait_min_ms"


def _unaccepted(settings: AgentSettings, model: Model, service: Service) -> Iterator[tuple[str, str]]:
    """What this model does not take."""
    developer = service.platform is Platform.DEVELOPER
    if not model.converses:
        yield "model", f"{model.name} only translates; it can't hold a conversation"
    elif service.platform not in model.platforms:
        yield "model", f"{model.name} is not served by {service.platform.value}"
    if settings.language and developer:
        yield "language", f"{model.name} chooses its language itself; name it in the system prompt"
    level = AgentSettings.ThinkingLevel.Name(settings.thinking_level) if settings.thinking_level else ""
    if level and level not in model.thinking_levels:
        allowed = ", ".join(name for name in _LEVEL_ORDER if name in model.thinking_levels)
        yield "thinking_level", f"{model.name} takes {allowed or 'none'}"
    if settings.HasField("thinking_budget") and not model.thinking_budget:
        yield "thinking_budget", f"{model.name} takes none"
    too_old = developer and service.api_version not in model.expressive_versions
    needs = f"{model.name} takes it with GEMINI_API_VERSION={', '.join(sorted(model.expressive_versions))}"
    if settings.HasField("affective_dialog"):
        if not model.affective_dialog:
            yield "affective_dialog", f"{model.name} does not take it"
        elif too_old:
            yield "affective_dialog", needs
    if settings.HasField("proactive_audio"):
        if model.proactivity is Proactivity.NONE:
            yield "proactive_audio", f"{model.name} does not take it"
        elif model.proactivity is Proactivity.ALWAYS and not settings.proactive_audio:
            yield "proactive_audio", f"{model.name} is always proactive; leave it out"
        elif too_old:
            yield "proactive_audio", needs


def _uncallable(function: Function, model: Model, service: Service) -> Iterator[tuple[str, str]]:
    if not model.functions:
        yield "", f"{model.name} calls no functions"
    elif function.blocking and not model.blocking:
        yield ".blocking", f"{model.name} waits for no function: it must be false"
    if function.scheduling and service.platform is Platform.VERTEX:
        yield ".scheduling", "is not supported by Vertex AI"
    elif function.scheduling and not model.scheduling:
        yield ".scheduling", f"{model.name} does not take it"


_LEVEL_ORDER = ("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH")
