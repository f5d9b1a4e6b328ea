"""Who said what, when: turns, speech and transcript deltas → the events that tell a call's story.

Methods that can finish something return the events for it, in order. Pure: no clock, no socket. Before
`stream_started` the agent may already be speaking (its greeting waits for the caller); such a turn's times
count from the stream's start, when it is written.

A segment's `text` is what the caller heard: of an answer that was cut off, the words that were wholly played.
"""

from __future__ import annotations

from collections.abc import Sequence

from media_plane.call.alignment import LATE
from media_plane.call.heard import Heard
from media_plane.call.playout import Playout
from media_plane.call.speech import CallerSpeech
from media_plane.call.transcript import Segment, Transcript
from media_plane.call.turn import Phase, Turn, Turns
from media_plane.wire.events import Body, Speaker, TranscriptDelta, TranscriptSegment, TurnCompleted

_NS_PER_SAMPLE = 125_000  # 8 kHz
_SPEAKING = Phase.SPEAKING  # asked in every frame
_AHEAD_NS = 300_000_000  # by which a turn's text may come before its audio
_TRAILING_NS = 1_000_000_000  # by which it may come after the turn is over


class Conversation:
    """`playout` is the ledger that everything of the agent's is written into before it is told here."""

    __slots__ = (
        *("_cut_ahead", "_held_until", "_last", "_over_ns", "_playout", "_start_ns"),
        *("heard", "speech", "transcript", "turns"),
    )

    def __init__(self, playout: Playout, speech: CallerSpeech) -> None:
        self._playout = playout
        self.heard = Heard(playout)
        self.speech = speech
        self.turns = Turns()
        self.transcript = Transcript()
        self._start_ns = 0  # 0: the stream has not started
        self._held_until = 0  # samples that were sent or wait, before the turn that waits now
        self._last: Turn | None = None  # the turn before the current one
        self._over_ns = 0  # when it was over
        self._cut_ahead = False  # text came before a turn's audio, and the caller interrupted

    def stream_started(self, now_ns: int) -> None:
        """The caller is there; what waits is written now, or later."""
        self._start_ns = now_ns

    def released(self, now_ns: int, played_ns: int) -> None:
        """All that waited is written now and will have been played at `played_ns`."""
        paused_ns = self.turns.released(now_ns, self.speech.stopped_ns, played_ns)
        for _, turn in self.heard.waiting:
            turn.paused_ns += paused_ns

    def paused(self, now_ns: int) -> None:
        """What was sent and not played was taken back, and waits again."""
        self.turns.pause(now_ns)

    def agent_audio(self, samples: int, now_ns: int, *, playing: bool = True) -> Sequence[Body]:
        """Audio of the agent was written, or put by until it may leave (not `playing`)."""
        turn = self.turns.current
        if turn is not None and turn.phase is _SPEAKING:
            turn.samples += samples
            return ()
        done = self.finish(now_ns, next_begins=True)
        turn = self.turns.begin(now_ns, self.speech.stopped_ns, playing=playing)
        turn.samples = samples
        sent = self._playout.sent
        turn.first = sent - samples if playing else max(sent, self._held_until)
        return done

    def agent_spoke_last(self) -> bool:
        """Whether the agent has said something, or is saying it, since the caller last spoke."""
        turn = self.turns.current
        return turn is not None and not turn.interrupted and turn.began_ns >= self.speech.stopped_ns

    def agent_text(self, text: str, now_ns: int) -> list[Body]:
        turn = self.turns.current
        if turn is not None:
            received = LATE if turn.cut else turn.samples
        else:
            received = LATE if self._was_cut() else 0
        loose = turn is None or turn.phase is not Phase.SPEAKING
        segment = self.transcript.add(Speaker.AGENT, text, now_ns, received, loose=loose)
        return [TranscriptDelta(segment.id, Speaker.AGENT, text)]

    def interrupt(self, now_ns: int) -> Turn | None:
        """The caller speaks over the agent, whose playout has not been cleared yet. The turn cut off, or None
        when there was nothing to cut off."""
        generated = not self.turns.generating
        turn = self.turns.interrupt(now_ns)
        self.heard.cut_off(turn, now_ns, generated=generated)
        if self.turns.current is None and self.transcript.open(Speaker.AGENT) is not None:
            self._cut_ahead = True
        return turn

    def cut_words(self, turn: Turn) -> tuple[str, str, int]:
        """Of the turn that was just cut off, and those before it that still played: what the caller heard,
        what not, and for how many ms."""
        return self.heard.cut_words(self.transcript.open(Speaker.AGENT), turn)

    def caller_text(self, text: str, now_ns: int) -> list[Body]:
        turn = self.turns.current
        done: list[Body] = []
        if turn is not None and 0 < turn.began_ns < self.speech.started_ns:
            # The caller has begun to speak again since the agent answered: these are new words.
            open_segment = self.transcript.open(Speaker.CALLER)
            if open_segment is not None and open_segment.opened_ns < self.speech.started_ns:
                done = self._close_caller(turn.began_ns, turn.caller_stopped_ns)
        segment = self.transcript.add(Speaker.CALLER, text, now_ns)
        return [*done, TranscriptDelta(segment.id, Speaker.CALLER, text)]

    def settle(self, now_ns: int) -> list[Body]:
        """Segments of earlier turns that have been played meanwhile, or were cut off."""
        done: list[Body] = []
        waiting = self.heard.waiting
        while waiting and self.heard.settled(waiting[0][1], now_ns):
            done += self._agent_segment(*waiting.popleft())
        return done

    def finish(self, now_ns: int, *, next_begins: bool = False) -> list[Body]:
        """The agent's open turn is over, if there is one: its segment, the caller's before it, its times."""
        turn = self.turns.over()
        if turn is None:
            return self._close_stray(now_ns - _AHEAD_NS) if next_begins else []
        done = self.settle(now_ns)
        caller = self.transcript.open(Speaker.CALLER)
        if caller is not None and not caller.opened_ns > self.speech.started_ns > turn.began_ns:
            done += self._close_caller(turn.began_ns, turn.caller_stopped_ns)
        keep = None  # text that came ahead of the next turn's audio is no part of this one
        segment = self.transcript.open(Speaker.AGENT)
        if next_begins and segment is not None and not turn.cut:
            keep = segment.first_loose_since(now_ns - _AHEAD_NS)
        segment = self.transcript.close(Speaker.AGENT, keep)
        if segment is not None:
            if self.heard.settled(turn, now_ns) and not self.heard.waiting:
                done += self._agent_segment(segment, turn)
            else:
                self.heard.waiting.append((segment, turn))
        done.append(self._turn_completed(turn))
        self._last, self._over_ns = turn, now_ns
        self._held_until = 0 if turn.interrupted else turn.first + turn.samples
        return done

    def end(self, now_ns: int) -> list[Body]:
        """The call is over: everything still open. What the agent had left to say was not heard."""
        turn = self.turns.current
        self.heard.cut_off(turn, now_ns, generated=not self.turns.generating, gone=True)
        if turn is not None and not turn.ended_ns:
            turn.ended_ns = min(turn.began_ns + turn.samples * _NS_PER_SAMPLE + turn.paused_ns, now_ns)
        done = self.finish(now_ns)
        while self.heard.waiting:
            done += self._agent_segment(*self.heard.waiting.popleft())
        done += self._close_caller(now_ns, self.speech.stopped_ns)
        done += self._close_stray(self._over_ns + _TRAILING_NS)
        segment = self.transcript.close(Speaker.AGENT)
        if segment is not None and segment.text:  # of an answer whose audio never came
            times = (self._ms(segment.opened_ns), self._ms(now_ns))
            done.append(TranscriptSegment(segment.id, Speaker.AGENT, "", *times, True, segment.text))
        return done

    def _was_cut(self) -> bool:
        return self._cut_ahead or (self._last is not None and self._last.cut)

    def _close_stray(self, until_ns: int) -> list[Body]:
        """The agent's text that came while there was no turn: what came by `until_ns` belongs to the last
        one, and all of it if that was cut off."""
        segment = self.transcript.open(Speaker.AGENT)
        if segment is None:
            return []
        cut, self._cut_ahead = self._was_cut(), False
        keep = None if cut else segment.first_loose_since(until_ns)
        segment = self.transcript.close(Speaker.AGENT, keep)
        if segment is None or not segment.text:
            return []
        times = (self._ms(segment.opened_ns), self._ms(segment.came_ns[-1]))
        text, unheard = ("", segment.text) if cut else (segment.text, "")
        return [TranscriptSegment(segment.id, Speaker.AGENT, text, *times, cut, unheard)]

    def _agent_segment(self, segment: Segment, turn: Turn) -> list[Body]:
        """A settled turn's."""
        text, unheard = self.heard.words(segment, turn)
        if not text and not unheard:
            return []
        began_ns = turn.began_ns or self._start_ns
        ended_ns = turn.ended_ns or began_ns + turn.samples * _NS_PER_SAMPLE + turn.paused_ns
        if turn.cut:
            ended_ns = min(ended_ns, began_ns + turn.heard * _NS_PER_SAMPLE + turn.paused_ns)
        times = (self._ms(began_ns), self._ms(ended_ns))
        return [
            TranscriptSegment(segment.id, Speaker.AGENT, text, *times, turn.interrupted or turn.cut, unheard)
        ]

    def _close_caller(self, before_ns: int, stopped_ns: int) -> list[Body]:
        """End the caller's segment, said before `before_ns`; last audible at `stopped_ns` (0: not known)."""
        segment = self.transcript.close(Speaker.CALLER)
        began = self.speech.since_ns or (segment.opened_ns if segment is not None else 0)
        stopped = stopped_ns if began < stopped_ns <= before_ns else before_ns
        self.speech.heard_out(before_ns)
        if segment is None or not segment.text:
            return []
        began = min(began, stopped)
        return [
            TranscriptSegment(
                segment.id, Speaker.CALLER, segment.text, self._ms(began), self._ms(stopped), False
            )
        ]

    def _turn_completed(self, turn: Turn) -> TurnCompleted:
        known = turn.caller_stopped_ns > 0 and turn.began_ns > 0
        return TurnCompleted(
            turn=turn.number,
            caller_stopped_ms=self._ms(turn.caller_stopped_ns) if known else -1,
            first_audio_ms=self._ms(turn.began_ns) if turn.began_ns else -1,
            response_ms=(turn.began_ns - turn.caller_stopped_ns) // 1_000_000 if known else -1,
            audio_ms=turn.samples // 8,
            interrupted=turn.interrupted,
        )

    def _ms(self, at_ns: int) -> int:
        return max((at_ns - self._start_ns) // 1_000_000, 0) if self._start_ns else -1
