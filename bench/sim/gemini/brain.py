"""What the model says: a front desk that understands a little (speech mode), or a script (scripted mode)."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from string import Formatter
from typing import Any, Final, Protocol

from bench.sim.gemini.memory import Memory
from bench.sim.gemini.scenario import Delay, Intent, Scenario, ScriptStep, ToolUse, VoiceSpec

_WORDS_TAKEN_UP: Final = 30  # of a long utterance, only the end is repeated
_QUOTED: Final = re.compile(r"(?:\bsay\b|\bgreet\w*\b|\bspeak\b).*?[\"“](.+)[\"”]", re.IGNORECASE | re.DOTALL)
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")
_REFLECTED: Final = {
    "i": "you",
    "me": "you",
    "my": "your",
    "mine": "yours",
    "myself": "yourself",
    "am": "are",
    "i'm": "you're",
    "i've": "you've",
    "i'll": "you'll",
    "i'd": "you'd",
    "you": "I",
    "your": "my",
    "yours": "mine",
    "yourself": "myself",
    "you're": "I'm",
    "you've": "I've",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """`text` is said; with a `tool`, it is what is said (or not) while the function runs."""

    text: str
    think: Delay | None = None
    voice: VoiceSpec | None = None
    tool: ToolUse | None = None


class Brain(Protocol):
    """Decides what is said. Keeps nothing itself: the conversation's memory is passed in and changed."""

    def hears(self, memory: Memory) -> ScriptStep | None:
        """The script's idea of what the caller just said, or None: really listen."""

    def say(self, words: str, memory: Memory) -> Reply:
        """Exactly these words."""

    def greet(self, memory: Memory) -> Reply:
        """Speak first, without being told what to say."""

    def answer(self, words: str, memory: Memory) -> Reply:
        """The answer to what the caller said or wrote."""

    def recall(self, words: str, memory: Memory) -> Reply:
        """It is told that the caller said these words and was answered: the answer as it was meant."""


def quoted_greeting(text: str) -> str | None:
    """The words that a text asks to have said: `Greet the caller now. Say exactly: "…"`."""
    found = _QUOTED.search(text)
    return found[1].strip() if found else None


def sentences(text: str) -> list[str]:
    """Cut a text where a speaker would breathe; very short sentences stay with the next one."""
    pieces: list[str] = []
    for piece in _SENTENCE_END.split(text.strip()):
        if pieces and len(pieces[-1]) < 12:
            pieces[-1] += " " + piece
        elif piece:
            pieces.append(piece)
    return pieces


def reflect(words: str) -> str:
    """The caller's words as the other side says them: "my name is" becomes "your name is"."""
    tokens = words.strip().rstrip(".!?, ").split()
    if len(tokens) > _WORDS_TAKEN_UP:
        tokens = tokens[-_WORDS_TAKEN_UP:]
    turned = [_REFLECTED.get(token.lower().strip(",.!?"), token) for token in tokens]
    if turned and turned[0] not in ("I", "I'm", "I've") and not _is_name(tokens):
        turned[0] = turned[0][:1].lower() + turned[0][1:]
    return " ".join(turned)


def _is_name(tokens: list[str]) -> bool:
    # A capital that survives inside the sentence marks a name: "Mr. John Dashwood …".
    return len(tokens) > 1 and tokens[1][:1].isupper() and tokens[0].lower() not in _REFLECTED


class Scripted:
    """Follows `script:`, step by step and over again. A step's function is called if setup declared it."""

    def __init__(self, scenario: Scenario, declared: Collection[str]) -> None:
        self._steps = scenario.script or [ScriptStep(heard="hello")]
        self._scenario = scenario
        self._declared = declared

    def hears(self, memory: Memory) -> ScriptStep | None:
        """The step of this turn."""
        return self._steps[memory.turns % len(self._steps)]

    def say(self, words: str, memory: Memory) -> Reply:
        """Those words, as a tone."""
        return Reply(words, voice=self._scenario.voice)

    def greet(self, memory: Memory) -> Reply:
        """The scenario's greeting, as a tone."""
        return self.say(self._scenario.greeting, memory)

    def answer(self, words: str, memory: Memory) -> Reply:
        """The step's reply, whatever was said."""
        step = self._steps[memory.turns % len(self._steps)]
        memory.turns += 1
        tool = step.tool if step.tool is not None and step.tool.function in self._declared else None
        return Reply(step.reply, step.think, step.voice or self._scenario.voice, tool)

    def recall(self, words: str, memory: Memory) -> Reply:
        """The reply of the step in which these words are heard, after which the script goes on."""
        for index, step in enumerate(self._steps):
            if step.heard == words:
                memory.turns = index
        return self.answer(words, memory)


class FrontDesk:
    """Finds what the caller wants by patterns, asks for what is missing, and otherwise makes small talk."""

    def __init__(self, scenario: Scenario, parameters: dict[str, list[str]]) -> None:
        """`parameters`: the functions that setup declared, with their required parameters."""
        self._scenario = scenario
        self._parameters = parameters

    def hears(self, memory: Memory) -> ScriptStep | None:
        """It really listens."""
        return None

    def say(self, words: str, memory: Memory) -> Reply:
        """Those words."""
        return Reply(words)

    def greet(self, memory: Memory) -> Reply:
        """The scenario's greeting."""
        return Reply(self._scenario.greeting)

    def answer(self, words: str, memory: Memory) -> Reply:
        """By intent, by declared function, or by taking up the caller's own words."""
        memory.turns += 1
        memory.slots["words"] = words.strip()
        memory.slots["reflected"] = reflect(words)
        memory.slots["said"] = memory.last_said
        self._fill_slots(words, memory)
        intent = self._intent(words, memory)
        if intent is not None:
            return self._follow(intent, memory)
        declared = self._declared_function(words, memory)
        if declared is not None:
            return Reply(declared.filler, tool=declared)
        return Reply(self._phrase(self._scenario.small_talk, memory))

    def recall(self, words: str, memory: Memory) -> Reply:
        """As if they had been said now."""
        return self.answer(words, memory)

    def _fill_slots(self, words: str, memory: Memory) -> None:
        for slot, patterns in self._scenario.slots.items():
            for pattern in patterns:
                if found := re.search(pattern, words, re.IGNORECASE):
                    memory.slots[slot] = (found[1] if found.re.groups else found[0]).strip(" .,!?")
                    break

    def _intent(self, words: str, memory: Memory) -> Intent | None:
        for intent in self._scenario.intents:
            for pattern in intent.match:
                if found := re.search(pattern, words, re.IGNORECASE):
                    memory.slots |= {
                        name: value.strip(" .,!?") for name, value in found.groupdict().items() if value
                    }
                    return intent
        # Not a new wish: it may be what an earlier one still waits for.
        return next((item for item in self._scenario.intents if item.name == memory.intent), None)

    def _follow(self, intent: Intent, memory: Memory) -> Reply:
        missing = next((slot for slot in intent.needs if slot not in memory.slots), None)
        if missing is not None:
            memory.intent = intent.name
            return Reply(intent.ask.get(missing, f"What {missing} would you like?"))
        memory.intent = None
        if intent.tool is not None and intent.tool.function in self._parameters:
            tool = intent.tool.model_copy(update={"args": _fill(intent.tool.args, memory.slots)})
            return Reply(_format(tool.filler, memory.slots), tool=tool)
        reply = Reply(self._phrase(intent.reply, memory))
        for slot in intent.needs:  # the next wish of this kind is a new one
            memory.slots.pop(slot, None)
        return reply

    def _declared_function(self, words: str, memory: Memory) -> ToolUse | None:
        """A function whose whole name was said: `look_up_order` for "please look up my order"."""
        spoken = set(re.findall(r"[a-z]+", words.lower()))
        for name, required in self._parameters.items():
            parts = [part.lower() for part in re.split(r"_|(?=[A-Z])", name) if part]
            if parts and all(part in spoken for part in parts):
                args = {item: memory.slots.get(item, words.strip()) for item in required}
                return ToolUse(function=name, args=args)
        return None

    def _phrase(self, variants: list[str], memory: Memory) -> str:
        """The variant whose turn it is, among those whose slots are filled."""
        usable = [text for text in variants if _names(text) <= memory.slots.keys()] or ["I see."]
        return _format(usable[(memory.turns - 1) % len(usable)], memory.slots)


def after_tool(tool: ToolUse, response: Any, slots: dict[str, str]) -> str:
    """What is said once a function has answered."""
    output = response
    if isinstance(response, dict):
        output = next((response[key] for key in ("output", "result", "error") if key in response), None)
        if output is None:
            output = ", ".join(f"{key} {value}" for key, value in response.items()) or "done"
    if isinstance(output, dict):
        output = ", ".join(f"{key} {value}" for key, value in output.items())
    return _format(tool.then, {**slots, "output": str(output)})


def _names(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def _format(text: str, slots: dict[str, str]) -> str:
    return text.format_map({name: slots.get(name, "") for name in _names(text)})


def _fill(args: dict[str, Any], slots: dict[str, str]) -> dict[str, Any]:
    return {key: _format(value, slots) if isinstance(value, str) else value for key, value in args.items()}
