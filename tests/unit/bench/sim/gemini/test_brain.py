"""What is said to what."""

from __future__ import annotations

import pytest

from bench.sim.gemini import scenario
from bench.sim.gemini.brain import FrontDesk, after_tool, quoted_greeting, reflect, sentences
from bench.sim.gemini.errors import ScenarioError
from bench.sim.gemini.memory import Memory
from bench.sim.gemini.scenario import ToolUse

DESK = scenario.load(scenario.DEFAULTS["speech"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            'Greet the caller now. Say exactly: "Hello! How can I help you today?"',
            "Hello! How can I help you today?",
        ),
        ("greet with “Good day.”", "Good day."),
        ('Say exactly: "He said "no" twice."', 'He said "no" twice.'),
        ('The hotel is called "Rose".', None),
        ("hello", None),
    ],
)
def test_a_greeting_is_what_stands_in_quotes(text: str, words: str | None) -> None:
    assert quoted_greeting(text) == words


def test_text_is_cut_where_a_speaker_would_breathe() -> None:
    assert sentences("Hello! How are you? I am very well, thank you.") == [
        "Hello! How are you?",
        "I am very well, thank you.",
    ]


@pytest.mark.parametrize(
    ("words", "turned"),
    [
        ("He was not an ill-disposed young man.", "he was not an ill-disposed young man"),
        ("I am looking for my keys.", "you are looking for your keys"),
        ("Mr. John Dashwood had then leisure.", "Mr. John Dashwood had then leisure"),
        ("", ""),
    ],
)
def test_the_caller_s_words_are_taken_up_from_the_other_side(words: str, turned: str) -> None:
    assert reflect(words) == turned


@pytest.mark.parametrize(
    "words",
    [
        "And Mr. John Dashwood had then leisure to consider how much there might be prudently in his power.",
        "He was not an ill-disposed young man.",
        "Unless to be rather cold-hearted and rather selfish is to be ill-disposed.",
    ],
)
def test_a_line_of_a_novel_is_taken_up_in_the_reply(words: str) -> None:
    memory = Memory()
    for _ in range(4):
        reply = FrontDesk(DESK, {}).answer(words, memory)
        assert reflect(words) in reply.text


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("What are your opening hours?", "nine in the morning"),
        ("Where are you?", "Barton Lane"),
        ("My name is Ann.", "Pleased to meet you, Ann"),
        ("Thank you!", "welcome"),
        ("Goodbye.", "Goodbye"),
        ("Can you hear me?", "loud and clear"),
    ],
)
def test_the_front_desk_knows_a_few_things(words: str, answer: str) -> None:
    assert answer in FrontDesk(DESK, {}).answer(words, Memory()).text


def test_it_remembers_a_name() -> None:
    desk, memory = FrontDesk(DESK, {}), Memory()
    desk.answer("My name is Elinor.", memory)
    assert desk.answer("What is my name?", memory).text == "Your name is Elinor."


def test_it_repeats_itself_when_asked() -> None:
    memory = Memory(history=[("model", "We close at ten.")])
    assert FrontDesk(DESK, {}).answer("Could you say that again?", memory).text == "We close at ten."


def test_a_declared_function_is_called_when_its_name_is_said() -> None:
    reply = FrontDesk(DESK, {"check_weather": ["city"]}).answer("Please check the weather.", Memory())
    assert reply.tool is not None
    assert (reply.tool.function, reply.tool.args) == ("check_weather", {"city": "Please check the weather."})


def test_a_scenario_s_function_gets_the_slots() -> None:
    desk, memory = FrontDesk(DESK, {"book_table": ["day"]}), Memory()
    reply = desk.answer("Book a table for two people tomorrow at noon.", memory)
    assert reply.tool is not None
    assert reply.tool.args == {"day": "tomorrow", "time": "noon", "people": "two"}


@pytest.mark.parametrize(
    ("response", "said"),
    [
        ({"output": "room 12"}, "It is room 12."),
        ({"error": "nobody knows"}, "It is nobody knows."),
        ({"room": 12, "floor": 1}, "It is room 12, floor 1."),
        ("plain", "It is plain."),
    ],
)
def test_a_function_s_answer_is_spoken(response: object, said: str) -> None:
    assert after_tool(ToolUse(function="f", then="It is {output}."), response, {}) == said


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("name: x\ndelays: {setup: -1}", "delays.setup"),
        ("name: x\ndelays: {setup: [5, 1]}", "delays.setup"),
        ("name: x\nintents: [{name: a, match: ['('], reply: [b]}]", "intents.0.match.0"),
        ("name: x\nsurprise: 1", "surprise"),
        ("name: x\nfaults: [{fault: nothing}]", "faults.0.fault"),
        ("{", "not YAML"),
        ("", "the whole"),
    ],
)
def test_a_scenario_that_makes_no_sense_is_refused_naming_the_field(text: str, field: str) -> None:
    with pytest.raises(ScenarioError, match=field):
        scenario.parse(text)


@pytest.mark.parametrize("mode", ["speech", "scripted"])
def test_the_scenarios_that_come_with_it_are_sound(mode: str) -> None:
    assert scenario.load(scenario.DEFAULTS[mode]).name
