"""Swell CX's messages and counts: how to ask, and what counts as an answer."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from tap_medchat_swell.http.client import Ask, Client
from tap_medchat_swell.http.responses import Vendor, names_error, unexpected_payload
from tap_medchat_swell.record_mapper import ConversionError, KeyFinder, Row, as_integer
from tap_medchat_swell.timestamps import now

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime

    from tap_medchat_swell.http.rate_limiter import RateLimiter
    from tap_medchat_swell.settings import Options
    from tap_medchat_swell.time_ranges import DayRange

LOGIN = "Swell redirects to its login page or shows it when it does not accept the token."
SWELL = Vendor(
    "Swell",
    advice={
        200: f"Check swell_api_url and swell_api_token. {LOGIN}",
        301: "Check swell_api_url.",
        302: f"Check swell_api_token. {LOGIN}",
        303: f"Check swell_api_token. {LOGIN}",
        307: "Check swell_api_url.",
        308: "Check swell_api_url.",
        401: "Check swell_api_token (Swell > Settings > API tokens).",
        403: "Check that the user of swell_api_token may see the messages of its "
        "locations and teams.",
        404: "Check swell_api_url.",
        422: "Check swell_location_ids, swell_team_ids and swell_contact_ids.",
    },
    parameters=frozenset(
        {
            "token",
            "team_id",
            "location_id",
            "contact_id",
            "status",
            "updated_after",
            "from_date",
            "to_date",
            "date",
            "per_page",
            "page",
        }
    ),
)

_ID = KeyFinder("id")
_RECEIVED = KeyFinder("received")
_SENT = KeyFinder("sent")


@dataclass(frozen=True)
class MessagePage:
    """Messages of one answer, and what it hints about further pages; None: no hint."""

    rows: list[Row]
    ids: list[int]
    has_next_link: bool | None
    last_page: int | None
    total: int | None
    received: datetime

    def tells_more(self, number: int) -> bool:
        """Whether there must be messages on it or behind it, if it has this number."""
        has_more = self.has_next_link or (self.last_page or 0) > number
        return bool(has_more or (number == 1 and self.total))


def message_page(document: t.Any) -> MessagePage:
    """The page in a document; raises ResponseError unless it has a list of messages."""
    rows = document.get("data") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise unexpected_payload(SWELL, "JSON without a list of messages under data")
    if not rows and names_error(document):
        raise unexpected_payload(SWELL, "an error in place of messages")
    links, meta = document.get("links"), document.get("meta")
    return MessagePage(
        rows=rows,
        ids=[_message_id(row) for row in rows],
        has_next_link=bool(links["next"]) if _has(links, "next") else None,
        last_page=_number(meta["last_page"]) if _has(meta, "last_page") else None,
        total=_number(meta["total"]) if _has(meta, "total") else None,
        received=now(),
    )


def full_page(document: t.Any, number: int) -> MessagePage:
    """The page of this number; an empty one that tells of messages is not believed at once."""
    page = message_page(document)
    if not page.rows and page.tells_more(number):
        raise unexpected_payload(SWELL, "a page without messages that tells of some", lambda: page)
    return page


def _has(part: object, key: str) -> t.TypeGuard[dict[str, t.Any]]:
    return isinstance(part, dict) and key in part


def _number(value: object) -> int | None:
    try:
        return as_integer(value)
    except ConversionError:
        return None


def _message_id(row: Row) -> int:
    number = _number(_ID.value(row))
    if number is None:
        raise unexpected_payload(SWELL, "a message without a whole number as its id")
    return number


def count_of_day(document: t.Any) -> Row:
    """The counts in a document; raises ResponseError unless both are there."""
    counts = document if isinstance(document, dict) else {}
    if None in received_and_sent(counts):
        raise unexpected_payload(SWELL, "JSON without the numbers received and sent")
    return counts


def received_and_sent(counts: Row) -> tuple[int | None, int | None]:
    """The two numbers of a day's counts."""
    return _number(_RECEIVED.value(counts)), _number(_SENT.value(counts))


class SwellApi:
    """Asks for pages of messages, and for counts."""

    def __init__(self, options: Options, rate_limiter: RateLimiter) -> None:
        self._options = options
        self.page_size = options.swell_page_size
        self._url = f"{options.swell_api_url.rstrip('/')}/messages"
        token = quote(options.swell_api_token, safe="")
        # Without this Accept, Laravel answers a refused token with a redirect (W17).
        self.client = Client(
            SWELL, options, rate_limiter, {"Accept": "application/json"}, f"&token={token}"
        )

    def ask_window(self, window: DayRange, page: int) -> Ask:
        """A page of the messages created from a window's first day to its last."""
        dates = {"from_date": str(window.first), "to_date": str(window.last)}
        return self._ask_messages(dates, page, f"messages of {window}")

    def ask_updated(self, since: str, page: int) -> Ask:
        """A page of the messages changed since a day, whenever created (W12)."""
        return self._ask_messages({"updated_after": since}, page, f"messages changed after {since}")

    def _ask_messages(self, when: Mapping[str, str], page: int, label: str) -> Ask:
        query = {
            **when,
            "location_id": ",".join(self._options.swell_location_ids),
            "team_id": ",".join(self._options.swell_team_ids),
            "contact_id": ",".join(self._options.swell_contact_ids),
            "per_page": str(self.page_size),
            "page": str(page),
        }
        return Ask(f"{self._url}?{_encoded(query)}", f"{label}, page {page}")

    def ask_count(self, day: date, locations: str, teams: str) -> Ask:
        """The counts of one day; filters are ids with commas, or empty."""
        if self._options.swell_counts_parameters == "date":
            dates = {"date": str(day)}
        else:
            dates = {"from_date": str(day), "to_date": str(day)}
        query = {**dates, "location_id": locations, "team_id": teams}
        return Ask(f"{self._url}/count?{_encoded(query)}", f"counts of {day}")


def _encoded(query: Mapping[str, str]) -> str:
    given = {name: value for name, value in query.items() if value}
    return urlencode(given, safe=",:", quote_via=quote)
