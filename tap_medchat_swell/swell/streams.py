"""Swell's streams."""

from __future__ import annotations

import typing as t
from contextlib import closing
from datetime import date, timedelta, tzinfo

from tap_medchat_swell.bookmark import scope_of
from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.readahead import ReadAhead, Workers
from tap_medchat_swell.record_mapper import KeyFinder, Row, as_text
from tap_medchat_swell.stream import WindowedStream
from tap_medchat_swell.swell.api import SwellApi
from tap_medchat_swell.swell.counts import WEEK, CountsWindow
from tap_medchat_swell.swell.days import DAY, DayFrontier
from tap_medchat_swell.swell.readings import Trust
from tap_medchat_swell.swell.window import (
    MessageWindow,
    PagedMessages,
    UpdatedMessages,
)
from tap_medchat_swell.time_ranges import plan_days
from tap_medchat_swell.timestamps import (
    format_timestamp,
    named_zone,
    normalize_timestamp,
    now,
    parse_timestamp,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator

UPDATED_AFTER_DAYS = 3
FOREMOST_ZONE = timedelta(hours=14)  # where tomorrow begins first


class SwellStream(WindowedStream):
    """A stream of Swell's that is read by days."""

    vendor = "Swell"

    def _log_end(self, what: str, api: SwellApi) -> None:
        self.logger.info("%s finished: %d requests.", what, api.client.requests_sent)


class SwellMessages(SwellStream):
    """Messages, read by windows of days that share a day.

    The bookmark is the day up to which messages *created* have been read (W6).
    """

    name = "swell_messages"
    primary_keys = ("id",)
    replication_key = "created_at"

    _is_short = False
    _date_sent = KeyFinder("date_sent")

    def read(self) -> None:
        """Read all windows, then what has changed on older messages."""
        options = self.options
        scope = scope_of(
            locations=sorted(options.swell_location_ids),
            teams=sorted(options.swell_team_ids),
            contacts=sorted(options.swell_contact_ids),
        )
        # Swell may take dates in another zone: a day early, and a day late (W4).
        frontier = DayFrontier.load(self, scope, options.start_date.date() - DAY)
        is_first = frontier.finished is None and frontier.at is None
        api = SwellApi(self.options, self.rate_limiter)
        with closing(api.client), closing(Workers(options.max_concurrency)) as workers:
            self._read_windows(frontier, api, workers)
            if not self.has_enough:
                self._read_changes(frontier, api, workers)
                frontier.finish()
            self._log_end("Messages", api)
        if is_first and not self._written:
            self.logger.warning(
                "No messages at all: check start_date, swell_location_ids, swell_team_ids and "
                "swell_contact_ids if there should be."
            )

    def _read_windows(self, frontier: DayFrontier, api: SwellApi, workers: Workers) -> None:
        first = frontier.first_day(self.options.swell_lookback_days)
        last = (now() + FOREMOST_ZONE).date() + DAY
        if self.options.end_date:
            last = min(last, self.options.end_date.date() + DAY)
        if first > last:
            return
        self.logger.info("Messages created from %s to %s.", first, last)
        readers = self._plan(first, last, api)
        recent: list[set[int]] = [set(), set()]
        begin = frontier.at or frontier.value
        for window in ReadAhead(readers, workers, self.idle):
            if 2 * len(window.ids & recent[0]) > len(window.ids):
                frontier.rewind(begin)
                msg = (
                    f"Swell sent the same messages for {window.window} as for days long "
                    "before: it ignores from_date and to_date, so nothing can be read "
                    "safely."
                )
                raise VendorError(msg)
            self._write(window)
            recent = [recent[1], window.ids]
            self._is_short |= window.is_short
            frontier.move(window.window.last)
            if self.has_enough:
                return

    def _plan(self, first: date, last: date, api: SwellApi) -> Iterator[MessageWindow]:
        """A reader per window, which leaves out what the one before it has read."""
        trust = Trust()
        before: MessageWindow | None = None
        for window in plan_days(first, last, self.options.swell_window_days):
            before = MessageWindow(api, self.pack_rows, trust, window, before)
            yield before

    def _write(self, reader: PagedMessages) -> None:
        self.write(reader.take_messages(), reader.received or now())
        self.logger.debug("%s: %d.", reader, len(reader.ids))

    def _read_changes(self, frontier: DayFrontier, api: SwellApi, workers: Workers) -> None:
        """Read late changes (read, status) on messages of any age (W12).

        An extra: the windows are what counts. Swell allows three days back.
        """
        today = now().date()
        since = self._unseen_since(frontier, today)
        if since is None:
            return
        first = max(since - DAY, today - UPDATED_AFTER_DAYS * DAY)
        updated = UpdatedMessages(api, self.pack_rows, Trust(), first, today - DAY)
        for _ in ReadAhead(iter([updated]), workers, self.idle):
            if not updated.is_refused:
                self._write(updated)
        if updated.is_refused:
            self.logger.warning(
                "Swell refused updated_after: changes are seen on the messages of the last "
                "swell_lookback_days only."
            )
        elif updated.since > since:
            self.logger.warning(
                "Swell took updated_after from %s on only: changes between %s and then are "
                "seen on the messages of the last swell_lookback_days only.",
                updated.since,
                since,
            )

    def _unseen_since(self, frontier: DayFrontier, today: date) -> date | None:
        """The day from which on windows may not show everything; None if there is none."""
        finished = frontier.finished
        limit = UPDATED_AFTER_DAYS * DAY
        if finished is not None and timedelta() <= frontier.started - finished <= limit:
            return finished.date()
        return today - DAY if self._is_short else None

    def pack_rows(self, rows: list[Row]) -> list[t.Any]:
        """Records out of Swell's rows, ready to be written."""
        return self.pack([self._record(row) for row in rows])

    def _record(self, row: Row) -> Row:
        record = self.rows.record(row)
        text, zone = self._sent(row)
        if "date_sent" in record:
            record["date_sent"] = text
        if "date_sent_utc" in record:
            record["date_sent_utc"] = self._sent_utc(text, zone)
        return record

    def _sent(self, row: Row) -> tuple[str | None, tzinfo | None]:
        """date_sent as text, and the zone it is in: its own, if it is an object (W6)."""
        value, zone = self._date_sent.value(row), self.options.swell_date_sent_timezone
        own_zone: tzinfo | None = zone
        if isinstance(value, dict):
            if value.get("timezone"):
                own_zone = named_zone(str(value["timezone"]))
            value = value.get("date")
        if isinstance(value, (int, float)):
            value = as_text(value)
        return (value if isinstance(value, str) and value else None), own_zone

    def _sent_utc(self, text: str | None, zone: tzinfo | None) -> str | None:
        if text is None or zone is None:
            return None
        if str(zone) == "UTC":
            return normalize_timestamp(text.replace(" ", "T", 1))
        instant = parse_timestamp(text, zone)
        return format_timestamp(instant) if instant else None


class SwellMessageCounts(SwellStream):
    """Counts per day, all together or per location or team."""

    name = "swell_message_counts"
    primary_keys = ("date", "location_id", "team_id")
    replication_key = "date"

    def read(self) -> None:
        """Ask for every day's counts, and again for those of the last days (W15)."""
        options = self.options
        splits = self._splits()
        scope = scope_of(splits=splits, parameters=options.swell_counts_parameters)
        frontier = DayFrontier.load(self, scope, options.start_date.date())
        first = frontier.first_day(options.swell_counts_lookback_days)
        last = now().date()
        if options.end_date:
            last = min(last, (options.end_date - timedelta(microseconds=1)).date())
        api = SwellApi(self.options, self.rate_limiter)
        with closing(api.client), closing(Workers(options.max_concurrency)) as workers:
            readers = (CountsWindow(api, days, splits) for days in weeks(first, last))
            for window in ReadAhead(readers, workers, self.idle):
                records = [self.rows.record(row) | key for key, row in window.counts()]
                self.write(self.pack(records), window.received or now())
                if window.is_undated:
                    self.logger.warning(
                        "Swell counts the same for each day from %s to %s. If that is not so, "
                        "set swell_counts_parameters: range.",
                        window.days[0],
                        window.days[-1],
                    )
                frontier.move(window.days[-1])
                if self.has_enough:
                    return
            frontier.finish()
            self._log_end("Counts", api)

    def _splits(self) -> list[tuple[str, str]]:
        """Location and team filters of the requests per day; ids with commas, or empty."""
        options = self.options
        locations, teams = options.swell_location_ids, options.swell_team_ids
        every_location, every_team = ",".join(locations), ",".join(teams)
        if options.swell_counts_split == "location":
            return [(location, every_team) for location in locations]
        if options.swell_counts_split == "team":
            return [(every_location, team) for team in teams]
        return [(every_location, every_team)]


def weeks(first: date, last: date) -> Iterator[list[date]]:
    """The days from first to last, seven at a time."""
    days = [first + number * DAY for number in range((last - first).days + 1)]
    for start in range(0, len(days), WEEK):
        yield days[start : start + WEEK]
