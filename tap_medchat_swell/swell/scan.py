"""What Swell's scans share: one stream, read by days that its bookmark remembers."""

from __future__ import annotations

import typing as t
from dataclasses import replace

from tap_medchat_swell.bookmark import scope_of
from tap_medchat_swell.scan import VendorScan
from tap_medchat_swell.swell.bookmark import DayBookmark
from tap_medchat_swell.time_ranges import DAY, midnight
from tap_medchat_swell.timestamps import now

if t.TYPE_CHECKING:
    from datetime import date

    from tap_medchat_swell.bookmark import Scope
    from tap_medchat_swell.stream import RunContext, VendorStream
    from tap_medchat_swell.swell.api import SwellApi


class SwellScan(VendorScan):
    """Reads one stream by days."""

    def __init__(
        self, run: RunContext, stream: VendorStream, api: SwellApi, since: date, **filters: object
    ) -> None:
        super().__init__(run, [stream], api.client)
        self._stream = stream
        self._api = api
        self._scope: Scope = scope_of(
            self.options.account_name,
            self.options.swell_api_url,
            **filters,
            **self.options.privacy_scope,
        )
        self._bookmark = self._load(since)
        self._now = now()
        self._today = self._now.date()

    def _load(self, since: date) -> DayBookmark:
        """The stream's bookmark, for a run that wants all days from `since` on."""
        fresh = DayBookmark(since, since, now())
        document = self._stream.load_bookmark(self._scope)
        if not document:
            return fresh
        try:
            loaded = DayBookmark.from_bookmark(document)
            reason = loaded.why_not(since)
        except ValueError:
            reason = "is damaged"
        if reason is not None:
            self._stream.warn_bookmark(reason)
            return fresh
        if loaded.value < since:
            self.logger.warning(
                "start_date is after the bookmark: messages created from %s to %s are not read.",
                loaded.value,
                since,
            )
            return replace(fresh, finished=loaded.finished, changes_since=loaded.changes_since)
        return loaded

    def _vendor_today(self) -> date:
        """Today, by whichever clock is behind: what has not come yet must not pass for read."""
        return min(self._now, self._now + self.client.clock_offset).date()

    def move(self, bookmark: DayBookmark) -> None:
        """Take over a bookmark; STATE comes later."""
        self._bookmark = bookmark
        self._stream.move_bookmark(midnight(bookmark.value), self._scope, bookmark.details())

    def reach(self, day: date) -> None:
        """Bookmark all up to this day."""
        today, end = self._vendor_today(), self.options.end_date
        # Nothing created from end_date on is written, in whatever zone Swell takes days (W4).
        today = min(today, end.date() + DAY) if end else today
        self.move(self._bookmark.moved(day, today))
        if day < self._today:  # else the scan's last STATE comes soon
            self.write_state()
