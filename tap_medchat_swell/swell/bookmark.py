"""Up to which day Swell has been read, and what has to be read again, as the bookmark keeps it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from tap_medchat_swell.errors import TapError
from tap_medchat_swell.time_ranges import DAY, DayRange
from tap_medchat_swell.timestamps import format_timestamp, now, parse_timestamp, required_timestamp

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import date, datetime

    from tap_medchat_swell.bookmark import Bookmark

# Where the account is, yesterday may not be over, or be refused as today would be (W1, W3, W4).
OPEN_DAYS = 2


@dataclass(frozen=True)
class Unsettled:
    """A window whose total disagreed with its messages, and in how many runs it did so.

    `missing` is the total minus the messages that came, None where that changed from pass to
    pass.
    """

    days: DayRange
    missing: int | None
    runs: int


@dataclass(frozen=True)
class DayBookmark:
    """A stream's bookmark by days.

    `since` is the first day that has been read, `value` the day up to which all later ones have
    been, `at` how far the run under way has come, None between runs. `started` is when the run
    under way first started, `finished` when the last finished one did. Changes have been asked
    for up to `changes_since`, in the form `changes_form`, which Swell is known to take.
    """

    since: date
    value: date
    started: datetime
    at: date | None = None
    finished: datetime | None = None
    changes_since: datetime | None = None
    changes_form: str | None = None
    unsettled: tuple[Unsettled, ...] = ()

    @classmethod
    def from_bookmark(cls, bookmark: Bookmark) -> DayBookmark:
        """Read a stream's bookmark. Raises ValueError for a damaged one."""
        try:
            times = {name: bookmark.get(name) for name in ("started", "at", "finished")}
            started, at, finished = map(parse_timestamp, times.values())
            if finished and started and started <= finished:
                at = started = None  # left over, where Meltano merged states
            loaded = cls(
                since=required_timestamp(bookmark["since"]).date(),
                value=required_timestamp(bookmark["replication_key_value"]).date(),
                started=started or now(),
                at=at.date() if at else None,
                finished=finished,
                changes_since=parse_timestamp(bookmark.get("changes_since")),
                changes_form=bookmark.get("changes_form"),
                unsettled=tuple(_unsettled(*item) for item in bookmark.get("unsettled") or ()),
            )
        except (KeyError, TypeError) as error:
            raise ValueError from error
        if (at is None) != (started is None) or (at is None and finished is None):
            raise ValueError
        return loaded

    def why_not(self, since: date) -> str | None:
        """Why the bookmark does not do for a run that wants all days from `since` on."""
        if max(self.value, self.at or self.value) > now().date() + 2 * DAY:
            return "lies in the future"
        if self.since > since:
            return f"covers only what came after {self.since}"
        return None

    def first_day(self, lookback_days: int, earliest: date | None = None) -> date:
        """Where to begin: where the interrupted run stopped, else some days before the end.

        Never before `earliest`, which is `since` unless it is given.
        """
        earliest = earliest or self.since
        if self.at is not None:
            return max(self.at, earliest)
        if self.finished is None:
            return earliest
        return max(self.value - lookback_days * DAY, earliest)

    def moved(self, day: date, today: date) -> DayBookmark:
        """All up to this day has been read and written.

        The bookmark never passes the day before yesterday, nor the time at which the run was
        first started: changes since then are the next run's.
        """
        at = min(day, today - OPEN_DAYS * DAY)
        value = max(self.value, min(at, self.started.date() - OPEN_DAYS * DAY))
        return replace(self, at=at, value=value)

    def completed(self) -> DayBookmark:
        """The run has read everything."""
        return replace(self, finished=self.started, at=None)

    @property
    def changes_seen(self) -> datetime:
        """Up to when no change has been missed: what came before was read later."""
        return self.changes_since or self.finished or self.started

    def details(self) -> dict[str, t.Any]:
        """What the bookmark keeps."""
        return {
            "since": str(self.since),
            "at": str(self.at) if self.at else None,
            "started": format_timestamp(self.started) if self.at else None,
            "finished": format_timestamp(self.finished) if self.finished else None,
            "changes_since": format_timestamp(self.changes_since) if self.changes_since else None,
            "changes_form": self.changes_form,
            "unsettled": [
                [str(item.days.first), str(item.days.last), item.missing, item.runs]
                for item in self.unsettled
            ],
        }


def union(bookmarks: Sequence[DayBookmark], days_apart: int) -> DayBookmark:
    """One bookmark for what several runs have read of a stream.

    One may begin `days_apart` days after another's value. Changes count as seen up to when the
    first of the runs started. Raises TapError if days between them have not been read.
    """
    first, *later = sorted(bookmarks, key=lambda bookmark: bookmark.since)
    value = first.value
    for bookmark in later:
        if bookmark.since > value + days_apart * DAY:
            raise TapError(f"nothing between {value} and {bookmark.since} has been read")
        value = max(value, bookmark.value)
    return replace(
        first,
        value=value,
        at=None,
        finished=min(bookmark.finished or bookmark.started for bookmark in bookmarks),
        changes_since=min(bookmark.changes_seen for bookmark in bookmarks),
        changes_form=next(filter(None, (bookmark.changes_form for bookmark in bookmarks)), None),
        unsettled=tuple(_all_unsettled(item for mark in bookmarks for item in mark.unsettled)),
    )


def _all_unsettled(items: Iterable[Unsettled]) -> Iterable[Unsettled]:
    """One item per window."""
    found: dict[DayRange, Unsettled] = {}
    for item in items:
        other = found.get(item.days, item)
        missing = item.missing if item.missing == other.missing else None
        found[item.days] = Unsettled(item.days, missing, min(item.runs, other.runs))
    return found.values()


def _unsettled(first: str, last: str, missing: int | None, runs: int) -> Unsettled:
    days = DayRange(required_timestamp(first).date(), required_timestamp(last).date())
    return Unsettled(days, missing, int(runs))
