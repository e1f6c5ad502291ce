"""Laravel's paginator: a page of rows with ``links`` and ``meta``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from medchat_swell_sandbox.http import Request
    from medchat_swell_sandbox.quirks import Quirks

Row = dict[str, Any]

# As in Laravel's UrlWindow.
ON_EACH_SIDE = 3
FEW_PAGES = 2 * ON_EACH_SIDE + 8


@dataclass(frozen=True)
class Page:
    """A page of encoded rows and its position."""

    rows: list[bytes]
    number: int
    per_page: int
    total: int

    @property
    def last(self) -> int:
        """Return the number of the last page; an empty list has one page."""
        return max(1, -(-self.total // self.per_page))


def paginated(page: Page, request: Request, quirks: Quirks) -> bytes:
    """Wrap a page like LengthAwarePaginator, changed by the quirks (W8, W9)."""
    body = b'{"data":' + _data(page, quirks)
    if quirks.swell_links != "absent":
        links = msgspec.json.encode(_links(page, request, quirks))
        body += b',"links":' + links
    if quirks.swell_meta != "absent":
        body += b',"meta":' + msgspec.json.encode(_meta(page, request, quirks))
    return body + b"}"


def _data(page: Page, quirks: Quirks) -> bytes:
    """Encode the rows; PHP encodes an array with keys that do not start at 0 as an object."""
    if not quirks.swell_data_as_object or page.number == 1 or not page.rows:
        return b"[" + b",".join(page.rows) + b"]"
    keyed = enumerate(page.rows, start=(page.number - 1) * page.per_page)
    return b"{" + b",".join(b'"%d":%b' % pair for pair in keyed) + b"}"


def _links(page: Page, request: Request, quirks: Quirks) -> dict[str, str | None]:
    if quirks.swell_links == "null":
        return dict.fromkeys(("first", "last", "prev", "next"))
    start = link_start(request, quirks)
    last = page.last + quirks.swell_last_page_shift
    follows = page.number < page.last and quirks.swell_hints != "next_null"
    return {
        "first": f"{start}page=1",
        "last": None if quirks.swell_meta == "simple" else f"{start}page={last}",
        "prev": f"{start}page={page.number - 1}" if page.number > 1 else None,
        "next": f"{start}page={page.number + 1}" if follows else None,
    }


def link_start(request: Request, quirks: Quirks) -> str:
    """Return the link of a page without the page number (W8)."""
    url = f"{request.origin}{request.path}?"
    parts = [part for part in request.query.split("&") if part]
    parts = [part for part in parts if not part.startswith("page=")]
    match quirks.swell_links:
        case "full":
            return url + "".join(f"{part}&" for part in parts)
        case "full_no_token":
            kept = [part for part in parts if not part.startswith("token=")]
            return url + "".join(f"{part}&" for part in kept)
        case "http":
            return f"http://swell.test{quote(request.path)}?"
        case "other_host":
            return f"https://elsewhere.invalid{quote(request.path)}?"
        case _:
            return url


def _meta(page: Page, request: Request, quirks: Quirks) -> Row:
    first = (page.number - 1) * page.per_page + 1
    meta: Row = {
        "current_page": page.number,
        "from": first if page.rows else None,
        "path": f"{request.origin}{request.path}",
        "per_page": _per_page(page, request, quirks),
        "to": first + len(page.rows) - 1 if page.rows else None,
    }
    if quirks.swell_meta == "simple":
        return meta
    meta["last_page"] = page.last + quirks.swell_last_page_shift
    if quirks.swell_hints == "last_page_now":
        meta["last_page"] = page.number
    meta["total"] = page.total + quirks.swell_total_shift
    if quirks.swell_meta_links:
        meta["links"] = list(_page_links(page, link_start(request, quirks)))
    return dict(sorted(meta.items()))


def _per_page(page: Page, request: Request, quirks: Quirks) -> int | str:
    sent = any(part.startswith("per_page=") for part in request.query.split("&"))
    return str(page.per_page) if quirks.swell_meta_links and sent else page.per_page


def _page_links(page: Page, start: str) -> Iterator[Row]:
    """Yield the links like ``LengthAwarePaginator::linkCollection``."""
    before, after = page.number - 1, page.number + 1
    yield _page_link("&laquo; Previous", f"{start}page={before}" if before else None)
    for number in _numbers_shown(page.number, page.last):
        if number is None:
            yield _page_link("...", None)
        else:
            now = number == page.number
            yield _page_link(str(number), f"{start}page={number}", active=now)
    yield _page_link("Next &raquo;", f"{start}page={after}" if after <= page.last else None)


def _page_link(label: str, url: str | None, *, active: bool = False) -> Row:
    return {"url": url, "label": label, "active": active}


def _numbers_shown(current: int, last: int) -> list[int | None]:
    """Return the numbers of the linked pages; None marks skipped pages."""
    window = ON_EACH_SIDE + 4
    if last < FEW_PAGES:
        return [*range(1, last + 1)]
    if current <= window:
        return [*range(1, window + ON_EACH_SIDE + 1), None, last - 1, last]
    if current > last - window:
        return [1, 2, None, *range(last - window - ON_EACH_SIDE + 1, last + 1)]
    middle = range(current - ON_EACH_SIDE, current + ON_EACH_SIDE + 1)
    return [1, 2, None, *middle, None, last - 1, last]
