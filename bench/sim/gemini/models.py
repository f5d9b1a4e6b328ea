"""What the service refuses by model. Source: Google's pages on the Live API and reports from the field.

Where neither says how a refusal looks, it is the close that bad values in a setup lead to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from bench.sim.gemini.errors import Refused

BAD_ARGUMENT: Final = "Request contains an invalid argument."


@dataclass(frozen=True, slots=True)
class Model:
    """`levels`: of thinkingConfig.thinkingLevel. `budget`: thinkingConfig.thinkingBudget may be set."""

    levels: frozenset[str] = frozenset()
    budget: bool = False
    affective: bool = False
    always_proactive: bool = True
    silent_on_proactivity: bool = False  # it never answers a setup that has it, or affective dialog
    alpha_only: bool = False  # affective dialog and proactivity are no fields of other versions' setups
    blocking: bool = True
    non_blocking_default: bool = True
    scheduling: bool = True
    content_any_time: bool = True  # else clientContent is for history, before realtime input
    developer: bool = True
    vertex: bool = False


_MODELS: Final = {
    "gemini-3.8-live": Model(vertex=True),
    "gemini-3.8-live-extended-thinking": Model(
        levels=frozenset({"LOW", "MEDIUM", "HIGH"}), blocking=False, scheduling=False
    ),
    "gemini-3.1-flash-live-preview": Model(
        levels=frozenset({"MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"}),
        always_proactive=False,
        silent_on_proactivity=True,
        non_blocking_default=False,
        content_any_time=False,
    ),
    "gemini-2.5-flash-native-audio-preview-12-2025": Model(
        budget=True, affective=True, always_proactive=False, alpha_only=True, non_blocking_default=False
    ),
    "gemini-live-2.5-flash-native-audio": Model(
        budget=True,
        affective=True,
        always_proactive=False,
        non_blocking_default=False,
        developer=False,
        vertex=True,
    ),
}
# A model that only a scenario knows takes everything.
_ANY: Final = Model(
    levels=frozenset({"MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"}),
    budget=True,
    affective=True,
    always_proactive=False,
    vertex=True,
)


def find(name: str) -> Model:
    """The model of that name, without its path."""
    return _MODELS.get(name, _ANY)


def served(name: str, *, vertex: bool) -> bool:
    """Whether the model is there at all, on this of the two services."""
    model = find(name)
    return model.vertex if vertex else model.developer


def check(model: Model, body: dict[str, Any], api_version: str) -> bool:
    """Whether a setup (lowerCamelCase keys) is answered. Raises Refused for one the model does not take."""
    generation = body.get("generationConfig", {})
    affective = generation.get("enableAffectiveDialog")
    proactive = body.get("proactivity", {}).get("proactiveAudio")
    if model.silent_on_proactivity and (affective or proactive):
        return False
    if model.alpha_only and api_version != "v1alpha":
        for name, where, said in (
            ("enableAffectiveDialog", "setup.generation_config", affective),
            ("proactivity", "setup", proactive),
        ):
            if said is not None:
                text = (
                    f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field."
                )
                raise Refused(1007, text)
    thinking = generation.get("thinkingConfig")
    if thinking is not None:
        level, budget = thinking.get("thinkingLevel"), thinking.get("thinkingBudget")
        takes_any = bool(model.levels) or model.budget
        if (
            not takes_any
            or (level is not None and level not in model.levels)
            or (budget is not None and not model.budget)
        ):
            raise Refused(1007, BAD_ARGUMENT)
    if affective is not None and not model.affective:
        raise Refused(1007, BAD_ARGUMENT)
    if model.always_proactive and proactive is False:
        raise Refused(1007, BAD_ARGUMENT)
    return True
