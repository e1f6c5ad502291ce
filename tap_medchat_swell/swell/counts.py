"""Swell's message counts: the stream, and how it is read (W13 to W16)."""

from __future__ import annotations

import typing as t
from datetime import timedelta

from typing_extensions import override

from tap_medchat_swell.conversions import as_key
from tap_medchat_swell.pipeline import Start
from tap_medchat_swell.scan import counted
from tap_medchat_swell.stream import VendorStream
from tap_medchat_swell.swell.reader import read_counts
from tap_medchat_swell.swell.scan import SwellScan
from tap_medchat_swell.time_ranges import DAY, midnight

if t.TYPE_CHECKING:
    from tap_medchat_swell.pipeline import Plan
    from tap_medchat_swell.record_mapper import Row
    from tap_medchat_swell.settings import Options
    from tap_medchat_swell.stream import RunContext
    from tap_medchat_swell.swell.api import SwellApi
    from tap_medchat_swell.swell.reader import CountKey, CountsRead

WEEK = 7
ALL = "all"


class SwellMessageCounts(VendorStream):
    """Counts per day, all together or per location or team."""

    name = "swell_message_counts"
    vendor = "Swell"
    primary_keys = ("account_name", "date", "location_id", "team_id")
    replication_key = "date"


class CountScan(SwellScan):
    """Reads every day's counts, and those of the last days again (W15)."""

    def __init__(self, run: RunContext, stream: SwellMessageCounts, api: SwellApi) -> None:
        self._splits = _splits(run.options)
        parameters = run.options.swell_counts_parameters
        since = run.options.start_date.date()
        super().__init__(run, stream, api, since, splits=self._splits, parameters=parameters)
        self._days_read = 0
        self._sum = 0

    @override
    def plan(self) -> Plan:
        first = self._bookmark.first_day(self.options.swell_counts_lookback_days)
        last = self._today
        if self.options.end_date:
            last = min(last, (self.options.end_date - timedelta(microseconds=1)).date())
        days = [first + number * DAY for number in range((last - first).days + 1)]
        self.begin, self.end = midnight(first), midnight(last)
        for start in range(0, len(days), WEEK):
            week = days[start : start + WEEK]
            keys = [(day, *split) for day in week for split in self._splits]
            yield Start(counted(read_counts(self._api, keys, self._today)))

    @override
    def take(self, value: CountsRead) -> bool:
        records = [self._record(key, page.row) for key, page in value.counts.items()]
        self._stream.write(self._stream.pack(records), value.received)
        self._check_days(value)
        if value.counts:
            days = sorted(key[0] for key in value.counts)
            rows = [(self._stream, len(value.counts))]
            self.end_window(midnight(days[0]), midnight(days[-1]) + DAY, rows)
            self.reach(days[-1])
        return self._stream.has_enough

    def _record(self, key: CountKey, row: Row) -> Row:
        day, locations, teams = key
        ids = {"location_id": as_key(locations or ALL), "team_id": as_key(teams or ALL)}
        return self._stream.rows.record(row) | {"date": str(day)} | ids

    def _check_days(self, read: CountsRead) -> None:
        """Warn where the days seem to make no difference (W14)."""
        days = sorted({key[0] for key in read.counts})
        splits = {key[1:] for key in read.counts}
        different = {(*key[1:], *page.numbers) for key, page in read.counts.items()}
        self._days_read += len(days)
        self._sum += sum(number or 0 for page in read.counts.values() for number in page.numbers)
        if len(days) == WEEK and len(different) == len(splits) and self._sum:
            self.logger.warning(
                "Swell counts the same for each day from %s to %s. If that is wrong, set "
                "swell_counts_parameters: range.",
                days[0],
                days[-1],
            )

    @override
    def finish(self) -> None:
        is_range = self.options.swell_counts_parameters == "range"
        if is_range and self._days_read >= WEEK and not self._sum:
            self.logger.warning(
                "Swell counts no message on any of %d days. If that is wrong, set "
                "swell_counts_parameters: date.",
                self._days_read,
            )
        self.move(self._bookmark.completed())
        self.write_state()
        super().finish()


def _splits(options: Options) -> list[tuple[str, str]]:
    """Location and team filters of the requests per day; ids with commas, or empty."""
    locations, teams = options.swell_location_ids, options.swell_team_ids
    every_location, every_team = ",".join(locations), ",".join(teams)
    if options.swell_counts_split == "location":
        return [(location, every_team) for location in locations]
    if options.swell_counts_split == "team":
        return [(every_location, team) for team in teams]
    return [(every_location, every_team)]
