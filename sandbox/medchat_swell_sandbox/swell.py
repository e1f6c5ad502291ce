"""Swell's "Messages" endpoints: list, one, count, create."""

from __future__ import annotations

import random
import re
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec

from medchat_swell_sandbox.clock import utc_now
from medchat_swell_sandbox.http import Answer, Headers, Request, json_answer, parameters
from medchat_swell_sandbox.laravel import (
    Page,
    invalid,
    paginated,
    too_many_attempts,
    unauthenticated,
)
from medchat_swell_sandbox.swell_query import CountQuery, MessagesQuery, Validation
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
MAX_SUBLINES = 15
KEPT_SELECTIONS = 256
KEPT_FORMS = 16


class SwellApi:
    """Answers requests under ``/api/v1`` from a dataset."""

    def __init__(self, dataset: Dataset, credentials: Credentials) -> None:
        self._dataset = dataset
        self._credentials = credentials
        self._encoders: dict[Quirks, SwellEncoder] = {}
        self._selections: dict[Hashable, list[SwellMessage]] = {}
        self._generation = -1
        self.throttle = Throttle()

    def answer(self, request: Request, quirks: Quirks, number: int) -> Answer:
        """Answer the request; ``number`` counts the requests of the sandbox."""
        limit = quirks.swell_throttle_per_minute
        given = dict(parameters(request.query, plus_is_space=True))
        body = _body(request)
        token = str(given.pop("token", "") or body.get("token", ""))
        if not self.throttle.admit(token, limit, quirks):
            return too_many_attempts(self._refused_headers(token, quirks))
        answer = misrouted(request) or self._refusal(request, token, quirks)
        if answer is None:
            with self._dataset.lock:
                answer = self._routed(request, given, body, quirks, number)
        if limit is not None:
            left = self.throttle.remaining(token, limit, quirks)
            answer.headers += _limit_headers(limit, left)
        return answer

    def warm(self, quirks: Quirks) -> None:
        """Encode every message."""
        encoder = self._encoder(quirks)
        for message in self._dataset.messages_created(None, None):
            encoder.encode(message)

    def _refusal(self, request: Request, token: str, quirks: Quirks) -> Answer | None:
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
    ) -> Answer:
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

    def _list(self, request: Request, given: dict[str, str], quirks: Quirks, number: int) -> Answer:
        validation = Validation(given, quirks)
        query = validation.messages()
        if validation.errors:
            return invalid(request, validation.errors, quirks)
        rows = self._selected(query, quirks)
        if quirks.swell_order == "unstable":
            # A dice, not a secret.
            rows = random.Random(number).sample(rows, len(rows))
        start = (query.page - 1) * query.per_page
        encode = self._encoder(quirks).encode
        encoded = [encode(row) for row in rows[start : start + query.per_page]]
        page = Page(encoded, query.page, query.per_page, len(rows))
        return Answer(200, paginated(page, request, quirks))

    def _one(self, message_id: int, quirks: Quirks) -> Answer:
        message = self._dataset.swell_messages.get(message_id)
        if message is None:
            text = f"No query results for model [App\\Models\\Message] {message_id}"
            return json_answer(404, {"message": text})
        row = self._encoder(quirks).encode(message)
        return Answer(200, b'{"data":[' + row + b"]}")

    def _count(self, request: Request, given: dict[str, str], quirks: Quirks) -> Answer:
        validation = Validation(given, quirks)
        query = validation.count()
        if validation.errors:
            return invalid(request, validation.errors, quirks)
        rows = self._counted(query, quirks)
        received = sum(row.message_type == "from" for row in rows)
        counts = {"received": received, "sent": len(rows) - received}
        if quirks.swell_counts_as_strings:
            return json_answer(200, {name: str(n) for name, n in counts.items()})
        return json_answer(200, counts)

    def _create(self, request: Request, body: dict[str, Any], quirks: Quirks) -> Answer:
        errors = _create_errors(body)
        ids = _id_list(body.get("contact_id"))
        if not all(number in self._dataset.contacts for number in ids):
            errors["contact_id"] = ["The selected contact id is invalid."]
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
            for number in ids
        ]
        encoder = self._encoder(quirks)
        sublines = _sublines(body)
        rows = b",".join(encoder.created(row, sublines) for row in made)
        return Answer(200, b'{"data":[' + rows + b"]}")

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
            return _ordered(self._between(None, None, quirks), quirks)
        rows = [
            row for row in self._between(query.start, query.end, quirks) if _matches(row, query)
        ]
        if quirks.swell_repeat_across_locations and query.locations:
            rows = [row for row in rows for _ in _shared(row, query.locations)]
        return _ordered(rows, quirks)

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


def misrouted(request: Request) -> Answer | None:
    """Refuse a path or method that has no route."""
    if request.path not in (LIST, COUNT) and not ONE.fullmatch(request.path):
        return json_answer(404, {"message": "Not Found"})
    allowed = ("GET", "POST") if request.path == LIST else ("GET",)
    if request.method not in allowed:
        return json_answer(405, {"message": "The method is not supported."})
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


def _ordered(rows: list[SwellMessage], quirks: Quirks) -> list[SwellMessage]:
    match quirks.swell_order:
        case "latest":
            return sorted(rows, key=lambda row: (row.created, row.id), reverse=True)
        case "unspecified":
            return sorted(rows, key=lambda row: crc32(str(row.id).encode()))
        case _:
            return sorted(rows, key=lambda row: row.id)


def _limit_headers(limit: int, left: int) -> Headers:
    return (("X-RateLimit-Limit", str(limit)), ("X-RateLimit-Remaining", str(left)))


def _body(request: Request) -> dict[str, Any]:
    if request.method != "POST":
        return {}
    try:
        return msgspec.json.decode(request.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _id_list(given: object) -> list[int]:
    ids = given if isinstance(given, list) else [given]
    return [number for number in ids if isinstance(number, int)]


def _sublines(body: dict[str, Any]) -> list[dict[str, Any]]:
    given = body.get("message_sublines", [])
    return [
        {"line_header": None, "body_type": "none", "priority": place, **line}
        for place, line in enumerate(given, start=1)
    ]


def _create_errors(body: dict[str, Any]) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    if not _id_list(body.get("contact_id")):
        errors["contact_id"] = ["The contact id field is required."]
    if not isinstance(body.get("message"), str) or not body["message"]:
        errors["message"] = ["The message field is required."]
    if body.get("direction", "outbound") not in ("inbound", "outbound"):
        errors["direction"] = ["The selected direction is invalid."]
    if body.get("media_type", "text") not in ("text", "multiline"):
        errors["media_type"] = ["The selected media type is invalid."]
    sublines = body.get("message_sublines", [])
    if not isinstance(sublines, list) or len(sublines) > MAX_SUBLINES:
        errors["message_sublines"] = ["The message sublines may not exceed 15 items."]
    elif not all(isinstance(line, dict) and line.get("body") for line in sublines):
        errors["message_sublines.body"] = ["The message sublines body is required."]
    return errors
