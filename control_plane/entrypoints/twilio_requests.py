"""Requests that come from Twilio, and those that only look so: what every webhook asks before it believes.

A signature carries no time, so one that was overheard is good for ever. What may be asked once (TwiML, with
the token of a media stream in it) is answered again for as long as Twilio itself may ask again, and refused
later; news that was told before is taken as told. The header I-Twilio-Idempotency-Token is not signed, and
proves nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl

import structlog
from fastapi import HTTPException, Request

from control_plane import metrics
from control_plane.errors import DependencyUnavailable
from control_plane.service.ports import WebhooksSeen
from protos.twilio_signing import SETTINGS_HEADER, SIGNATURE_HEADER, Verifier

log = structlog.get_logger(__name__)

MAX_FIELDS = 200  # Twilio sends about 40
# Twilio gives a request 15 s, and may then ask once more; so may a proxy in between.
ASKED_AGAIN_MS = 40_000


class Unsigned(HTTPException):
    """A request that Twilio did not sign with our secrets for our address."""

    def __init__(self) -> None:
        super().__init__(403, "not signed by Twilio")


class Replayed(HTTPException):
    """A request that Twilio did sign, once, too long ago for it to be asking again."""

    def __init__(self) -> None:
        super().__init__(403, "this request was answered before")


class Form(Mapping[str, str]):
    """The fields of a verified request (the last of repeated ones), and what makes the request itself."""

    def __init__(self, fields: Mapping[str, str], digest: str) -> None:
        self._fields = fields
        self.digest = digest

    def __getitem__(self, name: str) -> str:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


class TwilioRequests:
    """Verifies requests. `base_url`: as Twilio sees us; Host headers, which anyone may set, are not asked."""

    def __init__(self, verifier: Verifier, seen: WebhooksSeen, base_url: str) -> None:
        self._verifier = verifier
        self._seen = seen
        self._base_url = base_url

    async def form(self, request: Request, hook: str) -> Form:
        """The form of a request that Twilio signed.

        Raises:
            Unsigned
        """
        body = await request.body()
        pairs = _parse(body)
        raw_path = request.scope.get("raw_path", request.url.path.encode()).partition(b"?")[0]
        url = self._base_url + raw_path.decode("latin-1")
        if request.url.query:
            url += f"?{request.url.query}"
        headers = request.headers
        signature, settings = headers.get(SIGNATURE_HEADER, ""), headers.get(SETTINGS_HEADER, "")
        if not self._verifier.verify(url, pairs, signature, settings):
            metrics.WEBHOOKS_REJECTED.labels(hook, "signature").inc()
            log.warning("webhook refused: bad signature", hook=hook, url=url)
            raise Unsigned
        return Form(dict(pairs), hashlib.sha256(f"{url}\0{signature}".encode()).hexdigest())

    async def asked(self, form: Form, hook: str) -> None:
        """Note that this question came; Redis being away does not silence a telephone.

        Raises:
            Replayed: it came first too long ago.
        """
        now_ms = _now_ms()
        try:
            first_ms = await self._seen.mark(form.digest, now_ms)
        except DependencyUnavailable as error:
            log.warning("webhook not noted", hook=hook, error=str(error))
            return
        if now_ms - first_ms > ASKED_AGAIN_MS:
            metrics.WEBHOOKS_REJECTED.labels(hook, "replay").inc()
            log.warning("webhook refused: replayed", hook=hook, age_s=(now_ms - first_ms) // 1000)
            raise Replayed

    async def told_before(self, form: Form, hook: str) -> bool:
        """Whether this very news was dealt with already."""
        try:
            known = await self._seen.first_ms(form.digest) is not None
        except DependencyUnavailable:
            return False  # whoever hears it twice takes no harm
        if known:
            metrics.WEBHOOKS_REPEATED.labels(hook).inc()
        return known

    async def told(self, form: Form, hook: str) -> None:
        """This news has been dealt with."""
        try:
            await self._seen.mark(form.digest, _now_ms())
        except DependencyUnavailable as error:
            log.warning("webhook not noted", hook=hook, error=str(error))


def _parse(body: bytes) -> list[tuple[str, str]]:
    """Fields of a URL-encoded form; none when it is not one, and then no signature fits."""
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        return []


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
