"""How long a model takes to answer, learned from its latest answers, so that slow is told from silent.

The time that is still normal lies well beyond the slowest hundredth of what was seen: with a tail as heavy as
1/t³ one healthy answer in 270 takes longer than 1.4 times that, with a log-normal one (σ 0.5) one in 750.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict, deque

_S = 1_000_000_000
_KEPT = 400  # answers; the slowest hundredth is four of them
_ENOUGH = 30
_QUANTILE = 0.99
_BEYOND = 1.4
# As long as too little is known: a slow answer of gemini-3.8-live, and some more.
_SPOKEN_NS = 3_500_000_000
_ASKED_NS = 2_500_000_000
_SILENCE_STEP_MS = 100
_MOST = 64  # models and ways to use them that are told apart


class ReplyTimes:
    """Of one kind of answer. `normal_ns`: what a healthy one may take."""

    __slots__ = ("_first_ns", "_latest", "_sorted", "normal_ns")

    def __init__(self, first_ns: int = _SPOKEN_NS) -> None:
        self.normal_ns = self._first_ns = first_ns
        self._latest: deque[int] = deque()
        self._sorted: list[int] = []

    def __len__(self) -> int:
        """Answers that count."""
        return len(self._latest)

    def observe(self, took_ns: int) -> None:
        """An answer began so long after it was due to."""
        insort(self._sorted, took_ns)
        self._latest.append(took_ns)
        if len(self._latest) > _KEPT:
            del self._sorted[bisect_left(self._sorted, self._latest.popleft())]
        slowest = self._sorted[min(int(_QUANTILE * len(self._sorted)), len(self._sorted) - 1)]
        normal_ns = int(_BEYOND * slowest)
        self.normal_ns = normal_ns if len(self._sorted) >= _ENOUGH else max(normal_ns, self._first_ns)

    def was_longer(self, than_ns: int) -> None:
        """An answer was on its way still; nobody will know how long it would have taken. Without this, a
        model that has become slow would never be seen to be."""
        self.observe(than_ns * 3 // 2)


class Replies:
    """Of one model, used in one way."""

    __slots__ = ("asked", "spoken")

    def __init__(self) -> None:
        self.spoken = ReplyTimes()  # from the end of the caller's words, as heard here
        self.asked = ReplyTimes(_ASKED_NS)  # from a text, or a function's answer


class ReplyBook:
    """Of all models that a process speaks to."""

    def __init__(self) -> None:
        self._replies: OrderedDict[tuple[str, int], Replies] = OrderedDict()

    def of(self, model: str, silence_ms: int) -> Replies:
        """`silence_ms`: after which the service takes the caller for finished, which is part of every
        answer's time; 0: its own choice."""
        key = (model, silence_ms // _SILENCE_STEP_MS)
        found = self._replies.get(key)
        if found is None:
            found = self._replies[key] = Replies()
            if len(self._replies) > _MOST:
                self._replies.popitem(last=False)
        else:
            self._replies.move_to_end(key)
        return found

    def normal_s(self) -> dict[tuple[str, str], float]:
        """What an answer may take, by model and kind: the most where a model is used in several ways."""
        found: dict[tuple[str, str], float] = {}
        for (model, _), replies in list(self._replies.items()):
            for kind, times in (("spoken", replies.spoken), ("asked", replies.asked)):
                found[model, kind] = max(found.get((model, kind), 0.0), times.normal_ns / _S)
        return found
