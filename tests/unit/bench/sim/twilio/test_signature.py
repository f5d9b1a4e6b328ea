"""Signatures against twilio's own validator."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from bench.sim.twilio.signature import sign, stream_url

TOKEN = "0123456789abcdef"
text = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)


@given(st.dictionaries(text.filter(bool), text, max_size=8))
def test_twilios_validator_accepts_every_form(params: dict[str, str]) -> None:
    url = "https://example.com/path?query=1&b=%20"
    assert RequestValidator(TOKEN).validate(url, params, sign(TOKEN, url, params))


def test_a_different_token_url_or_value_is_refused() -> None:
    validator = RequestValidator(TOKEN)
    url, params = "https://example.com/path", {"CallSid": "CA1", "Empty": ""}
    good = sign(TOKEN, url, params)
    assert validator.validate(url, params, good)
    assert not validator.validate(url, params, sign("other", url, params))
    assert not validator.validate(url + "/", params, good)
    assert not validator.validate(url, params | {"CallSid": "CA2"}, good)


def test_a_stream_is_dialled_and_signed_without_query_and_default_port() -> None:
    assert stream_url("wss://example.com:443/a/b?c=d") == "wss://example.com/a/b"
    assert stream_url("ws://127.0.0.1:8081/a") == "ws://127.0.0.1:8081/a"
    url = stream_url("wss://example.com:443/a/b?c=d")
    assert RequestValidator(TOKEN).validate(url, {}, sign(TOKEN, url))
