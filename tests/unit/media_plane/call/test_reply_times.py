"""What a healthy answer may take, learned from those before."""

from __future__ import annotations

import random

import pytest

from media_plane.call.reply_times import ReplyBook, ReplyTimes

S = 1_000_000_000


def taught(*seconds: float) -> ReplyTimes:
    times = ReplyTimes()
    for each in seconds:
        times.observe(int(each * S))
    return times


def test_little_knowledge_never_makes_the_wait_shorter() -> None:
    assert taught().normal_ns == int(3.5 * S)
    assert taught(*[0.5] * 29).normal_ns == int(3.5 * S)
    assert taught(*[0.5] * 30).normal_ns == int(0.7 * S)
    assert taught(4.0).normal_ns == int(5.6 * S)


def test_old_answers_are_forgotten() -> None:
    times = taught(*[5.0] * 400)
    for _ in range(400):
        times.observe(S)
    assert len(times) == 400
    assert times.normal_ns == int(1.4 * S)


def test_a_model_that_has_become_slow_is_found_out_although_its_answers_are_never_seen() -> None:
    times = taught(*[1.0] * 400)
    alarms = 0
    while times.normal_ns < 4 * S:
        times.was_longer(times.normal_ns)
        alarms += 1
    assert alarms < 25


def heavy(rng: random.Random) -> float:
    return float(1.1 * rng.paretovariate(3))


@pytest.mark.parametrize("draw", [lambda rng: rng.lognormvariate(0.1, 0.5), heavy])
def test_of_healthy_answers_with_a_long_tail_fewer_than_one_in_two_hundred_is_taken_for_none(
    draw: object,
) -> None:
    assert callable(draw)
    rng = random.Random(1)
    times = taught(*(draw(rng) for _ in range(400)))
    late = 0
    for _ in range(20_000):
        took_ns = int(draw(rng) * S)
        if took_ns > times.normal_ns:
            late += 1
            times.was_longer(times.normal_ns)
        else:
            times.observe(took_ns)
    assert late / 20_000 < 0.005


def test_ways_to_use_a_model_are_told_apart_and_the_book_stays_small() -> None:
    book = ReplyBook()
    assert book.of("a", 500) is book.of("a", 530)
    assert book.of("a", 500) is not book.of("a", 800)
    assert book.of("a", 500) is not book.of("b", 500)
    for number in range(200):
        book.of(f"model-{number}", 0)
    assert len(book.normal_s()) == 2 * 64
    assert book.of("model-199", 0) is book.of("model-199", 0)
