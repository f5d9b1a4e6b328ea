from __future__ import annotations

import gc

import pytest

from media_plane.loop.collection import NOTHING, Collection, Schedule

S = 1_000_000_000


def test_nothing_is_collected_while_a_busy_node_leaves_nothing_behind() -> None:
    schedule = Schedule(0)
    assert all(schedule.due(made=300, busy=True, now_ns=s * S) == NOTHING for s in range(3600))


def test_young_objects_are_collected_when_there_are_many_and_older_ones_every_twentieth_time() -> None:
    schedule = Schedule(0)
    done = []
    for second in range(1, 64):
        generation = schedule.due(made=2_000, busy=True, now_ns=second * S)
        schedule.collected(generation, second * S)
        done.append(generation)
    assert done == ([0] * 20 + [1]) * 3


def test_the_oldest_generation_waits_until_nobody_is_on_the_line() -> None:
    schedule = Schedule(0)
    assert schedule.due(made=10, busy=True, now_ns=3600 * S) == NOTHING
    assert schedule.due(made=10, busy=False, now_ns=3600 * S) == 2
    schedule.collected(2, 3600 * S)
    assert schedule.due(made=10, busy=False, now_ns=3659 * S) == NOTHING
    assert schedule.due(made=10, busy=False, now_ns=3660 * S) == 2


def test_a_node_that_is_never_idle_is_collected_whole_at_last() -> None:
    schedule = Schedule(0)
    generations = []
    for _ in range(21 * 100 + 1):
        generations.append(schedule.due(made=2_000, busy=True, now_ns=0))
        schedule.collected(generations[-1], 0)
    assert generations.count(2) == 1
    assert generations[-1] == 2


@pytest.fixture
def collection():
    taken = Collection(0)
    taken.take_over()
    yield taken
    taken.give_back()


class Knot:
    def __init__(self) -> None:
        self.itself = self


def test_the_collector_runs_only_when_told_and_tells_how_long_it_took(collection: Collection) -> None:
    gc.collect()
    before = [pause.frames for pause in collection.pauses]
    knots = [Knot() for _ in range(20_000)]
    del knots
    assert [pause.frames for pause in collection.pauses] == before
    assert collection.tracked >= 20_000
    collection.run(busy=True, now_ns=1)
    assert [pause.frames for pause in collection.pauses] == [before[0] + 1, before[1], before[2]]
    assert collection.tracked < 20_000


def test_what_exists_at_the_start_is_not_looked_at_again(collection: Collection) -> None:
    assert gc.get_freeze_count() > 10_000
    assert collection.tracked < 10_000


def test_the_interpreter_gets_its_collector_back() -> None:
    collection = Collection(0)
    collection.take_over()
    assert not gc.isenabled()
    collection.give_back()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
