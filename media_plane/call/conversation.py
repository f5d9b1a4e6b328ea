"""Who said what, when: turns, speech and transcript deltas → the events that tell a call's story.

Methods that can finish something return the events for it, in order. Pure: no clock, no socket. Before
`stream_started` the agent may already be speaking (its greeting waits for the caller); such a turn's times
count from the stream's start, when it is written.
"""

from __future__ import annotations

from collections.abc import Sequence

from media_plane.call.speech import SpeechDetector
from media_plane.call.transcript import Transcript
from media_plane.call.turn import Phase, Turn, Turns
from media_plane.wire.events import Body, Speaker, TranscriptDelta, TranscriptSegment, TurnCompleted

_NS_PER_SAMPLE = 125_000  # 8 kHz


class Conversation:
    __slots__ = ("_start_ns", "speech", "transcript", "turns")

    def __init__(self) -> None:
        self.speech = SpeechDetector()
        self.turns = Turns()
        self.transcript = Transcript()
        self._start_ns = 0  # 0: the stream has not started

    def stream_started(self, now_ns: int) -> None:
        """The caller is there; what waits is written now, or later."""
        self._start_ns = now_ns

    def released(self, now_ns: int, played_ns: int) -> None:
        """All that waited is written now and will have been played at `played_ns`."""
        self.turns.released(now_ns, self.speech.stopped_ns, played_ns)

    def agent_audio(self, samples: int, now_ns: int, *, playing: bool = True) -> Sequence[Body]:
        """Audio of the agent was written, or put by until it may leave (not `playing`)."""
        turn = self.turns.current
        if turn is not None and turn.phase is Phase.SPEAKING:
            turn.samples += samples
            return ()
        done = self.finish(now_ns)
        self.turns.begin(now_ns, self.speech.stopped_ns, playing=playing).samples = samples
        return done

    def agent_spoke_last(self) -> bool:
        """Whether the agent has said something, or is saying it, since the caller last spoke."""
        turn = self.turns.current
        return turn is not None and not turn.interrupted and turn.began_ns >= self.speech.stopped_ns

    def agent_text(self, text: str, now_ns: int) -> list[Body]:
        segment = self.transcript.add(Speaker.AGENT, text, now_ns)
        return [TranscriptDelta(segment.id, Speaker.AGENT, text)]

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

    def finish(self, now_ns: int) -> list[Body]:
        """The agent's open turn is over, if there is one: its segment, the caller's before it, its times."""
        turn = self.turns.over()
        if turn is None:
            return []
        ended_ns = turn.ended_ns or turn.began_ns + turn.samples * _NS_PER_SAMPLE
        done: list[Body] = []
        caller = self.transcript.open(Speaker.CALLER)
        if caller is not None and not caller.opened_ns > self.speech.started_ns > turn.began_ns:
            done += self._close_caller(turn.began_ns, turn.caller_stopped_ns)
        segment = self.transcript.close(Speaker.AGENT)
        if segment is not None and segment.text:
            times = (self._ms(turn.began_ns), self._ms(ended_ns))
            done.append(TranscriptSegment(segment.id, Speaker.AGENT, segment.text, *times, turn.interrupted))
        done.append(self._turn_completed(turn))
        return done

    def end(self, now_ns: int) -> list[Body]:
        """The call is over: everything still open. What the agent had left to say was not heard."""
        turn = self.turns.current
        if turn is not None and not turn.ended_ns:
            turn.ended_ns = min(turn.began_ns + turn.samples * _NS_PER_SAMPLE, now_ns)
        done = self.finish(now_ns)
        done += self._close_caller(now_ns, self.speech.stopped_ns)
        segment = self.transcript.close(Speaker.AGENT)
        if segment is not None and segment.text:
            times = (self._ms(segment.opened_ns), self._ms(now_ns))
            done.append(TranscriptSegment(segment.id, Speaker.AGENT, segment.text, *times, False))
        return done

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
