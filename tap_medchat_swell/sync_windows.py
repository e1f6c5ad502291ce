"""The stream sync_windows: one row per window that a run has read, as an access record.

It reads no vendor: scans hand their windows over, each before the STATE that claims it.
"""

from __future__ import annotations

import typing as t

from tap_medchat_swell.stream import VendorStream
from tap_medchat_swell.timestamps import now

if t.TYPE_CHECKING:
    from tap_medchat_swell.record_mapper import Row


class SyncWindows(VendorStream):
    """What has been read of which stream when. No patient data."""

    name = "sync_windows"
    vendor = ""
    selected_by_default = False
    primary_keys = ("account_name", "run_id", "stream", "window_start", "window_end")

    def add(self, row: Row) -> None:
        """Write the row of a window."""
        self.write(self.pack([self.rows.record(row)]), now())
