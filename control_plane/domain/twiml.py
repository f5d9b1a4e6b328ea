"""The TwiML we answer and send, and the addresses in it. Pure; rendered by Twilio's library.

Every address that Twilio is to ask later differs from those before it in the same call, because a request
that equals one of long ago is refused as a replay.
"""

from __future__ import annotations

from twilio.twiml.voice_response import Connect, Dial, Gather, Stream, VoiceResponse

# Twilio's limit for a document sent with a request is 4000 characters; the rest of a whisper has 500.
MAX_WHISPERED = 3000
PRESS_WITHIN_S = 10


class Hooks:
    """The webhooks of one call."""

    def __init__(self, base_url: str, workflow_id: str) -> None:
        self.workflow_id = workflow_id
        self._at = f"{base_url}/twilio"

    def after_stream(self, stream: int) -> str:
        """Asked when a stream is over; `stream`: how many the call had before it."""
        suffix = f"&stream={stream}" if stream else ""
        return f"{self._at}/twiml/{self.workflow_id}?after=stream{suffix}"

    def detected(self) -> str:
        return f"{self._at}/machine/{self.workflow_id}"

    def dialed(self, transfer: int) -> str:
        """Asked when the person of a cold transfer has hung up, or was not reached."""
        return f"{self._at}/transfer/{self.workflow_id}/{transfer}/dialed"

    def leg(self, transfer: int) -> str:
        """Told how the person's telephone gets on."""
        return f"{self._at}/transfer/{self.workflow_id}/{transfer}/leg"

    def pressed(self, transfer: int) -> str:
        """Asked when the person of a warm transfer has pressed a key."""
        return f"{self._at}/transfer/{self.workflow_id}/{transfer}/pressed"


def connect(hooks: Hooks, stream_url: str, stream: int = 0) -> str:
    """Stream straight to the node that holds the call's model session; the URL carries the one-time token."""
    return _connected(VoiceResponse(), hooks, stream_url, stream)


def keys(hooks: Hooks, digits: str, stream_url: str, stream: int) -> str:
    response = VoiceResponse()
    response.play(digits=digits)
    return _connected(response, hooks, stream_url, stream)


def message(text: str) -> str:
    response = VoiceResponse()
    response.say(text)
    response.hangup()
    return str(response)


def dial(hooks: Hooks, number: str, caller_id: str, timeout_s: int, transfer: int) -> str:
    """A cold transfer."""
    response = VoiceResponse()
    verb = Dial(action=hooks.dialed(transfer), method="POST", caller_id=caller_id, timeout=timeout_s)
    verb.number(number, status_callback=hooks.leg(transfer), status_callback_event="answered")
    response.append(verb)
    return str(response)


def whisper(hooks: Hooks, summary: str, transfer: int) -> str:
    """What the person of a warm transfer hears first. Who presses nothing is let go."""
    shortened = summary if len(summary) <= MAX_WHISPERED else summary[:MAX_WHISPERED].rpartition(" ")[0]
    response = VoiceResponse()
    gather = Gather(num_digits=1, timeout=PRESS_WITHIN_S, action=hooks.pressed(transfer), method="POST")
    if shortened.strip():
        gather.say(shortened)
    gather.say("To take the call, press 1. To decline it, press 2.")
    response.append(gather)
    response.hangup()
    return str(response)


def conference(room: str) -> str:
    """Two people in a room: the first hears silence until the other comes, and who leaves ends it."""
    response = VoiceResponse()
    verb = Dial()
    verb.conference(
        room, start_conference_on_enter=True, end_conference_on_exit=True, beep="false", wait_url=""
    )
    response.append(verb)
    return str(response)


def hang_up() -> str:
    response = VoiceResponse()
    response.hangup()
    return str(response)


def reject(reason: str) -> str:
    """`busy`, or `rejected`, which sounds like a number that is not in service."""
    response = VoiceResponse()
    response.reject(reason=reason)
    return str(response)


def _connected(response: VoiceResponse, hooks: Hooks, stream_url: str, stream: int) -> str:
    noun = Stream(url=stream_url)
    noun.parameter(name="workflow_id", value=hooks.workflow_id)
    verb = Connect(action=hooks.after_stream(stream), method="POST")
    verb.append(noun)
    response.append(verb)
    return str(response)
