"""TwiML documents, as Twilio's own helper library writes them and as people get them wrong."""

from __future__ import annotations

import pytest
from twilio.twiml.voice_response import Connect, Dial, VoiceResponse
from twilio.twiml.voice_response import Stream as StreamNoun

from bench.sim.twilio import twiml
from bench.sim.twilio.plan import Plan, answers
from bench.sim.twilio.twiml import TwimlError, parse_twiml


def test_what_twilios_library_renders_is_understood() -> None:
    response = VoiceResponse()
    connect = Connect(action="https://x/after")
    stream = StreamNoun(
        url="wss://x.example.com/media", name="n1", track="inbound_track", status_callback="https://x/s"
    )
    stream.parameter(name="call_id", value="a&b")
    connect.append(stream)
    response.append(connect)
    response.say("Good bye", loop=2)
    response.play(digits="1w2#")
    response.pause(length=3)
    dial = Dial(caller_id="+15005550006", action="/done", timeout=7)
    dial.number("+15551234567")
    response.append(dial)
    response.redirect("/again", method="GET")
    response.hangup()
    document = parse_twiml(str(response))
    assert document.warnings == ()
    assert document.verbs == (
        twiml.Stream(
            "wss://x.example.com/media",
            "n1",
            {"call_id": "a&b"},
            "https://x/s",
            "POST",
            "https://x/after",
            "POST",
        ),
        twiml.Say("Good bye", 2),
        twiml.Play(digits="1w2#"),
        twiml.Pause(3.0),
        twiml.Dial("+15551234567", "+15005550006", 7, "/done", "POST"),
        twiml.Redirect("/again", "GET"),
        twiml.Hangup(),
    )


@pytest.mark.parametrize("text", ["", "<Response>", "hello", "<Wrong/>", "<Response>&</Response>"])
def test_what_is_no_twiml_is_12100(text: str) -> None:
    with pytest.raises(TwimlError) as caught:
        parse_twiml(text)
    assert caught.value.code == 12100


@pytest.mark.parametrize(
    ("verb", "code"),
    [
        ("<Record/>", 12100),
        ("<Connect/>", 12100),
        ("<Connect><Room/></Connect>", 12100),
        ('<Connect><Stream url="https://x/"/></Connect>', 12100),
        ('<Connect><Stream url="wss://x/" track="both_tracks"/></Connect>', 31941),
        ("<Play/>", 12100),
        ('<Play digits="hello"/>', 13325),
        ('<Pause length="long"/>', 12100),
        ("<Dial><Sip>sip:a@b</Sip></Dial>", 12100),
        ('<Redirect method="PUT">/x</Redirect>', 12100),
    ],
)
def test_a_verb_that_is_not_spoken_is_left_out_with_a_warning(verb: str, code: int) -> None:
    document = parse_twiml(f"<Response>{verb}<Hangup/></Response>")
    assert document.verbs == (twiml.Hangup(),)
    assert [warning[0] for warning in document.warnings] == [code]


def test_parameters_of_500_characters_are_left_out() -> None:
    document = parse_twiml(
        f'<Response><Connect><Stream url="wss://x/"><Parameter name="a" value="{"v" * 499}"/>'
        f'<Parameter name="b" value="{"v" * 498}"/><Parameter value="nameless"/>'
        "</Stream></Connect></Response>"
    )
    (stream,) = document.verbs
    assert isinstance(stream, twiml.Stream)
    assert list(stream.parameters) == ["b"]
    assert len(document.warnings) == 2


def test_the_end_of_a_document_is_a_hang_up() -> None:
    plan = Plan(parse_twiml("<Response><Pause/></Response>"), "https://x/a/b")
    assert plan.next() == twiml.Pause()
    assert plan.next() == twiml.Hangup()


def test_a_replaced_document_is_not_returned_to() -> None:
    document = parse_twiml("<Response><Redirect>c</Redirect><Say>never</Say></Response>")
    plan = Plan(document, "https://x/a/b?q=1")
    plan.next()
    assert plan.resolve("c") == "https://x/a/c"
    assert plan.resolve("/d") == "https://x/d"
    assert plan.resolve("") == "https://x/a/b?q=1"
    plan.replace(parse_twiml("<Response/>"), "https://y/")
    assert plan.next() == twiml.Hangup()
    assert plan.resolve("e") == "https://y/e"


def test_rejecting_pausing_and_redirecting_do_not_answer_an_inbound_call() -> None:
    assert not any(answers(verb) for verb in (twiml.Reject(), twiml.Pause(), twiml.Redirect("/")))
    assert all(answers(verb) for verb in (twiml.Say("x"), twiml.Hangup(), twiml.Stream("ws://x")))


def test_a_gather_holds_its_prompts_and_says_how_many_keys_it_takes() -> None:
    text = (
        '<Response><Gather numDigits="1" timeout="10" action="/pressed"><Say>a</Say><Pause length="2"/>'
        "<Play>x.wav</Play></Gather></Response>"
    )
    document = parse_twiml(text)
    assert document.verbs == (twiml.Gather((twiml.Say("a"), twiml.Pause(2.0)), 1, 10, "/pressed"),)
    assert [code for code, _ in document.warnings] == [12100]


def test_a_dial_may_name_a_room() -> None:
    text = '<Response><Dial><Conference endConferenceOnExit="true">a-1</Conference></Dial></Response>'
    assert parse_twiml(text).verbs == (twiml.Conference("a-1", ends_on_exit=True),)


def test_a_dialed_number_may_be_told_about() -> None:
    text = (
        '<Response><Dial timeout="9" action="/over"><Number statusCallback="/leg" '
        'statusCallbackEvent="answered completed">+15550001111</Number></Dial></Response>'
    )
    (dial,) = parse_twiml(text).verbs
    assert isinstance(dial, twiml.Dial)
    assert (dial.status_callback, dial.status_events) == ("/leg", ("answered", "completed"))
