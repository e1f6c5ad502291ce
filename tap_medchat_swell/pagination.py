"""How each vendor's pages follow each other, without any HTTP.

They are the SDK's paginators, given decoded pages in place of responses: a page is
decoded once, not once more for its paginator.
"""

from __future__ import annotations

import typing as t

from singer_sdk.pagination import BaseAPIPaginator

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


# Pages in a row without anything new: in an order that changes from page to page, or
# filled with copies of one message, as Swell may send it once per location.
MOST_WITHOUT_NEW = 10


class PagingError(Exception):
    """The pages do not fit together."""


class PageDriftError(PagingError):
    """Rows moved between two requests: some may have been missed (M6)."""


class PageRepeatedError(PagingError):
    """Another page was asked for and the same one came (M5)."""


class Ids(t.Protocol):
    """A page, as far as paging goes."""

    @property
    def ids(self) -> Sequence[t.Any]:
        """The ids of its rows, in order."""


class ODataSkipPaginator(BaseAPIPaginator[int]):
    """Offsets (`$skip`) that advance by the rows received, never by the rows asked (M3).

    Pages overlap by one row. As long as that row stays the same, nothing moved across
    the seam; when it does not, `advance` raises PageDriftError. The end is a page without
    a new row, never a short page.

    The row at `start` is the known one with the id `first`, where that is given.
    With `overlap=False` pages do not overlap, ids may repeat, and the end is an empty
    page: for rows that have no stable order and are read until nothing new comes.
    """

    def __init__(
        self, page_size: int, *, overlap: bool = True, start: int = 0, first: t.Any = None
    ) -> None:
        super().__init__(start)
        self.page_size = page_size
        self.rows_seen = start
        self._overlap = overlap
        self._seen: set[t.Any] = set()
        self._first: Sequence[t.Any] = ()
        self._last = first
        self._shared = 0 if first is None else 1
        self._length = self._usual_length = 0

    def forget(self, but: Iterable[t.Any]) -> None:
        """Forget the ids of rows that can be told from later ones otherwise."""
        self._seen = set(but)

    @property
    def new_rows(self) -> slice:
        """Which rows of the page at the current offset have not been there before."""
        return slice(self._shared, None)

    def ahead(self, limit: int) -> list[int]:
        """The current offset, and those after it if pages stay as long as they are."""
        if self.finished:
            return []
        stride = self._usual_length - self._overlap
        if stride < 1:
            return [self._value]
        return [self._value + number * stride for number in range(max(1, limit))]

    def has_more(self, page: Ids) -> bool:  # type: ignore[override]
        """Whether the page brought a new row. Raises PageDriftError or PageRepeatedError."""
        ids = page.ids
        if self._value and ids and list(ids) == list(self._first):
            raise PageRepeatedError
        if self._shared and (not ids or ids[0] != self._last):
            raise PageDriftError
        fresh = ids[self._shared :]
        if self._overlap:
            if len(set(fresh)) < len(fresh) or not self._seen.isdisjoint(fresh):
                raise PageDriftError
            self._seen.update(fresh)
        # One row may be all that MedChat sends at a time, and be known already.
        return bool(fresh) or (self.count == 1 and bool(ids))

    def get_next(self, page: Ids) -> int:  # type: ignore[override]
        """The next offset: one row back, unless pages are too small to overlap."""
        ids = page.ids
        self._first = self._first or ids
        self._last = ids[-1]
        is_usual = len(ids) in {self.page_size, self._length}  # two alike: MedChat's maximum
        self._length = len(ids)
        self._usual_length = len(ids) if is_usual else 0
        self.rows_seen = self._value + len(ids)
        self._shared = 1 if self._overlap and len(ids) > 1 else 0
        return self.rows_seen - self._shared


class HintedPage(Ids, t.Protocol):
    """A page that hints about the pages after it; None where it gives no hint."""

    @property
    def has_next_link(self) -> bool | None:
        """Whether there is a link to a next page."""

    @property
    def last_page(self) -> int | None:
        """The number of the last page."""

    @property
    def total(self) -> int | None:
        """How many rows all pages have together."""


class PageLinksPaginator(BaseAPIPaginator[int]):
    """Page numbers that end where Swell's hints agree that they end (W9).

    Links are hints and never followed (W8). An empty page ends always. While a hint
    says that there is more, or none says anything, only that or many pages without
    anything new are the end. A page with but one hint, which says stop, is followed by
    another, as long as there is something new. The first page once more in place of the
    second raises PageRepeatedError.
    """

    def __init__(self) -> None:
        super().__init__(1)
        self.ids: set[t.Any] = set()
        self.totals: set[int] = set()
        self.rows = 0
        self.order = 0  # alike for the same rows in the same order
        self.has_shrunk = False
        self._first: Sequence[t.Any] = ()
        self._known_last = 1
        self._without_new = 0

    def ahead(self, limit: int) -> list[int]:
        """The current page number, and those after it up to the announced last one."""
        if self.finished:
            return []
        last = max(self._value, min(self._known_last, self._value + limit - 1))
        return list(range(self._value, last + 1))

    def has_more(self, page: HintedPage) -> bool:  # type: ignore[override]
        """Whether there may be another page. Raises PageRepeatedError."""
        if self.is_single and page.ids and list(page.ids) == list(self._first):
            raise PageRepeatedError
        self._first = self._first or page.ids
        known = len(self.ids)
        self.ids.update(page.ids)
        fresh = len(self.ids) - known
        self.rows += len(page.ids)
        self.order = hash((self.order, *page.ids))
        self._without_new = 0 if fresh else self._without_new + 1
        if page.total is not None:
            self.has_shrunk |= page.total < max(self.totals, default=0)
            self.totals.add(page.total)
        return bool(page.ids) and self._goes_on(page)

    @property
    def is_single(self) -> bool:
        """Whether all rows so far came on the first page, so at one instant."""
        return self.rows == len(self._first)

    def _goes_on(self, page: HintedPage) -> bool:
        hints = self._hints(page)
        if all(hints):  # also where there are none
            self._known_last = page.last_page or 1
        if any(hints) or not hints:
            return self._without_new < MOST_WITHOUT_NEW
        return len(hints) == 1 and not self._without_new

    def _hints(self, page: HintedPage) -> list[bool]:
        """For each hint that the page gives, whether it says that there is more."""
        return [
            hint
            for hint in (
                page.has_next_link,
                None if page.last_page is None else self._value < page.last_page,
                None if page.total is None else len(self.ids) < page.total,
            )
            if hint is not None
        ]

    def get_next(self, page: HintedPage) -> int:  # type: ignore[override]
        """The next page number."""
        del page
        return self._value + 1
