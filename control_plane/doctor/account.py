"""The credentials, the Twilio account they open, its number, and how far our clock is from Twilio's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from control_plane.doctor.finding import Finding, fail, ok, warn
from control_plane.settings import Settings

SKEW_WARN_S = 2.0
SKEW_FAIL_S = 30.0  # tokens' and signatures' times are held to about this
_SIMULATED = ("127.0.0.1", "localhost", "::1")


def settings_present(settings: Settings, environment: Mapping[str, str]) -> list[Finding]:
    """`environment`: with the variables that the media plane alone reads."""
    given = {
        "TWILIO_ACCOUNT_SID": settings.twilio_account_sid,
        "TWILIO_AUTH_TOKEN": settings.twilio_auth_token.get_secret_value(),
        "TWILIO_PHONE_NUMBER": settings.twilio_phone_number,
    }
    missing = [name for name, value in given.items() if not value]
    found = [
        fail("settings", f"{', '.join(missing)} not set", "Set them in the environment or in .env.")
        if missing
        else ok("settings", f"Twilio account {settings.twilio_account_sid}, {settings.twilio_phone_number}")
    ]
    if environment.get("GEMINI_API_KEY") or settings.gemini_vertex_project:
        how = "Vertex AI" if settings.gemini_vertex_project else "an API key"
        found.append(ok("model", f"{settings.gemini_model}, by {how}"))
    else:
        found.append(
            fail("model", "no credential for Gemini", "Set GEMINI_API_KEY, or GEMINI_VERTEX_PROJECT.")
        )
    return found


async def twilio(settings: Settings, client: httpx.AsyncClient) -> list[Finding]:
    """Is the account active, is the number its own, and is our clock right."""
    sid = settings.twilio_account_sid
    account = f"{settings.twilio_api_base_url}/2010-04-01/Accounts/{sid}"
    auth = (sid, settings.twilio_auth_token.get_secret_value())
    try:
        began = time.time()
        answer = await client.get(f"{account}.json", auth=auth)
        took_s = time.time() - began
        if answer.status_code in (401, 403, 404):
            why = f"{account}.json answered {answer.status_code}"
            return [fail("twilio", why, "Check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN.")]
        answer.raise_for_status()
        status = str(answer.json().get("status", "unknown"))
        numbers = await client.get(
            f"{account}/IncomingPhoneNumbers.json",
            params={"PhoneNumber": settings.twilio_phone_number},
            auth=auth,
        )
        numbers.raise_for_status()
        owned = [each["phone_number"] for each in numbers.json()["incoming_phone_numbers"]]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        why = f"{settings.twilio_api_base_url}: {error or type(error).__name__}"
        return [fail("twilio", why, "Check the way out to the internet, and TWILIO_API_BASE_URL.")]
    found = [
        ok("twilio", f"the account is active, {took_s * 1000:.0f} ms away")
        if status == "active"
        else fail("twilio", f"the account is {status}", "Reactivate it in Twilio's console.")
    ]
    number = settings.twilio_phone_number
    if number in owned:
        found.append(ok("number", f"{number} is the account's"))
    else:
        advice = (
            "Buy it, or set TWILIO_PHONE_NUMBER to one of the account's (a verified caller ID also works)."
        )
        found.append(warn("number", f"{number} is not among the account's numbers", advice))
    return [*found, clock(answer.headers.get("Date", ""), began + took_s / 2)]


def clock(date: str, here: float) -> Finding:
    """`date`: an HTTP header, whole seconds; `here`: our time when it was written, seconds since 1970."""
    try:
        there = parsedate_to_datetime(date).timestamp() + 0.5
    except ValueError:
        return warn("clock", "the answer had no usable Date header", "Compare this clock with another one.")
    off_s = max(abs(here - there) - 0.5, 0.0)
    if off_s < SKEW_WARN_S:
        return ok("clock", "within 2 s of the server's")
    found = f"{off_s:.0f} s {'ahead of' if here > there else 'behind'} the server's"
    level = fail if off_s >= SKEW_FAIL_S else warn
    return level("clock", found, "Run a time service (chrony, systemd-timesyncd).")


async def webhooks(settings: Settings, client: httpx.AsyncClient) -> Finding:
    """Does what Twilio would ask answer, and does it refuse what Twilio did not sign."""
    base = settings.base_url
    try:
        live = await client.get(f"{base}/health/live")
        unsigned = await client.post(f"{base}/twilio/voice", data={"CallSid": "CA" + "0" * 32})
    except httpx.HTTPError as error:
        advice = "Start the control plane, and set BASE_URL to the address by which Twilio reaches it."
        return fail("webhooks", f"{base}: {error or type(error).__name__}", advice)
    if live.status_code != 200 or unsigned.status_code != 403:
        found = f"{base} answered {live.status_code} to /health/live and {unsigned.status_code} to a webhook"
        return fail(
            "webhooks", found, "Set BASE_URL to the control plane's own address; it must answer 200, 403."
        )
    if not _local(settings.twilio_api_base_url):
        parts = urlsplit(base)
        if parts.scheme != "https" or (parts.hostname or "") in _SIMULATED:
            advice = "Set BASE_URL to a public https address: Twilio is outside of this machine."
            return fail("webhooks", f"{base} answers here, but not to Twilio", advice)
    return ok("webhooks", f"{base} answers, and refuses what is not signed")


def _local(url: str) -> bool:
    return (urlsplit(url).hostname or "") in _SIMULATED
