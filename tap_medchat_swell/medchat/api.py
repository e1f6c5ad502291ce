"""MedChat's "Get SMS Chats": how to ask for pages of chats, and what counts as an answer."""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass
from urllib.parse import quote

from tap_medchat_swell.http.client import Client, Request
from tap_medchat_swell.http.responses import unexpected_payload
from tap_medchat_swell.medchat.responses import MEDCHAT, rows_in
from tap_medchat_swell.time_ranges import literal
from tap_medchat_swell.timestamps import now

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tap_medchat_swell.http.rate_limiter import RateLimiter
    from tap_medchat_swell.medchat.chats import ChatRows
    from tap_medchat_swell.record_mapper import Row
    from tap_medchat_swell.settings import Options
    from tap_medchat_swell.time_ranges import TimeRange


CREATED = "CreatedDateTime"


@dataclass(frozen=True)
class ChatPage:
    """Chats of one answer. `is_list` is False where an empty body stands for no chats (M1)."""

    rows: list[Row]
    ids: Sequence[str]
    size: int
    is_list: bool
    received: datetime


class MedChatApi:
    """Makes the requests for chats; `expands` are the child collections that pages have.

    `page_size` is $top, reduced where MedChat refuses it. `page_rows` is how many rows a full
    page really has: a server may cap pages below $top without a word (M3). `has_short_pages`: some
    pages in the middle have had fewer rows than that.
    """

    def __init__(
        self,
        options: Options,
        rate_limiter: RateLimiter,
        chats: ChatRows,
    ) -> None:
        self.page_size = options.medchat_page_size
        self.page_rows = 0
        self.has_short_pages = False
        self.one_row_pages = 0
        self.expands: Sequence[str] = ()
        self._filter = quote(options.medchat_filter, safe="(),:'/")
        self.chats = chats
        self._sends_empty_lists = False
        org = quote(options.medchat_org_id, safe="")
        base = options.medchat_api_url.rstrip("/")
        self.url = f"{base}/external/orgs/{org}/smsChats"
        self.client = Client(
            MEDCHAT,
            options,
            rate_limiter,
            {
                "Accept": options.medchat_accept,
                "Authorization": f"Bearer {options.medchat_access_token}",
            },
        )

    def page(self, time: TimeRange, skip: int, top: int, *, must_have_rows: bool) -> Request:
        """One page of a range.

        `must_have_rows`: a chat was seen there before, so an empty page is asked for again.
        """
        label = f"chats of {time}, from row {skip}"
        url = f"{self.url}?{self._query(time, top, skip, ','.join(self.expands))}"
        read = functools.partial(self._read, must_have_rows=must_have_rows)
        return Request(url, label, read)

    def probe(self, time: TimeRange, skip: int, expand: str = "") -> Request:
        """The chat at an offset, to learn when it was created, or whether MedChat answers."""
        label = f"the creation time of row {skip} of {time}"
        return self.ask(time, 1, skip, expand=expand, label=label)

    def unfiltered(self, time: TimeRange) -> Request | None:
        """A chat of a range, whether it matches medchat_filter or not; None without a filter."""
        if not self._filter:
            return None
        url = f"{self.url}?{self._query(time, 1, 0, is_filtered=False)}"
        return Request(url, f"any chat of {time}", self._page)

    def undated(self) -> Request:
        """A chat of no range, as no comparison with null is true on real OData servers (M10)."""
        url = f"{self.url}?$filter={CREATED}%20eq%20null&$top=1&$skip=0"
        return Request(url, "chats without a date", self._page)

    def ask(  # noqa: PLR0913 - one parameter per query option
        self,
        time: TimeRange,
        top: int,
        skip: int = 0,
        *,
        expand: str = "",
        order: str = CREATED,
        label: str,
    ) -> Request:
        """Any page, empty or not, with one of `EXPANDS` or none and in an order of its own."""
        url = f"{self.url}?{self._query(time, top, skip, expand, order=order)}"
        return Request(url, label, self._page)

    def _query(  # noqa: PLR0913 - one parameter per query option
        self,
        time: TimeRange,
        top: int,
        skip: int,
        expand: str = "",
        *,
        order: str = CREATED,
        is_filtered: bool = True,
    ) -> str:
        """A query written as in MedChat's own examples (M12, M13).

        `$` and `:` stay as they are and a space is %20: real OData servers refuse a +.
        """
        condition = f"{CREATED} ge {literal(time.start)} and {CREATED} lt {literal(time.end)}"
        if self._filter and is_filtered:
            condition += f" and ({self._filter})"
        expand = expand and f"&$expand={expand}"
        query = f"$filter={condition}{expand}&$orderby={order}&$top={top}&$skip={skip}"
        return query.replace(" ", "%20")

    def _read(self, document: t.Any, size: int, *, must_have_rows: bool) -> ChatPage:
        """The page in a document; runs in a worker. Raises ResponseError.

        An empty body, 204 or null means "no chats" only where none has been seen, and never
        once MedChat has sent an empty list for that.
        """
        page = self._page(document, size)
        if document is None:
            is_wrong = must_have_rows or self._sends_empty_lists
            what = "an empty body in place of chats"
            raise unexpected_payload(MEDCHAT, what, None if is_wrong else lambda: page)
        if not page.rows:
            self._sends_empty_lists = True
            if must_have_rows:
                what = "an empty list where it had sent chats before"
                raise unexpected_payload(MEDCHAT, what, lambda: page)
        return page

    def _page(self, document: t.Any, size: int) -> ChatPage:
        rows = rows_in(document, "chats")
        ids = [*map(self.chats.identify, rows)]
        return ChatPage(rows, ids, size, is_list=document is not None, received=now())
