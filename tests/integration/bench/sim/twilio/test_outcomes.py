"""Calls that aren't answered, or not by a person, and what the callbacks say of them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.twilio_sim import bed, words

CONNECT = '<Connect><Stream url="{ws}/s"/></Connect>'


@pytest.mark.parametrize(
    ("outcome", "statuses", "sip"),
    [
        ("busy", ["initiated", "busy"], "486"),
        ("failed", ["initiated", "failed"], "404"),
        ("no-answer", ["initiated", "ringing", "no-answer"], "480"),
    ],
)
async def test_a_call_that_is_not_answered(outcome: str, statuses: list[str], sip: str) -> None:
    async with bed() as b:
        await b.persona({"outcome": outcome})
        sid = await b.call()
        state = await b.ended(sid)
        assert b.customer.statuses() == statuses
        final = b.customer.at("/status")[-1].params
        assert (final["SipResponseCode"], final["CallDuration"]) == (sip, "0")
        assert state["status"] == outcome
        assert b.customer.at("/twiml") == []
        assert (await b.admin.get(f"/calls/{sid}/recording.wav")).status_code == 404


async def test_nobody_answers_within_the_timeout() -> None:
    async with bed() as b:
        await b.persona({"answer_after_ms": 5000})
        began = time.monotonic()
        sid = await b.call(Timeout="1")
        assert (await b.ended(sid))["status"] == "no-answer"
        assert 0.9 < time.monotonic() - began < 4


async def test_the_time_limit_ends_a_call() -> None:
    async with bed() as b:
        sid = await b.call(TimeLimit="1")
        state = await b.ended(sid)
        assert (state["status"], state["duration_s"]) == ("completed", 1)
        assert [e["reason"] for e in await b.timeline(sid, "hangup")] == ["TimeLimit"]


async def test_calls_per_second_queue_and_tell_the_wait() -> None:
    async with bed(cps=2.0) as b:
        first, second, third = [(await b.create(Twiml="<Response/>")).json() for _ in range(3)]
        assert first["queue_time"] == "0"
        assert 300 < int(second["queue_time"]) <= 500
        assert 700 < int(third["queue_time"]) <= 1000
        assert (await b.update(third["sid"], Status="canceled")).json()["status"] == "canceled"
        for call in (first, second):
            assert (await b.ended(call["sid"]))["status"] == "completed"
        dialed = [(await b.timeline(call["sid"], "dialed"))[0]["t_ns"] for call in (first, second)]
        assert 0.45 < (dialed[1] - dialed[0]) / 1e9 < 0.9
        assert await b.timeline(third["sid"], "dialed") == []


async def test_status_callbacks_can_be_doubled_delayed_and_dropped() -> None:
    async with bed() as b:
        await b.arm("status_duplicate", event="ringing")
        await b.arm("status_reorder", event="initiated", delay_ms=250)
        await b.arm("status_drop", event="answered")
        sid = await b.call("<Pause length='60'/>")
        await b.customer.until(lambda: "initiated" in b.customer.statuses())
        await b.update(sid, Status="completed")
        await b.ended(sid)
        assert b.customer.statuses() == ["ringing", "ringing", "initiated", "completed"]
        assert [h.params["SequenceNumber"] for h in b.customer.at("/status")] == ["1", "1", "0", "3"]
        twice = b.customer.at("/status")[:2]
        assert twice[0].params == twice[1].params


async def test_synchronous_detection_holds_the_call_until_the_beep() -> None:
    async with bed() as b:
        await b.persona(
            {"outcome": "voicemail", "script": [{"pause_ms": 200}, {"beep": True}, {"pause_ms": 9000}]}
        )
        sid = await b.call("<Say>after the tone</Say>", MachineDetection="DetectMessageEnd")
        state = await b.ended(sid)
        fetched = b.customer.at("/twiml")[0].params
        assert (fetched["AnsweredBy"], fetched["MachineDetectionDuration"]) == ("machine_end_beep", "700")
        assert b.customer.at("/status")[-1].params["AnsweredBy"] == "machine_end_beep"
        assert state["answered_by"] == "machine_end_beep"
        (heard, *_) = await b.timeline(sid, "heard_start")
        (beep, *_) = await b.timeline(sid, "callee_stops")
        assert heard["ms"] > 700
        assert beep["ms"] == pytest.approx(720, abs=25)


async def test_asynchronous_detection_tells_its_own_callback() -> None:
    async with bed() as b:
        sid = await b.call(
            CONNECT,
            MachineDetection="Enable",
            AsyncAmd="true",
            AsyncAmdStatusCallback=f"{b.customer.url}/amd",
        )
        await b.customer.until(lambda: b.customer.at("/amd"))
        (told,) = b.customer.at("/amd")
        assert told.valid
        assert told.params == {
            "AccountSid": b.config.account_sid,
            "CallSid": sid,
            "AnsweredBy": "human",
            "MachineDetectionDuration": "1800",
        }
        assert "AnsweredBy" not in b.customer.at("/twiml")[0].params


async def test_a_recorded_call_can_be_fetched() -> None:
    async with bed() as b:
        hook = f"{b.customer.url}/recorded"
        sid = await b.call(
            "<Say>x</Say>", Record="true", RecordingChannels="dual", RecordingStatusCallback=hook
        )
        await b.ended(sid)
        await b.customer.until(lambda: b.customer.at("/recorded"))
        told = b.customer.at("/recorded")[0].params
        assert (told["RecordingStatus"], told["RecordingChannels"], told["RecordingSource"]) == (
            "completed",
            "2",
            "OutboundAPI",
        )
        wav = await b.rest.get(told["RecordingUrl"] + ".wav")
        assert wav.content.startswith(b"RIFF")
        assert (await b.rest.get(told["RecordingUrl"], auth=("x", "y"))).status_code == 401


async def test_an_inbound_call_asks_the_voice_url_while_it_rings() -> None:
    async with bed(voice_url="{url}/voice") as b:
        b.twiml(CONNECT, "/voice")
        persona = {"script": [{"press": "7"}]}
        body = {"from": "+15557654321", "to": b.config.number, "persona": persona}
        sid = (await b.admin.post("/calls", json=body)).json()["sid"]
        state = await b.ended(sid)
        (asked,) = b.customer.at("/voice")
        assert asked.valid
        assert (asked.params["Direction"], asked.params["CallStatus"]) == ("inbound", "ringing")
        assert (asked.params["From"], asked.params["FromCountry"]) == ("+15557654321", "US")
        assert state["status"] == "completed"
        assert b.customer.connections[0].of("dtmf")


@pytest.mark.parametrize(("reason", "status"), [("busy", "busy"), ("rejected", "no-answer")])
async def test_an_inbound_call_can_be_rejected(reason: str, status: str) -> None:
    async with bed(voice_url="{url}/voice") as b:
        b.twiml(f'<Reject reason="{reason}"/>', "/voice")
        sid = (await b.admin.post("/calls", json={"from": "+15557654321", "to": b.config.number})).json()[
            "sid"
        ]
        assert (await b.ended(sid))["status"] == status


async def test_dial_bridges_two_callees_and_asks_the_action(tmp_path: Path) -> None:
    async with bed() as b:
        friend = "+15551230009"
        await b.persona({"script": [{"play": str(words(tmp_path))}]}, friend)
        b.twiml("<Hangup/>", "/dialled")
        sid = await b.call(f'<Dial action="/dialled">{friend}</Dial>')
        await b.ended(sid)
        (asked,) = b.customer.at("/dialled")
        assert asked.valid
        assert (asked.params["DialCallStatus"], asked.params["DialBridged"]) == ("completed", "true")
        assert asked.params["DialCallDuration"] in ("1", "2")
        leg = await b.state(asked.params["DialCallSid"])
        assert (leg["direction"], leg["parent_call_sid"]) == ("outbound-dial", sid)
        said, _ = await b.recording(leg["sid"])
        _, heard = await b.recording(sid)
        assert abs(heard).max() == abs(said).max() > 3000


async def test_dialling_a_busy_or_senseless_number_goes_on() -> None:
    async with bed() as b:
        busy = "+15551230009"
        await b.persona({"outcome": "busy"}, busy)
        b.twiml('<Dial action="/two">12</Dial>', "/one")
        sid = await b.call(f'<Dial action="/one">{busy}</Dial>')
        await b.ended(sid)
        assert b.customer.at("/one")[0].params["DialCallStatus"] == "busy"
        assert b.customer.at("/two")[0].params["DialCallStatus"] == "failed"


async def test_what_cannot_be_fetched_or_parsed_ends_the_call_with_an_error() -> None:
    async with bed() as b:
        for path, code in (("/nothing", 12300), ("/bad", 12100)):
            b.customer.twiml["/bad"] = "<Response>"
            response = await b.create(Url=b.customer.url + path)
            state = await b.ended(response.json()["sid"])
            assert [note["code"] for note in state["notifications"]] == [code]
            assert state["status"] == "completed"


async def test_the_fallback_is_told_what_went_wrong() -> None:
    async with bed() as b:
        fallback = b.twiml("<Hangup/>", "/fallback")
        response = await b.create(Url="http://127.0.0.1:9/", FallbackUrl=fallback)
        await b.ended(response.json()["sid"])
        (told,) = b.customer.at("/fallback")
        assert (told.params["ErrorCode"], told.params["ErrorUrl"]) == ("11205", "http://127.0.0.1:9/")


async def test_redirect_play_and_send_digits_are_heard() -> None:
    async with bed() as b:
        b.twiml('<Play digits="5"/><Play>{url}/missing.wav</Play>', "/next")
        sid = await b.call("<Redirect>/next</Redirect><Say>never</Say>", SendDigits="12")
        state = await b.ended(sid)
        assert [verb["verb"] for verb in state["verbs"]] == ["Redirect", "Play", "Play", "Hangup"]
        assert [event["digits"] for event in await b.timeline(sid, "dtmf_heard")] == ["12", "5"]
        _, heard = await b.recording(sid)
        assert (abs(heard) > 1000).sum() > 3 * 500, "three keys of 100 ms"


async def test_a_webhook_by_get_is_signed_over_its_query() -> None:
    async with bed() as b:
        url = b.twiml("<Hangup/>")
        response = await b.create(Url=url + "?a=1", Method="GET")
        await b.ended(response.json()["sid"])
        (asked,) = b.customer.at("/twiml")
        assert asked.valid
        assert (asked.params["a"], asked.params["CallSid"]) == ("1", response.json()["sid"])


async def test_a_recordings_folder_gets_wav_and_timeline(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    async with bed(recordings=folder) as b:
        sid = await b.call("<Say>x</Say>")
        await b.ended(sid)
        assert (folder / f"{sid}.wav").read_bytes().startswith(b"RIFF")
        assert '"answered"' in (folder / f"{sid}.json").read_text()
