"""TwiML documents as lists of verbs. Source: Twilio's TwiML voice reference.

Parsing only. Verbs and nouns that the simulator doesn't speak are left out and named in `warnings`, as
Twilio's debugger would (12100-like); a document that is no TwiML raises `TwimlError`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit
from xml.etree import ElementTree

Method = Literal["GET", "POST"]


class TwimlError(Exception):
    """The document can't be executed; `code` is Twilio's error number."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Say:
    text: str
    loop: int = 1


@dataclass(frozen=True)
class Play:
    """A WAV's URL, or keys to send to the far end."""

    url: str = ""
    digits: str = ""
    loop: int = 1


@dataclass(frozen=True)
class Pause:
    seconds: float = 1.0


@dataclass(frozen=True)
class Redirect:
    url: str
    method: Method = "POST"


@dataclass(frozen=True)
class Hangup:
    pass


@dataclass(frozen=True)
class Reject:
    """`busy`, or `rejected`, which the caller hears as a number not in service."""

    reason: Literal["rejected", "busy"] = "rejected"


@dataclass(frozen=True)
class Dial:
    """A simple leg to one number; `action` takes the call further when it is over."""

    number: str
    caller_id: str = ""
    timeout_s: int = 30
    action: str = ""
    method: Method = "POST"
    status_callback: str = ""  # of the leg; as the next two
    status_method: Method = "POST"
    status_events: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conference:
    """`<Dial><Conference>`: a room by name. `ends_on_exit`: it ends for all when this call leaves."""

    room: str
    ends_on_exit: bool = False
    action: str = ""
    method: Method = "POST"


@dataclass(frozen=True)
class Gather:
    """Keys pressed while it speaks, or up to `timeout_s` after; without any, the next verb follows."""

    prompts: tuple[Say | Pause, ...] = ()
    digits: int = 0  # 0: any number, ended by `#`
    timeout_s: int = 5
    action: str = ""  # empty: the document's own address
    method: Method = "POST"


@dataclass(frozen=True)
class Stream:
    """`<Connect><Stream>`: the media server has the call until it closes the socket."""

    url: str  # as written; Twilio strips the query before dialling
    name: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    status_callback: str = ""
    status_method: Method = "POST"
    action: str = ""
    method: Method = "POST"


Verb = Say | Play | Pause | Redirect | Hangup | Reject | Dial | Conference | Gather | Stream


@dataclass(frozen=True)
class Document:
    verbs: tuple[Verb, ...]
    warnings: tuple[tuple[int, str], ...]  # (Twilio's code, what was left out and why)


def parse_twiml(text: str | bytes) -> Document:
    """Raises `TwimlError` 12100 for what is not XML or has no `<Response>`."""
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise TwimlError(12100, f"document parse failure: {error}") from None
    if root.tag != "Response":
        raise TwimlError(12100, f"document parse failure: the root is <{root.tag}>, not <Response>")
    verbs: list[Verb] = []
    warnings: list[tuple[int, str]] = []
    for element in root:
        try:
            verbs.append(_verb(element, warnings))
        except TwimlError as error:
            warnings.append((error.code, str(error)))
    return Document(tuple(verbs), tuple(warnings))


def _verb(element: ElementTree.Element, warnings: list[tuple[int, str]]) -> Verb:
    match element.tag:
        case "Say":
            return Say(_text(element), _integer(element, "loop", 1))
        case "Play":
            digits = element.get("digits", "")
            if not digits and not _text(element):
                raise TwimlError(12100, "<Play>: neither a URL nor digits")
            if not set(digits) <= set("0123456789*#ABCDwW"):
                raise TwimlError(13325, f"<Play>: digits {digits!r} can't be pressed")
            return Play(_text(element), digits.replace("W", "w"), _integer(element, "loop", 1))
        case "Pause":
            return Pause(float(_integer(element, "length", 1)))
        case "Redirect":
            return Redirect(_text(element), _method(element, "method"))
        case "Hangup":
            return Hangup()
        case "Reject":
            return Reject("busy" if element.get("reason") == "busy" else "rejected")
        case "Dial":
            return _dial(element)
        case "Connect":
            return _connect(element, warnings)
        case "Gather":
            return _gather(element, warnings)
        case _:
            raise TwimlError(12100, f"<{element.tag}> is no verb that this simulator speaks")


def _dial(element: ElementTree.Element) -> Dial | Conference:
    nouns = list(element)
    if len(nouns) > 1 or (nouns and nouns[0].tag not in ("Number", "Conference")):
        tags = [noun.tag for noun in nouns]
        raise TwimlError(12100, f"<Dial>: one <Number> or <Conference> is spoken, not {tags}")
    noun = nouns[0] if nouns else element
    action, method = element.get("action", ""), _method(element, "method")
    if noun.tag == "Conference":
        if not _text(noun):
            raise TwimlError(12100, "<Conference>: has no name")
        return Conference(_text(noun), noun.get("endConferenceOnExit", "false") == "true", action, method)
    callback = noun.get("statusCallback", "") if noun is not element else ""
    return Dial(
        _text(noun),
        element.get("callerId", ""),
        _integer(element, "timeout", 30),
        action,
        method,
        callback,
        _method(noun, "statusCallbackMethod") if callback else "POST",
        tuple(noun.get("statusCallbackEvent", "completed").split()) if callback else (),
    )


def _gather(element: ElementTree.Element, warnings: list[tuple[int, str]]) -> Gather:
    prompts: list[Say | Pause] = []
    for child in element:
        verb = _verb(child, warnings)
        if isinstance(verb, Say | Pause):
            prompts.append(verb)
        else:
            warnings.append((12100, f"<Gather>: <{child.tag}> is not spoken"))
    return Gather(
        tuple(prompts),
        _integer(element, "numDigits", 0),
        _integer(element, "timeout", 5),
        element.get("action", ""),
        _method(element, "method"),
    )


def _connect(element: ElementTree.Element, warnings: list[tuple[int, str]]) -> Stream:
    nouns = list(element)
    if len(nouns) != 1 or nouns[0].tag != "Stream":
        raise TwimlError(12100, f"<Connect>: one <Stream> is spoken, not {[noun.tag for noun in nouns]}")
    stream = nouns[0]
    if stream.get("track", "inbound_track") != "inbound_track":
        raise TwimlError(31941, "<Connect><Stream>: track must be inbound_track")
    url = stream.get("url", "")
    if urlsplit(url).scheme not in ("ws", "wss") or not urlsplit(url).hostname:
        raise TwimlError(12100, f"<Stream>: url {url!r} is no WebSocket address")
    parameters: dict[str, str] = {}
    for child in stream:
        name, value = child.get("name", ""), child.get("value", "")
        if child.tag != "Parameter" or not name:
            warnings.append((12100, f"<Stream>: <{child.tag}> without a name, or no <Parameter>"))
        elif len(name) + len(value) >= 500:
            warnings.append((12100, f"<Parameter>: {name!r} and its value have 500 characters or more"))
        else:
            parameters[name] = value
    return Stream(
        url,
        stream.get("name", ""),
        parameters,
        stream.get("statusCallback", ""),
        _method(stream, "statusCallbackMethod"),
        element.get("action", ""),
        _method(element, "method"),
    )


def _text(element: ElementTree.Element) -> str:
    return (element.text or "").strip()


def _integer(element: ElementTree.Element, name: str, default: int) -> int:
    value = element.get(name)
    if value is None:
        return default
    if not value.isdecimal():
        raise TwimlError(12100, f"<{element.tag}>: {name} {value!r} is no whole number")
    return int(value)


def _method(element: ElementTree.Element, name: str) -> Method:
    value = element.get(name, "POST").upper()
    if value not in ("GET", "POST"):
        raise TwimlError(12100, f"<{element.tag}>: {name} {value!r} is neither GET nor POST")
    return "GET" if value == "GET" else "POST"
