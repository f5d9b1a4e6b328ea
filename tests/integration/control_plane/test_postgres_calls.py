from __future__ import annotations

import asyncio
import dataclasses

import psycopg
import pytest

from control_plane.adapters.postgres import PostgresCalls
from control_plane.service.ports import Batch, CallRow
from control_plane.settings import Settings
from tests.support.control import new_workflow_id
from tests.support.records import (
    ANSWERED_AT,
    CREATED_AT,
    ENDED_AT,
    finished,
    recorded,
    segment,
    turn,
)
from workflows.contracts import CallStatus, EndReason


async def get(repository: PostgresCalls, workflow_id: str) -> CallRow:
    row = await repository.get(workflow_id)
    assert row is not None
    return row


async def test_a_recorded_call_reads_back(repository: PostgresCalls) -> None:
    workflow_id = new_workflow_id()

    await repository.record(recorded(workflow_id, stream_sid="MZ1", answered_at=ANSWERED_AT))

    assert await repository.get(workflow_id) == CallRow(
        workflow_id=workflow_id,
        call_id=workflow_id.removeprefix("call-"),
        run_id="run-1",
        phone_number="+15551234567",
        greeting="Hello.",
        system_prompt="You are kind.",
        max_duration_seconds=300,
        status="in_progress",
        created_at=CREATED_AT,
        call_sid="CA1",
        stream_sid="MZ1",
        answered_at=ANSWERED_AT,
    )


async def test_a_call_that_is_not_there_is_none(repository: PostgresCalls) -> None:
    workflow_id = new_workflow_id()

    assert await repository.get(workflow_id) is None
    assert await repository.transcript_count(workflow_id) == 0
    assert list(await repository.transcript(workflow_id)) == []
    assert list(await repository.turns(workflow_id)) == []


async def test_every_write_may_run_twice(repository: PostgresCalls) -> None:
    workflow_id = new_workflow_id()
    batch = Batch(segments=[segment(1), segment(2)], turns=[turn(1)], media={"setup_ms": 80})

    for _ in range(2):
        await repository.record(recorded(workflow_id))
        await repository.write(workflow_id, batch)
    for _ in range(2):
        await repository.finish(finished(workflow_id))

    row = await get(repository, workflow_id)
    assert (row.status, row.end_reason, row.media) == ("completed", "caller_hangup", {"setup_ms": 80})
    assert (row.ended_at, row.duration_seconds) == (ENDED_AT, 60.0)
    assert list(await repository.transcript(workflow_id)) == batch.segments
    assert list(await repository.turns(workflow_id)) == batch.turns


async def test_a_record_that_comes_after_the_end_undoes_nothing_and_fills_in_what_is_missing(
    repository: PostgresCalls,
) -> None:
    workflow_id = new_workflow_id()
    await repository.finish(finished(workflow_id))

    await repository.record(
        recorded(workflow_id, CallStatus.RINGING, call_sid="CA2", stream_sid="MZ1", answered_at=CREATED_AT)
    )

    row = await get(repository, workflow_id)
    assert (row.status, row.end_reason, row.ended_at) == ("completed", "caller_hangup", ENDED_AT)
    assert (row.call_sid, row.answered_at) == ("CA1", ANSWERED_AT)
    assert row.stream_sid == "MZ1"


async def test_records_out_of_order_leave_the_furthest_status(repository: PostgresCalls) -> None:
    workflow_id = new_workflow_id()
    await repository.record(recorded(workflow_id, CallStatus.IN_PROGRESS, stream_sid="MZ2"))

    await repository.record(recorded(workflow_id, CallStatus.INITIATED, call_sid="", stream_sid="MZ1"))

    row = await get(repository, workflow_id)
    assert (row.status, row.stream_sid, row.call_sid) == ("in_progress", "MZ2", "CA1")


async def test_a_newer_record_replaces_facts_but_not_with_nothing(repository: PostgresCalls) -> None:
    workflow_id = new_workflow_id()
    await repository.record(recorded(workflow_id, stream_sid="MZ1"))

    await repository.record(recorded(workflow_id, call_sid="", stream_sid="MZ2"))

    row = await get(repository, workflow_id)
    assert (row.call_sid, row.stream_sid) == ("CA1", "MZ2")


async def test_an_older_end_does_not_replace_a_newer_one(repository: PostgresCalls) -> None:
    workflow_id = new_workflow_id()
    await repository.finish(finished(workflow_id, CallStatus.FAILED, EndReason.MEDIA_FAILED))

    await repository.finish(finished(workflow_id, ended_at=ANSWERED_AT))

    row = await get(repository, workflow_id)
    assert (row.status, row.end_reason) == ("failed", "media_failed")


async def test_a_transcript_is_kept_even_before_the_calls_own_row(repository: PostgresCalls) -> None:
    workflow_id = new_workflow_id()

    await repository.write(workflow_id, Batch(segments=[segment(1)], media={"setup_ms": 5}))
    assert await repository.get(workflow_id) is None
    await repository.record(recorded(workflow_id))

    assert (await get(repository, workflow_id)).media == {"setup_ms": 5}
    assert await repository.transcript_count(workflow_id) == 1


async def test_the_transcript_is_ordered_by_time_heard_across_sources(repository: PostgresCalls) -> None:
    workflow_id = new_workflow_id()
    spoken = [
        segment(1, source="b", start_ms=500, text="third"),
        segment(2, source="a", start_ms=0, text="second"),
        segment(1, source="a", start_ms=0, text="first"),
    ]

    await repository.write(workflow_id, Batch(segments=spoken))

    assert [each.text for each in await repository.transcript(workflow_id)] == ["first", "second", "third"]


async def test_two_writers_of_overlapping_batches_neither_block_nor_double(
    settings: Settings, repository: PostgresCalls
) -> None:
    workflow_id = new_workflow_id()
    other = PostgresCalls(settings.database_url)
    segments = [segment(n, start_ms=n) for n in range(1, 41)]
    turns = [turn(n) for n in range(1, 41)]
    try:
        await asyncio.gather(
            *(
                writer.write(workflow_id, Batch(segments[start : start + 20][::order], turns[::order]))
                for start in range(0, 21, 2)
                for writer, order in ((repository, 1), (other, -1))
            ),
            *(repository.record(recorded(workflow_id, status)) for status in list(CallStatus)[:3] * 3),
            other.finish(finished(workflow_id)),
        )
    finally:
        await other.close()

    assert list(await repository.transcript(workflow_id)) == segments
    assert list(await repository.turns(workflow_id)) == turns
    assert (await get(repository, workflow_id)).status == "completed"


async def test_a_batch_is_written_whole_or_not_at_all(repository: PostgresCalls) -> None:
    workflow_id = new_workflow_id()
    unwritable = dataclasses.replace(segment(2), text="nul \0 byte")

    with pytest.raises(psycopg.DataError):
        await repository.write(workflow_id, Batch(segments=[segment(1), unwritable]))

    assert await repository.transcript_count(workflow_id) == 0


async def test_connections_the_server_has_dropped_are_replaced(
    settings: Settings, repository: PostgresCalls
) -> None:
    await repository.ping()
    async with await psycopg.AsyncConnection.connect(settings.database_url, autocommit=True) as admin:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'voiceplane' AND datname = current_database()"
        )

    await repository.ping()
    assert await repository.get(new_workflow_id()) is None


async def test_many_requests_at_once_share_the_pool(repository: PostgresCalls) -> None:
    workflow_id = new_workflow_id()
    await repository.record(recorded(workflow_id))

    rows = await asyncio.gather(*(repository.get(workflow_id) for _ in range(200)))

    assert {row.status for row in rows if row} == {"in_progress"}
    assert len(rows) == 200
