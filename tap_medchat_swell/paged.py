"""A window read page by page, in whatever order the answers come in."""

from __future__ import annotations

import abc
import math
import typing as t

from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.readahead import MAX_HELD_BYTES, PageT, Request, WindowReader

if t.TYPE_CHECKING:
    from tap_medchat_swell.http.client import Ask, Client
    from tap_medchat_swell.pagination import ODataSkipPaginator, PageLinksPaginator

MAX_REPEATED = 10  # fewer can be chance, where pages are small
MAX_WAITING = 20  # pages that have come while one before them has not


class PagedReader(WindowReader[PageT]):
    """Asks for the pages that its paginator names and accepts them in their order."""

    paginator: ODataSkipPaginator | PageLinksPaginator
    repeated = 0  # pages that came in place of others, since all was last read to the end

    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client = client

    def forget_pages(self) -> None:
        """Drop the answers to whatever has been asked: what is wanted has changed."""
        self._reading = object()
        self._asked: set[int] = set()
        self._arrived: dict[int, PageT] = {}
        self._refused: dict[int, tuple[Request, VendorError]] = {}

    def count_repeated(self, sentence: str) -> None:
        """Count a page that came in another's place; raises VendorError when it is no chance."""
        self.repeated += 1
        if self.repeated >= MAX_REPEATED:
            raise VendorError(sentence)

    @abc.abstractmethod
    def ask(self, page: int) -> Ask:
        """The request for a page, named as the paginator does."""

    @abc.abstractmethod
    def accept(self, page: PageT) -> None:
        """Use the page at the paginator's current value."""

    @abc.abstractmethod
    def pages_ahead(self) -> float:
        """How many pages, the next one included, are likely enough to come."""

    def wanted(self, room: int) -> list[Request]:
        """The next page, and those likely to follow it."""
        if self.finished:
            return []
        likely = 1 if self._is_crowded else self.pages_ahead()
        ahead = self.paginator.ahead(int(min(likely, room + len(self._asked))))
        # What lies behind a refused page may be refused, too.
        due = self.paginator.current_value
        end = min((page for page in self._refused if page > due), default=math.inf)
        pages = [page for page in ahead if page not in self._asked and page < end][:room]
        self._asked.update(pages)
        return [Request(self, self.ask(page), (self._reading, page)) for page in pages]

    @property
    def _is_crowded(self) -> bool:
        """Whether as much has come as may wait for the page that is due."""
        waiting = len(self._arrived)
        return waiting >= MAX_WAITING or waiting * self.client.largest_answer > MAX_HELD_BYTES

    def is_current(self, request: Request) -> bool:
        """Whether an answer to this request is still of use."""
        return request.token[0] is self._reading and not self.finished

    def refused(self, request: Request, error: VendorError) -> None:
        """Adapt to a refusal, unless nobody needs the page any more.

        A page ahead of need may never be needed: its refusal waits until it is due.
        """
        if self.is_current(request):
            if error.is_refusal and request.token[1] != self.paginator.current_value:
                self._refused[request.token[1]] = request, error
            else:
                self.adapt(request, error)

    def adapt(self, request: Request, error: VendorError) -> None:
        """Ask differently after a refusal, or raise it."""
        del request
        raise error

    def take(self, request: Request, page: PageT) -> None:
        """Use a page as soon as all before it have been."""
        if not self.is_current(request):
            return
        self._arrived[request.token[1]] = page
        while not self.finished:
            value = self.paginator.current_value
            if value in self._refused:
                self.adapt(*self._refused.pop(value))
                continue
            due = self._arrived.pop(value, None)
            if due is None:
                return
            self._asked.discard(value)
            self.accept(due)
