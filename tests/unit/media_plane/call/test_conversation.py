"""Turns, speech and words become the call's story."""

from __future__ import annotations

from media_plane.call.conversation import Conversation
from media_plane.call.playout import Playout
from media_plane.call.turn import Turn
from media_plane.dsp.speech import SpeechDetector
from media_plane.wire.events import Body, Speaker, TranscriptDelta, TranscriptSegment, TurnCompleted

MS = 1_000_000
START = 10_000 * MS


class Story:
    """A conversation in virtual time, ms since the stream's start."""

    def __init__(self, started: bool = True) -> None:
        self.playout = Playout()
        self.conversation = Conversation(self.playout, SpeechDetector())
        self.told: list[Body] = []
        self.played_ns = 0
        if started:
            self.conversation.stream_started(START)

    def now(self, at_ms: int) -> int:
        return START + at_ms * MS

    def caller_speaks(self, from_ms: int, to_ms: int) -> None:
        for at_ms in range(from_ms + 20, to_ms + 1, 20):
            self.conversation.speech.frame(3000, 20 * MS, self.now(at_ms))

    def caller_is_silent(self, from_ms: int, to_ms: int) -> None:
        for at_ms in range(from_ms + 20, to_ms + 1, 20):
            self.conversation.speech.frame(5, 20 * MS, self.now(at_ms))

    def agent_speaks(self, at_ms: int, ms: int) -> None:
        self.playout.write(ms * 8, self.now(at_ms))
        self.told += self.conversation.agent_audio(ms * 8, self.now(at_ms))
        self.played_ns = max(self.played_ns, self.now(at_ms)) + ms * MS

    def caller_text(self, at_ms: int, text: str) -> None:
        self.told += self.conversation.caller_text(text, self.now(at_ms))

    def agent_text(self, at_ms: int, text: str) -> None:
        self.told += self.conversation.agent_text(text, self.now(at_ms))

    def turn_complete(self, at_ms: int) -> None:
        self.conversation.turns.generated()
        self.conversation.turns.complete(self.now(at_ms), self.played_ns)

    def interrupt(self, at_ms: int) -> Turn | None:
        turn = self.conversation.interrupt(self.now(at_ms))
        self.playout.clear(self.now(at_ms))
        return turn

    def settle(self) -> None:
        """Let the open turn's deadline pass."""
        deadline = self.conversation.turns.deadline_ns
        assert deadline
        self.told += self.conversation.finish(deadline)

    def segments(self) -> list[TranscriptSegment]:
        return [body for body in self.told if isinstance(body, TranscriptSegment)]

    def turns(self) -> list[TurnCompleted]:
        return [body for body in self.told if isinstance(body, TurnCompleted)]


def test_question_and_answer() -> None:
    story = Story()
    story.caller_is_silent(0, 500)
    story.caller_speaks(500, 1500)
    story.caller_is_silent(1500, 2100)
    story.caller_text(2000, " what time")
    story.caller_text(2050, " is it")
    story.agent_speaks(2100, 400)
    story.agent_text(2110, "Ten")
    story.agent_speaks(2200, 600)
    story.agent_text(2300, " o'clock.")
    story.turn_complete(3050)
    story.settle()
    assert story.segments() == [
        TranscriptSegment(1, Speaker.CALLER, "what time is it", 500, 1500, False),
        TranscriptSegment(2, Speaker.AGENT, "Ten o'clock.", 2100, 3100, False),
    ]
    assert story.turns() == [TurnCompleted(1, 1500, 2100, 600, 1000, False)]
    deltas = [body.text for body in story.told if isinstance(body, TranscriptDelta)]
    assert deltas == [" what time", " is it", "Ten", " o'clock."]


def test_words_that_trail_the_end_of_a_turn_still_belong_to_it() -> None:
    story = Story()
    story.agent_speaks(100, 500)
    story.agent_text(150, "Good")
    story.turn_complete(600)
    story.agent_text(800, " morning")
    story.settle()
    assert [segment.text for segment in story.segments()] == ["Good morning"]


def test_a_turn_is_over_when_it_has_been_played_not_when_it_was_generated() -> None:
    story = Story()
    story.agent_speaks(100, 8000)
    story.turn_complete(2000)
    assert story.conversation.turns.deadline_ns >= story.now(8100)


def test_the_next_turn_s_audio_ends_the_last_turn() -> None:
    story = Story()
    story.agent_speaks(100, 500)
    story.turn_complete(600)
    story.agent_speaks(650, 500)
    assert [turn.turn for turn in story.turns()] == [1]


def test_a_greeting_nobody_asked_for_has_no_response_time() -> None:
    story = Story()
    story.agent_speaks(20, 500)
    story.turn_complete(520)
    story.settle()
    assert story.turns() == [TurnCompleted(1, -1, 20, -1, 500, False)]


def test_a_greeting_made_while_it_rings_is_timed_from_the_stream_s_start() -> None:
    story = Story(started=False)
    conversation = story.conversation
    conversation.agent_audio(8000, story.now(-3000), playing=False)
    story.agent_text(-3000, "Hello")
    conversation.turns.generated()
    conversation.turns.complete(story.now(-2000), 0)
    assert conversation.turns.deadline_ns == 0
    conversation.stream_started(START)
    story.playout.write(8000, START)
    conversation.released(START, story.now(1000))
    story.settle()
    assert story.segments() == [TranscriptSegment(1, Speaker.AGENT, "Hello", 0, 1000, False)]
    assert story.turns() == [TurnCompleted(1, -1, 0, -1, 1000, False)]


def test_a_greeting_that_waited_for_hello_answers_it() -> None:
    story = Story()
    conversation = story.conversation
    conversation.agent_audio(8000, story.now(-3000), playing=False)
    conversation.turns.generated()
    conversation.turns.complete(story.now(-2000), 0)
    story.caller_speaks(500, 1000)
    story.playout.write(8000, story.now(1400))
    conversation.released(story.now(1400), story.now(2400))
    story.played_ns = story.now(2400)
    story.settle()
    assert story.turns() == [TurnCompleted(1, 1000, 1400, 400, 1000, False)]


def tale(story: Story) -> None:
    """An answer of 10 s, generated three times as fast as it plays; its text comes with its audio."""
    for number, text in enumerate((" Once upon", " a time", " there was", " a king", " who could")):
        story.agent_speaks(100 + 600 * number, 2000)
        story.agent_text(101 + 600 * number, text)


def test_an_interrupted_turn_keeps_what_was_heard_of_it_and_ends_where_it_was_cleared() -> None:
    story = Story()
    tale(story)
    story.caller_speaks(5000, 5500)
    assert story.interrupt(5600) is not None
    story.agent_text(5650, " not sleep.")
    story.settle()
    assert story.segments() == [
        TranscriptSegment(
            1, Speaker.AGENT, "Once upon a time", 100, 5600, True, "there was a king who could not sleep."
        )
    ]
    assert story.turns()[0].interrupted


def test_a_word_cut_in_the_middle_was_not_heard() -> None:
    story = Story()
    tale(story)
    story.agent_text(2600, " not sl")
    story.conversation.turns.generated()
    story.interrupt(10_050)
    story.agent_text(10_060, "eep.")
    story.settle()
    (segment,) = story.segments()
    assert segment.text == "Once upon a time there was a king who"
    assert segment.unheard_text == "could not sleep."


def test_an_answer_interrupted_when_all_of_it_was_played_was_heard() -> None:
    story = Story()
    story.agent_speaks(100, 1000)
    story.agent_text(110, "Good morning")
    story.conversation.turns.generated()
    story.interrupt(1200)
    story.agent_text(1250, " to you.")
    story.settle()
    assert story.segments() == [TranscriptSegment(1, Speaker.AGENT, "Good morning to you.", 100, 1200, True)]


def test_a_caller_who_hangs_up_in_the_middle_of_an_answer_has_heard_what_was_played() -> None:
    story = Story()
    tale(story)
    story.told += story.conversation.end(story.now(6700))
    (segment,) = story.segments()
    assert (segment.text, segment.unheard_text) == ("Once upon a time", "there was a king who could")
    assert (segment.interrupted, segment.end_ms) == (True, 6600)  # the last 100 ms were on their way


def test_an_answer_that_still_plays_when_the_next_begins_waits_until_it_was_heard() -> None:
    story = Story()
    tale(story)
    story.turn_complete(3000)
    story.agent_speaks(3100, 4000)
    assert story.turns()
    assert not story.segments()
    assert not story.conversation.settle(story.now(9000))
    story.told += story.conversation.settle(story.now(10_100))
    assert [segment.text for segment in story.segments()] == ["Once upon a time there was a king who could"]


def test_an_interruption_cuts_every_answer_that_still_plays() -> None:
    story = Story()
    tale(story)
    story.turn_complete(3000)
    story.agent_speaks(3100, 4000)
    story.agent_text(3110, " Anything else?")
    turn = story.interrupt(6600)
    assert turn is not None
    heard, unheard, heard_ms = story.conversation.cut_words(turn)
    assert (heard, heard_ms) == ("Once upon a time", 6500)
    assert unheard == "there was a king who could Anything else?"
    story.settle()
    assert [(s.text, s.unheard_text, s.interrupted) for s in story.segments()] == [
        ("Once upon a time", "there was a king who could", True),
        ("", "Anything else?", True),
    ]


def test_text_of_a_cut_answer_that_comes_after_its_end_was_not_heard() -> None:
    story = Story()
    tale(story)
    story.interrupt(5600)
    story.settle()
    story.agent_text(6500, " not sleep.")
    story.agent_speaks(7000, 500)
    story.agent_text(7010, "Yes?")
    story.turn_complete(7500)
    story.settle()
    assert [(s.text, s.unheard_text) for s in story.segments()[1:]] == [("", "not sleep."), ("Yes?", "")]


def test_text_that_comes_just_ahead_of_its_audio_is_not_the_last_answer_s() -> None:
    story = Story()
    story.agent_speaks(100, 500)
    story.agent_text(110, "Good morning.")
    story.turn_complete(600)
    story.agent_text(700, "How are")
    story.agent_speaks(750, 3000)
    story.agent_text(800, " you?")
    story.interrupt(900)
    story.settle()
    assert [(s.text, s.unheard_text) for s in story.segments()] == [
        ("Good morning.", ""),
        ("", "How are you?"),
    ]


def test_text_whose_audio_never_came_was_not_heard() -> None:
    story = Story()
    story.agent_text(100, "Hello")
    assert story.interrupt(200) is None
    story.agent_speaks(1000, 500)
    story.agent_text(1010, "Yes?")
    story.turn_complete(1500)
    story.settle()
    story.agent_text(9000, "Are you there?")
    story.told += story.conversation.end(story.now(9100))
    assert [(s.text, s.unheard_text) for s in story.segments()] == [
        ("", "Hello"),
        ("Yes?", ""),
        ("", "Are you there?"),
    ]


def test_audio_that_could_not_be_sent_was_not_heard() -> None:
    story = Story()
    tale(story)
    story.conversation.turns.audio_lost()
    story.agent_text(3000, " not sleep.")
    story.turn_complete(3100)
    story.settle()
    (segment,) = story.segments()
    assert segment.text.startswith("Once upon a time there was")
    assert segment.unheard_text.endswith("not sleep.")


def test_words_that_interrupt_are_a_segment_of_their_own() -> None:
    story = Story()
    story.caller_speaks(0, 800)
    story.caller_is_silent(800, 1400)
    story.caller_text(1300, "Tell me a story")
    story.agent_speaks(1400, 300)
    story.agent_text(1410, "Once")
    story.agent_speaks(1420, 300)
    story.agent_text(1430, " upon a time")
    story.agent_speaks(1440, 2000)
    story.caller_is_silent(1400, 2000)
    story.caller_speaks(2000, 3000)
    story.caller_text(2700, " Stop")
    story.interrupt(2750)
    story.caller_text(2900, " please")
    story.caller_is_silent(3000, 3600)
    story.agent_speaks(3600, 500)
    story.turn_complete(4000)
    story.settle()
    assert [(s.speaker, s.text, s.start_ms, s.end_ms) for s in story.segments()] == [
        (Speaker.CALLER, "Tell me a story", 0, 800),
        (Speaker.AGENT, "Once", 1400, 2750),
        (Speaker.CALLER, "Stop please", 2000, 3000),
    ]
    assert [turn.response_ms for turn in story.turns()] == [600, 600]


def test_nothing_is_interrupted_when_nobody_speaks() -> None:
    assert Story().interrupt(0) is None


def test_audio_right_after_an_interruption_is_stale_until_the_turn_is_complete() -> None:
    story = Story()
    turns = story.conversation.turns
    story.agent_speaks(100, 1000)
    story.interrupt(300)
    assert story.now(350) < turns.stale_until_ns
    turns.complete(story.now(360), 0)
    assert story.now(370) >= turns.stale_until_ns


def test_audio_after_an_interruption_is_not_stale_for_ever() -> None:
    story = Story()
    story.agent_speaks(100, 1000)
    story.interrupt(300)
    assert story.now(900) >= story.conversation.turns.stale_until_ns


def test_a_turn_interrupted_after_its_generation_leaves_nothing_stale() -> None:
    story = Story()
    story.agent_speaks(100, 5000)
    story.conversation.turns.generated()
    assert story.interrupt(2000) is not None
    assert story.now(2010) >= story.conversation.turns.stale_until_ns


def test_the_end_of_the_call_closes_what_is_open() -> None:
    story = Story()
    story.agent_speaks(100, 1000)
    story.agent_text(120, "Bye")
    story.turn_complete(1000)
    story.settle()
    story.told.clear()
    story.caller_speaks(1500, 2000)
    story.caller_text(2200, "bye")
    story.told += story.conversation.end(story.now(2300))
    assert story.segments() == [TranscriptSegment(2, Speaker.CALLER, "bye", 1500, 2000, False)]


def test_a_second_answer_without_a_question_has_no_response_time() -> None:
    story = Story()
    story.caller_speaks(0, 500)
    story.agent_speaks(1000, 500)
    story.turn_complete(1500)
    story.agent_speaks(4000, 500)
    story.turn_complete(4500)
    story.settle()
    assert [turn.response_ms for turn in story.turns()] == [500, -1]


def test_words_without_audible_speech_are_still_written_down() -> None:
    story = Story()
    story.caller_text(900, "whispered")
    story.agent_speaks(1000, 200)
    story.turn_complete(1200)
    story.settle()
    assert story.segments()[0] == TranscriptSegment(1, Speaker.CALLER, "whispered", 900, 1000, False)
