"""MedChat's "Get SMS Chats" endpoint."""

from __future__ import annotations

import random
import re
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any
from zlib import crc32

from medchat_swell_sandbox.clock import utc_now
from medchat_swell_sandbox.credentials import CHATS_SCOPE, EXECUTIONS_SCOPE
from medchat_swell_sandbox.http import Response, json_response, parameters
from medchat_swell_sandbox.medchat_rows import RowEncoder, RowForm, row_form
from medchat_swell_sandbox.odata_filter import QueryError, parse_filter
from medchat_swell_sandbox.odata_query import EXPANDABLE, Ordering, Query, parse_query
from medchat_swell_sandbox.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Hashable

    from medchat_swell_sandbox.credentials import Credentials
    from medchat_swell_sandbox.dataset import Dataset
    from medchat_swell_sandbox.http import Request
    from medchat_swell_sandbox.quirks import Quirks
    from medchat_swell_sandbox.rows import Chat

BASE = "/smschatapi"
ROUTE = re.compile(
    rf"{BASE}/external/orgs/(?P<org>[^/]+)/smsChats(?:/(?P<chat>[^/]+)/(?P<collection>\w+))?"
)
MEDIA_TYPE = "application/vnd.medchat+json"
MEDIA_TYPE_SERVED = f"{MEDIA_TYPE}; v=1.0; charset=utf-8"
VERSION_ERROR = (
    "The HTTP resource that matches the request URI does not support the requested API version."
)
EXPAND_SCOPES = {
    # The scope of memberships is not documented; this one is invented.
    "Messages": CHATS_SCOPE,
    "Memberships": "read.memberships",
    "TextBotExecutions": EXECUTIONS_SCOPE,
}
KEPT_FORMS = 16
KEPT_SELECTIONS = 256


class MedChatApi:
    """Handles requests under ``/smschatapi``."""

    def __init__(self, dataset: Dataset, credentials: Credentials) -> None:
        self._dataset = dataset
        self._credentials = credentials
        self._encoders: dict[RowForm, RowEncoder] = {}
        self._selections: dict[Hashable, list[Chat]] = {}
        self._generation = -1
        self.throttle = Throttle()

    def respond(self, request: Request, quirks: Quirks, number: int) -> Response:
        """Return the response; ``number`` is the sandbox's request counter."""
        match = ROUTE.fullmatch(request.path)
        if match is None:
            return problem(404)
        refusal = self._refusal(request, quirks, match["org"])
        if refusal is not None:
            return refusal
        try:
            with self._dataset.lock:
                if match["chat"]:
                    return self._rest(request, quirks, match["chat"], match["collection"])
                return self._chats(request, quirks, number)
        except QueryError as error:
            return error_response(quirks.medchat_bad_query_status, str(error), quirks)

    def warm(self, quirks: Quirks) -> None:
        """Encode all chats, with and without messages."""
        for expand in ((), ("Messages",)):
            encoder = self._encoder("", quirks, expand, 0)
            for chat in self._dataset.chats_created(None, None):
                encoder.encode(chat)

    def _refusal(self, request: Request, quirks: Quirks, org: str) -> Response | None:
        """Validate in ASP.NET's order: version, token, scope, organization."""
        refusal = misrouted(request, quirks) or self._unauthorized(request)
        if refusal is not None:
            return refusal
        if CHATS_SCOPE not in self._credentials.medchat_scopes:
            return forbidden(CHATS_SCOPE, quirks)
        if org.lower() != self._credentials.medchat_org_id.lower():
            return problem(404)
        limit = quirks.medchat_throttle_per_minute
        if not self.throttle.admit("medchat", limit, quirks):
            return Response(429, b"", None)
        return None

    def _unauthorized(self, request: Request) -> Response | None:
        if not self._token_is_good(request.headers.get("authorization", "")):
            challenge = ("WWW-Authenticate", 'Bearer error="invalid_token"')
            return Response(401, b"", None, (challenge,))
        return None

    def _token_is_good(self, header: str) -> bool:
        scheme, _, token = header.partition(" ")
        expires = self._credentials.medchat_expires
        in_time = expires is None or utc_now() < expires
        right = token.strip() == self._credentials.medchat_access_token
        return scheme.lower() == "bearer" and right and in_time

    def _chats(self, request: Request, quirks: Quirks, number: int) -> Response:
        query = parse_query(request.query, quirks)
        missing = self._missing_scope(query.expand, quirks)
        if missing is not None:
            return forbidden(missing, quirks)
        rows = self._ordered(query, quirks, number)
        skip = 0 if quirks.medchat_skip_ignored else query.skip
        end = skip + _page_length(query, quirks, len(rows))
        page = rows[skip:end]
        if not page and quirks.medchat_empty != "envelope":
            return _nothing_found(quirks)
        encode = self._encoder(request.origin, quirks, query.expand, number).encode
        body = b"[" + b",".join([encode(chat) for chat in page]) + b"]"
        link = _next_link(request, quirks, query, end, more=end < len(rows))
        return Response(200, _wrapped(body, link, quirks), MEDIA_TYPE_SERVED)

    def _missing_scope(self, expand: tuple[str, ...], quirks: Quirks) -> str | None:
        for name in expand:
            if name in quirks.medchat_forbidden_expands:
                return EXPAND_SCOPES[name]
        lacking = EXECUTIONS_SCOPE not in self._credentials.medchat_scopes
        needed = quirks.medchat_text_bot_scope_required and "TextBotExecutions" in expand
        return EXECUTIONS_SCOPE if needed and lacking else None

    def _rest(self, request: Request, quirks: Quirks, chat_id: str, collection: str) -> Response:
        """What follows the rows of a capped collection."""
        chat = self._dataset.chats.get(chat_id)
        name = EXPANDABLE.get(collection.lower())
        if chat is None or name is None or not quirks.medchat_expanded_cap_link:
            return problem(404)
        options = dict(parameters(request.query, plus_is_space=True))
        encoder = self._encoder(request.origin, quirks, (), 0)
        rows = encoder.encode_rest(chat, name, int(options.get("$skip", "0")))
        return Response(200, _wrapped(rows, None, quirks), MEDIA_TYPE_SERVED)

    def _encoder(
        self, origin: str, quirks: Quirks, expand: tuple[str, ...], number: int
    ) -> RowEncoder:
        org = self._credentials.medchat_org_id
        url = f"{origin}{BASE}/external/orgs/{org}/smsChats"
        if not quirks.medchat_expanded_cap_link:
            url = ""
        form = row_form(quirks, expand, number, url)
        if form not in self._encoders:
            if len(self._encoders) >= KEPT_FORMS:
                self._encoders.clear()
            self._encoders[form] = RowEncoder(form)
        return self._encoders[form]

    def _ordered(self, query: Query, quirks: Quirks, number: int) -> list[Chat]:
        rows = self._selected(query, quirks)
        if quirks.medchat_order == "stable":
            return rows
        # Not used for secrets.
        if quirks.medchat_order == "postgres":
            number = query.skip + (query.top or 0)
        rng = random.Random(number)
        if quirks.medchat_order == "unstable":
            return rng.sample(rows, len(rows))
        return _ties_shuffled(rows, query.ordering, rng)

    def _selected(self, query: Query, quirks: Quirks) -> list[Chat]:
        if self._generation != self._dataset.generation:
            self._selections.clear()
            self._generation = self._dataset.generation
        key = (query.filter_text, query.orderby_text, quirks)
        if key not in self._selections:
            if len(self._selections) >= KEPT_SELECTIONS:
                self._selections.clear()
            self._selections[key] = self._select(query, quirks)
        return self._selections[key]

    def _select(self, query: Query, quirks: Quirks) -> list[Chat]:
        rows = self._filtered(query.filter_text, quirks)
        if quirks.medchat_orderby_ignored:
            return sorted(rows, key=attrgetter("id"))
        # Ties are sorted by the key (EnsureStableOrdering).
        rows = sorted(rows, key=attrgetter("created", "id"))
        for item in reversed(query.ordering):
            rows.sort(key=_sort_key(item), reverse=item.descending)
        return rows

    def _filtered(self, text: str | None, quirks: Quirks) -> list[Chat]:
        if text is None:
            return self._dataset.chats_created(None, None)
        wanted = parse_filter(
            text,
            case_sensitive=quirks.medchat_case_sensitive_names,
            max_nodes=quirks.medchat_max_filter_nodes,
        )
        if quirks.medchat_filter_ignored:
            return self._dataset.chats_created(None, None)
        rows = self._dataset.chats_created(wanted.start, wanted.end)
        return [chat for chat in rows if wanted.matches(chat)]


def misrouted(request: Request, quirks: Quirks) -> Response | None:
    """Reject an unsupported method or version (M17)."""
    if request.method != "GET":
        return problem(405)
    if quirks.medchat_content_type_refused and "content-type" in request.headers:
        return problem(415)
    if not accepts(request.headers.get("accept", ""), quirks.medchat_version):
        return error_response(quirks.medchat_version_refusal, VERSION_ERROR, quirks)
    return None


def accepts(header: str, version: str) -> bool:
    """Return whether an Accept header includes MedChat's JSON in this version (M17)."""
    for media_range in header.split(","):
        media_type, *options = (part.strip() for part in media_range.split(";"))
        pairs = [option.replace(" ", "").partition("=") for option in options]
        values = {name.lower(): value.strip('"') for name, _, value in pairs}
        if media_type.lower() == MEDIA_TYPE and values.get("v") == version:
            return True
    return False


def problem(status: int) -> Response:
    """Return an ASP.NET problem document."""
    document = {"type": "about:blank", "title": "Rejected", "status": status}
    response = json_response(status, document)
    response.content_type = "application/problem+json; charset=utf-8"
    return response


def forbidden(scope: str, quirks: Quirks) -> Response:
    """Reject a token without the required scope (M16)."""
    match quirks.medchat_scope_named:
        case "header":
            challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
            return Response(403, b"", None, (("WWW-Authenticate", challenge),))
        case "message":
            return error_response(403, f"The scope '{scope}' is required.", quirks)
        case _:
            return Response(403, b"", None)


def error_response(status: int, message: str, quirks: Quirks) -> Response:
    """Return an error message in one of the formats used by OData servers (M18)."""
    if quirks.medchat_error_shape == "error":
        return json_response(status, {"error": {"code": "", "message": message}})
    return json_response(status, {quirks.medchat_error_shape: message})


def _nothing_found(quirks: Quirks) -> Response:
    match quirks.medchat_empty:
        case "204":
            return Response(204, b"", None)
        case "null":
            return Response(200, b"null", MEDIA_TYPE_SERVED)
        case _:
            return Response(200, b"", None)


def _page_length(query: Query, quirks: Quirks, held: int) -> int:
    limits = (query.top, quirks.medchat_page_cap, held)
    full = min(limit for limit in limits if limit is not None)
    shortest = quirks.medchat_short_pages
    if shortest is None or shortest >= full:
        return full
    place = crc32(f"{query.filter_text} {query.skip}".encode())
    return shortest + place % (full - shortest + 1)


def _sort_key(item: Ordering) -> Any:
    read = item.known.read

    def key(chat: Chat) -> tuple[bool, Any]:
        value = read(chat)
        return (value is not None, value)

    return key


def _ties_shuffled(
    rows: list[Chat], ordering: tuple[Ordering, ...], rng: random.Random
) -> list[Chat]:
    reads = [item.known.read for item in ordering] or [attrgetter("created")]
    shuffled: list[Chat] = []
    for _, group in groupby(rows, lambda chat: [read(chat) for read in reads]):
        ties = list(group)
        rng.shuffle(ties)
        shuffled += ties
    return shuffled


def _next_link(
    request: Request, quirks: Quirks, query: Query, skip: int, *, more: bool
) -> str | None:
    wanted = quirks.medchat_next_link
    if wanted == "absent" or not (more or wanted == "always"):
        return None
    sent = request.query.replace("%24", "$").split("&")
    kept = [part for part in sent if part and not part.startswith("$skip=")]
    caps = (quirks.medchat_page_cap, quirks.medchat_short_pages)
    if query.top is not None and caps != (None, None):
        kept = [part for part in kept if not part.startswith("$top=")]
    options = "&".join([*kept, f"$skip={skip}"])
    if wanted == "relative":
        return f"{request.path.rpartition('/')[2]}?{options}"
    origin = "https://elsewhere.invalid" if wanted == "other_origin" else request.origin
    return f"{origin}{request.path}?{options}"


def _wrapped(rows: bytes, link: str | None, quirks: Quirks) -> bytes:
    if quirks.medchat_envelope == "array":
        return rows
    start = f'{{"{quirks.medchat_envelope}":'.encode()
    end = f',"{quirks.medchat_next_link_name}":"{link}"' if link else ""
    return start + rows + end.encode() + b"}"
