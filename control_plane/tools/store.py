"""A call's tools in Redis, and who executes which of the model's calls.

tools:{workflow_id}                 JSON of definitions and of what MCP servers listed; secrets stay here,
                                    out of workflow histories and the database
tool:{workflow_id}:{tool_call_id}   `run:{owner}` with the lease's lifetime, `ans:{json}` when executed,
                                    `done` when answered, `cancelled`
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum

from redis.asyncio import Redis

from control_plane.adapters.redis_client import reached
from control_plane.tools.definitions import Declaration, Definition, McpServer, dump, load

LEASE_S = 3.0  # an executor that says nothing for so long is dead, and another one may begin
KEEP_S = 900  # answers and cancellations; longer than any delivery of an event can be late
SLACK_S = 3600  # a call's tools outlive its longest duration: ringing, and executions at its end

# KEYS: claim. ARGV: owner, lease in ms. Answers {the claim as it is now, Redis' clock in ms}.
_CLAIM = """
local now = redis.call('TIME')
local held = redis.call('GET', KEYS[1])
if not held then
    held = 'run:' .. ARGV[1]
    redis.call('SET', KEYS[1], held, 'PX', ARGV[2])
end
return {held, now[1] * 1000 + math.floor(now[2] / 1000)}
"""
# KEYS: claim. ARGV: owner, lease in ms. Answers the claim as it is; renewed if it is ours.
_RENEW = """
local held = redis.call('GET', KEYS[1])
if held == 'run:' .. ARGV[1] then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return held or ''
"""
# KEYS: claim. ARGV: owner, new value, lifetime in s (0: delete). Answers 1 when the claim was ours.
_SETTLE = """
if redis.call('GET', KEYS[1]) ~= 'run:' .. ARGV[1] then return 0 end
if ARGV[3] == '0' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) end
return 1
"""
# KEYS: claim. ARGV: lifetime in s. What was executed stays so.
_CANCEL = """
local held = redis.call('GET', KEYS[1])
if not held or string.sub(held, 1, 4) == 'run:' then
    redis.call('SET', KEYS[1], 'cancelled', 'EX', ARGV[1])
end
"""


class ClaimState(Enum):
    OURS = "ours"
    BUSY = "busy"  # another executor has it
    EXECUTED = "executed"  # by one that may not have lived to deliver it
    DONE = "done"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Claim:
    state: ClaimState
    response_json: str = ""  # of EXECUTED
    now_ms: int = 0  # Redis' clock


@dataclass(frozen=True)
class CallTools:
    """`listed`: the functions of each MCP server, by its name; None: not listed yet."""

    definitions: list[Definition]
    listed: dict[str, list[Declaration]] | None = None


def _tools_key(workflow_id: str) -> str:
    return f"tools:{workflow_id}"


def _claim_key(workflow_id: str, tool_call_id: str) -> str:
    return f"tool:{workflow_id}:{tool_call_id}"


class ToolStore:
    """Raises DependencyUnavailable while Redis is away."""

    def __init__(self, redis: Redis, *, lease_s: float = LEASE_S) -> None:
        self._redis = redis
        self.lease_s = lease_s
        self._lease_ms = round(lease_s * 1000)
        self._claim = redis.register_script(_CLAIM)
        self._renew = redis.register_script(_RENEW)
        self._settle = redis.register_script(_SETTLE)
        self._cancel = redis.register_script(_CANCEL)

    # -- definitions --

    async def put(self, workflow_id: str, definitions: Sequence[Definition], duration_s: int) -> None:
        text = json.dumps({"definitions": json.loads(dump(definitions)), "listed": None})
        async with reached():
            await self._redis.set(_tools_key(workflow_id), text, ex=duration_s + SLACK_S)

    async def listed(self, workflow_id: str, tools: CallTools) -> None:
        """Keep what the MCP servers listed, with the lifetime there is."""
        listed = {name: [asdict(each) for each in found] for name, found in (tools.listed or {}).items()}
        text = json.dumps({"definitions": json.loads(dump(tools.definitions)), "listed": listed})
        async with reached():
            await self._redis.set(_tools_key(workflow_id), text, keepttl=True)

    async def get(self, workflow_id: str) -> CallTools | None:
        async with reached():
            text = await self._redis.get(_tools_key(workflow_id))
        if text is None:
            return None
        value = json.loads(text)
        listed = value["listed"]
        return CallTools(
            definitions=load(json.dumps(value["definitions"])),
            listed=None
            if listed is None
            else {name: [Declaration(**each) for each in found] for name, found in listed.items()},
        )

    # -- claims --

    async def claim(self, workflow_id: str, tool_call_id: str, owner: str) -> Claim:
        """Take the execution of a call, if nobody has it."""
        async with reached():
            held, now_ms = await self._claim(
                keys=[_claim_key(workflow_id, tool_call_id)], args=[owner, self._lease_ms]
            )
        return _claim(held, owner, int(now_ms))

    async def renew(self, workflow_id: str, tool_call_id: str, owner: str) -> ClaimState:
        """Say that its execution goes on; anything but OURS: it must stop."""
        async with reached():
            held = await self._renew(
                keys=[_claim_key(workflow_id, tool_call_id)], args=[owner, self._lease_ms]
            )
        return _claim(held, owner, 0).state

    async def executed(self, workflow_id: str, tool_call_id: str, owner: str, response_json: str) -> bool:
        """False: it is not ours any more; the response is nobody's."""
        return await self._settled(workflow_id, tool_call_id, owner, f"ans:{response_json}", KEEP_S)

    async def release(self, workflow_id: str, tool_call_id: str, owner: str) -> None:
        """Not executed to its end: another may begin at once."""
        await self._settled(workflow_id, tool_call_id, owner, "", 0)

    async def done(self, workflow_id: str, tool_call_id: str) -> None:
        """Its answer was delivered, or nobody is there to take it."""
        async with reached():
            await self._redis.set(_claim_key(workflow_id, tool_call_id), "done", ex=KEEP_S)

    async def cancel(self, workflow_id: str, tool_call_id: str) -> None:
        """Whoever executes it stops at the next renewal; nobody begins."""
        async with reached():
            await self._cancel(keys=[_claim_key(workflow_id, tool_call_id)], args=[KEEP_S])

    async def _settled(
        self, workflow_id: str, tool_call_id: str, owner: str, value: str, keep_s: int
    ) -> bool:
        async with reached():
            ours = await self._settle(
                keys=[_claim_key(workflow_id, tool_call_id)], args=[owner, value, keep_s]
            )
        return bool(ours)


def mcp_server(tools: CallTools, function: str) -> McpServer | None:
    """The server that listed `function`."""
    for definition in tools.definitions:
        if isinstance(definition, McpServer):
            for each in (tools.listed or {}).get(definition.name, []):
                if each.name == function:
                    return definition
    return None


def _claim(held: str | bytes, owner: str, now_ms: int) -> Claim:
    text = held.decode() if isinstance(held, bytes) else held
    if text == f"run:{owner}":
        return Claim(ClaimState.OURS, now_ms=now_ms)
    if text.startswith("ans:"):
        return Claim(ClaimState.EXECUTED, text.removeprefix("ans:"), now_ms)
    if text in ("done", "cancelled"):
        return Claim(ClaimState(text), now_ms=now_ms)
    return Claim(ClaimState.BUSY, now_ms=now_ms)
