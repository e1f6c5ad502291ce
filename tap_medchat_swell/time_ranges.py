"""Windows: what one step of a reading covers, and where a window is cut in two."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from tap_medchat_swell.timestamps import EPOCH, UTC

if t.TYPE_CHECKING:
    from collections.abc import Iterator

SECOND = timedelta(seconds=1)
ANY_ZONE = timedelta(days=2)  # more than zones can shift a day


@dataclass(frozen=True)
class TimeRange:
    """Instants from `start` up to, not including, `end`; UTC, whole seconds."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        return f"{literal(self.start)} to {literal(self.end)}"

    def holds(self, instant: datetime) -> bool:
        """Whether a row created then belongs here.

        One second of grace at either end: vendors round what they show, not what they
        compare.
        """
        return self.start - SECOND <= instant <= self.end + SECOND

    def cut(self, at: datetime) -> tuple[TimeRange, TimeRange] | None:
        """The parts before and from the whole second at or after `at`, if both exist."""
        middle = ceil_second(at)
        if not self.start < middle < self.end:
            return None
        return TimeRange(self.start, middle), TimeRange(middle, self.end)


@dataclass(frozen=True)
class DayRange:
    """Days from `first` to `last`, both asked for. Neighbours share a day (W1)."""

    first: date
    last: date

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"

    def is_near(self, day: str) -> bool:
        """Whether, in any zone, what was created on a day (YYYY-MM-DD) may have been asked for."""
        return str(self.first - ANY_ZONE) <= day <= str(self.last + ANY_ZONE)


def plan_days(first: date, last: date, days: int) -> Iterator[DayRange]:
    """Windows of at most `days` days' difference; each begins on the last one's end."""
    while True:
        end = min(first + timedelta(days=days), last)
        yield DayRange(first, end)
        if end >= last:
            return
        first = end


def ceil_second(instant: datetime) -> datetime:
    """The whole second at or after an instant."""
    whole = instant.replace(microsecond=0)
    return whole if whole == instant else whole + SECOND


def literal(instant: datetime) -> str:
    """An instant as OData filters take it: bare, to the second, with Z (M11)."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_epoch(instant: datetime) -> int:
    """Whole seconds since 1970."""
    return int((instant - EPOCH).total_seconds())


def from_epoch(seconds: int) -> datetime:
    """The instant; raises OverflowError beyond the calendar."""
    return EPOCH + timedelta(seconds=seconds)
