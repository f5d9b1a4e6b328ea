"""Hours in which nobody is called, by the clock on the callee's wall. Pure: the time is passed in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

_FORM = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
# A window in one zone may begin as that of another ends; a few rounds find the first moment that suits all.
_MAX_ROUNDS = 60


@dataclass(frozen=True)
class QuietHours:
    """From `start` to before `end`, local time; over midnight when `end` is the earlier of the two."""

    start: time
    end: time

    @classmethod
    def parse(cls, text: str) -> QuietHours | None:
        """From `21:00-08:00`; empty: None, no hour is quiet.

        Raises:
            ValueError: it is written otherwise, or begins when it ends.
        """
        if not text.strip():
            return None
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise ValueError("must be written as 21:00-08:00, or be empty")
        hours = [int(each) for each in match.groups()]
        start, end = time(hours[0], hours[1]), time(hours[2], hours[3])
        if start == end:
            raise ValueError("must not begin when it ends")
        return cls(start, end)

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"

    def covers(self, local: time) -> bool:
        """Whether it is quiet at this hour of the day."""
        if self.start < self.end:
            return self.start <= local < self.end
        return local >= self.start or local < self.end

    def until(self, now: datetime, zones: Sequence[str]) -> datetime | None:
        """When a call may be made: `now` (aware), if it is quiet in none of `zones`; else later; in UTC.

        None: it is always quiet in one of them or another.
        """
        moment = now.astimezone(UTC)
        for _ in range(_MAX_ROUNDS):
            later = max((self._end(moment, ZoneInfo(zone)) for zone in zones), default=moment)
            if later == moment:
                return moment
            moment = later
        return None

    def _end(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """When the quiet that reigns at `moment` in `zone` ends; `moment`, if there is none."""
        local = moment.astimezone(zone)
        if not self.covers(local.time()):
            return moment
        day = local.date() if local.time() < self.end else local.date() + timedelta(days=1)
        ends = datetime.combine(day, self.end, zone).astimezone(UTC)
        # On the night when clocks are put back, the hour of the end comes twice; the second one counts.
        if ends <= moment:
            ends = datetime.combine(day, self.end, zone).replace(fold=1).astimezone(UTC)
        return max(ends, moment + timedelta(minutes=1))
