"""Ranges of time: half-open ranges of seconds for MedChat, ranges of days for Swell."""

from __future__ import annotations

import functools
import math
import typing as t
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from typing_extensions import override

from tap_medchat_swell.timestamps import EPOCH, UTC

if t.TYPE_CHECKING:
    from collections.abc import Iterator

DAY = timedelta(days=1)
ANY_ZONE = timedelta(days=2)  # more than time zones can shift a day


@dataclass(frozen=True, order=True)
class TimeRange:
    """Whole seconds since 1970 from `start` up to, not including, `end`; UTC."""

    start: int
    end: int

    @override
    def __str__(self) -> str:
        return f"{literal(self.start)} to {literal(self.end)}"

    def holds(self, second: int) -> bool:
        """Whether a row created in that second belongs here.

        One second of grace at either end: vendors round what they show, not what they compare.
        """
        return self.start - 1 <= second <= self.end

    def halves(self, middle: int) -> tuple[TimeRange, TimeRange]:
        """The parts before and from `middle`, or from half of the time if that is outside.

        Raises ValueError for a range of a single second.
        """
        if not self.start < middle < self.end:
            middle = (self.start + self.end) // 2
        if middle == self.start:
            raise ValueError(self)
        return TimeRange(self.start, middle), TimeRange(middle, self.end)


@dataclass(frozen=True)
class DayRange:
    """Days from `first` to `last`, both asked for. Neighbors share a day (W1)."""

    first: date
    last: date

    @override
    def __str__(self) -> str:
        return f"{self.first} to {self.last}"

    def is_near(self, day: str) -> bool:
        """Whether, in any zone, a row created on a day (YYYY-MM-DD) may have been asked for."""
        return str(self.first - ANY_ZONE) <= day <= str(self.last + ANY_ZONE)


def plan_days(first: date, last: date, days: int) -> Iterator[DayRange]:
    """Ranges of at most `days` days' difference; each begins on the day the one before ends."""
    while True:
        end = min(first + timedelta(days=days), last)
        yield DayRange(first, end)
        if end >= last:
            return
        first = end


@functools.lru_cache(64)  # each window asks for many pages
def literal(second: int) -> str:
    """A second as OData filters take it: bare, with Z (M11)."""
    return from_epoch(second).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_epoch(instant: datetime) -> int:
    """Whole seconds since 1970, rounded down."""
    return math.floor((instant - EPOCH).total_seconds())


def from_epoch(second: int) -> datetime:
    """The instant; raises OverflowError beyond the calendar."""
    return EPOCH + timedelta(seconds=second)


@functools.lru_cache(maxsize=4096)
def midnight(day: date) -> datetime:
    """The instant at which a day begins, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
