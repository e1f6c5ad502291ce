"""Chats in the order of their creation, read page by page and handed on in parts.

One $filter holds for all pages, so that nothing has to be known of how chats are spread
over time: no request is spent on empty years or on guesses. As soon as a chat of a later
second has come, all earlier ones have, and a part may be written.

That is so if MedChat obeys $orderby and nothing moves. So before a window, which is some
parts, is bookmarked, its end is looked at by a filter of its own: see `WindowEnd`.
"""

from __future__ import annotations

import itertools
import math
import typing as t
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace

from tap_medchat_swell.medchat.reader import ChatReader, Part
from tap_medchat_swell.medchat.settling import SettlingChatWindow, WindowEnd
from tap_medchat_swell.pagination import PageRepeatedError, PagingError
from tap_medchat_swell.readahead import MAX_HELD_BYTES
from tap_medchat_swell.time_ranges import SECOND, TimeRange, from_epoch, to_epoch

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tap_medchat_swell.medchat.api import ChatPage, MedChatApi
    from tap_medchat_swell.medchat.reader import Source
    from tap_medchat_swell.readahead import Request
    from tap_medchat_swell.record_mapper import Row

PART_PAGES = 10  # pages whose chats are held until they can be written, and summed up
FIRST_WINDOW = 2  # pages: even a short history can be resumed in its middle
MAX_OFFSET = 50_000  # chats: large offsets cost databases time


@dataclass(frozen=True)
class Expected:
    """What is known of a window from the last sweep; instants in epoch seconds.

    It found `rows` chats here, up to `end`, its own. Parts shall end at `ends`, and at
    those of them that are `window_ends` a window, too.
    """

    rows: int = 0
    end: int = 0
    ends: Sequence[int] = ()
    window_ends: Sequence[int] = ()


class Pace:
    """How densely chats come, learned page by page."""

    def __init__(self) -> None:
        self._ends: list[int] = []  # of pages, after the beginning of the first one
        self._rows = 0

    def note(self, created: Sequence[int]) -> None:
        """Learn from a page's new chats."""
        if created:
            self._ends += created[-1:] if self._ends else [created[0], created[-1]]
            self._rows += len(created)

    def chats_until(self, end: int, known_until: int) -> float:
        """Chats to expect behind what was read and known, by the later half of what was read."""
        if not self._ends:
            return 0
        pages = len(self._ends) - 1
        rows = self._rows * (pages - pages // 2) / pages
        seconds = self._ends[-1] - self._ends[pages // 2]
        return max(0, end - max(self._ends[-1], known_until)) * rows / max(1, seconds)

    @property
    def middle(self) -> int | None:
        """An instant with about as many chats before as after it."""
        return sorted(self._ends)[len(self._ends) // 2] if self._ends else None


class ChatWindow(ChatReader):
    """Reads the chats created in a window by pages that overlap by one chat.

    Of the time, what is before `_closed` has been handed on in parts, and what is before
    `_begin` in windows, too. Once chats have moved, even pages that fit together do not
    prove that all have come: they are counted in the end.
    """

    overlap = True
    # Of a window whose first second was cut off: no second more, but halves from then on.
    is_rest = False

    def __init__(
        self,
        api: MedChatApi,
        source: Source,
        window: TimeRange,
        expected: Expected | None = None,
        *,
        have_moved: bool = False,
    ) -> None:
        super().__init__(api, source, window)
        self._expected = expected or Expected()
        self._have_moved = have_moved
        self._closed = self._begin = to_epoch(window.start)
        self._read = self._read_before = 0
        self._undated: set[str] = set()
        self._may_repeat = False
        self._last: str | None = None
        self._last_added: str | None = None
        first = source.window_pages if self._expected.rows else FIRST_WINDOW
        self._window_pages = min(first, source.window_pages)

    @property
    def first_row(self) -> int:
        """The last chat that was handed on, to see whether the offset still fits."""
        return max(0, self._read - 1)

    @property
    def first_id(self) -> str | None:
        """That chat's id."""
        return self._last

    def restart(self) -> None:
        """Begin again behind the last part."""
        super().restart()
        self._last_added = self._last
        self._begin_part()
        self._is_ordered = True
        # Chats that may yet belong to either side of a part's end.
        self._waiting: list[Row] = []
        self._created: list[int] = []
        self._pace = Pace()

    def _begin_part(self) -> None:
        self.content = self.source.new_content()
        self._rows = 0

    # What to ask for

    def wanted(self, room: int) -> list[Request]:
        """Windows' ends first, as what follows waits for them."""
        requests: list[Request] = []
        for end in self.results:
            if isinstance(end, WindowEnd) and len(requests) < room:
                requests += end.wanted(1)
        if self.held_bytes <= MAX_HELD_BYTES:
            requests += super().wanted(room - len(requests))
        return requests

    def pages_ahead(self) -> float:
        """The pages that are likely to come: as last time, then as densely as lately.

        And one in 200 more: at the end, to wait costs more than to ask in vain.
        """
        if not all(page.rows for page in self._arrived.values()):
            return 1  # an empty page lies behind the end
        seen = self.paginator.rows_seen
        missing = max(0, self._expected.rows - seen)
        new = self._pace.chats_until(to_epoch(self.window.end), self._expected.end)
        return math.ceil((missing + new + seen / 200) / self._rows_of(1))

    # Using pages

    def accept(self, page: ChatPage) -> None:
        """Use the page at the current offset."""
        self._received = page.received
        seconds = self.seconds(page.rows)
        created = self._filled(seconds)
        fresh = self.paginator.new_rows
        try:
            self.paginator.advance(page)  # type: ignore[arg-type]
        except PagingError as error:
            self._mend(error)
            return
        self._undated.update(
            chat
            for chat, second in zip(page.ids[fresh], seconds[fresh], strict=True)
            if second is None
        )
        self._take(page.rows[fresh], created[fresh])
        if self._is_ordered:
            self._close_parts()
        if self.paginator.finished or not self._is_ordered:
            self._add(len(self._waiting))
        if self.paginator.finished:
            self._hand_on(self.window.end, ends_window=not self._have_moved)
            if self._have_moved:
                self._end_window()
            self.finished = True
        elif self._read >= MAX_OFFSET:
            self._leave()

    def _filled(self, seconds: Sequence[int | None]) -> list[int]:
        """With the time of the chat before where a chat has none (M10)."""
        last = self._created[-1] if self._created else self._closed
        filled = []
        for second in seconds:
            last = last if second is None else second
            filled.append(last)
        return filled

    def _take(self, rows: list[Row], created: list[int]) -> None:
        self._waiting += rows
        self._created += created
        self._pace.note(created)
        ordered = sorted(self._created)
        is_late = bool(ordered) and ordered[0] < self._closed
        if is_late or self._created != ordered:
            self._is_ordered = False
            self._have_moved = True
        # What was handed on is forgotten: with its part, or where its seam broke.
        self._may_repeat |= is_late and self._closed > to_epoch(self.window.start)

    # Handing on

    def _close_parts(self) -> None:
        while (end := self._due()) is not None:
            self._close(end)
            # Memory: what is older than its neighbours gives itself away.
            waiting = map(self.source.identify, self._waiting)
            self.paginator.forget(but=itertools.chain(waiting, self._undated))
        if self._created:
            self._add(bisect_left(self._created, self._created[-1]))

    def _due(self) -> int | None:
        """Where the part ends that is being read, if all of it has come."""
        reached = self._created[-1] if self._created else self._closed
        ends = self._ends_to_come()
        if ends and ends[0] <= reached:
            return ends[0]
        is_known = ends or reached < self._expected.end
        pages = 2 * PART_PAGES if is_known else min(PART_PAGES, (self._window_pages + 1) // 2)
        rows = self._rows + bisect_left(self._created, reached)
        return reached if reached > self._closed and rows >= self._rows_of(pages) else None

    def _rows_of(self, pages: int) -> int:
        """New chats on so many pages."""
        return max(1, pages * (self.page_size - 1))

    def _ends_to_come(self) -> Sequence[int]:
        return self._expected.ends[bisect_right(self._expected.ends, self._closed) :]

    def _close(self, end: int) -> None:
        self._add(bisect_left(self._created, end))
        self._hand_on(from_epoch(end), ends_window=False)
        is_long = self._read - self._read_before >= self._rows_of(self._window_pages)
        if end in self._expected.window_ends or (is_long and not self._ends_to_come()):
            self._end_window()

    def _add(self, count: int) -> None:
        """Add the first chats that wait to the part."""
        if count:
            self._last_added = self.source.identify(self._waiting[count - 1])
        self.content.add(self._waiting[:count], self._created[:count], self._received)
        del self._waiting[:count], self._created[:count]
        self._rows += count

    def _hand_on(self, end: datetime, *, ends_window: bool) -> None:
        window = TimeRange(from_epoch(self._closed), end)
        self.results.append(Part(window, self._rows, self.content, ends_window))
        self._closed = to_epoch(end)
        self._read += self._rows
        self._last = self._last_added
        self._begin_part()

    def _end_window(self) -> None:
        """Have the end of what was handed on looked at before anything else is."""
        window = TimeRange(from_epoch(self._begin), from_epoch(self._closed))
        read = self._read - self._read_before
        # A chat that came twice, or one without a time that belongs elsewhere, must not stand
        # for one that did not come: then all is read once more.
        if self._may_repeat or (self._have_moved and self._undated):
            read = 0
        self._may_repeat = False
        # An empty page there tells that chats are gone, unless some were counted in vain.
        ends = [[self._last]] if read and self._undated else [[], [self._last]]
        self.results.append(WindowEnd(self.api, self.source, window, read, ends))
        self._begin, self._read_before = self._closed, self._read
        self._window_pages = min(2 * self._window_pages, self.source.window_pages)

    # When chats have moved between two requests (M6)

    def _mend(self, error: PagingError) -> None:
        """Go on behind the last chat that is certain, or read the window in halves."""
        self._have_moved = True
        reached = self._created[-1] if self._created and self._is_ordered else self._closed
        if reached > self._closed:
            self._close(reached)
            self.restart()
        elif self._closed > to_epoch(self.window.start):
            self._leave()
        else:
            self._split(error)

    def _leave(self) -> None:
        """Go on with a filter that begins where the last part ends."""
        if self._closed > self._begin:
            self._end_window()
        rows = max(0, self._expected.rows - self._read)
        expected = replace(self._expected, rows=rows)
        window = TimeRange(from_epoch(self._closed), self.window.end)
        self.replace_by(self._another(window, expected))

    def _split(self, error: PagingError) -> None:
        fits_a_page = self.paginator.rows_seen < self.page_size
        parts = None if fits_a_page or isinstance(error, PageRepeatedError) else self._halves()
        if parts is None:
            self.replace_by(SettlingChatWindow(self.api, self.source, self.window))
        else:
            first, rest = map(self._another, parts)
            rest.is_rest = first.window.end - first.window.start == SECOND
            self.replace_by(first, rest)

    def _another(self, window: TimeRange, expected: Expected | None = None) -> ChatWindow:
        moved = self._have_moved
        return ChatWindow(self.api, self.source, window, expected, have_moved=moved)

    def _halves(self) -> tuple[TimeRange, TimeRange] | None:
        start, middle = self.window.start, self._pace.middle
        place = half = start + (self.window.end - start) / 2
        if middle is not None and from_epoch(middle) > start:
            place = from_epoch(middle)
        elif middle is not None and not self.is_rest:
            place = start + SECOND  # half of the chats share it
        return self.window.cut(place) or self.window.cut(half)
