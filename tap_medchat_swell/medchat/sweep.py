"""The sweep: one pass over all chats that feeds every MedChat stream.

An SMS chat is a thread that may live for years, and nothing on it tells that it has
changed. So each run reads all chats since start_date (M7, M8, M9), and `digest` decides
what of them is written. A sweep that was stopped goes on where it stopped.
"""

from __future__ import annotations

import itertools
import typing as t
from datetime import datetime, timedelta

from tap_medchat_swell import bookmark as bookmarks
from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.medchat.chats import ChatEntity, ChildEntity
from tap_medchat_swell.medchat.digest import Changes, Range
from tap_medchat_swell.medchat.progress import Progress, Share
from tap_medchat_swell.medchat.window import PART_PAGES, ChatWindow, Expected
from tap_medchat_swell.readahead import ReadAhead
from tap_medchat_swell.stream import ENCODER
from tap_medchat_swell.time_ranges import TimeRange, ceil_second, from_epoch, literal, to_epoch
from tap_medchat_swell.timestamps import format_timestamp, now

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_medchat_swell.medchat.api import MedChatApi
    from tap_medchat_swell.medchat.reader import ChatReader, Part
    from tap_medchat_swell.medchat.streams import MedChatStream
    from tap_medchat_swell.readahead import Workers
    from tap_medchat_swell.record_mapper import Row

# A clock that runs ahead at MedChat must not hide the newest chats.
CLOCK_SKEW = timedelta(minutes=5)


class PartContent:
    """The records of one part, per stream, on their way to being written."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._changes = [
            Changes(share.known, sweep.cut, share.stream.form) for share in sweep.shares
        ]
        self._received: datetime | None = None
        self.size = 0

    def add(self, rows: Sequence[Row], seconds: Sequence[int | None], received: datetime) -> None:
        """Take chats, with what hangs on them, and when they were created (epoch)."""
        self._received = self._received or received
        for row, epoch in zip(rows, seconds, strict=True):
            chat = self._sweep.chats.take(row)
            for share, changes in zip(self._sweep.shares, self._changes, strict=True):
                place = share.known.place(epoch)
                records = share.stream.records_of(chat)
                for record, item in zip(records, share.stream.pack(records), strict=True):
                    encoded = item if isinstance(item, bytes) else ENCODER.encode(record)
                    changes.add(item, encoded, record.get("created_date_time"), place)
                    self.size += len(encoded)

    def write(self, begin: int, end: int) -> list[int]:
        """Write what has to be written of a part (epoch); its sums, one per stream."""
        for share, changes in zip(self._sweep.shares, self._changes, strict=True):
            share.stream.write(changes.to_write(begin, end), self._received or now())
        return [changes.digest for changes in self._changes]


class Sweep:
    """Reads all chats and writes every selected MedChat stream."""

    def __init__(self, streams: list[MedChatStream], api: MedChatApi) -> None:
        self._leader = streams[0]
        self._options = options = self._leader.options
        self._api = api
        self.window_pages = options.medchat_window_pages
        scope = bookmarks.scope_of(org=options.medchat_org_id)
        self.shares = [Share(stream, scope) for stream in streams]
        self.chats = ChatEntity()
        self._children = [
            stream.entity for stream in streams if isinstance(stream.entity, ChildEntity)
        ]
        self._now = now()
        end = self._now + CLOCK_SKEW
        self._end = ceil_second(min(end, options.end_date) if options.end_date else end)
        self._settings = f"{literal(options.start_date)} {options.medchat_lookback_days}"
        resumed = self._resumed()
        self._progress = resumed or self._fresh()
        self._unsure = self._distrust(to_epoch(resumed[0].end) if resumed else 0)
        # A few chats of all, as a stopped sweep or a look-back leaves, may have none of something.
        self._reads_part = bool(resumed) and any(r.rows for r in self._progress[0].ranges)
        self._reads_part |= self._progress[0].start > self._progress[0].covers
        self._window_ends = self._ends(self.window_pages)
        self.cut = format_timestamp(self._progress[0].started)
        self._rows = 0

    # Where to begin

    def _resumed(self) -> list[Progress] | None:
        """The stopped sweep, if all streams took part in it with today's settings."""
        under_way = [share.under_way for share in self.shares if share.under_way]
        sweeps = {(p.started, p.settings, *(r.end for r in p.ranges)) for p in under_way}
        if len(under_way) < len(self.shares) or len(sweeps) > 1:
            return None
        first = under_way[0]
        if first.settings != self._settings:
            return None
        if first.end > self._end or first.started > self._now + CLOCK_SKEW:
            self.shares[0].warn("the bookmark lies in the future, so it is not used")
            return None
        self._leader.logger.info("Going on with the sweep of chats at %s.", literal(first.end))
        return under_way

    def _distrust(self, begin: int) -> int:
        """Distrust what a stopped sweep may have written after its last STATE."""
        stopped = [share for share in self.shares if share.under_way]
        unsure = max((share.under_way.unsure for share in stopped if share.under_way), default=0)
        for share in stopped:
            share.distrust(begin, unsure)
        return unsure

    def _fresh(self) -> list[Progress]:
        start, covers = self._start()
        return [Progress(self._now, start, covers, self._settings) for _ in self.shares]

    def _start(self) -> tuple[datetime, datetime]:
        """Since when this sweep reads chats, and since when all have been read then."""
        start = self._options.start_date.replace(microsecond=0)
        days = self._options.medchat_lookback_days
        finished = [share.finished for share in self.shares if share.finished]
        if days is not None and len(finished) == len(self.shares):
            covers = max(progress.covers for progress in finished)
            end = min(self._now, *(progress.end for progress in finished))
            since = self._beginning_of_range(end - timedelta(days=days))
            if covers <= start < since:
                self._leader.logger.info(
                    "Sweep of the chats created since %s only, as medchat_lookback_days "
                    "is %d: new messages on older chats are not seen.",
                    literal(since),
                    days,
                )
                return since, covers
        self._leader.logger.info("Sweep of all chats created since %s.", literal(start))
        return start, start

    def _beginning_of_range(self, instant: datetime) -> datetime:
        """The beginning of the last sweep's part that an instant lies in."""
        starts = (from_epoch(known.start) for known in self.shares[0].known.ranges)
        earlier = [start for start in starts if start <= instant]
        return max(earlier, default=instant.replace(microsecond=0))

    # Reading

    def run(self, workers: Workers) -> None:
        """Read, write and bookmark window after window."""
        for reader in ReadAhead(iter(self._plan()), workers, self._leader.idle):
            self._write(reader.take_part())
            if all(share.stream.has_enough for share in self.shares):
                return
        self._check_children()
        if not self._leader.is_dry_run:
            self._finish_sweep()

    def _plan(self) -> list[ChatReader]:
        """One reading of what is left, with what the last sweep knew of it."""
        begin, ranges = self._progress[0].end, self.shares[0].known.ranges
        if begin >= self._end:
            return []
        left = [known for known in ranges if known.start >= to_epoch(begin)]
        expected = Expected(
            sum(known.rows for known in left),
            left[-1].end if left else 0,
            sorted({*self._ends(PART_PAGES), *self._window_ends}),
            self._window_ends,
        )
        return [ChatWindow(self._api, self, TimeRange(begin, self._end), expected)]

    def _ends(self, pages: int) -> list[int]:
        """Where the last sweep's parts ended, small ones put together up to some pages.

        But for the end of all: what is new since then joins the last part.
        """
        begin, end = to_epoch(self._progress[0].end), to_epoch(self._end)
        ends: list[int] = []
        rows = 0
        for known, following in itertools.pairwise(self.shares[0].known.ranges):
            rows += known.rows
            if begin < known.end < end and rows + following.rows > pages * self._api.page_size:
                ends.append(known.end)
                rows = 0
        return ends

    def _next_end(self) -> int:
        """Where the window after the one foreseen ends: windows may end late, but not that late."""
        begin = to_epoch(self._progress[0].end)
        ends = (end for end in self._window_ends if end > begin)
        return next(itertools.islice(ends, 1, None), to_epoch(self._end))

    def identify(self, row: Row) -> str:
        """The chat's id."""
        return self.chats.identify(row)

    def created(self, row: Row) -> t.Any:
        """The chat's CreatedDateTime as it came."""
        return self.chats.created(row)

    def new_content(self) -> PartContent:
        """An empty place for a part's chats."""
        return PartContent(self)

    # Finishing

    def _write(self, part: Part) -> None:
        """Write a part, and bookmark the window that it ends."""
        content = t.cast("PartContent", part.content)
        self._rows += part.rows
        if part.window is None:
            content.write(0, 0)
        else:
            self._write_range(part.window, part.rows, content)
        if not part.ends_window:
            return
        if self._is_proven:
            for progress in self._progress:
                progress.kept = len(progress.ranges)
        self._unsure = max(self._unsure, self._next_end())
        self._bookmark()
        if self._progress[0].end < self._end:  # else the sweep's own STATE comes next
            self._leader.write_state()

    def _write_range(self, window: TimeRange, rows: int, content: PartContent) -> None:
        begin, end = to_epoch(window.start), to_epoch(window.end)
        self._announce(end)
        digests = content.write(begin, end)
        for progress, digest in zip(self._progress, digests, strict=True):
            progress.ranges.append(Range(begin, end, rows, digest))
        self._leader.logger.debug("Read %d chats of %s.", rows, window)

    def _announce(self, end: int) -> None:
        """Bookmark how far records go, to `end` at least, before the next STATE: see `distrust`."""
        if end > self._unsure and any(share.known.ranges for share in self.shares):
            self._unsure = max(end, self._next_end())
            self._bookmark()
            self._leader.write_state()

    def _bookmark(self) -> None:
        """Bookmark how far the sweep has come, and up to where the next records go."""
        for share, progress in zip(self.shares, self._progress, strict=True):
            progress.unsure = self._unsure
            share.write_bookmark(progress, self._bookmark_value(progress))

    def _bookmark_value(self, progress: Progress) -> datetime:
        return min(progress.frontier, self._now)

    @property
    def _is_proven(self) -> bool:
        """Whether every child collection asked for has been seen to come (M15)."""
        needs_none = self._reads_part or not self._rows
        return needs_none or all(child.is_proven for child in self._children)

    def _check_children(self) -> None:
        for child in self._children:
            if self._rows and child.is_refuted(of_all=not self._reads_part):
                msg = (
                    f"MedChat left {child.expand} out of all {self._rows} chats, though "
                    f"$expand={child.expand} asks for it. Check the token's scopes."
                )
                raise VendorError(msg)

    def _finish_sweep(self) -> None:
        for child in self._children:
            child.report(self._leader.logger)
        for share, progress in zip(self.shares, self._progress, strict=True):
            share.finished = progress
            progress.kept = len(progress.ranges)
            share.write_bookmark(None, self._bookmark_value(progress))
        if not self._rows:
            self._leader.logger.warning(
                "No chats at all: check medchat_org_id and start_date if there should be."
            )
        self._leader.logger.info(
            "Sweep finished: %d chats in %d parts, %d requests.",
            self._rows,
            len(self._progress[0].ranges),
            self._api.client.requests_sent,
        )
