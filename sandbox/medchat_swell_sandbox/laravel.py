"""Laravel's customs: paginator envelope, error bodies, redirects to the login page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from medchat_swell_sandbox.http import HTML, Answer, Headers, Request, json_answer

if TYPE_CHECKING:
    from medchat_swell_sandbox.quirks import Quirks

Errors = dict[str, list[str]]

LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Log in</title></head></html>\n"


def wants_json(request: Request) -> bool:
    """Tell whether errors come as JSON: the first type accepted has to be some JSON."""
    first = request.headers.get("accept", "").split(",")[0]
    return "/json" in first or "+json" in first


def login_redirect(request: Request) -> Answer:
    """Answer with what a browser without a session gets."""
    location = f"{request.origin}/login"
    return Answer(302, LOGIN_PAGE, HTML, (("Location", location),))


def unauthenticated(request: Request, quirks: Quirks) -> Answer:
    """Refuse a token (W17)."""
    if quirks.swell_accept_required and not wants_json(request):
        return login_redirect(request)
    match quirks.swell_auth_failure:
        case "302":
            return login_redirect(request)
        case "html":
            return Answer(200, LOGIN_PAGE, HTML)
        case "422":
            return _errors_answer({"token": ["The selected token is invalid."]})
        case "403":
            return json_answer(403, {"message": "This action is unauthorized."})
        case _:
            return json_answer(401, {"message": "Unauthenticated."})


def invalid(request: Request, errors: Errors, quirks: Quirks) -> Answer:
    """Refuse parameters (W17)."""
    if quirks.swell_accept_required and not wants_json(request):
        return login_redirect(request)
    match quirks.swell_validation_failure:
        case "302":
            return login_redirect(request)
        case "html":
            return Answer(200, LOGIN_PAGE, HTML)
        case _:
            return _errors_answer(errors)


def too_many_attempts(headers: Headers) -> Answer:
    """Refuse a request over the throttle's limit (W21)."""
    return json_answer(429, {"message": "Too Many Attempts."}, *headers)


def _errors_answer(errors: Errors) -> Answer:
    messages = [message for field in errors.values() for message in field]
    more = len(messages) - 1
    plural = "s" if more > 1 else ""
    summary = messages[0] + (f" (and {more} more error{plural})" if more else "")
    return json_answer(422, {"message": summary, "errors": errors})


@dataclass(frozen=True)
class Page:
    """A page of encoded rows and its place among all."""

    rows: list[bytes]
    number: int
    per_page: int
    total: int

    @property
    def last(self) -> int:
        """Return the last page's number; an empty list has one page."""
        return max(1, -(-self.total // self.per_page))


def paginated(page: Page, request: Request, quirks: Quirks) -> bytes:
    """Wrap a page as LengthAwarePaginator does, or as the quirks have it (W8, W9)."""
    body = b'{"data":[' + b",".join(page.rows) + b"]"
    if quirks.swell_links != "absent":
        links = msgspec.json.encode(_links(page, request, quirks))
        body += b',"links":' + links
    if quirks.swell_meta != "absent":
        body += b',"meta":' + msgspec.json.encode(_meta(page, request, quirks))
    return body + b"}"


def _links(page: Page, request: Request, quirks: Quirks) -> dict[str, str | None]:
    if quirks.swell_links == "null":
        return dict.fromkeys(("first", "last", "prev", "next"))
    start = _link_start(request, quirks)
    last = page.last + quirks.swell_last_page_shift
    follows = page.number < page.last and quirks.swell_hints != "next_null"
    return {
        "first": f"{start}page=1",
        "last": None if quirks.swell_meta == "simple" else f"{start}page={last}",
        "prev": f"{start}page={page.number - 1}" if page.number > 1 else None,
        "next": f"{start}page={page.number + 1}" if follows else None,
    }


def _link_start(request: Request, quirks: Quirks) -> str:
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


def _meta(page: Page, request: Request, quirks: Quirks) -> dict[str, Any]:
    first = (page.number - 1) * page.per_page + 1
    meta: dict[str, Any] = {
        "current_page": page.number,
        "from": first if page.rows else None,
        "path": f"{request.origin}{request.path}",
        "per_page": page.per_page,
        "to": first + len(page.rows) - 1 if page.rows else None,
    }
    if quirks.swell_meta == "simple":
        return meta
    last = page.last + quirks.swell_last_page_shift
    if quirks.swell_hints == "last_page_now":
        last = page.number
    total = page.total + quirks.swell_total_shift
    return dict(sorted({**meta, "last_page": last, "total": total}.items()))
