"""When the garbage collector runs: never in the middle of a frame because an allocation happened to be the
700th, but between two, when the loop says so; and the oldest generation only while nobody is on the line.

A frame leaves nothing for the collector, so that young collections are for what calls' beginnings and ends
leave behind, and are short; what exists at the start is frozen and never looked at again.
"""

from __future__ import annotations

import gc
from time import perf_counter_ns

from media_plane.call.histogram import Histogram

_YOUNG = 2_000  # objects made and not freed since the last collection: less than a millisecond of one
_MIDDLE_EVERY = 20  # young collections
_FULL_EVERY_NS = 60_000_000_000  # at most, and only while there is no call
_FULL_AT_LAST = 100  # middle collections without a full one, on a node that is never idle
NOTHING = -1


class Schedule:
    """Decides which generation is due; `collected` must be told what was done."""

    __slots__ = ("_full_ns", "_middles", "_youngs")

    def __init__(self, now_ns: int) -> None:
        self._youngs = 0  # since the last middle collection
        self._middles = 0  # since the last full one
        self._full_ns = now_ns

    def due(self, made: int, busy: bool, now_ns: int) -> int:
        """The generation to collect now, or NOTHING. `made`: objects not freed since the last collection;
        `busy`: there are calls."""
        waited = now_ns - self._full_ns >= _FULL_EVERY_NS
        if (waited and not busy) or self._middles >= _FULL_AT_LAST:
            return 2
        if made < _YOUNG:
            return NOTHING
        return 1 if self._youngs >= _MIDDLE_EVERY else 0

    def collected(self, generation: int, now_ns: int) -> None:
        self._youngs = self._youngs + 1 if generation == 0 else 0
        if generation == 1:
            self._middles += 1
        elif generation == 2:
            self._middles = 0
            self._full_ns = now_ns


class Collection:
    """Takes the collector over from the interpreter. One a process; `run` between frames."""

    def __init__(self, now_ns: int) -> None:
        self.pauses = [Histogram(), Histogram(), Histogram()]  # µs, by generation
        self._schedule = Schedule(now_ns)
        self._began_ns = 0
        self._survivors = 0

    def take_over(self) -> None:
        """What exists now lives as long as the process."""
        gc.collect()
        gc.freeze()
        gc.disable()
        gc.callbacks.append(self._observe)

    def give_back(self) -> None:
        gc.callbacks.remove(self._observe)
        gc.enable()
        gc.unfreeze()

    def run(self, busy: bool, now_ns: int) -> None:
        """Collect what is due; `busy`: there are calls."""
        generation = self._schedule.due(gc.get_count()[0], busy, now_ns)
        if generation != NOTHING:
            gc.collect(generation)
            self._survivors = len(gc.get_objects())
            self._schedule.collected(generation, now_ns)

    @property
    def tracked(self) -> int:
        """Objects the collector would look at, about: those that the last collection left, and those made and
        not freed since. (To count them one by one would keep the loop for milliseconds.)"""
        return self._survivors + gc.get_count()[0]

    def _observe(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._began_ns = perf_counter_ns()
        else:
            self.pauses[info["generation"]].observe((perf_counter_ns() - self._began_ns) // 1000)
