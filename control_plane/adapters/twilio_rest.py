"""Twilio's REST API: place a call, find one placed, end one. Implements `ports.Telephony`.

Placing a call isn't idempotent at Twilio, so every failure is put into one of three classes: refused for good
(DialRefused), certainly not placed (DependencyUnavailable: ask again), or unknown (DialAmbiguous: reconcile
with `find_recent` before asking again).
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import aiohttp
import structlog
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client
from twilio.rest.api.v2010.account.call import CallInstance

from control_plane.domain.twiml import Hooks
from control_plane.errors import DependencyUnavailable, DialAmbiguous, DialLater, DialRefused
from control_plane.service.ports import Placed
from control_plane.settings import Settings

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")

REQUEST_TIMEOUT_S = 10.0
RING_TIMEOUT_S = 30  # Twilio may add about 5 s
# After a 429 without a Retry-After, and the most that one is believed.
RETRY_AFTER_S = 2
MAX_RETRY_AFTER_S = 60
STATUS_EVENTS = ("initiated", "ringing", "answered", "completed")

# Codes by which Twilio says: not now. The call was not placed.
_BUSY_CODES = frozenset({20429, 10004})
# Codes by which an update says that the call is over already.
_OVER_CODES = frozenset({20404, 21220})

# What a refusal means to whoever asked for the call (Twilio's error dictionary).
_SENSES = {
    10001: "the Twilio account is not active",
    20003: "Twilio does not accept the account's credentials",
    20404: "the Twilio account or resource does not exist",
    21201: "no number to call was given",
    21205: "Twilio does not accept this webhook address; BASE_URL must be reachable from the internet",
    21210: "the calling number is neither owned by nor verified for the Twilio account",
    21211: "this is no valid phone number",
    21212: "the calling number (TWILIO_PHONE_NUMBER) is not valid",
    21213: "no calling number (TWILIO_PHONE_NUMBER) is set",
    21214: "this phone number can't be reached",
    21215: "the Twilio account may not call this country (geographic permissions)",
    21216: "the Twilio account may not call this number",
    21217: "this does not look like a phone number",
    21219: "a trial account may only call verified numbers",
}

# Twilio lists times in whole seconds, and its clock is not ours.
_CLOCK_SLACK = timedelta(seconds=2)
# As many calls of ours as can be live at once on one worker, with room.
_REMEMBERED_CALLS = 10_000


@dataclass
class _Sending:
    """Whether a request's headers were written: before that, Twilio can't have acted on it. `retry_after`:
    the header of the answer."""

    sent: bool = False
    retry_after: str = ""


_sending: contextvars.ContextVar[_Sending | None] = contextvars.ContextVar("twilio_sending", default=None)


async def _mark_sent(*_: Any) -> None:
    sending = _sending.get()
    if sending is not None:
        sending.sent = True


async def _mark_answered(_session: Any, _context: Any, answered: aiohttp.TraceRequestEndParams) -> None:
    sending = _sending.get()
    if sending is not None:
        sending.retry_after = answered.response.headers.get("Retry-After", "")


class TwilioRest:
    """One account's calls. Create and use it in one event loop; `close` at the end."""

    def __init__(self, settings: Settings, *, request_timeout_s: float = REQUEST_TIMEOUT_S) -> None:
        self._settings = settings
        self._timeout_s = request_timeout_s
        self._http: AsyncTwilioHttpClient | None = None
        self._client: Client | None = None
        self._placed: OrderedDict[str, str] = OrderedDict()  # call sid to workflow id

    async def dial(
        self, *, to: str, workflow_id: str, time_limit_s: int, detect_machine: bool = False
    ) -> Placed:
        """Place the call, once. `detect_machine`: beside the conversation, which does not wait for a verdict.

        Raises:
            DialRefused: Twilio will not place this call; the message says why in plain words.
            DialLater: it was not placed, because Twilio has too much to do.
            DependencyUnavailable: it was not placed; asking again is safe.
            DialAmbiguous: it may have been placed.
        """
        base = self._settings.base_url
        detection: dict[str, Any] = {}
        if detect_machine:
            detection = {
                "machine_detection": "DetectMessageEnd",
                "async_amd": "true",
                "async_amd_status_callback": Hooks(base, workflow_id).detected(),
            }
        placed = await self._place(
            to=to,
            from_=self._settings.twilio_phone_number,
            url=f"{base}/twilio/twiml/{workflow_id}",
            status_callback=f"{base}/twilio/status/{workflow_id}",
            status_callback_event=list(STATUS_EVENTS),
            timeout=RING_TIMEOUT_S,
            time_limit=time_limit_s,
            **detection,
        )
        self._remember(placed.call_sid, workflow_id)
        return placed

    async def call_person(
        self, *, to: str, twiml: str, status_callback: str, timeout_s: int, time_limit_s: int
    ) -> Placed:
        """Ring somebody who hears `twiml`. Raises as `dial`."""
        return await self._place(
            to=to,
            from_=self._settings.twilio_phone_number,
            twiml=twiml,
            status_callback=status_callback,
            status_callback_event=["completed"],
            timeout=timeout_s,
            time_limit=time_limit_s,
        )

    async def steer(self, call_sid: str, twiml: str) -> bool:
        """Have a call that is in progress do something else. False: it is over, or not answered yet.

        Raises:
            DependencyUnavailable: Twilio did not take the request.
        """

        async def update() -> bool:
            try:
                await self._api().calls(call_sid).update_async(twiml=twiml)
            except (TwilioRestException, TwilioServiceException) as exc:
                if exc.status != 404 and exc.code not in _OVER_CODES:
                    raise
                return False
            return True

        return await self._ask(update)

    async def _place(self, **asked: Any) -> Placed:
        """POST /Calls, its failures in three classes. Raises as `dial`."""
        sending = _Sending()

        async def create() -> Placed:
            call = await self._api().calls.create_async(**asked)
            return Placed(str(call.sid), _milliseconds(call.queue_time))

        token = _sending.set(sending)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await create()
        except (TwilioRestException, TwilioServiceException) as exc:
            raise _refusal(exc, sending.retry_after) from exc
        except (TwilioException, aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            if not sending.sent:
                raise DependencyUnavailable("twilio", _text(exc)) from exc
            raise DialAmbiguous(f"no answer from Twilio to the request to call: {_text(exc)}") from exc
        finally:
            _sending.reset(token)

    async def find_recent(
        self,
        *,
        to: str,
        workflow_id: str,
        since: str,
        may_be_ours: Callable[[str], Awaitable[bool]] | None = None,
    ) -> str | None:
        """The sid of a call placed for this workflow since `since` (ISO 8601), if Twilio has one.

        Twilio tells nobody a call's callback addresses, so this goes by the numbers at both ends and the time
        of creation, leaving out calls that this process placed for other workflows, and those of which
        `may_be_ours` says no. Of several, the newest: at worst the wrong one of two calls to the same person
        is taken, and nobody's phone rings twice.

        Raises:
            DependencyUnavailable: Twilio can't be asked now, or `may_be_ours` can't.
        """
        earliest = datetime.fromisoformat(since) - _CLOCK_SLACK

        async def recent() -> list[CallInstance]:
            calls: list[CallInstance] = await self._api().calls.list_async(
                to=to, from_=self._settings.twilio_phone_number, limit=50, page_size=50
            )
            return calls

        for call in await self._ask(recent):
            created: datetime | None = call.date_created
            if created is not None and created < earliest:
                continue
            if self._placed.get(call.sid, workflow_id) != workflow_id:
                continue
            if may_be_ours is not None and not await may_be_ours(str(call.sid)):
                continue
            _log.info("found a call placed earlier", workflow_id=workflow_id, call_sid=call.sid)
            return str(call.sid)
        return None

    async def end(self, call_sid: str, status: str) -> None:
        """End the call; one that is over already is no error.

        Raises:
            DependencyUnavailable: Twilio did not take the request.
        """

        async def update() -> None:
            try:
                await self._api().calls(call_sid).update_async(status=status)
            except (TwilioRestException, TwilioServiceException) as exc:
                if exc.status != 404 and exc.code not in _OVER_CODES:
                    raise

        await self._ask(update)

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = self._client = None

    def _api(self) -> Client:
        if self._client is None:
            trace = aiohttp.TraceConfig()
            trace.on_request_headers_sent.append(_mark_sent)
            trace.on_request_end.append(_mark_answered)
            self._http = AsyncTwilioHttpClient(trace_configs=[trace])
            settings = self._settings
            self._client = Client(
                settings.twilio_account_sid or "unset",
                settings.twilio_auth_token.get_secret_value() or "unset",
                http_client=self._http,
            )
            self._client.api.base_url = settings.twilio_api_base_url
        return self._client

    async def _ask(self, request: Callable[[], Awaitable[_T]]) -> _T:
        """Make a request that may be repeated; whatever goes wrong, it can be asked again."""
        try:
            # The SDK's asynchronous client keeps a timeout but never applies it.
            async with asyncio.timeout(self._timeout_s):
                return await request()
        except (TwilioException, aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            raise DependencyUnavailable("twilio", _text(exc)) from exc

    def _remember(self, sid: str, workflow_id: str) -> None:
        self._placed[sid] = workflow_id
        if len(self._placed) > _REMEMBERED_CALLS:
            self._placed.popitem(last=False)


def _refusal(
    exc: TwilioRestException | TwilioServiceException, retry_after: str
) -> DialRefused | DialAmbiguous | DependencyUnavailable:
    code = exc.code if exc.code is not None else exc.status
    if exc.status == 429 or code in _BUSY_CODES:
        return DialLater(
            "twilio", f"it takes no more requests now ({code})", retry_after_s=_seconds(retry_after)
        )
    if exc.status >= 500:
        return DialAmbiguous(f"Twilio answered the request to call with HTTP {exc.status}")
    sense = _SENSES.get(code)
    said = _text(exc)
    return DialRefused(code, f"Twilio error {code}: {sense}" if sense else f"Twilio error {code}: {said}")


def _text(exc: BaseException) -> str:
    if isinstance(exc, TwilioRestException):
        return f"{exc.msg} (HTTP {exc.status})"
    if isinstance(exc, TwilioServiceException):
        return f"{exc.title} (HTTP {exc.status})"
    if isinstance(exc, TimeoutError):
        return "no answer in time"
    return str(exc) or type(exc).__name__


def _seconds(retry_after: str) -> int:
    """What a Retry-After header asks for, within reason; Twilio sends seconds, not dates."""
    if retry_after.isascii() and retry_after.isdecimal():
        return min(max(int(retry_after), 1), MAX_RETRY_AFTER_S)
    return RETRY_AFTER_S


def _milliseconds(queue_time: object) -> int:
    text = str(queue_time)
    return int(text) if text.isascii() and text.isdecimal() else 0
