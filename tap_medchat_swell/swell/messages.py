"""Swell's messages: the stream, and how it is read by windows of days (W1 to W12)."""

from __future__ import annotations

import logging
import typing as t
from dataclasses import replace
from datetime import timedelta
from functools import cached_property

from typing_extensions import override

from tap_medchat_swell.conversions import as_text
from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.pipeline import Start
from tap_medchat_swell.record_mapper import key_finder
from tap_medchat_swell.scan import counted
from tap_medchat_swell.stream import ENCODER, VendorStream
from tap_medchat_swell.swell.bookmark import OPEN_DAYS, Unsettled
from tap_medchat_swell.swell.marks import Marks
from tap_medchat_swell.swell.reader import (
    ChangesRead,
    Messages,
    Passes,
    WindowRead,
    read_changes,
    read_window,
)
from tap_medchat_swell.swell.scan import SwellScan
from tap_medchat_swell.time_ranges import DAY, DayRange, midnight, plan_days
from tap_medchat_swell.timestamps import (
    format_timestamp,
    named_zone,
    normalize_timestamp,
    now,
    parse_timestamp,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, tzinfo

    from tap_medchat_swell.pipeline import Plan
    from tap_medchat_swell.record_mapper import Row
    from tap_medchat_swell.stream import Item, RunContext
    from tap_medchat_swell.swell.api import SwellApi

FOREMOST_ZONE = timedelta(hours=14)  # where tomorrow begins first
CHANGES_REACH = timedelta(days=3)  # how far back updated_after may go (W12)
CHANGES_STEP = timedelta(hours=6)
CHANGES_FORMS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d")
MAX_UNSETTLED_RUNS = 5
_created_at = key_finder("created_at")
_date_sent = key_finder("date_sent")


class SwellMessages(VendorStream):
    """Messages; the bookmark is the day up to which those *created* have been read (W6)."""

    name = "swell_messages"
    vendor = "Swell"
    primary_keys = ("id",)
    replication_key = "created_at"

    def pack_rows(self, rows: list[Row]) -> list[Item]:
        """Records out of Swell's rows, ready to be written."""
        return self.pack([self._record(row) for row in rows])

    def is_wanted(self, row: Row) -> bool:
        """Whether a message was created from start_date to end_date, as far as it says (W4)."""
        text = _created_at(row)
        first, last = self._surely_wanted
        if isinstance(text, str) and first < text < last:
            return True
        created = parse_timestamp(text)
        end = self.run.options.end_date
        return created is None or (
            created >= self.run.options.start_date and (end is None or created < end)
        )

    @cached_property
    def _surely_wanted(self) -> tuple[str, str]:
        """Days between which a date is wanted whatever its zone, to parse few."""
        options = self.run.options
        last = options.end_date.date() - DAY if options.end_date else "9"
        return str(options.start_date.date() + 2 * DAY), str(last)

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
        value, zone = _date_sent(row), self.run.options.swell_date_sent_timezone
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


def _disagreement(passes: Passes) -> str | None:
    """How Swell's total disagrees with what it sent."""
    if passes.is_settled or not passes.count:
        return None
    return f"Swell counts {passes.total}, but sent {len(passes.ids)}"


class MessageScan(SwellScan):
    """Reads messages by windows of days that share a day, then late changes.

    A window whose total disagrees with its messages is unsettled: the next runs read it again,
    until it settles, disagrees in the same way as before, or has done so in too many runs.
    """

    def __init__(self, run: RunContext, stream: SwellMessages, api: SwellApi) -> None:
        options = run.options
        super().__init__(
            run,
            stream,
            api,
            # Of the day on which start_date falls, what came before it is not read.
            (options.start_date - timedelta(microseconds=1)).date(),
            locations=sorted(options.swell_location_ids),
            teams=sorted(options.swell_team_ids),
            contacts=sorted(options.swell_contact_ids),
            status=options.swell_status,
        )
        self._messages = stream
        self._before = self._bookmark
        self._again = {item.days: item for item in self._bookmark.unsettled}
        self._extra: set[DayRange] = set()  # of those, the ones that no other window is
        self._unproven: tuple[DayRange, frozenset[str]] | None = None
        self._written = Marks()  # ids and contents of messages
        self._last_two: list[set[int]] = [set(), set()]  # the ids of the last two windows
        self._has_read_any = False

    @override
    def plan(self) -> Plan:
        # Swell may take dates in another zone: a day early, and a day late (W4).
        earliest = min(self._bookmark.since, self.options.start_date.date() - DAY)
        first = self._bookmark.first_day(self.options.swell_lookback_days, earliest)
        last = (now() + FOREMOST_ZONE).date() + DAY
        if self.options.end_date:
            last = min(last, self.options.end_date.date() + DAY)
        windows: list[DayRange] = []
        if first <= last:
            self.logger.info("Reading messages created from %s to %s.", first, last)
            windows += plan_days(first, last, self.options.swell_window_days)
        self.begin, self.end = midnight(first), midnight(last)
        self._extra = self._again.keys() - set(windows)
        for days in [*(days for days in self._again if days in self._extra), *windows]:
            attempt = self._again[days].runs if days in self._again else 0
            yield Start(counted(read_window(self._api, days, self._today, attempt)))
        yield Start(counted(read_changes(self._api, self._change_moments())))

    def _change_moments(self) -> Iterator[tuple[datetime, str]]:
        """From when on to ask for changes, and in which form, until Swell takes one (W12).

        Swell may take the time in another zone, so the first is earlier than the last run. It
        must not be over three days ago, in whatever zone Swell counts those.
        """
        oldest = self._now - CHANGES_REACH + timedelta(minutes=5)
        since = self._bookmark.changes_since or self._now - DAY + FOREMOST_ZONE
        moment = max(oldest + FOREMOST_ZONE, since) - FOREMOST_ZONE
        moment = oldest if since > self._now else moment
        known = self._bookmark.changes_form
        while moment < self._now - DAY / 2:
            for form in sorted(CHANGES_FORMS, key=lambda form: form != known):
                yield moment, form
            moment += CHANGES_STEP

    @override
    def take(self, value: t.Any) -> bool:
        if isinstance(value, Messages):
            self._write(value)
        elif isinstance(value, WindowRead):
            self._end_window(value)
        else:
            self._end_changes(value)
        return self._stream.has_enough

    def _write(self, messages: Messages) -> None:
        """Write the wanted messages, but none that this run has written with the same content.

        Neighboring windows share a day, so many come twice, and typing costs more than a hash.
        """
        new = [
            row
            for row in messages.rows.values()
            if self._messages.is_wanted(row) and self._written.add(hash(ENCODER.encode(row)))
        ]
        self._stream.write(self._messages.pack_rows(new), messages.received)

    def _end_window(self, read: WindowRead) -> None:
        """Check a window, and bookmark it."""
        passes = read.passes
        self._has_read_any |= bool(passes.ids)
        unsettled = [item for item in self._bookmark.unsettled if item.days != read.window]
        doubt = self._doubt(read.window, passes)
        if doubt:
            unsettled += filter(None, [self._unsettled(read.window, passes)])
        if read.last is not None:
            first, end = midnight(read.window.first), midnight(read.last) + DAY
            rows = [(self._stream, len(passes.ids))]
            told = {"passes": passes.count, "vendor_total": passes.total}
            self.end_window(first, end, rows, doubt, told)
        self._bookmark = replace(self._bookmark, unsettled=tuple(unsettled))
        if read.window in self._extra:
            self.move(self._bookmark)
            return
        self._check_filter(read)
        if self._unproven is None and passes.envelope and not self._api.envelopes:
            self._unproven = (read.window, passes.envelope)
        if self._is_proven() and read.last is not None:
            self.reach(read.last)

    def _check_filter(self, read: WindowRead) -> None:
        """Raise VendorError where the days seem to make no difference (W22)."""
        ids = read.passes.ids
        if 2 * len(ids & self._last_two[0]) > len(ids):
            begin = None if self._before.finished else self._before.since
            self.move(replace(self._before, at=self._before.at or begin))
            self.write_state()
            raise VendorError(
                f"Swell sent the same messages for {read.window} as for days long before: it "
                "ignores from_date and to_date, so nothing can be read safely."
            )
        self._last_two = [self._last_two[1], ids]

    def _is_proven(self) -> bool:
        """Whether empty pages look like pages with messages, so that they were no outage.

        Until a page with messages has come, the bookmark stays. Raises VendorError.
        """
        if self._unproven is None:
            return True
        days, envelope = self._unproven
        if not self._api.envelopes:
            return False
        if envelope not in self._api.envelopes:
            raise VendorError(
                f"Swell sent an empty page for {days} that looks unlike its pages with messages, "
                "maybe because of an outage. Run again: the bookmark has not moved past it."
            )
        self._unproven = None
        return True

    def _doubt(self, days: DayRange, passes: Passes) -> str | None:
        """How Swell's total disagrees with what it sent, unless it did so before (W9)."""
        doubt, before = _disagreement(passes), self._again.get(days)
        if doubt and before and passes.is_stable and passes.missing == before.missing:
            self.logger.info(
                "Messages of %s: Swell counts %s and sends %d, as before. Nothing is missing.",
                days,
                passes.total,
                len(passes.ids),
            )
            return None
        return doubt

    def _unsettled(self, days: DayRange, passes: Passes) -> Unsettled | None:
        """What the next run has to read again; None after too many runs."""
        before = self._again.get(days)
        runs = 1 + (before.runs if before else 0)
        missing = passes.missing if passes.is_stable else None
        told = (days, passes.total, len(passes.ids), passes.count)
        is_last = runs >= MAX_UNSETTLED_RUNS
        is_recent = days.last >= self._today - OPEN_DAYS * DAY  # messages may be arriving
        self.logger.log(
            logging.INFO if (missing is not None or is_recent) and not is_last else logging.WARNING,
            "Messages of %s: Swell counts %s, but sent %d in %d passes. %s",
            *told,
            "Some may be missing; report this to Swell."
            if is_last
            else "The next run reads them again.",
        )
        return None if is_last else Unsettled(days, missing, runs)

    def _end_changes(self, read: ChangesRead) -> None:
        """Bookmark up to when changes have been seen."""
        old = self._bookmark.changes_since
        if read.since is not None:
            rows = [(self._stream, len(read.passes.ids))]
            told = {"passes": read.passes.count, "vendor_total": read.passes.total}
            self.end_window(read.since, self._now, rows, _disagreement(read.passes), told)
        if read.since is None and self._bookmark.changes_form is not None:
            self.logger.warning(
                "Swell refused updated_after, which it took before: the next run asks again for "
                "changes since %s.",
                old,
            )
            return
        if read.since is None:
            self.logger.warning(
                "Swell refused updated_after: changes are seen only on messages of the last "
                "swell_lookback_days."
            )
        elif old is not None and read.since > old:
            self.logger.warning(
                "Swell took updated_after only from %s on: changes since %s are seen only on "
                "messages of the last swell_lookback_days.",
                read.since,
                old,
            )
        elif not read.passes.is_settled and not read.passes.is_stable:
            self.logger.info(
                "Messages changed since %s: Swell counts %s, but sent %d. The next run asks again.",
                read.since,
                read.passes.total,
                len(read.passes.ids),
            )
            return
        # A first reading is as old as its start, even if it was interrupted.
        seen = self._now if old is not None else self._bookmark.started
        seen = min(seen, seen + self.client.clock_offset)
        self._bookmark = replace(self._bookmark, changes_since=seen, changes_form=read.form)

    @override
    def finish(self) -> None:
        if self._is_proven():
            self.move(self._bookmark.completed())
            self.write_state()
        if self._before.finished is None and self._before.at is None and not self._has_read_any:
            self.logger.warning(
                "No messages at all: check start_date, swell_location_ids, swell_team_ids, "
                "swell_contact_ids and swell_status if there should be some."
            )
        super().finish()
