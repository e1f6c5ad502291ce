"""One window of chats: paged, checked, and cut smaller where that is needed.

The first window is the whole time that is to be read. From the dates on its first page
follows how dense the chats are, and so where to cut off a window of convenient size;
what remains is the next window. Empty years cost nothing that way, and windows begin
small, so that even a short history can be resumed in its middle.
"""

from __future__ import annotations

import typing as t

from tap_medchat_swell.errors import PageTooLarge, VendorError
from tap_medchat_swell.paged import PagedReader
from tap_medchat_swell.pagination import ODataSkipPaginator, PageRepeated, SeamBroken
from tap_medchat_swell.timestamps import parse_timestamp
from tap_medchat_swell.windows import SECOND, Window

if t.TYPE_CHECKING:
    from datetime import datetime, timedelta

    from tap_medchat_swell.client import Ask
    from tap_medchat_swell.medchat.api import ChatPage, MedChatApi
    from tap_medchat_swell.readahead import Request
    from tap_medchat_swell.rows import Row

MAX_PASSES = 20
MAX_REPEATED = 3
PLANNED_AHEAD = 8  # windows cut off what remains, by the density of one page
CAUTION = 0.8  # of the chats that the density lets expect are asked for ahead


class Content(t.Protocol):
    """What becomes of a window's chats."""

    size: int

    def add(self, rows: list[Row], received: datetime) -> None:
        """Take chats that have not been there before."""


class Source(t.Protocol):
    """What a window must know of the sweep that it belongs to."""

    window_pages: int

    def identify(self, row: Row) -> str:
        """The chat's id."""

    def created(self, row: Row) -> t.Any:
        """The chat's CreatedDateTime as it came."""

    def new_content(self) -> Content:
        """An empty place for a window's chats."""


class ChatReader(PagedReader["ChatPage"]):
    """What the two ways of reading a window have in common.

    When it has finished, either followers read the window in its place (`replaced`) or
    `content` holds its `rows` chats, each once.
    """

    overlap: t.ClassVar[bool]
    paginator: ODataSkipPaginator

    def __init__(self, api: MedChatApi, source: Source, window: Window) -> None:
        super().__init__()
        self.api = api
        self.source = source
        self.window = window
        self.replaced = False
        self.restart()

    def restart(self) -> None:
        """Begin at the first page again, with the page size that holds now."""
        self.page_size = self.api.page_size
        self.paginator = ODataSkipPaginator(self.page_size, overlap=self.overlap)
        self.content = self.source.new_content()
        self.rows = 0
        self.forget_pages()

    def pages_ahead(self, room: int) -> int:
        """How many pages are likely enough to follow to be asked for at once."""
        del room
        return 1

    def wanted(self, room: int) -> list[Request]:
        """As for every window, but from the start where the page size has changed."""
        if self.page_size != self.api.page_size and not self.finished:
            self.restart()
        return super().wanted(room)

    def ask(self, page: int) -> Ask:
        """The request for the page at an offset."""
        return self.api.ask(self.window, page)

    def fetch(self, request: Request) -> ChatPage:
        """Get one page; runs in a worker."""
        return self.api.fetch(request.ask, self.source.identify)

    def adapt(self, request: Request, error: VendorError) -> None:
        """Ask for smaller pages where these are refused; raise anything else (M3)."""
        if not isinstance(error, PageTooLarge):
            raise error
        size = self.api.page_size
        if f"$top={size}&" in request.ask.url:  # else another request has lowered it
            if size == 1:
                raise error
            self.api.page_size = min(error.limit or size // 2, size - 1) or 1

    def checked_dates(self, rows: list[Row]) -> list[datetime]:
        """When the chats were created; raises if the filter was ignored (M19)."""
        texts = map(self.source.created, rows)
        instants = (parse_timestamp(text) for text in texts if isinstance(text, str))
        dates = [instant for instant in instants if instant is not None]
        if dates and not (self.window.holds(min(dates)) and self.window.holds(max(dates))):
            msg = (
                f"MedChat sent chats from outside {self.window}: it ignores the $filter "
                "on CreatedDateTime, so nothing can be read safely. Tell MedChat."
            )
            raise VendorError(msg)
        return dates

    def replace_by(self, *readers: ChatReader) -> None:
        """Leave the window to others."""
        self.replaced = self.finished = True
        self.content = self.source.new_content()
        self.held_bytes = 0
        self.followers[:0] = readers


class ChatWindow(ChatReader):
    """Reads the chats created in a window by pages that overlap by one chat.

    `pages_target` is about how many pages it shall have at most, `expected` how many
    chats it is likely to have; `is_known` says that it had so many when last read.
    """

    overlap = True

    def __init__(  # noqa: PLR0913 - three say what is known of its size
        self,
        api: MedChatApi,
        source: Source,
        window: Window,
        pages_target: int = 1,
        expected: int = 0,
        *,
        is_known: bool = False,
    ) -> None:
        self._pages_target = pages_target
        self._told = self._expected = expected
        self._is_known = is_known
        self.is_sized = expected > 0
        super().__init__(api, source, window)

    def restart(self) -> None:
        """Begin at the first page again, with the page size that holds now."""
        super().restart()
        self._expected = self._told
        self._dates: list[datetime] = []

    def pages_ahead(self, room: int) -> int:
        """The pages that the expected chats fill, after those that were seen."""
        del room
        missing = self._expected - self.paginator.rows_seen
        return -(-missing // max(1, self.page_size - 1))

    def accept(self, page: ChatPage) -> None:
        """Use the page at the current offset."""
        fresh = self.paginator.new_rows(page)
        try:
            self.paginator.advance(page)  # type: ignore[arg-type]
        except PageRepeated:
            self.replace_by(SettlingChatWindow(self.api, self.source, self.window))
            return
        except SeamBroken:
            self._read_smaller()
            return
        rows = page.rows[fresh]
        self._dates += self.checked_dates(rows)
        self.content.add(rows, page.received)
        self.held_bytes = self.content.size
        self.rows += len(rows)
        if self.paginator.finished:
            self.finished = True
        elif len(page.ids) >= self.page_size:
            is_passed = self.rows >= self._expected
            if is_passed or not self._is_known:
                self._fit(may_cut=is_passed or not fresh.start)

    def _fit(self, *, may_cut: bool) -> None:
        """Learn how large the window is, and where that is too large, cut it off.

        A cut drops the pages that are under way: `may_cut` when hardly any can be.
        """
        if not self._dates or self._dates != sorted(self._dates):
            return
        first, last = self._dates[0], self._dates[-1]
        per_row = max(last - first, SECOND) / self.rows
        target = self._pages_target * self.page_size
        most = 1.5 * target
        if may_cut and (self.window.end - first) / per_row > most:
            self._cut(max(first + per_row * target, last + SECOND))
        likely = (self.window.end - first) / per_row
        missing = min(likely - self.rows, target if may_cut else most - self.rows)
        self._expected = self.rows + int(missing * CAUTION)

    def _cut(self, at: datetime) -> None:
        """End the window earlier. Its pages so far are the same either way."""
        parts = self.window.cut(at)
        if parts is None:
            return
        # With the time before its first chat: a burst must not pass for the usual density.
        per_row = (self._dates[-1] - self.window.start) / self.rows
        self.window, rest = parts
        self.forget_pages()
        self.followers += self._plan(rest, per_row)

    def _plan(self, rest: Window, per_row: timedelta) -> list[ChatReader]:
        """Windows for what remains, to be read side by side from the start."""
        readers: list[ChatReader] = []
        pages = min(2 * self._pages_target, self.source.window_pages)
        while len(readers) < PLANNED_AHEAD:
            rows = pages * self.page_size
            parts = rest.cut(rest.start + per_row * rows)
            if parts is None or rest.end - rest.start < 1.5 * rows * per_row:
                break
            window, rest = parts
            expected = int(rows * CAUTION)
            readers.append(ChatWindow(self.api, self.source, window, pages, expected))
            pages = min(2 * pages, self.source.window_pages)
        return [*readers, ChatWindow(self.api, self.source, rest, pages)]

    def _read_smaller(self) -> None:
        """Rows moved between pages: read halves, in the end so small that it is over (M6)."""
        parts = self._halves() if self.paginator.count > 1 else None
        if parts is None:
            self.replace_by(SettlingChatWindow(self.api, self.source, self.window))
            return
        self.replace_by(
            *(ChatWindow(self.api, self.source, part, self._pages_target) for part in parts)
        )

    def _halves(self) -> tuple[Window, Window] | None:
        dates = sorted(self._dates)
        by_chats = self.window.cut(dates[len(dates) // 2]) if dates else None
        span = self.window.end - self.window.start
        return by_chats or self.window.cut(self.window.start + span / 2)


class SettlingChatWindow(ChatReader):
    """Reads a window again and again until a whole pass brings nothing new.

    For chats without a stable order that cannot be told apart by time: many created in
    the same second, or an order that changes with every request (M6).
    """

    overlap = False

    def __init__(self, api: MedChatApi, source: Source, window: Window) -> None:
        self._pool: dict[str, Row] = {}
        self._new_in_pass = self._passes = self._repeated = 0
        super().__init__(api, source, window)

    def accept(self, page: ChatPage) -> None:
        """Use the page at the current offset."""
        try:
            self.paginator.advance(page)  # type: ignore[arg-type]
        except PageRepeated:
            self._page_repeated()
            return
        self.checked_dates(page.rows)
        self._new_in_pass += len(set(page.ids) - set(self._pool))
        self._pool.update(zip(page.ids, page.rows, strict=True))
        if self.paginator.finished:
            self._end_pass(page.received)

    def _end_pass(self, received: datetime) -> None:
        counted = self.paginator.rows_seen
        if not self._new_in_pass and len(self._pool) >= counted:
            rows = list(self._pool.values())
            self.content.add(rows, received)
            self.rows = len(rows)
            self.finished = True
            return
        self._next_pass()

    def _next_pass(self) -> None:
        self._passes += 1
        self._new_in_pass = 0
        if self._passes >= MAX_PASSES:
            msg = (
                f"The chats of {self.window} came in another order each of "
                f"{MAX_PASSES} times, so that some may be missing. Run again at a "
                "quieter time, or raise medchat_page_size."
            )
            raise VendorError(msg)
        self.restart()

    def _page_repeated(self) -> None:
        self._repeated += 1
        if self._repeated >= MAX_REPEATED:
            msg = (
                f"MedChat sent the same chats of {self.window} for every $skip: it "
                "ignores $skip, so what follows the first page cannot be read."
            )
            raise VendorError(msg)
        self._next_pass()
