"""Where a reading of Swell's days begins and ends, and how its bookmark remembers it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from tap_medchat_swell import bookmark as bookmarks
from tap_medchat_swell.timestamps import UTC, format_timestamp, now, parse_timestamp

if t.TYPE_CHECKING:
    from tap_medchat_swell.stream import WindowedStream

DAY = timedelta(days=1)
UNSETTLED = 2 * DAY


@dataclass
class DayFrontier:
    """A stream's bookmark by days.

    `since` is the first day that has been read; `value` the day up to which all later
    days have been; `at` where the run under way stands, None between runs. `started` is
    when the run under way first began, `finished` when the last finished one did.
    """

    stream: WindowedStream
    scope: str
    since: date
    value: date
    at: date | None
    started: datetime
    finished: datetime | None

    @classmethod
    def load(cls, stream: WindowedStream, scope: str, since: date) -> DayFrontier:
        """Out of the stream's bookmark, for a run that wants all days from `since` on."""
        fresh = cls(stream, scope, since, since, None, now(), None)
        bookmark, reason = bookmarks.trusted(stream.get_context_state(None), scope)
        if stream.full_table or (not bookmark and reason is None):
            return fresh
        loaded = cls._parsed(stream, scope, bookmark)
        if reason is None:
            reason = fresh.why_not(loaded)
        if reason is not None or loaded is None:
            stream.logger.warning("The bookmark %s: reading from %s on.", reason, since)
            return fresh
        if loaded.value < since:
            stream.logger.warning(
                "start_date is after the bookmark: messages created from %s to %s are not read.",
                loaded.value,
                since,
            )
            fresh.finished = loaded.finished
            return fresh
        if loaded.at is None:
            loaded.started = fresh.started
        return loaded

    def why_not(self, loaded: DayFrontier | None) -> str | None:
        """Why what was loaded cannot be used for a run with this one's start."""
        if loaded is None:
            return "is damaged"
        if max(loaded.value, loaded.at or loaded.value) > self.started.date() + 2 * DAY:
            return "lies in the future"
        if loaded.since > self.since:
            return f"covers only what came after {loaded.since}, start_date is earlier"
        return None

    @classmethod
    def _parsed(
        cls, stream: WindowedStream, scope: str, bookmark: bookmarks.Bookmark
    ) -> DayFrontier | None:
        value = parse_timestamp(bookmark.get("replication_key_value"))
        since = parse_timestamp(bookmark.get("since"))
        at, started = (parse_timestamp(bookmark.get(name)) for name in ("at", "started"))
        finished = parse_timestamp(bookmark.get("finished"))
        if finished and started and started <= finished:
            at = started = None  # left over, see `bookmarks.write`
        broken_run = (at is None) != (started is None)
        if value is None or since is None or broken_run or (at is None and finished is None):
            return None
        return cls(
            stream,
            scope,
            since.date(),
            value.date(),
            at.date() if at else None,
            started or now(),
            finished,
        )

    def first_day(self, lookback_days: int) -> date:
        """Where to begin: where the stopped run stood, else some days before the end."""
        if self.at is not None:
            return max(self.at, self.since)
        if self.finished is None:
            return self.since
        return max(self.value - lookback_days * DAY, self.since)

    def move(self, day: date) -> None:
        """All up to this day has been read and written: bookmark it.

        Never past the day before yesterday: where the account is, yesterday may not be over,
        or be refused as today would be (W1, W3, W4). Changes since the run was first begun
        are the next one's.
        """
        today = now().date()
        self.at = min(day, today - UNSETTLED)
        self.value = max(self.value, min(self.at, self.started.date() - UNSETTLED))
        self._bookmark()
        if day < today:  # else the end is near, and its STATE says the same
            self.stream.write_state()

    def rewind(self, value: date) -> None:
        """What this run has read cannot be relied on: bookmark where it began."""
        self.value = self.at = value
        self._bookmark()
        self.stream.write_state()

    def finish(self) -> None:
        """The run has read everything."""
        self.finished, self.at = self.started, None
        self._bookmark()
        self.stream.write_state()

    def _bookmark(self) -> None:
        self.stream.move_bookmark(
            _midnight(self.value),
            self.scope,
            since=str(self.since),
            at=str(self.at) if self.at else None,
            started=format_timestamp(self.started) if self.at else None,
            finished=format_timestamp(self.finished) if self.finished else None,
        )


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
