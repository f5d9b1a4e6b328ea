"""The model's function calls, and all that can come between a call and its answer."""

from __future__ import annotations

from typing import Any

import pytest

from media_plane.call.tools import GRACE_NS, MAX_OPEN, REPEAT_NS, Action, Outcome, Respond, Tool, Tools
from media_plane.wire.events import ToolAnswered, ToolCalled, ToolCancelled
from media_plane.wire.gemini_tools import ToolCall, ToolResponse

S = 1_000_000_000
FREE = Tool("lookup", scheduling="WHEN_IDLE")
BLOCKING = Tool("book", blocking=True, timeout_ms=5000)
END = Tool("end_call", scheduling="WHEN_IDLE", ends_call=True)


class Desk:
    """A machine, and its actions so far."""

    def __init__(self) -> None:
        self.tools = Tools.of("call-1", [FREE, BLOCKING, END])
        self.done: list[Action] = []

    def called(self, *calls: ToolCall, at: float = 0, said: bool = False) -> list[Action]:
        return self._did(self.tools.called(calls, ns(at), said=said))

    def answered(self, key: str, response: Any = None, at: float = 1, spoke: float = 0) -> list[Action]:
        response = {"output": key} if response is None else response
        _, actions = self.tools.answered(key, response, ns(at), spoke_ns=ns(spoke) if spoke else 0)
        return self._did(actions)

    def cancelled(self, *ids: str, at: float = 1) -> list[Action]:
        return self._did(self.tools.cancelled(ids, ns(at)))

    def tick(self, at: float) -> list[Action]:
        return self._did(self.tools.tick(ns(at)))

    def _did(self, actions: list[Action]) -> list[Action]:
        self.done += actions
        return actions

    @property
    def executions(self) -> list[ToolCalled]:
        return [action for action in self.done if isinstance(action, ToolCalled)]


def ns(at: float) -> int:
    return int((100 + at) * S)


def lookup(call_id: str = "l1", arguments: str = '{"q":1}') -> ToolCall:
    return ToolCall(call_id, "lookup", arguments)


def book(call_id: str = "b1", arguments: str = '{"day":"friday"}') -> ToolCall:
    return ToolCall(call_id, "book", arguments)


def responses(actions: list[Action]) -> list[ToolResponse]:
    return [each for action in actions if isinstance(action, Respond) for each in action.responses]


def test_a_call_is_executed_and_answered_by_its_id() -> None:
    desk = Desk()
    assert desk.called(lookup()) == [ToolCalled("l1", "lookup", '{"q":1}', "call-1:l1", 10_000)]
    assert desk.answered("l1", {"output": 5}, at=0.25) == [
        ToolAnswered("l1", "lookup", 250),
        Respond((ToolResponse("l1", "lookup", {"output": 5}, "WHEN_IDLE"),)),
    ]
    assert desk.tools.pending == 0


def test_a_blocking_answer_says_no_scheduling() -> None:
    desk = Desk()
    desk.called(book())
    assert responses(desk.answered("b1")) == [ToolResponse("b1", "book", {"output": "b1"}, "")]


def test_blocking_calls_of_one_frame_are_answered_in_one_frame() -> None:
    desk = Desk()
    desk.called(book("b1"), book("b2"), lookup())
    assert responses(desk.answered("b1")) == []
    assert [each.id for each in responses(desk.answered("l1"))] == ["l1"]
    [together] = [action for action in desk.answered("b2") if isinstance(action, Respond)]
    assert [each.id for each in together.responses] == ["b1", "b2"]


def test_equal_calls_of_one_frame_are_two_calls() -> None:
    desk = Desk()
    desk.called(book("b1"), book("b2"))
    assert [each.tool_call_id for each in desk.executions] == ["b1", "b2"]


def test_an_unknown_function_is_answered_at_once() -> None:
    desk = Desk()
    [answer] = responses(desk.called(ToolCall("x1", "rm_rf")))
    assert answer == ToolResponse("x1", "rm_rf", {"error": "there is no such function"})
    assert desk.executions == []


def test_a_model_that_calls_without_end_is_answered_with_an_error() -> None:
    desk = Desk()
    for number in range(MAX_OPEN):
        desk.called(lookup(f"l{number}", f'{{"q":{number}}}'))
    [answer] = responses(desk.called(lookup("more", "{}")))
    assert "too many" in answer.response["error"]
    assert len(desk.executions) == MAX_OPEN


def test_what_nobody_answers_in_time_is_answered_with_an_error_and_its_execution_stopped() -> None:
    desk = Desk()
    desk.called(book())
    assert desk.tools.deadline_ns == ns(5) + GRACE_NS
    assert desk.tick(6.4) == []
    actions = desk.tick(6.5)
    assert ToolCancelled("b1", "book") in actions
    assert [each.response for each in responses(actions)] == [
        {"error": "the function did not answer in time"}
    ]
    assert desk.tools.deadline_ns == 0
    outcome, late = desk.tools.answered("b1", {"output": 1}, ns(7))
    assert (outcome, late) == (Outcome.LATE, [ToolAnswered("b1", "book", 7000, late=True)])
    assert desk.tools.counts.late == 1


def test_a_second_answer_is_late() -> None:
    desk = Desk()
    desk.called(lookup())
    desk.answered("l1")
    assert desk.tools.answered("l1", {}, ns(2))[0] is Outcome.LATE
    assert desk.tools.answered("never", {}, ns(2))[0] is Outcome.LATE


# -- the model takes back, forgets, repeats ------------------------------------------------------------------


def test_a_call_taken_back_is_stopped_and_its_answer_dropped() -> None:
    desk = Desk()
    desk.called(book())
    assert desk.cancelled("b1", "unknown") == [ToolCancelled("b1", "book")]
    assert responses(desk.answered("b1")) == []
    assert desk.tools.counts.late == 1


def test_a_repetition_of_a_call_taken_back_is_executed_with_the_same_idempotency_key() -> None:
    desk = Desk()
    desk.called(book("b1"))
    desk.cancelled("b1")
    desk.called(book("b2"), at=4)
    assert [(each.tool_call_id, each.idempotency_key) for each in desk.executions] == [
        ("b1", "call-1:b1"),
        ("b2", "call-1:b1"),
    ]


def test_a_blocking_call_dropped_in_silence_joins_its_execution_when_it_comes_again() -> None:
    desk = Desk()
    desk.called(book("b1"))
    assert desk.called(book("b2"), at=3) == []
    assert [each.id for each in responses(desk.answered("b1", at=4))] == ["b2"]
    assert len(desk.executions) == 1


def test_an_answer_the_model_ignored_is_given_again_without_a_second_execution() -> None:
    desk = Desk()
    desk.called(book("b1"))
    desk.answered("b1", {"output": "booked"}, at=2, spoke=1)
    actions = desk.called(book("b2"), at=4)
    assert responses(actions) == [ToolResponse("b2", "book", {"output": "booked"})]
    assert ToolAnswered("b2", "book", 0, repeated=True) in actions
    assert len(desk.executions) == 1
    desk.called(book("b3"), at=5)
    assert len(desk.executions) == 2, "what was given again was taken"


@pytest.mark.parametrize("spoke", [0, -1])
def test_an_answer_that_was_taken_does_not_answer_an_equal_call(spoke: float) -> None:
    desk = Desk()
    desk.called(book("b1"))
    desk.answered("b1", at=2, spoke=spoke)
    desk.called(book("b2"), at=4)
    assert [each.idempotency_key for each in desk.executions] == ["call-1:b1", "call-1:b2"]


def test_an_ignored_answer_is_forgotten_after_a_while() -> None:
    desk = Desk()
    desk.called(book("b1"))
    desk.answered("b1", at=2, spoke=1)
    desk.called(book("b2"), at=2.1 + REPEAT_NS / S)
    assert len(desk.executions) == 2


def test_other_arguments_make_another_call() -> None:
    desk = Desk()
    desk.called(book("b1"))
    desk.called(book("b2", '{"day":"monday"}'), at=3)
    assert len(desk.executions) == 2


def test_calls_that_do_not_block_may_be_equal() -> None:
    desk = Desk()
    desk.called(lookup("l1"))
    desk.called(lookup("l2"), at=1)
    assert len(desk.executions) == 2


@pytest.mark.parametrize("call_id", ["l1", "l2"], ids=["the same id", "a new id"])
def test_after_a_resumed_session_a_repeated_call_joins_its_execution(call_id: str) -> None:
    desk = Desk()
    desk.called(lookup("l1"))
    desk.tools.session_lost()
    assert desk.called(lookup(call_id), at=2) == []
    assert [each.id for each in responses(desk.answered("l1", at=3))] == [call_id]


@pytest.mark.parametrize("call_id", ["l1", "l2"], ids=["the same id", "a new id"])
def test_an_answer_that_found_no_session_waits_for_the_call_to_come_again(call_id: str) -> None:
    desk = Desk()
    desk.called(lookup("l1"))
    desk.tools.session_lost()
    assert responses(desk.answered("l1", {"output": 7}, at=1)) == []
    [answer] = responses(desk.called(lookup(call_id), at=2))
    assert (answer.id, answer.response) == (call_id, {"output": 7})
    assert len(desk.executions) == 1


def test_a_session_lost_between_blocking_answers_is_answered_nothing() -> None:
    desk = Desk()
    desk.called(book("b1", '{"n":1}'), book("b2", '{"n":2}'))
    desk.answered("b1")
    desk.tools.session_lost()
    assert responses(desk.answered("b2", at=2)) == []
    assert desk.tools.pending == 0
    again = desk.called(book("b3", '{"n":1}'), book("b4", '{"n":2}'), at=3)
    assert [each.id for each in responses(again)] == ["b3", "b4"]


# -- end_call ------------------------------------------------------------------------------------------------


def test_an_agent_that_has_said_goodbye_is_answered_in_silence() -> None:
    desk = Desk()
    [answer] = responses(desk.called(ToolCall("e1", "end_call"), said=True))
    assert answer.scheduling == "SILENT"
    assert desk.tools.farewell.asked


def test_an_agent_that_has_not_is_asked_to_say_it_unless_it_begins_within_a_second() -> None:
    desk = Desk()
    assert responses(desk.called(ToolCall("e1", "end_call"))) == []
    assert responses(desk.tick(0.9)) == []
    [answer] = responses(desk.tick(1))
    assert answer.scheduling == "WHEN_IDLE"
    assert "goodbye" in answer.response["output"]
    assert desk.executions == []


def test_a_goodbye_that_comes_beside_the_call_is_not_asked_for_again() -> None:
    desk = Desk()
    desk.called(ToolCall("e1", "end_call"))
    for samples in (0, 800):
        desk.tools.farewell.due(ns(0.1), generating=True, left_ns=S, samples=samples)
    [answer] = responses(desk.tick(1))
    assert answer.scheduling == "SILENT"
