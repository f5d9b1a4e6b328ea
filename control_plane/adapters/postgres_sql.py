"""The statements of adapters/postgres.py."""

from __future__ import annotations

# Position of a status in a call's life; all final ones come last. Mirrors `domain.calls.rank`.
_RANK = "coalesce(array_position(ARRAY['initiated', 'ringing', 'in_progress'], {}), 4)"
_NEWER = f"{_RANK.format('excluded.status')} >= {_RANK.format('calls.status')}"


def _latest(column: str) -> str:
    """The value of the row that is further in the call's life, unless it is empty there."""
    new, old = f"excluded.{column}", f"calls.{column}"
    return (
        f"{column} = CASE WHEN {_NEWER} THEN coalesce(nullif({new}, ''), {old})"
        f" ELSE coalesce(nullif({old}, ''), {new}) END"
    )


# A change that comes late (an activity's second attempt) fills in what is missing and undoes nothing.
RECORD = f"""
INSERT INTO calls (workflow_id, call_id, run_id, phone_number, greeting, system_prompt,
                   max_duration_seconds, status, created_at, call_sid, stream_sid, answered_at,
                   agent_name, agent_version, direction, own_number)
VALUES (%(workflow_id)s, %(call_id)s, %(run_id)s, %(phone_number)s, %(greeting)s, %(system_prompt)s,
        %(max_duration_seconds)s, %(status)s, %(created_at)s, %(call_sid)s, %(stream_sid)s, %(answered_at)s,
        %(agent_name)s, %(agent_version)s, %(direction)s, %(own_number)s)
ON CONFLICT (workflow_id) DO UPDATE SET
    status = CASE WHEN {_RANK.format("excluded.status")} > {_RANK.format("calls.status")}
                  THEN excluded.status ELSE calls.status END,
    {_latest("run_id")},
    {_latest("call_sid")},
    {_latest("stream_sid")},
    answered_at = coalesce(calls.answered_at, excluded.answered_at)
"""

# Of two final words the later one holds; with equal times they are the same word said twice.
FINISH = """
INSERT INTO calls (workflow_id, call_id, run_id, phone_number, greeting, system_prompt,
                   max_duration_seconds, status, created_at, end_reason, error, call_sid, stream_sid,
                   answered_at, ended_at, duration_seconds, agent_name, agent_version, direction, own_number)
VALUES (%(workflow_id)s, %(call_id)s, %(run_id)s, %(phone_number)s, %(greeting)s, %(system_prompt)s,
        %(max_duration_seconds)s, %(status)s, %(created_at)s, %(end_reason)s, %(error)s, %(call_sid)s,
        %(stream_sid)s, %(answered_at)s, %(ended_at)s, %(duration_seconds)s, %(agent_name)s,
        %(agent_version)s, %(direction)s, %(own_number)s)
ON CONFLICT (workflow_id) DO UPDATE SET
    status = excluded.status,
    end_reason = excluded.end_reason,
    error = excluded.error,
    run_id = coalesce(nullif(excluded.run_id, ''), calls.run_id),
    call_sid = coalesce(nullif(excluded.call_sid, ''), calls.call_sid),
    stream_sid = coalesce(nullif(excluded.stream_sid, ''), calls.stream_sid),
    answered_at = coalesce(excluded.answered_at, calls.answered_at),
    ended_at = excluded.ended_at,
    duration_seconds = excluded.duration_seconds
WHERE calls.ended_at IS NULL OR excluded.ended_at >= calls.ended_at
"""

WRITE_SEGMENT = """
INSERT INTO transcript_segments
    (workflow_id, source, segment_id, speaker, text, start_ms, end_ms, interrupted, unheard_text)
VALUES (%(workflow_id)s, %(source)s, %(segment_id)s, %(speaker)s, %(text)s, %(start_ms)s, %(end_ms)s,
        %(interrupted)s, %(unheard_text)s)
ON CONFLICT (workflow_id, source, segment_id) DO UPDATE SET
    speaker = excluded.speaker, text = excluded.text, start_ms = excluded.start_ms,
    end_ms = excluded.end_ms, interrupted = excluded.interrupted, unheard_text = excluded.unheard_text
"""

WRITE_TURN = """
INSERT INTO turns
    (workflow_id, source, turn, caller_stopped_ms, first_audio_ms, response_ms, audio_ms, interrupted)
VALUES (%(workflow_id)s, %(source)s, %(turn)s, %(caller_stopped_ms)s, %(first_audio_ms)s, %(response_ms)s,
        %(audio_ms)s, %(interrupted)s)
ON CONFLICT (workflow_id, source, turn) DO UPDATE SET
    caller_stopped_ms = excluded.caller_stopped_ms, first_audio_ms = excluded.first_audio_ms,
    response_ms = excluded.response_ms, audio_ms = excluded.audio_ms, interrupted = excluded.interrupted
"""

WRITE_MEDIA = """
INSERT INTO media_summaries (workflow_id, summary) VALUES (%(workflow_id)s, %(summary)s)
ON CONFLICT (workflow_id) DO UPDATE SET summary = excluded.summary
"""

GET = """
SELECT workflow_id, call_id, run_id, phone_number, greeting, system_prompt, max_duration_seconds, status,
       created_at, end_reason, error, call_sid, stream_sid, answered_at, ended_at, duration_seconds,
       agent_name, agent_version, direction, own_number,
       coalesce(summary, '{}'::jsonb) AS media
FROM calls LEFT JOIN media_summaries USING (workflow_id)
WHERE workflow_id = %(workflow_id)s
"""

# Newest first, by an index on created_at; `after` is the last call of the page before.
PAGE = """
SELECT workflow_id, call_id, run_id, phone_number, greeting, system_prompt, max_duration_seconds, status,
       created_at, end_reason, error, call_sid, stream_sid, answered_at, ended_at, duration_seconds,
       agent_name, agent_version, direction, own_number
FROM calls
WHERE (%(statuses)s::text[] IS NULL OR status = ANY(%(statuses)s))
  AND (%(phone_number)s::text IS NULL OR phone_number = %(phone_number)s)
  AND (%(agent_name)s::text IS NULL OR agent_name = %(agent_name)s)
  AND (%(created_after)s::timestamptz IS NULL OR created_at >= %(created_after)s)
  AND (%(created_before)s::timestamptz IS NULL OR created_at < %(created_before)s)
  AND (%(last_at)s::timestamptz IS NULL OR (created_at, workflow_id) < (%(last_at)s, %(last_id)s))
ORDER BY created_at DESC, workflow_id DESC
LIMIT %(limit)s
"""

COUNT = "SELECT count(*) AS count FROM transcript_segments WHERE workflow_id = %(workflow_id)s"

# By time heard; segments of one moment in the order they were written.
TRANSCRIPT = """
SELECT source, segment_id, speaker, text, start_ms, end_ms, interrupted, unheard_text
FROM transcript_segments WHERE workflow_id = %(workflow_id)s
ORDER BY start_ms, source, segment_id
"""

TURNS = """
SELECT source, turn, caller_stopped_ms, first_audio_ms, response_ms, audio_ms, interrupted
FROM turns WHERE workflow_id = %(workflow_id)s
ORDER BY first_audio_ms, source, turn
"""
