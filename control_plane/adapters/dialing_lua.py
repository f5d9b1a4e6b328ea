"""The scripts of adapters/dialing_slots.py and adapters/pacing.py: each decides and writes in one step.

Times are Unix milliseconds, passed in. Every script may run twice (a lost answer is asked for again).
"""

from __future__ import annotations

# Keys of one scope, three after the claim and the stop: live (sorted set, member by end of its lease), recent
# (sorted set, member by when it was let through), day (hash: day, calls, seconds).
#
# KEYS: claim, stop, then live, recent, day of each scope.
# ARGV: member, now, lease, life of the claim, seconds asked, day number, ms to midnight,
#       then concurrent, per_minute, per_day, minutes_per_day of each scope, -1 for none.
# Answers {'ok'}, {'over'} (released before), {'stopped', why}, {'breach', scope, cap, retry ms or -1}; scope
# and cap count from 0.
CLAIM = """
local member, now, lease, life = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local asked, day, midnight = tonumber(ARGV[5]), ARGV[6], tonumber(ARGV[7])
local stopped = redis.call('GET', KEYS[2])
if stopped then return {'stopped', stopped} end
local state = redis.call('HGET', KEYS[1], 'state')
if state == 'released' then return {'over'} end
local scopes = (#KEYS - 2) / 3
for scope = 0, scopes - 1 do
  local live, recent, today = KEYS[3 + scope * 3], KEYS[4 + scope * 3], KEYS[5 + scope * 3]
  local limit = function(cap) return tonumber(ARGV[8 + scope * 4 + cap]) end
  redis.call('ZREMRANGEBYSCORE', live, '-inf', now)
  if limit(0) >= 0 and not redis.call('ZSCORE', live, member) and redis.call('ZCARD', live) >= limit(0) then
    return {'breach', scope, 0, 10000}
  end
  if not state then
    redis.call('ZREMRANGEBYSCORE', recent, '-inf', now - 60000)
    if limit(1) >= 0 and redis.call('ZCARD', recent) >= limit(1) then
      local oldest = redis.call('ZRANGE', recent, 0, 0, 'WITHSCORES')
      local retry = oldest[2] and tonumber(oldest[2]) + 60000 - now or 60000
      return {'breach', scope, 1, retry}
    end
    local calls, seconds = 0, 0
    if redis.call('HGET', today, 'day') == day then
      calls = tonumber(redis.call('HGET', today, 'calls'))
      seconds = tonumber(redis.call('HGET', today, 'seconds'))
    end
    if limit(2) >= 0 and calls >= limit(2) then return {'breach', scope, 2, midnight} end
    if limit(3) >= 0 then
      if asked > limit(3) * 60 then return {'breach', scope, 3, -1} end
      if seconds + asked > limit(3) * 60 then return {'breach', scope, 3, midnight} end
    end
  end
end
for scope = 0, scopes - 1 do
  local live, recent, today = KEYS[3 + scope * 3], KEYS[4 + scope * 3], KEYS[5 + scope * 3]
  local held = redis.call('ZSCORE', live, member)
  local ends = math.max(held and tonumber(held) or 0, now + lease)
  redis.call('ZADD', live, ends, member)
  redis.call('PEXPIRE', live, math.max(ends - now, redis.call('PTTL', live)))
  if not state then
    redis.call('ZADD', recent, now, member)
    redis.call('PEXPIRE', recent, 61000)
    if redis.call('HGET', today, 'day') ~= day then
      redis.call('HSET', today, 'day', day, 'calls', 0, 'seconds', 0)
    end
    redis.call('HINCRBY', today, 'calls', 1)
    redis.call('HINCRBY', today, 'seconds', asked)
    redis.call('PEXPIRE', today, 172800000)
  end
end
if not state then redis.call('HSET', KEYS[1], 'state', 'live', 'day', day, 'seconds', asked) end
redis.call('PEXPIRE', KEYS[1], math.max(life, redis.call('PTTL', KEYS[1])))
return {'ok'}
"""

# KEYS: claim, then live, recent, day of each scope. ARGV: member, seconds used, 1 when the call never was.
# Answers 1; 0 when there was nothing to release.
RELEASE = """
local member, used, never = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'
local claim = redis.call('HMGET', KEYS[1], 'state', 'day', 'seconds')
if claim[1] ~= 'live' then return 0 end
for scope = 0, (#KEYS - 1) / 3 - 1 do
  local live, recent, today = KEYS[2 + scope * 3], KEYS[3 + scope * 3], KEYS[4 + scope * 3]
  redis.call('ZREM', live, member)
  if never then redis.call('ZREM', recent, member) end
  if redis.call('HGET', today, 'day') == claim[2] then
    redis.call('HINCRBY', today, 'seconds', used - tonumber(claim[3]))
    if never then redis.call('HINCRBY', today, 'calls', -1) end
  end
end
if never then
  redis.call('DEL', KEYS[1])
else
  redis.call('HSET', KEYS[1], 'state', 'released')
end
return 1
"""

# Turns are kept on a clock that stands still while a hold lasts, so that a hold moves all who wait, in order:
# `shift` is how far that clock is behind the wall's, `hold` the wall's time at which it goes on.
_PACE_CLOCK = """
local pace = redis.call('HMGET', KEYS[1], 'next', 'shift', 'hold', 'used')
local free, shift, hold = tonumber(pace[1] or 0), tonumber(pace[2] or 0), tonumber(pace[3] or 0)
local now = tonumber(ARGV[1])
"""

# The generic cell rate algorithm with a burst of one: each caller is given its own moment, in order of
# asking, and whoever comes late to it keeps the distance to the one before all the same.
# KEYS: pace (hash), the caller's turn. ARGV: now, interval, longest wait, grace.
# Answers how long to wait before asking again; 0: go now, the turn is used up; -1: the wait would be too
# long, and no turn is taken.
TAKE_TURN = (
    _PACE_CLOCK
    + """
local interval, longest, grace = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = math.max(now, hold) - shift
local turn = tonumber(redis.call('GET', KEYS[2]) or 0)
if turn == 0 or turn < clock - grace then
  turn = math.max(free, clock)
  if turn + shift - now > longest then return -1 end
  redis.call('HSET', KEYS[1], 'next', turn + interval)
  redis.call('PEXPIRE', KEYS[1], 86400000)
  redis.call('SET', KEYS[2], turn, 'PX', 3600000)
end
local wait = math.ceil(math.max(turn + shift, tonumber(pace[4] or 0) + interval) - now)
if wait > 0 then return wait end
redis.call('HSET', KEYS[1], 'used', now)
redis.call('DEL', KEYS[2])
return 0
"""
)

# KEYS: pace. ARGV: now, until. A shorter hold never replaces a longer one.
HOLD = (
    _PACE_CLOCK
    + """
local longer = tonumber(ARGV[2]) - math.max(now, hold)
if longer > 0 then
  redis.call('HSET', KEYS[1], 'shift', shift + longer, 'hold', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], 86400000)
end
return 1
"""
)

# KEYS: pace. ARGV: now. Answers how long a call that is asked for now would wait.
BACKLOG = (
    _PACE_CLOCK
    + """
return math.ceil(math.max(0, free + shift - now, hold - now))
"""
)

# KEYS: intent. ARGV: attempt, now, life.
# Answers -1 when a later attempt has taken over; else when the last request to place this call was sent and
# not seen to fail, 0 for never.
ENTER = """
local attempt = tonumber(redis.call('HGET', KEYS[1], 'attempt') or 0)
if attempt > tonumber(ARGV[1]) then return -1 end
redis.call('HSET', KEYS[1], 'attempt', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return tonumber(redis.call('HGET', KEYS[1], 'sent') or 0)
"""

# KEYS: intent. ARGV: attempt, when it is sent (0: it certainly was not), life.
# Answers 1; -1 when a later attempt has taken over, and nothing may be sent.
MARK_SENT = """
local attempt = tonumber(redis.call('HGET', KEYS[1], 'attempt') or 0)
if attempt ~= tonumber(ARGV[1]) then return -1 end
redis.call('HSET', KEYS[1], 'sent', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""
