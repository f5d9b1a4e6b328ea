"""What the next session is given of the call so far: from where on the caller's audio, and which words. Pure.

A handle brings back the conversation as it was when the service gave it out. What the caller said since, and
nobody has answered, is said again. What was answered since is told in words: said again, it would be answered
again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from media_plane.wire.events import Speaker, TranscriptSegment
from media_plane.wire.gemini_history import Said

_RATE = 8000
_LEAD_NS = 300_000_000  # of audio before speech: soft onsets, and what a detector needs to be sure
_MOST_TEXT = 24_000  # characters of history kept, about six thousand tokens


@dataclass(frozen=True, slots=True)
class Seam:
    """Where one session ends. Positions count the caller's samples of the whole call, 8 kHz.

    `samples`: that came so far; `kept`: so many of them are still there; `taken`: the old session may have
    taken all before. `handle_at`: where the handle was given out, and `exact` if the service said so itself,
    rather than our clock. Times are the clock's, 0 for never: `answered_ns`, the first audio of the agent's
    newest answer; `unanswered_ns`, when the caller began to say what nobody has answered.
    """

    now_ns: int
    samples: int
    kept: int
    taken: int
    handle_ns: int = 0  # 0: the next session has no handle
    handle_at: int = 0
    exact: bool = False
    answered_ns: int = 0
    unanswered_ns: int = 0

    def at(self, then_ns: int) -> int:
        """The position that came at `then_ns`: a telephone sends all the time."""
        return max(self.samples - (self.now_ns - then_ns) * _RATE // 1_000_000_000, 0)

    @property
    def wanted(self) -> int:
        """From where on the next session is to hear the caller, kept or not."""
        answered = self.answered_ns > self.handle_ns
        if self.handle_ns and self.exact and not answered:
            return self.handle_at
        start = self.taken
        if self.unanswered_ns:
            start = min(start, self.at(self.unanswered_ns - _LEAD_NS))
        if answered:
            floor = self.at(self.answered_ns)
        else:
            floor = self.handle_at if self.handle_ns else 0
        return min(max(start, floor), self.samples)

    @property
    def replay_from(self) -> int:
        """The same, of what is kept."""
        return max(self.wanted, self.samples - self.kept, 0)


class History:
    """What was said in the call, as far as its segments are over; the newest of it, when it was much.

    In columns, of which the garbage collector has nothing to look through, however long the call.
    """

    __slots__ = ("_by_agent", "_length", "_starts_ms", "_texts")

    def __init__(self) -> None:
        self._starts_ms: deque[int] = deque()
        self._by_agent: deque[bool] = deque()
        self._texts: deque[str] = deque()
        self._length = 0

    def add(self, segment: TranscriptSegment) -> None:
        if not segment.text:
            return
        self._starts_ms.append(segment.start_ms)
        self._by_agent.append(segment.speaker is Speaker.AGENT)
        self._texts.append(segment.text)
        self._length += len(segment.text)
        while self._length > _MOST_TEXT and len(self._texts) > 1:
            self._starts_ms.popleft()
            self._by_agent.popleft()
            self._length -= len(self._texts.popleft())

    def since(self, start_ms: int) -> list[Said]:
        """What began later than that; -1: everything. In the order in which it began."""
        columns = zip(self._starts_ms, self._by_agent, self._texts, strict=True)
        found = [each for each in columns if start_ms < 0 or each[0] > start_ms]
        found.sort(key=lambda each: each[0])
        return [Said(by_agent, text) for _, by_agent, text in found]


def turns(said: Iterable[Said]) -> Sequence[Said]:
    """The same with one turn for what one speaker said in a row."""
    joined: list[Said] = []
    for each in said:
        if not each.text:
            continue
        if joined and joined[-1].agent == each.agent:
            joined[-1] = Said(each.agent, f"{joined[-1].text} {each.text}")
        else:
            joined.append(each)
    return joined
