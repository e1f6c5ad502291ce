"""MedChat's streams, all read in one scan of the chats.

An SMS chat is a thread that may live for years, and nothing on it shows that it has changed. So
a scan reads chats again (M7, M8, M9), and `changes` decides what of them is written.
"""

from __future__ import annotations

import math
import typing as t
from datetime import timedelta
from functools import cached_property

from typing_extensions import override

from tap_medchat_swell.bookmark import scope_of
from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.medchat.api import MedChatApi
from tap_medchat_swell.medchat.bookmark import History, Window, combine, due, fit
from tap_medchat_swell.medchat.changes import Batch, WindowRecords
from tap_medchat_swell.medchat.chats import CHAT_IDS, Chat, ChatRows, ChildRows, key_maker
from tap_medchat_swell.medchat.nested_pages import NestedPages
from tap_medchat_swell.medchat.reader import Reading, plan_windows, read_window
from tap_medchat_swell.pipeline import Fetch
from tap_medchat_swell.scan import VendorScan, counted
from tap_medchat_swell.stream import VendorStream
from tap_medchat_swell.time_ranges import TimeRange, from_epoch, literal, to_epoch
from tap_medchat_swell.timestamps import EPOCH, now

if t.TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from tap_medchat_swell.http.client import Request
    from tap_medchat_swell.medchat.api import ChatPage
    from tap_medchat_swell.pipeline import Plan, Reader
    from tap_medchat_swell.record_mapper import Row
    from tap_medchat_swell.stream import RunContext

# A clock that runs ahead at MedChat must not hide the newest chats.
CLOCK_SKEW = timedelta(minutes=5)
FORBIDDEN = 403


class MedChatStream(VendorStream):
    """A stream of the scan: the chats, or a collection that `$expand` adds to them.

    Records of a collection are flat, and carry their chat's id.
    """

    vendor = "MedChat"
    primary_keys = ("id",)
    replication_key = "created_date_time"
    expand = ""

    @cached_property
    def children(self) -> ChildRows | None:
        """The collection's rows and what is known of them; None for the chats."""
        if not self.expand:
            return None
        return ChildRows(self.expand, *self.ids, derive=key_maker(self.run.options))

    def records_of(self, chat: Chat) -> list[Row]:
        """The stream's records in a chat's row."""
        if self.children is None:
            return [self.rows.record(chat.row) | {"id": chat.id}]
        records = []
        for row, row_id in self.children.rows(chat):
            record = self.rows.record(row)
            record["id"] = row_id
            if "sms_chat_id" in record:
                record["sms_chat_id"] = chat.id
            records.append(record)
        return records


class SmsChats(MedChatStream):
    """Chats themselves."""

    name = "sms_chats"
    ids = CHAT_IDS


class SmsMessages(MedChatStream):
    """Messages."""

    name = "sms_messages"
    expand = "Messages"
    ids = ("id", "messageId", "smsMessageId")


class SmsMemberships(MedChatStream):
    """Memberships: who takes part in a chat."""

    name = "sms_memberships"
    selected_by_default = False
    expand = "Memberships"
    ids = ("id", "membershipId", "smsMembershipId")


class SmsTextBotExecutions(MedChatStream):
    """Executions of text bots under a chat."""

    name = "sms_text_bot_executions"
    selected_by_default = False
    expand = "TextBotExecutions"
    ids = ("id", "textBotExecutionId", "executionId")


class ChatScan(VendorScan):
    """Reads the chats for all selected MedChat streams."""

    def __init__(self, run: RunContext, streams: Sequence[MedChatStream]) -> None:
        options = run.options
        self._streams = [*streams]
        self._chats = ChatRows(key_maker(options))
        limiter = run.rate_limiters[MedChatStream.vendor]
        self._api = MedChatApi(options, limiter, self._chats)
        super().__init__(run, self._streams, self._api.client)
        self._nested = NestedPages(super().fetch, self._api.url)
        self._chats_per_window = options.medchat_window_pages * (options.medchat_page_size - 1)
        self._scope = scope_of(
            options.account_name,
            options.medchat_api_url,
            org=options.medchat_org_id,
            filter=options.medchat_filter,
            **options.privacy_scope,
        )
        self._now = now()
        self._history = History()
        self._started = 0
        self._is_resumed = False
        self._due: list[Window] = []
        self._chats_read = self._chats_due = 0

    def _load(self) -> History:
        histories = []
        for stream in self._streams:
            bookmark = stream.load_bookmark(self._scope)
            try:
                histories.append(History.from_bookmark(bookmark))
            except ValueError:
                stream.warn_bookmark("is damaged")
                histories.append(History())
        read = (window.read for history in histories for window in history.windows)
        self._last_read = max(read, default=0)
        return combine(histories)

    @override
    def fetch(self, request: Request) -> ChatPage:
        page: ChatPage = super().fetch(request)
        self._nested.complete(page.rows, request)
        return page

    @property
    @override
    def share_read(self) -> float:
        if not self._chats_due:
            return super().share_read
        return min(1.0, self._chats_read / self._chats_due)

    @override
    def plan(self) -> Plan:
        yield from self._leave_out_denied()
        self._api.expands = [child.expand for child in self._children]
        self._history = self._load()
        self._started = self._history.scan_started
        self._is_resumed = bool(self._started)
        whole = self._whole()
        self._history = fit(self._history, whole, self._chats_per_window, len(self._streams))
        # Later than any reading before, whatever the clock says.
        self._started = self._started or max(to_epoch(self._now), self._last_read + 1)
        self._history = History(self._history.windows, self._started)
        rescan_days = self.options.medchat_rescan_days
        self._due = due(self._history, self._started, rescan_days)
        self._log_start(whole)
        self.begin = from_epoch(self._due[0].range.start) if self._due else None
        self.end = from_epoch(whole.end)
        is_known = all(window.read for window in self._due)
        self._chats_due = sum(window.chats for window in self._due) if is_known else 0
        if self._due and any(digest is not None for digest in self._due[0].digests):
            self._bookmark()
        yield from plan_windows(self._due, self._api, self._chats_per_window, self._read)

    def _leave_out_denied(self) -> Generator[Fetch, ChatPage, None]:
        """Leave out the optional streams whose $expand alone MedChat denies (M16)."""
        whole = self._whole()
        for stream in [stream for stream in self._streams if not stream.selected_by_default]:
            try:
                yield Fetch(self._api.probe(whole, 0, stream.expand))
            except VendorError as error:  # noqa: PERF203 - a few streams
                if error.status != FORBIDDEN or len(self._streams) == 1:
                    raise
                yield Fetch(self._api.probe(whole, 0))  # raises what concerns all streams
                self._streams.remove(stream)
                failure = VendorError(
                    f"Only {stream.name} is not read: MedChat denies $expand={stream.expand}, and "
                    f"answers without it. {error.sentence}"
                )
                self._run.note_failure([stream], failure)
                self.logger.error("%s", failure)  # noqa: TRY400 - no traceback

    def _whole(self) -> TimeRange:
        """From start_date to end_date, or to what a clock that ran ahead has read up to."""
        start, end_date = to_epoch(self.options.start_date), self.options.end_date
        end = math.ceil(((end_date or self._now + CLOCK_SKEW) - EPOCH).total_seconds())
        if end_date is None and self._history.windows:
            end = max(end, self._history.windows[-1].range.end)
        return TimeRange(start, max(end, start + 1))  # start_date may be ahead of the clock

    def _log_start(self, whole: TimeRange) -> None:
        self.logger.info(
            "%s the chats created from %s: %d of %d windows.",
            "Resuming the scan of" if self._is_resumed else "Scanning",
            literal(whole.start),
            len(self._due),
            len(self._history.windows),
        )

    def _read(self, window: Window) -> Reader:
        records = WindowRecords(self._streams, window, self._started, self._chats.take)
        known = window.chats if window.read else 0
        reading = Reading(
            self._api, records, self._chats_per_window, window.range, window.chats, known
        )
        return counted(read_window(reading, window))

    @override
    def take(self, value: t.Any) -> bool:
        if isinstance(value, Batch):
            for stream, items in zip(self._streams, value.items, strict=True):
                stream.write(items, value.received)
            return all(stream.has_enough for stream in self._streams)
        self._accept_windows(value)
        return False

    def _accept_windows(self, pieces: Sequence[Window]) -> None:
        """Bookmark windows, unless a child collection has not been seen to come yet (M15)."""
        for piece in pieces:
            self._chats_read += piece.chats
            self._history = self._history.replace(piece)
        start, end = pieces[0].range.start, pieces[-1].range.end
        rows = [sum(counts) for counts in zip(*(piece.rows for piece in pieces), strict=True)]
        doubt = None if all(piece.read for piece in pieces) else "no chats came, as never before"
        seen = zip(self._streams, rows or [0] * len(self._streams), strict=True)
        self.end_window(from_epoch(start), from_epoch(end), seen, doubt)
        self._due = [window for window in self._due if window.range.end > end]
        is_proven = self._is_partial or not self._chats_read or self._all_children_returned
        if is_proven and self._due:  # else the scan's last STATE comes next
            self._bookmark()

    def _bookmark(self) -> None:
        """Write STATE. It has no digest of the window that is due next.

        If the run is killed while it rewrites that window, the next run must not take the old
        digest for what the target holds.
        """
        following = self._due[0].range if self._due and self._history.scan_started else None
        windows = tuple(
            window.without_digests() if following and window.range == following else window
            for window in self._history.windows
        )
        history = History(windows, self._history.scan_started)
        value = from_epoch(min(history.complete_until, to_epoch(self._now)))
        for number, stream in enumerate(self._streams):
            stream.move_bookmark(value, self._scope, history.details(number))
        self.write_state()

    @property
    def _children(self) -> list[ChildRows]:
        return [stream.children for stream in self._streams if stream.children]

    @property
    def _is_partial(self) -> bool:
        """A few chats of all may legitimately have no messages."""
        return self._is_resumed or self.options.medchat_rescan_days is not None

    @property
    def _all_children_returned(self) -> bool:
        return all(child.was_returned for child in self._children)

    @override
    def finish(self) -> None:
        for child in self._children:
            if self._chats_read and child.is_missing(of_all=not self._is_partial):
                raise VendorError(
                    f"MedChat left {child.expand} out of all {self._chats_read} chats, although "
                    f"$expand={child.expand} asks for it. Check the token's scopes."
                )
            child.warn_if_truncated(self.logger)
        self._history = History(self._history.windows)
        self._bookmark()
        if not any(window.chats for window in self._history.windows):
            self.logger.warning(
                "No chats at all: check medchat_org_id, start_date and medchat_filter if there "
                "should be some."
            )
        super().finish()
