"""Readings of chats where offsets cannot be relied on (M6)."""

from __future__ import annotations

import typing as t

from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.medchat.reader import ChatReader, Part
from tap_medchat_swell.pagination import PageRepeatedError

if t.TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from tap_medchat_swell.medchat.api import ChatPage, MedChatApi
    from tap_medchat_swell.medchat.reader import Source
    from tap_medchat_swell.record_mapper import Row
    from tap_medchat_swell.time_ranges import TimeRange

MAX_PASSES = 20


class SettlingChatWindow(ChatReader):
    """Reads a window again and again until a whole pass brings nothing new.

    For chats without a stable order that cannot be told apart by time: many created in
    the same second, or an order that changes with every request (M6). The passes since
    their number last changed must hold as many together: a chat that was deleted stands
    for none that has not come.
    """

    overlap = False

    def __init__(self, api: MedChatApi, source: Source, window: TimeRange) -> None:
        super().__init__(api, source, window)
        self.whole: TimeRange | None = window  # what the part holds all chats of
        self._pool: dict[str, tuple[Row, int | None]] = {}
        self._since_change: set[str] = set()
        self._in_pass: set[str] = set()
        self._rows = self._known = self._passes = 0

    def accept(self, page: ChatPage) -> None:
        """Use the page at the current offset."""
        try:
            self.paginator.advance(page)  # type: ignore[arg-type]
        except PageRepeatedError:
            self.count_repeated(
                f"MedChat sent the same chats of {self.window} for every $skip: it "
                "ignores $skip, so what follows the first page cannot be read."
            )
            self._next_pass()
            return
        created = self.seconds(page.rows)
        self._pool.update(zip(page.ids, zip(page.rows, created, strict=True), strict=True))
        self._in_pass.update(page.ids)
        if not self.paginator.finished:
            return
        self.repeated = 0
        if self._is_settled():
            self.hand_on(page.received)
        else:
            self._next_pass()

    def _is_settled(self) -> bool:
        rows = self.paginator.rows_seen
        if rows == self._rows:
            self._since_change |= self._in_pass
        else:
            self._since_change.clear()
        self._rows = rows
        return len(self._pool) == self._known and len(self._since_change) >= rows

    def hand_on(self, received: datetime) -> None:
        """Hand on what has been gathered, and finish."""
        content = self.source.new_content()
        for row, created in self._pool.values():
            content.add([row], [created], received)
        self.results.append(Part(self.whole, len(self._pool), content, ends_window=True))
        self.finished = True

    def _next_pass(self) -> None:
        self._passes += 1
        self._known = len(self._pool)
        self._in_pass = set()
        if self._passes >= MAX_PASSES:
            msg = (
                f"The chats of {self.window} came in another order each of "
                f"{MAX_PASSES} times, so that some may be missing. Run again at a "
                "quieter time, or raise medchat_page_size."
            )
            raise VendorError(msg)
        self.restart()


class WindowEnd(SettlingChatWindow):
    """Makes sure that a window holds no more than the `read` chats that were handed on.

    One page from the last of them on tells, if it is one of `ends`. Where there is another
    chat, they do not come in the order of their creation, or came in meanwhile: then all of
    them are handed on.
    """

    def __init__(
        self,
        api: MedChatApi,
        source: Source,
        window: TimeRange,
        read: int,
        ends: Collection[list[str | None]],
    ) -> None:
        super().__init__(api, source, window)
        self.whole = None  # its part only adds to what was handed on before
        self._read = read
        self._ends = ends
        self._has_more = False

    @property
    def first_row(self) -> int:
        """The last chat, and where there are more, the first."""
        return 0 if self._has_more else max(0, self._read - 1)

    def accept(self, page: ChatPage) -> None:
        """Use the page at the current offset."""
        if self._has_more:
            super().accept(page)
        elif list(page.ids) in self._ends:
            self.hand_on(page.received)
        else:
            self._has_more = True
            self.restart()
