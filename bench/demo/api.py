"""The demo as a client: REST to place calls, gRPC to watch them, the simulators' admin pages to listen.

It talks to the stack only as a user's program would; nothing here imports a plane.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import grpc.aio
import httpx

from protos.voiceplane.calls.v1.calls_pb2 import WatchCallRequest
from protos.voiceplane.calls.v1.calls_pb2_grpc import CallServiceStub
from protos.voiceplane.events.v1.events_pb2 import CallEvent


class DemoError(Exception):
    """The demo can't go on; the message says what to look at."""


@dataclass
class Client:
    """One HTTP and one gRPC connection to a running stack; `endpoints` as in `.voiceplane/stack.json`."""

    endpoints: Mapping[str, str]
    http: httpx.AsyncClient
    channel: grpc.aio.Channel

    @classmethod
    def connect(cls, endpoints: Mapping[str, str]) -> Client:
        return cls(endpoints, httpx.AsyncClient(timeout=10.0), grpc.aio.insecure_channel(endpoints["grpc"]))

    async def close(self) -> None:
        await self.http.aclose()
        await self.channel.close()

    async def _json(self, method: str, url: str, **options: Any) -> Any:
        response = await self.http.request(method, url, **options)
        if response.is_error:
            raise DemoError(f"{method} {url} answered {response.status_code}: {response.text[:500]}")
        return response.json() if response.content else None

    async def put_persona(self, number: str, persona: Mapping[str, Any]) -> None:
        await self._json("PUT", f"{self.endpoints['twilio_admin']}/numbers/{quote(number)}", json=persona)

    async def create_call(self, number: str, greeting: str, system_prompt: str) -> str:
        """POST /calls; answers the workflow id."""
        body = {
            "phone_number": number,
            "greeting": greeting,
            "system_prompt": system_prompt,
            "max_duration_seconds": 120,
        }
        created = await self._json("POST", f"{self.endpoints['rest']}/calls", json=body)
        return str(created["workflow_id"])

    async def watch(self, workflow_id: str) -> AsyncIterator[CallEvent]:
        """The call's events as they happen, until it is over."""
        stream = CallServiceStub(self.channel).WatchCall(WatchCallRequest(workflow_id=workflow_id))
        async for answer in stream:
            if answer.HasField("event"):
                yield answer.event

    async def result(self, workflow_id: str, *, timeout_s: float = 30.0) -> dict[str, Any]:
        """GET /calls/{id}/result, asked again while the call is not over (409)."""
        url = f"{self.endpoints['rest']}/calls/{workflow_id}/result"
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    response = await self.http.get(url)
                    if response.status_code == httpx.codes.OK:
                        return dict(response.json())
                    if response.status_code != httpx.codes.CONFLICT:
                        raise DemoError(f"GET {url} answered {response.status_code}: {response.text[:500]}")
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise DemoError(f"call {workflow_id} had no result after {timeout_s:.0f} s") from None

    async def timeline(self, call_sid: str) -> list[dict[str, Any]]:
        return list(await self._json("GET", f"{self.endpoints['twilio_admin']}/calls/{call_sid}/timeline"))

    async def recording(self, call_sid: str) -> bytes:
        """Two-channel WAV: left what the callee said, right what the callee heard."""
        url = f"{self.endpoints['twilio_admin']}/calls/{call_sid}/recording.wav"
        response = await self.http.get(url)
        if response.is_error:
            raise DemoError(f"GET {url} answered {response.status_code}")
        return response.content

    async def model_logs(self) -> list[list[dict[str, Any]]]:
        """Every model session's log, oldest session first."""
        admin = self.endpoints["gemini_admin"]
        sessions = await self._json("GET", f"{admin}/sessions")
        return [list(await self._json("GET", f"{admin}/sessions/{s['id']}/log")) for s in sessions]
