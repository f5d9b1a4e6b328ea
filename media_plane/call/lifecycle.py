"""Where a call is in the media plane. The table is the whole truth; anything else is a bug, named with state
and event."""

from __future__ import annotations

from enum import Enum, auto


class State(Enum):
    PREPARING = auto()  # the model's session is being opened
    READY = auto()  # the model's session is open; Twilio's stream has not started
    WAITING = auto()  # Twilio's stream has started; the model's session is still being opened
    LIVE = auto()  # audio flows
    ENDED = auto()


class Event(Enum):
    MODEL_READY = auto()  # setupComplete
    STREAM_STARTED = auto()  # Twilio's `start`
    ENDED = auto()  # whatever the reason


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.PREPARING, Event.MODEL_READY): State.READY,
    (State.PREPARING, Event.STREAM_STARTED): State.WAITING,
    (State.READY, Event.STREAM_STARTED): State.LIVE,
    (State.WAITING, Event.MODEL_READY): State.LIVE,
    (State.PREPARING, Event.ENDED): State.ENDED,
    (State.READY, Event.ENDED): State.ENDED,
    (State.WAITING, Event.ENDED): State.ENDED,
    (State.LIVE, Event.ENDED): State.ENDED,
}


def advance(state: State, event: Event) -> State:
    """The state after `event`.

    Raises:
        AssertionError: `event` can't happen in `state`; callers ask before they act on a peer's word.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise AssertionError(f"{event.name} in state {state.name}") from None
