"""The Twilio simulator in the test's own process, with its customer and both its HTTP clients."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from numpy.typing import NDArray

from bench.sim.twilio.config import Config
from bench.sim.twilio.persona import parse_persona
from bench.sim.twilio.server import Simulator
from bench.sim.twilio.voice import AUDIO
from tests.support.media_server import Customer, customer

CALLEE = "+15551230001"
QUIET = parse_persona({"answer_after_ms": 20})  # answers at once, says nothing, stays on the line
CONFIG = Config(port=0, admin_port=0, speech=False, cps=0, persona=QUIET, auth_token="0123456789abcdef")


@dataclass
class Bed:
    """One simulator with one customer."""

    simulator: Simulator
    customer: Customer
    rest: httpx.AsyncClient
    admin: httpx.AsyncClient

    @property
    def config(self) -> Config:
        return self.simulator.config

    async def persona(self, persona: Mapping[str, Any], number: str = CALLEE) -> None:
        """Who answers `number`."""
        (
            await self.admin.put(f"/numbers/{number}", json={"answer_after_ms": 20, **persona})
        ).raise_for_status()

    async def arm(self, fault: str, **fields: Any) -> None:
        (await self.admin.post("/faults", json={"fault": fault, **fields})).raise_for_status()

    def twiml(self, body: str, path: str = "/twiml") -> str:
        """Have `path` answer this TwiML; `{ws}` and `{url}` are the customer's addresses. Returns the URL."""
        text = body.replace("{ws}", self.customer.ws_url).replace("{url}", self.customer.url)
        self.customer.twiml[path] = f"<Response>{text}</Response>"
        return f"{self.customer.url}{path}"

    async def call(self, body: str = '<Connect><Stream url="{ws}/s"/></Connect>', **fields: Any) -> str:
        """Place a call whose TwiML is `body`, with all status callbacks to /status. Returns its sid."""
        response = await self.create(Url=self.twiml(body), **fields)
        response.raise_for_status()
        return str(response.json()["sid"])

    async def create(self, **fields: Any) -> httpx.Response:
        form = {
            "To": CALLEE,
            "From": self.config.number,
            "StatusCallback": f"{self.customer.url}/status",
            "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
            **fields,
        }
        return await self.rest.post("/Calls.json", data={k: v for k, v in form.items() if v is not None})

    async def update(self, sid: str, **fields: str) -> httpx.Response:
        return await self.rest.post(f"/Calls/{sid}.json", data=fields)

    async def state(self, sid: str) -> dict[str, Any]:
        return dict((await self.admin.get(f"/calls/{sid}")).json())

    async def ended(self, sid: str) -> dict[str, Any]:
        """Wait for the end of a call and of its callbacks. Returns its state."""
        assert self.simulator.world is not None
        async with asyncio.timeout(20):
            await self.simulator.world.calls[sid].ended.wait()
        if sid in {hook.params.get("CallSid") for hook in self.customer.at("/status")}:
            await self.customer.until(lambda: self._told_the_end(sid))
        return await self.state(sid)

    def _told_the_end(self, sid: str) -> bool:
        final = {"completed", "busy", "no-answer", "failed", "canceled"}
        hooks = self.customer.at("/status")
        return any(h.params["CallSid"] == sid and h.params["CallStatus"] in final for h in hooks)

    async def timeline(self, sid: str, kind: str = "") -> list[dict[str, Any]]:
        events = (await self.admin.get(f"/calls/{sid}/timeline")).json()
        return [event for event in events if kind in ("", event["kind"])]

    async def recording(self, sid: str) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """(what the callee said, what the callee heard), 8 kHz."""
        data = (await self.admin.get(f"/calls/{sid}/recording.wav")).content
        with wave.open(BytesIO(data)) as file:
            assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (8000, 2, 2)
            both = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, 2)
        return both[:, 0], both[:, 1]


def words(folder: Path) -> Path:
    """Just over a second of human speech ("he was not an"), as a WAV file in `folder`."""
    with wave.open(str(AUDIO / "austen-0880.wav")) as file:
        rate, pcm = file.getframerate(), file.readframes(int(1.1 * file.getframerate()))
    path = folder / "words.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm)
    return path


@asynccontextmanager
async def bed(**changes: Any) -> AsyncIterator[Bed]:
    """A simulator and its customer. `changes` to `CONFIG`; `{url}` in voice_url is the customer's."""
    async with customer(CONFIG.auth_token) as its_customer:
        if "voice_url" in changes:
            changes["voice_url"] = changes["voice_url"].replace("{url}", its_customer.url)
        config = replace(CONFIG, **changes)
        simulator = Simulator(config)
        await simulator.start()
        account = f"{simulator.rest_url}/2010-04-01/Accounts/{config.account_sid}"
        auth = (config.account_sid, config.auth_token)
        try:
            async with (
                httpx.AsyncClient(base_url=account, auth=auth, timeout=10, verify=False) as rest,
                httpx.AsyncClient(base_url=simulator.admin_url, timeout=10, verify=False) as admin,
            ):
                yield Bed(simulator, its_customer, rest, admin)
        finally:
            await simulator.close()
