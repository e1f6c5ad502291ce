"""How far a sweep has come, as the bookmark of each of its streams remembers it."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from tap_medchat_swell import bookmark as bookmarks
from tap_medchat_swell.medchat.digest import UNSURE, Known, Range
from tap_medchat_swell.time_ranges import from_epoch, to_epoch
from tap_medchat_swell.timestamps import format_timestamp, parse_timestamp

if t.TYPE_CHECKING:
    from datetime import datetime

    from tap_medchat_swell.medchat.streams import MedChatStream


@dataclass
class Progress:
    """One stream's share in a sweep, as its bookmark keeps it.

    The sweep read what was created from `start` on; with those before it, everything
    from `covers` on has been read at least once. Of the `ranges` read so far the first
    `kept` are bookmarked. Up to `unsure` (epoch) the target may hold records that it
    received after its last STATE.
    """

    started: datetime
    start: datetime
    covers: datetime
    settings: str
    ranges: list[Range] = field(default_factory=list)
    kept: int = 0
    unsure: int = 0

    @property
    def end(self) -> datetime:
        """How far the sweep has come."""
        return from_epoch(self.ranges[-1].end) if self.ranges else self.start

    @property
    def frontier(self) -> datetime:
        """How far the bookmark says that it has come."""
        return from_epoch(self.ranges[self.kept - 1].end) if self.kept else self.start

    def to_json(self) -> dict[str, t.Any]:
        """As it is written into the bookmark."""
        return {
            "started": format_timestamp(self.started),
            "start": format_timestamp(self.start),
            "covers": format_timestamp(self.covers),
            "settings": self.settings,
            "unsure": self.unsure,
            "windows": [[r.end, r.rows, f"{r.digest:x}"] for r in self.ranges[: self.kept]],
        }

    @classmethod
    def from_json(cls, document: t.Any) -> Progress | None:
        """Out of a bookmark; None for anything that this class did not write."""
        try:
            started = parse_timestamp(document["started"])
            start = parse_timestamp(document["start"])
            covers = parse_timestamp(document["covers"])
            windows = document["windows"]
            if started is None or start is None or covers is None:
                return None
            ends = [to_epoch(start), *(int(end) for end, _, _ in windows)]
            ranges = [
                Range(begin, end, int(rows), int(digest, 16))
                for begin, (end, rows, digest) in zip(ends[:-1], windows, strict=True)
            ]
            settings = str(document["settings"])
            unsure = int(document["unsure"])
            from_epoch(ends[-1])
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        if ends != sorted(ends):
            return None
        return cls(started, start, covers, settings, ranges, len(ranges), unsure)


class Share:
    """A stream's part of the sweep: what it knows, collects and bookmarks."""

    def __init__(self, stream: MedChatStream, scope: str) -> None:
        self.stream = stream
        self.scope = scope
        trusted, reason = bookmarks.trusted(stream.get_context_state(None), scope)
        if stream.full_table:
            trusted = {}
        self.finished = self._progress(trusted, "finished")
        self.under_way = self._progress(trusted, "sweep")
        self.known = Known()
        if reason:
            self.warn(f"the bookmark {reason}, so all is read from start_date on")
        if self.finished:
            self.known = Known(format_timestamp(self.finished.started), self.finished.ranges)
        if "sweep" in trusted and not self.under_way:
            self.known = Known()
        if self.finished and self.under_way and self.under_way.started <= self.finished.started:
            self.under_way = None  # left over, see `bookmarks.write`

    def distrust(self, begin: int, end: int) -> None:
        """Have the windows that begin between these written whole, changed or not.

        A stopped sweep may have written changes there that the last finished one does
        not know of. Where they have been taken back since, its sums look right again.
        """
        ranges = [
            replace(known, digest=UNSURE) if begin <= known.start < end else known
            for known in self.known.ranges
        ]
        self.known = Known(self.known.cut, ranges)

    def _progress(self, bookmark: bookmarks.Bookmark, name: str) -> Progress | None:
        progress = Progress.from_json(bookmark.get(name))
        if name in bookmark and progress is None:
            self.warn("the bookmark is damaged, so more is read again than needed")
        return progress

    def warn(self, what: str) -> None:
        """Log one line about the stream's bookmark."""
        self.stream.logger.warning("%s: %s.", self.stream.name, what)

    def write_bookmark(self, sweep: Progress | None, value: datetime) -> None:
        """Put the sweep's progress, or with None what is finished, into the bookmark."""
        self.stream.move_bookmark(
            value,
            self.scope,
            finished=self.finished.to_json() if self.finished else None,
            sweep=sweep.to_json() if sweep else None,
        )
