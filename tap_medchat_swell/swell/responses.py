"""Swell's responses: what to do about refusals, and what counts as a page or as counts (W17)."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from tap_medchat_swell.conversions import ConversionError, as_integer
from tap_medchat_swell.http.responses import Vendor, names_error, unexpected_payload
from tap_medchat_swell.record_mapper import Row, key_finder
from tap_medchat_swell.timestamps import now

if t.TYPE_CHECKING:
    from datetime import datetime

LOGIN = "Swell redirects to its login page, or shows it, if it does not accept the token."
DATES = "start_date, end_date and swell_window_days"
SWELL = Vendor(
    "Swell",
    advice={
        200: f"Check swell_api_url and swell_api_token. {LOGIN}",
        301: "Check swell_api_url.",
        302: f"Check swell_api_token. {LOGIN}",
        303: f"Check swell_api_token. {LOGIN}",
        307: f"Check swell_api_token. {LOGIN}",
        308: "Check swell_api_url.",
        401: "Check swell_api_token (Swell > Settings > API tokens).",
        403: "Check that the user of swell_api_token may see the messages of its locations and "
        "teams.",
        404: "Check swell_api_url.",
        414: "The URL is too long: list fewer IDs in swell_location_ids, swell_team_ids and "
        "swell_contact_ids.",
        422: "Check start_date, end_date, swell_location_ids, swell_team_ids and "
        "swell_contact_ids.",
    },
    parameters={
        "token": "swell_api_token",
        "location_id": "swell_location_ids",
        "team_id": "swell_team_ids",
        "contact_id": "swell_contact_ids",
        "from_date": DATES,
        "to_date": DATES,
        "date": "swell_counts_parameters",
        "updated_after": "",
        "per_page": "swell_page_size",
        "page": "swell_page_size",
        "status": "swell_status",
    },
)

_id_of = key_finder("id")
_received = key_finder("received")
_sent = key_finder("sent")


@dataclass(frozen=True)
class MessagePage:
    """Messages of one answer, and what it hints about further pages; None: no hint.

    `envelope` are the keys around the messages.
    """

    rows: list[Row]
    ids: list[int]
    has_next_link: bool | None
    last_page: int | None
    total: int | None
    envelope: frozenset[str]
    size: int
    received: datetime

    def announces_rows(self, number: int) -> bool:
        """Whether, having this number, the page cannot be empty by its own hints."""
        has_more = self.has_next_link or (self.last_page or 0) > number
        is_counted = self.total and (self.last_page is None or number <= self.last_page)
        return bool(has_more or is_counted)

    @property
    def is_documented(self) -> bool:
        """Whether an empty page has a form that only Swell's own pages have."""
        return {"data"} < self.envelope <= {"data", "links", "meta"}


def message_page(document: t.Any, size: int) -> MessagePage:
    """The page in a document. Raises ResponseError unless it has a list of messages.

    PHP turns a filtered list into an object with number keys: its values count, in order.
    """
    rows = document.get("data") if isinstance(document, dict) else None
    if isinstance(rows, dict) and rows and all(key.isdecimal() for key in rows):
        rows = [rows[key] for key in sorted(rows, key=int)]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise unexpected_payload(SWELL, "JSON without a list of messages under data")
    if not rows and _says_error(document):
        raise unexpected_payload(SWELL, "an error in place of messages")
    links, meta = document.get("links"), document.get("meta")
    return MessagePage(
        rows=rows,
        ids=[_message_id(row) for row in rows],
        has_next_link=bool(links["next"]) if _has(links, "next") else None,
        last_page=_number(meta["last_page"]) if _has(meta, "last_page") else None,
        total=_number(meta["total"]) if _has(meta, "total") else None,
        envelope=frozenset(document),
        size=size,
        received=now(),
    )


def _says_error(document: dict[str, t.Any]) -> bool:
    """Whether a document without messages says that it is an error, under a 200."""
    status, code = document.get("status"), document.get("code", document.get("status"))
    is_bad_code = isinstance(code, int) and code >= 400  # noqa: PLR2004 - HTTP's errors
    words = {"error", "fail", "failed", "failure"}
    return names_error(document) or is_bad_code or str(status).lower() in words


def _has(part: object, key: str) -> t.TypeGuard[dict[str, t.Any]]:
    return isinstance(part, dict) and key in part


def _number(value: object) -> int | None:
    try:
        return as_integer(value)
    except ConversionError:
        return None


def _message_id(row: Row) -> int:
    number = _number(_id_of(row))
    if number is None:
        raise unexpected_payload(SWELL, "a message without a whole number as its id")
    return number


@dataclass(frozen=True)
class CountPage:
    """The counts of one day."""

    row: Row
    size: int
    received: datetime

    @property
    def numbers(self) -> tuple[int | None, int | None]:
        """Messages received and sent."""
        return _number(_received(self.row)), _number(_sent(self.row))


def count_page(document: t.Any, size: int) -> CountPage:
    """The counts in a document. Raises ResponseError unless both numbers are there."""
    page = CountPage(document if isinstance(document, dict) else {}, size, now())
    if None in page.numbers:
        raise unexpected_payload(SWELL, "JSON without the numbers received and sent")
    return page
