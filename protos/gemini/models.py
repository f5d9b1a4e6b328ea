"""What each model of Gemini Live accepts, in one table.

Source: Google's pages on the Live API, November 2026.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

DEFAULT_MODEL = "gemini-3.8-live"
API_VERSIONS = ("v1", "v1beta", "v1alpha", "v1beta1")


class Platform(Enum):
    """Who serves the model."""

    DEVELOPER = "Gemini API"  # API keys and ephemeral tokens
    VERTEX = "Vertex AI"


# Of the addresses, where no other is set: those that Google's own pages use.
API_VERSION = {Platform.DEVELOPER: "v1beta", Platform.VERTEX: "v1beta1"}


class Proactivity(Enum):
    """What may be said about `proactivity.proactiveAudio`."""

    NONE = "not at all"
    EITHER = "on or off"
    ALWAYS = "on"  # it can't be turned off, and saying so is an error


class ClientContent(Enum):
    """When `clientContent` may be sent."""

    ANY_TIME = "as long as the session lives"
    SEED = "as the conversation's history, before any realtime input"


@dataclass(frozen=True, slots=True)
class Model:
    """Defaults are gemini-3.8-live's."""

    name: str
    platforms: frozenset[Platform] = frozenset({Platform.DEVELOPER})
    thinking_levels: frozenset[str] = frozenset()  # empty: thinkingConfig must be left out
    thinking_budget: bool = False
    affective_dialog: bool = False
    proactivity: Proactivity = Proactivity.ALWAYS
    # The Gemini API versions that know affective dialog and proactivity; Vertex AI's do.
    expressive_versions: frozenset[str] = frozenset(API_VERSIONS)
    functions: bool = True
    blocking: bool = True  # functions that the model waits for
    scheduling: bool = True  # of what functions answer that it does not wait for; never on Vertex AI
    client_content: ClientContent = ClientContent.ANY_TIME
    history_config: bool = True  # historyConfig.initialHistoryInClientContent
    converses: bool = True  # else it only translates
    more_turns: bool = False  # it may follow a turn by another one, without the caller


_LEVELS = frozenset({"MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"})
_V1ALPHA = frozenset({"v1alpha"})
_BOTH = frozenset({Platform.DEVELOPER, Platform.VERTEX})

MODELS = {
    model.name: model
    for model in (
        Model(DEFAULT_MODEL, platforms=_BOTH),
        Model(
            "gemini-3.8-live-extended-thinking",
            thinking_levels=frozenset({"LOW", "MEDIUM", "HIGH"}),
            blocking=False,
            scheduling=False,
            more_turns=True,
        ),
        Model(
            # It never answers a setup that mentions affective dialog or proactivity. Its functions are
            # documented as blocking only, and reported to work only when they are not: nothing is refused.
            "gemini-3.1-flash-live-preview",
            thinking_levels=_LEVELS,
            proactivity=Proactivity.NONE,
            client_content=ClientContent.SEED,
        ),
        Model(
            "gemini-2.5-flash-native-audio-preview-12-2025",
            thinking_budget=True,
            affective_dialog=True,
            proactivity=Proactivity.EITHER,
            expressive_versions=_V1ALPHA,
            history_config=False,
        ),
        Model(
            "gemini-live-2.5-flash-native-audio",
            platforms=frozenset({Platform.VERTEX}),
            thinking_budget=True,
            affective_dialog=True,
            proactivity=Proactivity.EITHER,
            history_config=False,
        ),
        Model(
            "gemini-3.5-live-translate-preview",
            proactivity=Proactivity.NONE,
            functions=False,
            converses=False,
        ),
    )
}


def bare(name: str) -> str:
    """The model's own name, of any way to write it: `models/m`, `publishers/google/models/m`, …"""
    return name.rpartition("/")[2]


def known(name: str) -> Model | None:
    """What is known of a model, by any way to write its name."""
    return MODELS.get(bare(name))
