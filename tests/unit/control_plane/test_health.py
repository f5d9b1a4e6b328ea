from __future__ import annotations

import asyncio

from control_plane.errors import DependencyUnavailable
from control_plane.service.health import Check, answers, examine, has_nodes, has_pollers
from control_plane.service.ports import MediaNode


async def fine() -> str:
    return "answers"


async def broken() -> str:
    raise DependencyUnavailable("thing", "gone")


async def stuck() -> str:
    await asyncio.Event().wait()
    raise AssertionError("never set")


async def test_everything_answers() -> None:
    health = await examine({"a": Check(fine), "b": Check(fine, critical=False)})

    assert (health.ok, health.status) == (True, "ok")
    assert health.checks["a"].detail == "answers"
    assert health.checks["a"].latency_ms >= 0


async def test_a_critical_dependency_that_is_away_makes_it_unavailable() -> None:
    health = await examine({"a": Check(fine), "b": Check(broken)})

    assert (health.ok, health.status) == (False, "unavailable")
    assert health.checks["b"].detail == "thing is unavailable: gone"


async def test_another_one_only_degrades_it() -> None:
    health = await examine({"a": Check(fine), "b": Check(broken, critical=False)})

    assert (health.ok, health.status) == (True, "degraded")


async def test_probes_that_do_not_answer_are_given_up_side_by_side() -> None:
    async with asyncio.timeout(5):
        health = await examine({str(n): Check(stuck) for n in range(200)}, limit_s=0.05)

    assert not any(found.ok for found in health.checks.values())
    assert health.checks["0"].detail == "no answer within 0.05 s"


async def test_a_ping_that_returns_is_an_answer() -> None:
    async def ping() -> None:
        return None

    assert await answers(ping)() == "answers"


async def test_workers_must_poll() -> None:
    async def pollers() -> int:
        return count

    count = 2
    assert await has_pollers(pollers)() == "2 polling"
    count = 0
    health = await examine({"worker": Check(has_pollers(pollers))})
    assert "nobody polls" in health.checks["worker"].detail


async def test_nodes_must_take_calls() -> None:
    class Nodes:
        live_nodes: tuple[MediaNode, ...] = ()

        async def live(self) -> tuple[MediaNode, ...]:
            return self.live_nodes

    nodes = Nodes()
    probe = has_nodes(nodes)  # type: ignore[arg-type]
    nodes.live_nodes = (
        MediaNode("a", "", "", capacity=400, calls=3, draining=False),
        MediaNode("b", "", "", capacity=400, calls=9, draining=True),
    )
    assert await probe() == "1 nodes, 3 of 400 calls"
    nodes.live_nodes = nodes.live_nodes[1:]
    health = await examine({"media": Check(probe)})
    assert "no node takes calls" in health.checks["media"].detail
