"""Swell's "Messages" endpoints: list, one, count, create."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from medchat_swell_sandbox.clock import utc_now
from medchat_swell_sandbox.http import Headers, Request, Response, json_response, parameters
from medchat_swell_sandbox.laravel import (
    blocked,
    finished,
    invalid,
    too_many_attempts,
    unauthenticated,
)
from medchat_swell_sandbox.paginator import Page, paginated
from medchat_swell_sandbox.swell_create import create_errors, id_list, sublines_shown
from medchat_swell_sandbox.swell_order import ordered, page_of
from medchat_swell_sandbox.swell_query import CountQuery, CrashError, MessagesQuery, Validation
from medchat_swell_sandbox.swell_rows import SwellEncoder
from medchat_swell_sandbox.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Hashable

    from medchat_swell_sandbox.credentials import Credentials
    from medchat_swell_sandbox.dataset import Dataset
    from medchat_swell_sandbox.quirks import Quirks
    from medchat_swell_sandbox.rows import SwellMessage

BASE = "/api/v1"
LIST = f"{BASE}/messages"
COUNT = f"{LIST}/count"
ONE = re.compile(rf"{LIST}/(\d+)", re.ASCII)
KEPT_SELECTIONS = 256
KEPT_FORMS = 16


class SwellApi:
    """Handles requests under ``/api/v1``."""

    def __init__(self, dataset: Dataset, credentials: Credentials) -> None:
        self._dataset = dataset
        self._credentials = credentials
        self._encoders: dict[Quirks, SwellEncoder] = {}
        self._selections: dict[Hashable, list[SwellMessage]] = {}
        self._generation = -1
        self.throttle = Throttle()

    def respond(self, request: Request, quirks: Quirks, number: int) -> Response:
        """Return the response; ``number`` is the sandbox's request counter."""
        return finished(blocked(request, quirks) or self._admitted(request, quirks, number), quirks)

    def _admitted(self, request: Request, quirks: Quirks, number: int) -> Response:
        limit = quirks.swell_throttle_per_minute
        given = dict(parameters(request.query, plus_is_space=True))
        body = _body(request)
        token = str(given.pop("token", "") or body.get("token", "") or _bearer(request, quirks))
        if not self.throttle.admit(token, limit, quirks):
            return too_many_attempts(self._refused_headers(token, quirks))
        response = misrouted(request) or self._refusal(request, token, quirks)
        if response is None:
            try:
                with self._dataset.lock:
                    response = self._routed(request, given, body, quirks, number)
            except CrashError:
                response = json_response(500, {"message": "Server Error"})
        if limit is not None:
            left = self.throttle.remaining(token, limit, quirks)
            response.headers += _limit_headers(limit, left)
        return response

    def warm(self, quirks: Quirks) -> None:
        """Encode all messages."""
        encoder = self._encoder(quirks)
        for message in self._dataset.messages_created(None, None):
            encoder.encode(message)

    def _refusal(self, request: Request, token: str, quirks: Quirks) -> Response | None:
        if token == self._credentials.swell_api_token:
            return None
        return unauthenticated(request, quirks)

    def _routed(
        self,
        request: Request,
        given: dict[str, str],
        body: dict[str, Any],
        quirks: Quirks,
        number: int,
    ) -> Response:
        one = ONE.fullmatch(request.path)
        if one:
            return self._one(int(one[1]), quirks)
        if request.path == COUNT:
            return self._count(request, given, quirks)
        if request.method == "POST":
            return self._create(request, body, quirks)
        return self._list(request, given, quirks, number)

    def _refused_headers(self, token: str, quirks: Quirks) -> Headers:
        seconds = max(1, int(self.throttle.seconds_left(token, quirks) + 0.999))
        reset = str(int(time.time()) + seconds)
        limit = quirks.swell_throttle_per_minute or 0
        headers = (("Retry-After", str(seconds)), ("X-RateLimit-Reset", reset))
        return _limit_headers(limit, 0) + headers

    def _list(
        self, request: Request, given: dict[str, str], quirks: Quirks, number: int
    ) -> Response:
        validation = Validation(given, quirks)
        query = validation.messages()
        if validation.errors:
            return invalid(request, validation.errors, quirks)
        rows = self._selected(query, quirks)
        offset = (query.page - 1) * query.per_page
        shown = page_of(rows, query.per_page, offset, quirks, number)
        encode = self._encoder(quirks).encode
        total = _total(rows, query, quirks)
        page = Page([encode(row) for row in shown], query.page, query.per_page, total)
        return Response(200, paginated(page, request, quirks))

    def _one(self, message_id: int, quirks: Quirks) -> Response:
        message = self._dataset.swell_messages.get(message_id)
        if message is None:
            text = f"No query results for model [App\\Models\\Message] {message_id}"
            return json_response(404, {"message": text})
        row = self._encoder(quirks).encode(message)
        return Response(200, b'{"data":[' + row + b"]}")

    def _count(self, request: Request, given: dict[str, str], quirks: Quirks) -> Response:
        validation = Validation(given, quirks)
        query = validation.count()
        if validation.errors:
            return invalid(request, validation.errors, quirks)
        rows = self._counted(query, quirks)
        received = sum(row.message_type == "from" for row in rows)
        counts = {"received": received, "sent": len(rows) - received}
        if quirks.swell_counts_as_strings:
            return json_response(200, {name: str(n) for name, n in counts.items()})
        return json_response(200, counts)

    def _create(self, request: Request, body: dict[str, Any], quirks: Quirks) -> Response:
        errors = create_errors(body, self._dataset.contacts, quirks.swell_laravel)
        if errors:
            return invalid(request, errors, quirks)
        inbound = body.get("direction") == "inbound"
        made = [
            self._dataset.add_swell_message(
                number,
                text=body["message"],
                message_type="from" if inbound else "to",
                read=not inbound,
                origin=body.get("media_type"),
            )
            for number in id_list(body["contact_id"])
        ]
        encoder = self._encoder(quirks)
        sublines = sublines_shown(body)
        rows = b",".join(encoder.created(row, sublines) for row in made)
        return Response(200, b'{"data":[' + rows + b"]}")

    def _encoder(self, quirks: Quirks) -> SwellEncoder:
        if quirks not in self._encoders:
            if len(self._encoders) >= KEPT_FORMS:
                self._encoders.clear()
            self._encoders[quirks] = SwellEncoder(quirks)
        return self._encoders[quirks]

    def _selected(self, query: MessagesQuery, quirks: Quirks) -> list[SwellMessage]:
        if self._generation != self._dataset.generation:
            self._selections.clear()
            self._generation = self._dataset.generation
        filters = (query.teams, query.locations, query.contacts, query.status)
        key = (filters, query.start, query.end, query.updated_after, quirks)
        if key not in self._selections:
            if len(self._selections) >= KEPT_SELECTIONS:
                self._selections.clear()
            self._selections[key] = self._select(query, quirks)
        return self._selections[key]

    def _select(self, query: MessagesQuery, quirks: Quirks) -> list[SwellMessage]:
        if quirks.swell_filters_ignored:
            return ordered(self._between(None, None, quirks), quirks)
        rows = [
            row for row in self._between(query.start, query.end, quirks) if _matches(row, query)
        ]
        if quirks.swell_repeat_across_locations and query.locations:
            rows = [row for row in rows for _ in _shared(row, query.locations)]
        return ordered(rows, quirks)

    def _counted(self, query: CountQuery, quirks: Quirks) -> list[SwellMessage]:
        if quirks.swell_filters_ignored:
            return self._between(None, None, quirks)
        return [
            row
            for row in self._between(query.start, query.end, quirks)
            if _in_places(row, query.teams, query.locations)
        ]

    def _between(
        self, start: datetime | None, end: datetime | None, quirks: Quirks
    ) -> list[SwellMessage]:
        if quirks.swell_retention_days is not None:
            oldest = utc_now() - timedelta(days=quirks.swell_retention_days)
            start = max(start, oldest) if start else oldest
        return self._dataset.messages_created(start, end)


def misrouted(request: Request) -> Response | None:
    """Reject an unknown path or method."""
    if request.path not in (LIST, COUNT) and not ONE.fullmatch(request.path):
        return json_response(404, {"message": "Not Found"})
    allowed = ("GET", "POST") if request.path == LIST else ("GET",)
    if request.method not in allowed:
        return json_response(405, {"message": "The method is not supported."})
    return None


def _shared(row: SwellMessage, locations: frozenset[int]) -> list[int]:
    return [place.id for place in row.contact.locations if place.id in locations]


def _in_places(
    row: SwellMessage, teams: frozenset[int] | None, locations: frozenset[int] | None
) -> bool:
    if teams is not None and row.team_id not in teams:
        return False
    return locations is None or bool(_shared(row, locations))


def _matches(row: SwellMessage, query: MessagesQuery) -> bool:
    if query.status is not None and row.status != query.status:
        return False
    if query.contacts is not None and row.contact.id not in query.contacts:
        return False
    if query.updated_after is not None and row.updated <= query.updated_after:
        return False
    return _in_places(row, query.teams, query.locations)


def _total(rows: list[SwellMessage], query: MessagesQuery, quirks: Quirks) -> int:
    if not quirks.swell_distinct_total or quirks.swell_filters_ignored:
        return len(rows)
    if query.locations is None:
        return sum(max(1, len(row.contact.locations)) for row in rows)
    return sum(len(_shared(row, query.locations)) for row in rows)


def _limit_headers(limit: int, left: int) -> Headers:
    return (("X-RateLimit-Limit", str(limit)), ("X-RateLimit-Remaining", str(left)))


def _body(request: Request) -> dict[str, Any]:
    if request.method != "POST":
        return {}
    try:
        return msgspec.json.decode(request.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _bearer(request: Request, quirks: Quirks) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if quirks.swell_bearer and scheme == "Bearer" else ""
