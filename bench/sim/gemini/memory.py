"""What a conversation remembers: what a resumption handle brings back."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

_TOKENS_PER_SECOND = 25  # of audio, both ways (Live API reference)
_CHARACTERS_PER_TOKEN = 4


@dataclass
class Memory:
    """Mutable; `copy()` is what a handle points to."""

    model: str = ""
    history: list[tuple[str, str]] = field(default_factory=list)  # (role, words)
    slots: dict[str, str] = field(default_factory=dict)
    intent: str | None = None  # one that still needs slots
    turns: int = 0  # caller's turns answered
    unanswered: str = ""  # what the caller said last, as long as no answer to it is complete
    saying: str = ""  # the newest answer, as it was meant to be said
    told: list[str] = field(default_factory=list)  # what the caller had said, told in words with its answer
    codes: list[list[int]] = field(default_factory=list)  # caller audio that was heard, see codes.py
    text_tokens: int = 0
    audio_in_ms: float = 0.0
    audio_out_ms: float = 0.0

    def copy(self) -> Memory:
        """An independent snapshot."""
        return copy.deepcopy(self)

    def remember(self, role: str, words: str) -> None:
        """Add to the history, and to the text tokens if it came as text from the caller."""
        if words:
            self.history.append((role, words))

    def add_text(self, words: str) -> None:
        """Count text put into the context."""
        self.text_tokens += max(1, len(words) // _CHARACTERS_PER_TOKEN)

    @property
    def last_said(self) -> str:
        """The model's last words."""
        return next((words for role, words in reversed(self.history) if role == "model"), "")

    def usage(self, response_ms: float) -> dict[str, Any]:
        """usageMetadata of a turn whose audio lasted `response_ms`: the whole context is billed each time."""
        heard = round((self.audio_in_ms + self.audio_out_ms - response_ms) / 1000 * _TOKENS_PER_SECOND)
        said = round(response_ms / 1000 * _TOKENS_PER_SECOND)
        prompt = [("TEXT", self.text_tokens), ("AUDIO", max(0, heard))]
        prompt_total = sum(count for _, count in prompt)
        return {
            "promptTokenCount": prompt_total,
            "responseTokenCount": said,
            "totalTokenCount": prompt_total + said,
            "promptTokensDetails": [
                {"modality": name, "tokenCount": count} for name, count in prompt if count
            ],
            "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": said}],
        }
