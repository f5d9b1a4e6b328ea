"""Requests that Twilio makes: TwiML fetches and callbacks, signed, form-encoded, each noted on its call."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

import aiohttp
from yarl import URL

from bench.sim.twilio.faults import Faults
from bench.sim.twilio.signature import sign
from bench.sim.twilio.twiml import Method

TIMEOUT_S = 15.0
_USER_AGENT = "TwilioProxy/1.1"


class WebhookFailed(Exception):
    """No usable answer; `code` is Twilio's error number."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Answer:
    """A 2xx answer."""

    content_type: str
    body: bytes


class Webhooks:
    """One HTTP client for all calls."""

    def __init__(self, auth_token: str, faults: Faults) -> None:
        self._auth_token = auth_token
        self._faults = faults
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),  # an idle one may be closed under us
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
            skip_auto_headers=("Accept-Encoding",),
        )

    async def send(
        self, log: list[dict[str, Any]], purpose: str, url: str, method: Method, params: Mapping[str, str]
    ) -> Answer:
        """Send one request and note it in `log`. Raises `WebhookFailed`."""
        if method == "GET":  # the fields become part of the URL, and the URL is what is signed
            url, form = _with_query(url, params), {}
        else:
            form = dict(params)
        call_sid = params.get("CallSid", "")
        headers = {
            "User-Agent": _USER_AGENT,
            "Accept": "*/*",
            # the same for a repetition of this request, so that a receiver can tell it from a new one
            "I-Twilio-Idempotency-Token": hashlib.sha1(urlencode(params).encode()).hexdigest(),
        }
        if self._faults.strike("signature_forge", call_sid, on="webhook"):
            headers["X-Twilio-Signature"] = sign("somebody else's token", url, form)
        elif not self._faults.strike("signature_omit", call_sid, on="webhook"):
            headers["X-Twilio-Signature"] = sign(self._auth_token, url, form)
        body: bytes | None = None
        if method == "POST":
            body = urlencode(form).encode()
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
        note: dict[str, Any] = {
            "t_ns": time.monotonic_ns(),
            "purpose": purpose,
            "url": url,
            "method": method,
            "params": dict(params),
            "status": None,
        }
        log.append(note)
        try:
            async with self._session.request(
                method, URL(url, encoded=True), data=body, headers=headers, allow_redirects=False
            ) as response:
                note["status"] = response.status
                answer = Answer(response.content_type, await response.read())
        except TimeoutError:
            note["error"] = f"no answer in {TIMEOUT_S:g} s"
            raise WebhookFailed(11205, f"{url}: {note['error']}") from None
        except (aiohttp.ClientError, ValueError) as error:
            note["error"] = f"{type(error).__name__}: {error}"
            raise WebhookFailed(11205, f"{url}: {note['error']}") from None
        finally:
            note["took_ms"] = round((time.monotonic_ns() - note["t_ns"]) / 1e6, 3)
        if not 200 <= response.status < 300:
            raise WebhookFailed(11200, f"{url}: HTTP status {response.status}")
        return answer

    async def download(self, url: str) -> bytes:
        """A file to play, without a signature. Raises `WebhookFailed`."""
        try:
            async with self._session.get(url) as response:
                response.raise_for_status()
                return await response.read()
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise WebhookFailed(11200, f"{url}: {error}") from None

    async def close(self) -> None:
        await self._session.close()
        await asyncio.sleep(0)  # lets transports close before the loop does


def _with_query(url: str, params: Mapping[str, str]) -> str:
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, urlencode(params)) if part)
    return urlunsplit(parts._replace(query=query))
