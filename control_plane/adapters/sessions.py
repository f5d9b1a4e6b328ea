"""Redis `session:{workflow_id}`: JSON of `ports.Session`, with a lifetime renewed by every write."""

from __future__ import annotations

import json
from dataclasses import asdict, fields

from redis.asyncio import Redis

from control_plane.adapters.event_log import MAX_ENTRIES, stream_key
from control_plane.adapters.redis_client import reached
from control_plane.service.ports import Session
from protos.voiceplane.events.v1.events_pb2 import CallEvent

_FIELDS = frozenset(field.name for field in fields(Session))

# Read, change and write in one step, so that two writers never undo each other. A status only moves forward:
# an activity that is retried late must not bring back a ringing phone that has been answered.
# The news of it goes into the event stream in the same step: there is one entry for each time it moves.
# KEYS: session, event stream. ARGV: lifetime in seconds, JSON object of changes, serialised CallEvent or
# nothing, most entries. Answers 1, or 0 when there is no session.
_UPDATE = """
local text = redis.call('GET', KEYS[1])
if not text then return 0 end
local session = cjson.decode(text)
local changes = cjson.decode(ARGV[2])
local order = {initiated = 1, ringing = 2, in_progress = 3}
local from, to = session.status, changes.status
if to and (order[to] or 4) <= (order[from] or 4) then changes.status = nil end
for name, value in pairs(changes) do session[name] = value end
redis.call('SET', KEYS[1], cjson.encode(session), 'EX', ARGV[1])
if changes.status and ARGV[3] ~= '' then
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'e', ARGV[3])
    redis.call('EXPIRE', KEYS[2], ARGV[1])
end
return 1
"""


def key(workflow_id: str) -> str:
    return f"session:{workflow_id}"


class RedisSessions:
    """`ports.SessionStore` on Redis."""

    def __init__(self, redis: Redis, ttl_s: int) -> None:
        self._redis = redis
        self._ttl_s = ttl_s
        self._update = redis.register_script(_UPDATE)

    async def put(self, session: Session) -> None:
        text = json.dumps(asdict(session), separators=(",", ":"))
        async with reached():
            # Not over one that is there: a request that is sent again must not undo what has happened since.
            await self._redis.set(key(session.workflow_id), text, ex=self._ttl_s, nx=True)

    async def get(self, workflow_id: str) -> Session | None:
        async with reached():
            text = await self._redis.get(key(workflow_id))
        if text is None:
            return None
        # A newer version of this program may have written fields we do not know.
        return Session(**{name: value for name, value in json.loads(text).items() if name in _FIELDS})

    async def update(self, workflow_id: str, *, news: CallEvent | None = None, **changes: str) -> None:
        unknown = changes.keys() - _FIELDS
        if unknown:
            raise TypeError(f"a session has no {', '.join(sorted(unknown))}")
        async with reached():
            await self._update(
                keys=[key(workflow_id), stream_key(workflow_id)],
                args=[
                    self._ttl_s,
                    json.dumps(changes, separators=(",", ":")),
                    news.SerializeToString() if news is not None else b"",
                    MAX_ENTRIES,
                ],
            )

    async def delete(self, workflow_id: str) -> None:
        async with reached():
            await self._redis.delete(key(workflow_id))

    async def ping(self) -> None:
        async with reached():
            await self._redis.ping()

    async def close(self) -> None:
        await self._redis.aclose()
