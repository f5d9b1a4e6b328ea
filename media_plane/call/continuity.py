"""When a call's session with the model is renewed, by what kind of session, and when no more. Pure.

A connection of the model's lasts about ten minutes and may break at any moment; a call goes on. The service
tells some time ahead that it will close one (goAway), mostly, and gives out handles with which the next
session remembers what this one does. So a session is renewed in a pause of the conversation when there is
time to wait for one, and at once when there is none.

What the next session is given may be what the service refuses it for (1007 after a handle, replayed audio or
a history). The same is not offered twice: each step of `_STEPS` leaves out one thing more.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from media_plane.call.histogram import Histogram

_S = 1_000_000_000
_RESERVE_NS = 2 * _S  # before the service closes: a close, a setup and some patience
_FINISH_NS = 1_300_000_000  # of that reserve, for an answer to be finished: it takes seconds in all
_AGE_LOOK_NS = 60 * _S  # before the age limit: as long as goAway usually leaves
_PROBATION_NS = 5 * _S  # a session that ends sooner was refused what it was given, or does not work
_BACKOFF_NS = 250_000_000
_MOST_BACKOFF_NS = 4 * _S
_FORGOTTEN = 4  # tokens fell to less than a quarter; compression halves them
_ENOUGH_TOKENS = 200  # that a fall means anything
_AGAIN = 2  # tries in a row that came to nothing, after which the handle is not tried any more
_INVALID = 1007


class Renewal(Enum):
    """With which memory the next session begins."""

    RESUME = "resume"  # the old one's, by its handle
    FRESH = "fresh"  # none: it is told what was said


class Cause(Enum):
    GO_AWAY = "go_away"
    AGE = "age"
    CUT = "cut"
    FORGOTTEN = "forgotten"  # the resumed session did not remember
    ASKED = "asked"  # by who noticed that the model does not answer


class Outcome(Enum):
    RESUMED = "resumed"
    FRESH = "fresh"
    FAILED = "failed"  # the call ends


@dataclass(frozen=True, slots=True)
class RenewalLimits:
    age_ns: int = 3300 * _S  # sessions without goAway were cut after 58 minutes
    within_ns: int = 15 * _S  # how long a call goes on without a model
    tries: int = 12  # at most, in `window_ns`
    window_ns: int = 60 * _S


@dataclass(frozen=True, slots=True)
class Attempt:
    """To open the next session, `delay_ns` from now. `replay`: it is given what the caller said and nobody
    has answered; `tell`: what was said that it does not remember."""

    how: Renewal
    handle: str = ""
    delay_ns: int = 0
    replay: bool = True
    tell: bool = True


@dataclass(slots=True)
class RenewalCounts:
    """Over all calls that were given it; only grow."""

    renewals: Counter[tuple[Cause, Outcome]] = field(default_factory=Counter)
    tries: int = 0
    gap: Histogram = field(default_factory=Histogram)  # µs without a session
    replayed_samples: int = 0  # of callers' audio, at 8 kHz
    lost_samples: int = 0  # that could not be replayed: they were no longer kept
    go_on: int = 0  # answers that broke off, which the next session was asked to finish
    told: int = 0  # what was said, in text: turns


_STEPS = (
    Attempt(Renewal.RESUME),
    Attempt(Renewal.FRESH),
    Attempt(Renewal.FRESH, replay=False),
    Attempt(Renewal.FRESH, replay=False, tell=False),
)
_FIRST_FRESH = 1


class Continuity:
    """`handle`: the newest, which remembers what was said until `handle_ns`; empty: none. `settled`: nothing
    has happened since that it does not remember, as far as the service tells. `adopted_ns`: when the session
    was put under the call; 0: it is the first. `looks_from_ns`: before it `due` has nothing to say."""

    __slots__ = (
        *("_again", "_cause", "_deadline_ns", "_first_ns", "_limits", "_random", "_short", "_step"),
        *(
            "_tokens",
            "_tried",
            "_unproved",
            "adopted_ns",
            "handle",
            "handle_ns",
            "looks_from_ns",
            "settled",
            "under_way",
        ),
    )

    def __init__(self, limits: RenewalLimits, random: Callable[[], float]) -> None:
        self._limits = limits
        self._random = random
        self._cause = Cause.AGE  # why the session will have to be renewed
        self._deadline_ns = 0
        self.looks_from_ns = 1 << 62
        self.handle = ""
        self.handle_ns = 0
        self.settled = False
        self.under_way = False
        self._step = 0
        self._again = 0  # tries in a row that came to nothing
        self._short = 0  # sessions in a row that ended at once
        self._first_ns = 0  # of this renewal
        self.adopted_ns = 0  # 0: the first session
        self._tried: deque[int] = deque(maxlen=limits.tries)
        self._tokens = 0  # of the newest prompt
        self._unproved = False  # resumed, and no prompt since

    # -- what the session tells --

    def began(self, now_ns: int) -> None:
        """A session is there."""
        self.under_way = False
        self._cause = Cause.AGE
        self._deadline_ns = now_ns + self._limits.age_ns
        self.looks_from_ns = max(self._deadline_ns - _AGE_LOOK_NS, now_ns)

    def updated(self, handle: str, until_ns: int) -> None:
        """sessionResumptionUpdate; empty: what is going on can't be resumed from. It remembers what was said
        until `until_ns`."""
        self.settled = bool(handle)
        if handle:
            self.handle, self.handle_ns = handle, until_ns

    def go_away(self, left_ms: int, now_ns: int) -> None:
        """The service closes the connection in `left_ms`."""
        left_ns = left_ms * 1_000_000
        deadline_ns = now_ns + max(left_ns - _RESERVE_NS, left_ns // 4)
        if self._cause is not Cause.GO_AWAY or deadline_ns < self._deadline_ns:
            self._cause, self._deadline_ns, self.looks_from_ns = Cause.GO_AWAY, deadline_ns, now_ns

    def prompted(self, tokens: int) -> bool:
        """A turn's prompt had so many tokens. True: the session was resumed and remembers nothing."""
        before, self._tokens = self._tokens, tokens
        unproved, self._unproved = self._unproved, False
        return unproved and before >= _ENOUGH_TOKENS and tokens * _FORGOTTEN < before

    # -- when --

    def due(self, now_ns: int, *, pause: bool, answering: bool = False) -> Cause | None:
        """Whether the session is to be renewed now. `pause`: nobody speaks or is about to be answered;
        `answering`: an answer would break off."""
        if self.under_way or now_ns < self.looks_from_ns:
            return None
        if now_ns >= self._deadline_ns + _FINISH_NS * answering or (
            pause and (self.settled or not self.handle)
        ):
            return self._cause
        return None

    @property
    def gives_up_ns(self) -> int:
        """When a renewal that is under way has taken too long."""
        return self._first_ns + self._limits.within_ns

    # -- how --

    def begin(self, now_ns: int, how: Renewal | None = None, code: int = 0) -> Attempt | None:
        """The first try of a renewal. `how`: asked for, else by handle if there is one. `code`: of the close,
        when the session was cut. None: the call has had its share."""
        soon = self.adopted_ns > 0 and now_ns - self.adopted_ns < _PROBATION_NS
        self._first_ns = now_ns
        self._short = self._short + 1 if soon and how is None else 0
        self._again = self._short
        if code == _INVALID:
            # What it was given, or else what it holds: its memory may be too long to be taken up.
            self._step = self._step + 1 if soon else _FIRST_FRESH + 1
        else:
            self._step = 0 if self._again < _AGAIN else _FIRST_FRESH
        if how is Renewal.FRESH or not self.handle:
            self._step = max(self._step, _FIRST_FRESH)
        return self._attempt(now_ns)

    def failed(self, code: int, *, retryable: bool, now_ns: int) -> Attempt | None:
        """A try came to nothing. None: give up."""
        self._again += 1
        resuming = self._step < _FIRST_FRESH
        if code == _INVALID or (resuming and (not retryable or self._again >= _AGAIN)):
            self._step += 1
            if resuming:
                self._forget_handle()
        elif not retryable:
            self.under_way = False
            return None
        return self._attempt(now_ns)

    def adopted(self, how: Renewal, now_ns: int) -> None:
        """The next session is there."""
        self.adopted_ns = now_ns
        self._unproved = how is Renewal.RESUME
        if how is Renewal.FRESH:
            self._forget_handle()
            self._tokens = 0
        self.began(now_ns)

    def _attempt(self, now_ns: int) -> Attempt | None:
        self.under_way = False
        limits = self._limits
        storm = len(self._tried) == limits.tries and now_ns - self._tried[0] < limits.window_ns
        delay_ns = self._delay_ns()
        if self._step >= len(_STEPS) or storm or now_ns + delay_ns > self.gives_up_ns:
            return None
        self.under_way = True
        self._tried.append(now_ns)
        step = _STEPS[self._step]
        handle = self.handle if step.how is Renewal.RESUME else ""
        return Attempt(step.how, handle, delay_ns, step.replay, step.tell)

    def _delay_ns(self) -> int:
        if not self._again:
            return 0
        most_ns = min(_BACKOFF_NS << min(self._again - 1, 10), _MOST_BACKOFF_NS)
        return int(most_ns * (0.5 + self._random() / 2))

    def _forget_handle(self) -> None:
        self.handle, self.handle_ns, self.settled = "", 0, False
