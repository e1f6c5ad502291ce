"""Swell CX's messages and counts: how to ask for them."""

from __future__ import annotations

import functools
import typing as t
from urllib.parse import quote, urlencode

from tap_medchat_swell.http.client import Client, Request
from tap_medchat_swell.http.responses import unexpected_payload
from tap_medchat_swell.swell.responses import SWELL, MessagePage, count_page, message_page

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from tap_medchat_swell.http.rate_limiter import RateLimiter
    from tap_medchat_swell.settings import Options
    from tap_medchat_swell.time_ranges import DayRange


class SwellApi:
    """Makes the requests for messages and counts.

    `envelopes` are the keys around the messages of pages that had some: an empty page that looks
    different is some other answer (an outage, for example).
    """

    def __init__(self, options: Options, rate_limiter: RateLimiter) -> None:
        self._options = options
        self.page_size = options.swell_page_size
        self.envelopes: set[frozenset[str]] = set()
        self._url = f"{options.swell_api_url.rstrip('/')}/messages"
        # Without this Accept, Laravel answers a refused token with a redirect (W17).
        headers = {"Accept": "application/json"}
        token = options.swell_api_token
        query = f"&token={quote(token, safe='')}"
        if options.swell_token_placement == "header":  # noqa: S105 - no password
            headers, query = {**headers, "Authorization": f"Bearer {token}"}, ""
        self.client = Client(SWELL, options, rate_limiter, headers, query)

    def messages(self, days: DayRange, page: int, per_page: int) -> Request:
        """A page of the messages created from the first day to the last."""
        dates = {"from_date": str(days.first), "to_date": str(days.last)}
        return self._messages(dates, page, per_page, f"messages of {days}")

    def changes(self, since: str, page: int, per_page: int) -> Request:
        """A page of the messages changed since a time, whenever created (W12)."""
        when = {"updated_after": since}
        return self._messages(when, page, per_page, f"messages changed after {since}")

    def _messages(self, when: Mapping[str, str], page: int, per_page: int, label: str) -> Request:
        query = {
            **when,
            "location_id": ",".join(self._options.swell_location_ids),
            "team_id": ",".join(self._options.swell_team_ids),
            "contact_id": ",".join(self._options.swell_contact_ids),
            "status": self._options.swell_status,
            "per_page": str(per_page),
            "page": str(page),
        }
        read = functools.partial(self._read, number=page)
        return Request(f"{self._url}?{_encoded(query)}", f"{label}, page {page}", read)

    def _read(self, document: t.Any, size: int, number: int) -> MessagePage:
        """The page in a document; runs in a worker. Raises ResponseError.

        An empty page is asked for again where its own hints announce messages, and refused
        where it looks different from pages with messages.
        """
        page = message_page(document, size)
        if page.rows:
            self.envelopes.add(page.envelope)
        elif not page.is_documented and self.envelopes and page.envelope not in self.envelopes:
            raise unexpected_payload(SWELL, "an empty page unlike its other pages")
        elif page.announces_rows(number):
            raise unexpected_payload(SWELL, "an empty page that announces messages", lambda: page)
        return page

    def counts(self, day: date, locations: str, teams: str) -> Request:
        """The counts of one day; filters are ids with commas, or empty."""
        if self._options.swell_counts_parameters == "date":
            return self.count({"date": str(day)}, locations, teams)
        return self.count({"from_date": str(day), "to_date": str(day)}, locations, teams)

    def count(self, dates: Mapping[str, str], locations: str, teams: str) -> Request:
        """The counts of one day or several."""
        query = {**dates, "location_id": locations, "team_id": teams}
        label = f"counts of {' to '.join(dict.fromkeys(dates.values()))}"
        return Request(f"{self._url}/count?{_encoded(query)}", label, count_page)


def _encoded(query: Mapping[str, str]) -> str:
    given = {name: value for name, value in query.items() if value}
    return urlencode(given, safe=",:", quote_via=quote)
