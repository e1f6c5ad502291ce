"""What all readings of chats have in common, and what they hand on."""

from __future__ import annotations

import collections
import typing as t
from dataclasses import dataclass

from tap_medchat_swell.errors import PageTooLargeError, VendorError
from tap_medchat_swell.paged import PagedReader
from tap_medchat_swell.pagination import ODataSkipPaginator
from tap_medchat_swell.time_ranges import TimeRange, to_epoch
from tap_medchat_swell.timestamps import parse_timestamp

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tap_medchat_swell.http.client import Ask
    from tap_medchat_swell.medchat.api import ChatPage, MedChatApi
    from tap_medchat_swell.readahead import Request
    from tap_medchat_swell.record_mapper import Row


class Content(t.Protocol):
    """What becomes of chats that are handed on together."""

    size: int

    def add(self, rows: Sequence[Row], seconds: Sequence[int | None], received: datetime) -> None:
        """Take chats that have not been there before, and when they were created (epoch)."""


@dataclass(frozen=True)
class Part:
    """Chats to be written: all that were created in a window, or with None just some more.

    With `ends_window`, everything up to its end is certain to have been handed on.
    """

    window: TimeRange | None
    rows: int
    content: Content
    ends_window: bool


class Source(t.Protocol):
    """What a reading must know of the sweep that it belongs to."""

    window_pages: int

    def identify(self, row: Row) -> str:
        """The chat's id."""

    def created(self, row: Row) -> t.Any:
        """The chat's CreatedDateTime as it came."""

    def new_content(self) -> Content:
        """An empty place for chats."""


class ChatReader(PagedReader["ChatPage"]):
    """Reads the chats created in a window and hands them on in parts.

    `results` holds parts, and readers whose parts come at that place.
    """

    overlap: t.ClassVar[bool]
    paginator: ODataSkipPaginator
    page_size = 0

    def __init__(self, api: MedChatApi, source: Source, window: TimeRange) -> None:
        super().__init__(api.client)
        self.api = api
        self.source = source
        self.window = window
        self.results: collections.deque[Part | ChatReader] = collections.deque()

    @property
    def has_results(self) -> bool:
        """Whether there is a part to be written next."""
        first = self.results[0] if self.results else None
        return first.has_results if isinstance(first, ChatReader) else first is not None

    @property
    def is_over(self) -> bool:
        """Whether all has been read and taken."""
        return self.finished and not self.results

    @property
    def held_bytes(self) -> int:
        """About how much memory the parts take that wait to be written."""
        return sum(part.content.size for part in self.results if isinstance(part, Part))

    def take_part(self) -> Part:
        """The part to be written next."""
        first = self.results[0]
        if isinstance(first, Part):
            self.results.popleft()
            return first
        part = first.take_part()
        if first.is_over:
            self.results.popleft()
        return part

    @property
    def first_row(self) -> int:
        """The offset ($skip) of the first page."""
        return 0

    @property
    def first_id(self) -> str | None:
        """The id of the chat there, where it has to be a certain one."""
        return None

    def restart(self) -> None:
        """Begin at the first page again, with the page size that holds now."""
        self.page_size = self.api.page_size
        self.paginator = ODataSkipPaginator(
            self.page_size, overlap=self.overlap, start=self.first_row, first=self.first_id
        )
        self.forget_pages()

    def pages_ahead(self) -> float:
        """How many pages are likely enough to come to be asked for at once."""
        return 1

    def wanted(self, room: int) -> list[Request]:
        """As for every window, but from the start where the page size is another one."""
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
        if not isinstance(error, PageTooLargeError):
            raise error
        size = self.api.page_size
        if f"$top={size}&" in request.ask.url:  # else another request has lowered it
            if size == 1:
                raise error
            self.api.page_size = min(error.limit or size // 2, size - 1) or 1

    def seconds(self, rows: Sequence[Row]) -> list[int | None]:
        """When chats were created (epoch); raises if the filter was ignored (M19)."""
        dates = [parse_timestamp(self.source.created(row)) for row in rows]
        known = [date for date in dates if date is not None]
        if known and not (self.window.holds(min(known)) and self.window.holds(max(known))):
            msg = (
                f"MedChat sent chats from outside {self.window}: it ignores the $filter "
                "on CreatedDateTime, so nothing can be read safely. Tell MedChat."
            )
            raise VendorError(msg)
        return [None if date is None else to_epoch(date) for date in dates]

    def replace_by(self, *readers: ChatReader) -> None:
        """Leave what has not been handed on to others."""
        self.finished = True
        self.followers[:0] = readers
