"""Signatures as Twilio makes them: computed here from its description, and by its library."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping

import pytest
from twilio.request_validator import RequestValidator

from protos.twilio_signing import Verifier

TOKEN, KEY, SECRET = "token-0123456789", "webhooks_sharedkey_1", "secret-0123456789"
URL = "https://calls.example.com/twilio/status/call-1?leg=2"
FIELDS = {"CallSid": "CA1", "CallStatus": "ringing", "CalledCity": "São Paulo & Zürich", "ToState": ""}
BY_KEY = f"key={KEY},algorithm=HMAC_SHA256"
STREAM = "wss://media.example.com/twilio/ws/media/call-1/token"


def signed(secret: str, url: str, fields: Mapping[str, str], algorithm: str = "sha1") -> str:
    text = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), algorithm).digest()).decode()


@pytest.fixture
def verifier() -> Verifier:
    return Verifier(TOKEN, KEY, SECRET)


def test_a_request_signed_with_the_auth_token_is_twilios(verifier: Verifier) -> None:
    assert verifier.verify(URL, FIELDS.items(), signed(TOKEN, URL, FIELDS))


def test_a_request_signed_with_the_shared_key_is_twilios(verifier: Verifier) -> None:
    assert verifier.verify(URL, FIELDS.items(), signed(SECRET, URL, FIELDS, "sha256"), BY_KEY)


@pytest.mark.parametrize(
    ("signature", "settings"),
    [
        ("", ""),
        ("", BY_KEY),
        ("nonsense", ""),
        (signed("another token", URL, FIELDS), ""),
        (signed(TOKEN, URL + "3", FIELDS), ""),
        (signed(TOKEN, URL, FIELDS | {"CallStatus": "completed"}), ""),
        (signed(TOKEN, URL, FIELDS, "sha256"), ""),
        (signed("another secret", URL, FIELDS, "sha256"), BY_KEY),
        (signed(SECRET, URL, FIELDS, "sha256"), "key=webhooks_sharedkey_2,algorithm=HMAC_SHA256"),
        (signed(SECRET, URL, FIELDS, "sha256"), "algorithm=HMAC_SHA256"),
        (signed(SECRET, URL, FIELDS, "sha1"), f"key={KEY},algorithm=HMAC_SHA1"),
        (signed(SECRET, URL, FIELDS, "sha1"), f"key={KEY}"),
        (signed(TOKEN, URL, FIELDS, "sha1"), BY_KEY),
        (signed(SECRET, URL, FIELDS, "sha256"), f"key={KEY},algorithm=NONE"),
    ],
)
def test_anything_else_is_not(verifier: Verifier, signature: str, settings: str) -> None:
    assert not verifier.verify(URL, FIELDS.items(), signature, settings)


def test_an_empty_key_signs_nothing() -> None:
    empty = Verifier("", KEY, "")
    assert not empty.armed
    assert not empty.verify(URL, FIELDS.items(), signed("", URL, FIELDS))
    assert not empty.verify(URL, FIELDS.items(), signed("", URL, FIELDS, "sha256"), BY_KEY)


@pytest.mark.parametrize("url", [STREAM, STREAM + "/"])
def test_a_streams_upgrade_is_signed_over_its_address_alone(verifier: Verifier, url: str) -> None:
    assert verifier.verify_upgrade(STREAM, signed(TOKEN, url, {}))
    assert verifier.verify_upgrade(STREAM, signed(SECRET, url, {}, "sha256"), BY_KEY)
    assert not verifier.verify_upgrade(STREAM, signed(TOKEN, url.replace("wss", "https"), {}))
    assert not verifier.verify_upgrade(STREAM, signed(TOKEN, url + "?x=1", {}))


@pytest.mark.parametrize("algorithm", ["HMAC_SHA1", "HMAC_SHA256"])
@pytest.mark.parametrize("port", ["", ":443", ":8443"])
def test_what_twilios_library_signs_is_right(verifier: Verifier, algorithm: str, port: str) -> None:
    url = f"https://calls.example.com{port}/twilio/voice"
    library = RequestValidator(TOKEN if algorithm == "HMAC_SHA1" else SECRET)
    signature = library.compute_signature(url, FIELDS, algorithm)
    settings = "" if algorithm == "HMAC_SHA1" else BY_KEY
    assert verifier.verify(url, FIELDS.items(), signature, settings)
    if port != ":8443":  # the default port may be left out on either side
        assert verifier.verify("https://calls.example.com/twilio/voice", FIELDS.items(), signature, settings)


def test_a_field_that_comes_twice_is_signed_once_for_each_value(verifier: Verifier) -> None:
    class Form(dict[str, str]):
        def getlist(self, name: str) -> list[str]:
            return [value for each, value in twice if each == name]

    twice = [("A", "2"), ("B", "x"), ("A", "1"), ("A", "2")]
    signature = RequestValidator(TOKEN).compute_signature(URL, Form(twice))
    assert verifier.verify(URL, twice, signature)
    assert not verifier.verify(URL, twice[1:2], signature)
