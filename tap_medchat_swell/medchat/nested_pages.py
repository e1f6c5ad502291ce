"""Collections that MedChat cut short, read to their end (M15).

A server may cut an expanded collection and mark that with a link, such as
`Messages@odata.nextLink`. Of a link only path and query are used, and only below the
configured address: whatever host it names, nothing is ever asked elsewhere.
"""

from __future__ import annotations

import typing as t
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.http.client import Request
from tap_medchat_swell.http.responses import unexpected_payload
from tap_medchat_swell.medchat.responses import MEDCHAT, rows_in
from tap_medchat_swell.record_mapper import key_finder

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tap_medchat_swell.record_mapper import Row

MAX_PAGES = 1000
NOT_THERE = (400, 404)


class NestedPages:
    """Follows the links in chats' rows; runs in workers, so it keeps no state."""

    def __init__(self, fetch: Callable[[Request], t.Any], url: str) -> None:
        self._fetch = fetch
        self._base = urlsplit(url)

    def complete(self, rows: list[Row], request: Request) -> None:
        """Append what the links lead to. A link to no end stays in its row."""
        for row in rows:
            for key in [key for key in row if "@" in key and is_link(key)]:
                items = key_finder(key.partition("@")[0])(row)
                if isinstance(items, list) and isinstance(row[key], str):
                    rest, is_whole = self._follow(row[key], request)
                    items += rest
                    if is_whole:
                        del row[key]

    def _follow(self, link: str | None, request: Request) -> tuple[list[t.Any], bool]:
        """What came, and whether that is all; a link in a circle is followed once."""
        rows: list[t.Any] = []
        followed: set[str] = set()
        while link is not None:
            url = self._own(link, request.url)
            if url is None or url in followed or len(followed) == MAX_PAGES:
                return rows, False
            followed.add(url)
            try:
                page, link = self._fetch(Request(url, f"the rest of {request.label}", _page))
            except VendorError as error:
                if error.status in NOT_THERE:
                    return rows, False
                raise
            if not page:
                return rows, True
            if page == rows[-len(page) :]:
                return rows, False
            rows += page
        return rows, True

    def _own(self, link: str, asked: str) -> str | None:
        """The link at the configured address; None if it leads outside of it."""
        try:
            parts = urlsplit(urljoin(asked, link))
        except ValueError:
            return None
        outside = ".." in unquote(parts.path).split("/")
        if outside or not parts.path.startswith(self._base.path.rpartition("/")[0] + "/"):
            return None
        query = quote(parts.query, safe="%=&$',:/()*+;@!?-._~")
        return urlunsplit((self._base.scheme, self._base.netloc, parts.path, query, ""))


def _page(document: t.Any, _size: int) -> tuple[list[Row], str | None]:
    """The rows of a document, and the link to what comes next. An empty body holds neither."""
    if document is None:
        raise unexpected_payload(MEDCHAT, "an empty body in place of messages or the like")
    rows = rows_in(document, "messages or the like")
    around = document if isinstance(document, dict) else {}
    link = next((around[key] for key in around if is_link(key)), None)
    return rows, link if isinstance(link, str) else None


def is_link(key: str) -> bool:
    """Whether a key names a link to what comes next."""
    return key.lower().endswith("nextlink")
