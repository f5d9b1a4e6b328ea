"""Who is called when; never how punctually."""

import asyncio

from bench.load.metronome import Metronome, Send, spread


def nothing(_now_ns: int) -> None: ...


def test_senders_are_spread_evenly_over_their_period_and_come_round_in_every_one() -> None:
    slots = spread(20, [nothing] * 40, 40)
    assert [len(slot) for slot in slots] == [2] * 40
    four: list[Send] = [lambda _now, n=n: None for n in range(4)]  # type: ignore[misc]
    slots = spread(20, four, 40)
    assert {i: slot[0] for i, slot in enumerate(slots) if slot} == {
        begin + 5 * n: four[n] for begin in (0, 20) for n in range(4)
    }


async def test_a_stalled_metronome_makes_good_every_call_it_missed() -> None:
    calls: list[int] = []
    enough = asyncio.Event()

    def send(now_ns: int) -> None:
        calls.append(now_ns)
        if len(calls) == 22:
            enough.set()

    metronome = Metronome(spread(20, [send], 40))
    metronome.counting = True
    metronome.start()
    metronome._due_ns -= 400_000_000  # as if it had stood still since
    async with asyncio.timeout(5):
        await enough.wait()
    metronome.stop()
    assert calls == sorted(calls)
    assert len(metronome.lateness_ns) == len(calls)
    assert max(metronome.lateness_ns) > 300_000_000
