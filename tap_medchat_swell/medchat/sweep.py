"""The sweep: one pass over all chats that feeds every MedChat stream.

An SMS chat is a thread that may live for years, and nothing on it tells that it has
changed. So each run reads all chats since start_date (M7, M8, M9), and `digest` decides
what of them is written. A sweep that was stopped goes on where it stopped.
"""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta

from tap_medchat_swell import state
from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.medchat.digest import Changes, Range
from tap_medchat_swell.medchat.entities import ChatEntity, ChildEntity
from tap_medchat_swell.medchat.progress import Progress, Share
from tap_medchat_swell.medchat.window import ChatReader, ChatWindow
from tap_medchat_swell.readahead import ReadAhead
from tap_medchat_swell.stream import ENCODER, now
from tap_medchat_swell.timestamps import format_timestamp, parse_timestamp
from tap_medchat_swell.windows import Window, ceil_second, from_epoch, literal, to_epoch

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_medchat_swell.medchat.api import MedChatApi
    from tap_medchat_swell.medchat.streams import MedChatStream
    from tap_medchat_swell.readahead import Workers
    from tap_medchat_swell.rows import Row

# A clock that runs ahead at MedChat must not hide the newest chats.
CLOCK_SKEW = timedelta(minutes=5)


class WindowContent:
    """The records of one window, per stream, on their way to being written."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._changes = [Changes(share.known, sweep.cut) for share in sweep.shares]
        self._received: datetime | None = None
        self.size = 0

    def add(self, rows: list[Row], received: datetime) -> None:
        """Take chats, with what hangs on them."""
        self._received = self._received or received
        for row in rows:
            chat = self._sweep.chats.take(row)
            created = parse_timestamp(chat.created) if isinstance(chat.created, str) else None
            epoch = to_epoch(created) if created else None
            for share, changes in zip(self._sweep.shares, self._changes, strict=True):
                place = share.known.place(epoch)
                records = share.stream.records_of(chat)
                for record, item in zip(records, share.stream.pack(records), strict=True):
                    encoded = item if isinstance(item, bytes) else ENCODER.encode(record)
                    changes.add(item, encoded, record.get("created_date_time"), place)
                    self.size += len(encoded)

    def write(self, window: Window) -> list[int]:
        """Write what has to be written; the windows' sums, one per stream."""
        bounds = to_epoch(window.start), to_epoch(window.end)
        for share, changes in zip(self._sweep.shares, self._changes, strict=True):
            share.stream.write(changes.to_write(*bounds), self._received or now())
        return [changes.digest for changes in self._changes]


class Sweep:
    """Reads all chats and writes every selected MedChat stream."""

    def __init__(self, streams: list[MedChatStream], api: MedChatApi) -> None:
        self._leader = streams[0]
        self._options = options = self._leader.options
        self._api = api
        self.window_pages = options.medchat_window_pages
        scope = state.scope_of(org=options.medchat_org_id)
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
        self._proven_before = bool(resumed) and any(r.rows for r in self._progress[0].ranges)
        self._planned: list[datetime] = []
        self.cut = format_timestamp(self._progress[0].started)
        self._rows = 0

    # Where to begin

    def _resumed(self) -> list[Progress] | None:
        """The stopped sweep, if all streams took part in it with today's settings."""
        under_way = [share.under_way for share in self.shares]
        first = under_way[0]
        if first is None or first.settings != self._settings:
            return None
        ends = [r.end for r in first.ranges]
        for progress in under_way:
            if (
                progress is None
                or progress.started != first.started
                or progress.settings != first.settings
                or [r.end for r in progress.ranges] != ends
            ):
                return None
        if first.end > self._end or first.started > self._now + CLOCK_SKEW:
            self.shares[0].warn("the bookmark lies in the future, so it is not used")
            return None
        self._leader.logger.info("Going on with the sweep of chats at %s.", literal(first.end))
        return t.cast("list[Progress]", under_way)

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
        """The beginning of the last sweep's window that an instant lies in."""
        starts = (from_epoch(known.start) for known in self.shares[0].known.ranges)
        earlier = [start for start in starts if start <= instant]
        return max(earlier, default=instant.replace(microsecond=0))

    # Reading

    def run(self, workers: Workers) -> None:
        """Read, write and bookmark window after window."""
        windows = self._plan()
        self._planned = [window.window.end for window in windows]
        if any(share.known.ranges for share in self.shares):
            self._bookmark()  # before any record is written: see `distrust`
            self._leader.write_state()
        plan = t.cast("Iterator[ChatReader]", iter(windows))
        for reader in ReadAhead(plan, workers, self._leader.idle):
            window_reader = t.cast("ChatReader", reader)
            if not window_reader.replaced:
                self._finish_window(window_reader)
            if all(share.stream.has_enough for share in self.shares):
                return
        self._check_children(at_end=True)
        if not self._leader.is_dry_run:
            self._finish_sweep()

    def _plan(self) -> list[ChatWindow]:
        """Windows as large as wanted, made of those that the last sweep knew."""
        target = self.window_pages * self._api.page_size
        begin, rows = self._progress[0].end, 0
        plan: list[ChatWindow] = []
        for known in self.shares[0].known.ranges:
            end = from_epoch(known.end)
            if end <= begin or end >= self._end:
                continue
            if rows and rows + known.rows > target:
                plan.append(self._window(begin, from_epoch(known.start), rows))
                begin, rows = from_epoch(known.start), 0
            rows += known.rows
        if begin < self._end:
            plan.append(self._window(begin, self._end, rows))
        return plan

    def _window(self, begin: datetime, end: datetime, rows: int) -> ChatWindow:
        pages = self.window_pages if rows else 1
        return ChatWindow(self._api, self, Window(begin, end), pages, rows, is_known=rows > 0)

    def identify(self, row: Row) -> str:
        """The chat's id."""
        return self.chats.identify(row)

    def created(self, row: Row) -> t.Any:
        """The chat's CreatedDateTime as it came."""
        return self.chats.created(row)

    def new_content(self) -> WindowContent:
        """An empty place for a window's chats."""
        return WindowContent(self)

    # Finishing

    def _finish_window(self, reader: ChatReader) -> None:
        self._rows += reader.rows
        content = t.cast("WindowContent", reader.content)
        digests = content.write(reader.window)
        begin, end = to_epoch(reader.window.start), to_epoch(reader.window.end)
        for progress, digest in zip(self._progress, digests, strict=True):
            progress.ranges.append(Range(begin, end, reader.rows, digest))
        self._leader.logger.debug("Read %d chats of %s.", reader.rows, reader.window)
        if self._check_children(at_end=False):
            for progress in self._progress:
                progress.kept = len(progress.ranges)
        self._bookmark()
        if reader.window.end < self._end:  # else the sweep's own STATE comes next
            self._leader.write_state()

    def _bookmark(self) -> None:
        """Bookmark how far the sweep has come, and up to where the next records go."""
        if self._leader.is_dry_run:
            return
        for share, progress in zip(self.shares, self._progress, strict=True):
            next_end = next((end for end in self._planned if end > progress.end), self._end)
            progress.unsure = max(self._unsure, to_epoch(next_end))
            share.write_bookmark(progress, self._bookmark_value(progress))

    def _bookmark_value(self, progress: Progress) -> datetime:
        return min(progress.frontier, self._now)

    def _check_children(self, *, at_end: bool) -> bool:
        """Whether every child collection asked for has been seen to come (M15)."""
        proven = True
        for child in self._children:
            if child.is_proven or not self._rows:
                continue
            if child.is_refuted(self._rows, at_end=at_end and not self._proven_before):
                msg = (
                    f"MedChat left {child.expand} out of all {self._rows} chats, though "
                    f"$expand={child.expand} asks for it. Check the token's scopes."
                )
                raise VendorError(msg)
            proven = (at_end or self._proven_before) and proven
        return proven

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
            "Sweep finished: %d chats in %d windows, %d requests.",
            self._rows,
            len(self._progress[0].ranges),
            self._api.client.requests_sent,
        )
