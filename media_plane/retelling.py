"""What the next session of a call is told in words: what was said that it does not remember, and that it is
to go on with an answer that broke off. Like the session it never awaits.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from media_plane.call.alignment import likely_length
from media_plane.call.continuity import Attempt, Renewal
from media_plane.call.handover import History, turns
from media_plane.renewing import Talk
from media_plane.wire import gemini, gemini_history
from media_plane.wire.events import Speaker, TranscriptSegment
from media_plane.wire.gemini_history import Said
from protos.gemini.models import ClientContent, known

_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)]*\s*$")


class Retelling:
    """`broke_off`: the old session ended in the middle of an answer. `start_ns`: the stream's start; 0: not
    yet."""

    __slots__ = ("_asked_at", "_history", "_model", "_partial", "_talk", "broke_off", "start_ns")

    def __init__(self, model: str, talk: Talk) -> None:
        self.broke_off = False
        self.start_ns = 0
        self._model = known(model)
        self._talk = talk
        self._asked_at = -1  # the agent's samples by then, when a session was last asked to go on
        self._history = History()
        self._partial = (0, "")  # the segment of the answer that broke off last, and how much of it came

    def add(self, segment: TranscriptSegment) -> None:
        """A segment of the transcript is over."""
        broken, text = self._partial
        self._history.add(replace(segment, text=text) if segment.segment_id == broken else segment)

    def break_off(self, now_ns: int) -> None:
        """No more comes of what the agent was saying; what came is played."""
        talk = self._talk
        running = talk.conversation.turns
        turn = running.current
        self.broke_off = turn is not None and running.generating
        if turn is not None and self.broke_off:
            segment = talk.conversation.transcript.open(Speaker.AGENT)
            if segment is not None:
                at = likely_length(segment.parts, segment.received, turn.samples)
                text = "".join(segment.parts)
                self._partial = (segment.id, text[:at].strip())
                # The last audio may come long after the words, with turnComplete.
                self.broke_off = at < len(text.rstrip()) or not _SENTENCE_END.search(text)
            turn.cut_at(turn.first + turn.samples, generated=False)
        elif self._asked_at == self._said:  # the session asked to go on has not come to it
            self.broke_off = True
        running.generated()
        talk.agent.mark_end()
        talk.agent.forget()
        running.complete(now_ns, talk.playout.end_ns)

    @property
    def _said(self) -> int:
        """Samples of the agent's that came."""
        return self._talk.playout.sent + len(self._talk.agent.held)

    def unanswered_ns(self) -> int:
        """When the caller began to say what the agent has not answered; 0: nothing."""
        speech, turn = self._talk.up.speech, self._talk.conversation.turns.current
        if turn is not None and turn.began_ns > speech.since_ns:
            return speech.started_ns if speech.started_ns > turn.began_ns else 0
        return speech.since_ns

    @property
    def _can_tell(self) -> bool:
        """What was said can be told to a session at any time."""
        return self._model is not None and self._model.client_content is ClientContent.ANY_TIME

    @property
    def seeds(self) -> bool:
        """What was said can be told to a session at its beginning."""
        return self._model is not None and self._model.history_config

    def to_tell(self, attempt: Attempt, handle_ns: int) -> list[Said]:
        """What was said that the session will not remember."""
        if not attempt.tell:
            return []
        since_ms = -1
        if attempt.how is Renewal.RESUME and self.start_ns:
            since_ms = max((handle_ns - self.start_ns) // 1_000_000, -1)
        return [*self._history.since(since_ms), *self._open_words(attempt, handle_ns)]

    def _open_words(self, attempt: Attempt, handle_ns: int) -> Iterator[Said]:
        """Of turns whose segments are not over."""
        conversation = self._talk.conversation
        since_ns = handle_ns if attempt.how is Renewal.RESUME else 0
        for segment, turn in conversation.heard.waiting:
            if turn.began_ns > since_ns:
                yield Said(True, conversation.heard.words(segment, turn)[0])
        caller = conversation.transcript.open(Speaker.CALLER)
        if caller is not None and caller.opened_ns > since_ns and not self.unanswered_ns():
            yield Said(False, caller.text)
        turn_now = conversation.turns.current
        agent = conversation.transcript.open(Speaker.AGENT)
        if agent is not None and turn_now is not None and agent.opened_ns > since_ns:
            broken, text = self._partial
            yield Said(True, text if agent.id == broken else conversation.heard.words(agent, turn_now)[0])

    def words(self, attempt: Attempt, handle_ns: int, *, seeded: bool) -> tuple[list[bytes], int]:
        """What the next session is told before it hears anything, and how many turns that is. `seeded`: its
        setup announced a history."""
        said = turns(self.to_tell(attempt, handle_ns))
        return list(self._words(attempt, said, seeded)), len(said)

    def _words(self, attempt: Attempt, said: Sequence[Said], seeded: bool) -> Iterator[bytes]:
        talk = self._talk
        if seeded or (said and self._can_tell):
            yield gemini_history.content(said, complete=seeded)
        if self.broke_off:
            self._asked_at = self._said
            heard = next((each.text for each in reversed(said) if each.agent), "")
            yield gemini_history.text(gemini_history.go_on(heard, self._asked(said)))
        elif not self._said and talk.greeting.asked and not said:
            yield gemini.say(talk.greet)
        elif not attempt.replay and self.unanswered_ns():
            caller = talk.conversation.transcript.open(Speaker.CALLER)
            if caller is not None:
                yield gemini_history.text(caller.text)

    def _asked(self, said: Sequence[Said]) -> str:
        """What the answer that broke off was an answer to, for a session that was not told."""
        caller = self._talk.conversation.transcript.open(Speaker.CALLER)
        return caller.text if caller is not None and not said else ""

    def forgets(self, handle_ns: int) -> bool:
        """A resumed session would not remember all that was said, nor could it be told; a fresh one can."""
        if self._can_tell or not self.seeds:
            return False
        return bool(self.to_tell(Attempt(Renewal.RESUME), handle_ns))
