"""How each vendor's pages follow each other, without any HTTP.

They are the SDK's paginators, given decoded pages in place of responses, so that a page is
decoded only once. Pages have `ids`, their rows' ids in order; Swell's also have hints about the
pages after them: `has_next_link`, `last_page` and `total`, None where a page gives no such hint.
"""

from __future__ import annotations

import typing as t
from collections import Counter

from singer_sdk.pagination import BaseAPIPaginator
from typing_extensions import override

if t.TYPE_CHECKING:
    from collections.abc import Sequence

# A page of fewer ids may come twice by chance, or hold copies only.
MIN_REPEATED = 3
# Pages in a row without a new id: copies of one message may fill whole pages (W13).
MAX_PAGES_WITHOUT_NEW = 10


class PagingError(Exception):
    """The pages do not fit together."""


class PageDriftError(PagingError):
    """Rows moved between two requests, so some may have been missed (M6)."""


class PageRepeatedError(PagingError):
    """Another page was asked for and the same one came (M5)."""


class OneRowPagesError(PagingError):
    """Pages of a single row cannot overlap, so page drift would go unnoticed (M6)."""


class ODataSkipPaginator(BaseAPIPaginator[int]):
    """Offsets (`$skip`) that advance by the rows received, never by the rows asked for (M3).

    Pages overlap by one row. While that row stays the same, nothing moved between the two
    requests; when it does not, `advance` raises PageDriftError. The end is a page without a new
    row, never a short page. No id may come twice, so the rows at that point are as many as
    `$skip` counts: all of them have come.
    """

    def __init__(self) -> None:
        super().__init__(0)
        self._ids: set[t.Any] = set()
        self._first: Sequence[t.Any] = ()
        self._last: t.Any = None
        self.overlap = 0
        """How many rows the page at the current offset shares with the one before it."""

    def ahead(self, rows: int, page_rows: int) -> list[int]:
        """The offsets after the current one, if there are `rows` rows in pages of `page_rows`.

        The last offset is that of the page which shows the end.
        """
        stride = page_rows - 1
        if stride < 1:
            return []
        following = list(range(self.current_value + stride, rows - 1, stride))
        return [*following, rows - 1] if rows - 1 > self.current_value else following

    @override
    def has_more(self, response: t.Any) -> bool:
        """Whether the page brought a new row. Raises PagingError."""
        ids = response.ids
        if self.overlap and (not ids or ids[0] != self._last):
            if len(ids) == 1 and ids[0] in self._ids:
                return False  # another row in the last place: ties were shuffled, none is missing
            raise PageRepeatedError if ids and list(ids) == list(self._first) else PageDriftError
        fresh = ids[self.overlap :]
        if self.current_value and not self.overlap and fresh:
            raise PageRepeatedError if list(ids) == list(self._first) else OneRowPagesError
        if len(set(fresh)) < len(fresh) or not self._ids.isdisjoint(fresh):
            raise PageDriftError
        self._ids.update(fresh)
        return bool(fresh)

    @override
    def get_next(self, response: t.Any) -> int:
        """The next offset: one row back, unless the page is too small to overlap."""
        ids = response.ids
        self._first = self._first or ids
        self._last = ids[-1]
        received = self.current_value + len(ids)
        self.overlap = 1 if len(ids) > 1 else 0
        return received - self.overlap


class PageLinksPaginator(BaseAPIPaginator[int]):
    """Page numbers that end where Swell's hints agree that they end (W9).

    Links are hints and never followed (W8). An empty page is the end, unless it says itself that
    pages follow: PHP may have filtered its rows out. While any hint says that there is more, or
    none says anything, only that or many pages without a new id are the end. A full page is
    followed by another, whatever the hints say, and so is a page with only one hint, while there
    is something new. The first page again in place of the second raises PageRepeatedError.

    `ids` are the distinct ids of this pass, `copies` those that came once more, as often as they
    did, `rows` counts both, and `totals` are the different values that `meta.total` had.
    """

    def __init__(self, page_size: int) -> None:
        super().__init__(1)
        self.page_size = page_size
        self.ids: set[t.Any] = set()
        self.copies = Counter[t.Any]()
        self.rows = 0
        self.totals: set[int] = set()
        self._last_rows = 0
        self._first: Sequence[t.Any] = ()
        self._known_last = 1
        self._without_new = 0

    def ahead(self) -> list[int]:
        """The page numbers after the current one, up to the announced last one."""
        return list(range(self.current_value + 1, self._known_last + 1))

    @override
    def has_more(self, response: t.Any) -> bool:
        """Whether there may be another page. Raises PageRepeatedError."""
        ids = response.ids
        if self.is_single and len(set(ids)) >= MIN_REPEATED and list(ids) == list(self._first):
            raise PageRepeatedError
        self._first = self._first or ids
        known = len(self.ids)
        self._add(ids)
        self.rows += len(ids)
        self._last_rows = len(ids) or self._last_rows
        self._without_new = 0 if len(self.ids) > known else self._without_new + 1
        if response.total is not None:
            self.totals.add(response.total)
        return self._goes_on(response) if ids else self._is_followed(response)

    def _add(self, ids: Sequence[t.Any]) -> None:
        for number in ids:
            if number in self.ids:
                self.copies[number] += 1
            self.ids.add(number)

    @property
    def is_single(self) -> bool:
        """Whether all rows so far came on the first page, so at one instant."""
        return self.rows == len(self._first)

    @property
    def first_rows(self) -> int:
        """How many rows the first page has."""
        return len(self._first)

    @property
    def ends_full(self) -> bool:
        """Whether the last page with rows is as long as the first, so that others may follow."""
        return self._last_rows == len(self._first) > 0

    def _is_followed(self, page: t.Any) -> bool:
        has_more = page.has_next_link or self.current_value < (page.last_page or 0)
        return has_more and self._without_new < MAX_PAGES_WITHOUT_NEW

    def _goes_on(self, page: t.Any) -> bool:
        hints = self._hints(page)
        if all(hints):  # also where there are none
            self._known_last = page.last_page or 1
        if any(hints) or not hints:
            return self._without_new < MAX_PAGES_WITHOUT_NEW
        is_full = len(page.ids) >= self.page_size
        return (is_full or len(hints) == 1) and not self._without_new

    def _hints(self, page: t.Any) -> list[bool]:
        """For each hint that the page gives, whether it says that there is more."""
        return [
            hint
            for hint in (
                page.has_next_link,
                None if page.last_page is None else self.current_value < page.last_page,
                None if page.total is None else len(self.ids) < page.total,
            )
            if hint is not None
        ]

    @override
    def get_next(self, response: t.Any) -> int:
        """The next page number."""
        del response
        return self.current_value + 1
