"""That the micro benchmark measures what it says; how long it takes is the bench's business."""

from bench.micro.frames import Effort, measure
from bench.micro.timing import WARM_UP_CALLS, side_by_side


def test_every_figure_has_the_product_and_both_references() -> None:
    figures = measure(Effort(rounds=1, calls=1))
    assert [figure.key for figure in figures] == [
        "kernel_up_us",
        "kernel_down_us",
        "session_up_us",
        "session_down_us",
    ]
    for figure in figures:
        assert set(figure.values) == {"voiceplane", "lookup", "obvious"}
        assert all(value > 0 for value in figure.values.values())


def test_candidates_take_turns_within_a_round() -> None:
    order: list[str] = []
    side_by_side({name: lambda name=name: order.append(name) for name in "ab"}, rounds=3, calls=2)
    assert order == ["a"] * WARM_UP_CALLS + ["b"] * WARM_UP_CALLS + list("aabb" * 3)
