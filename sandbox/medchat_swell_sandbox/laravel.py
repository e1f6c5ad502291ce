"""Errors, redirects and JSON text as Laravel and its web server send them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from medchat_swell_sandbox.http import HTML, JSON, Headers, Request, Response, json_response

if TYPE_CHECKING:
    from medchat_swell_sandbox.quirks import Quirks

Errors = dict[str, list[str]]

LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Log in</title></head></html>\n"


MAINTENANCE_PAGE = b"<!DOCTYPE html><html><head><title>Service Unavailable</title></head></html>\n"
TOO_LONG_PAGE = b"<html><head><title>414 Request-URI Too Large</title></head></html>\r\n"
# Laravel indents all other errors.
COMPACT = (200, 401, 422)
NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def blocked(request: Request, quirks: Quirks) -> Response | None:
    """Return the response if a long URL or maintenance mode blocks the request."""
    limit = quirks.swell_max_url
    if limit is not None and len(f"{request.path}?{request.query}") > limit:
        return Response(414, TOO_LONG_PAGE, HTML)
    match quirks.swell_maintenance:
        case "503":
            return maintenance(quirks.swell_maintenance_retry_after)
        case "302":
            return Response(302, b"", HTML, (("Location", f"{request.origin}/maintenance"),))
        case _:
            return None


def maintenance(retry_after: float | None) -> Response:
    """Return the page of ``php artisan down``, whatever Accept says."""
    headers = () if retry_after is None else (("Retry-After", f"{retry_after:g}"),)
    return Response(503, MAINTENANCE_PAGE, HTML, headers)


def finished(response: Response, quirks: Quirks) -> Response:
    """Apply the quirks of JSON text and framing to a response."""
    response.has_length = quirks.swell_content_length
    if quirks.swell_json == "laravel" and response.content_type == JSON:
        response.body = _php_json(response.body, indent=0 if response.status in COMPACT else 4)
    return response


def _php_json(body: bytes, indent: int) -> bytes:
    """Escape slashes and non-ASCII characters like PHP's json_encode."""
    text = (msgspec.json.format(body, indent=indent) if indent else body).decode()
    return NOT_ASCII.sub(_escaped, text.replace("/", "\\/")).encode()


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[n]:02x}{units[n + 1]:02x}" for n in range(0, len(units), 2))


def wants_json(request: Request) -> bool:
    """Return whether errors are JSON: the first accepted type must be JSON."""
    first = request.headers.get("accept", "").split(",")[0]
    return "/json" in first or "+json" in first


def login_redirect(request: Request) -> Response:
    """Redirect to the login page, as for a browser without a session."""
    location = f"{request.origin}/login"
    return Response(302, LOGIN_PAGE, HTML, (("Location", location),))


def unauthenticated(request: Request, quirks: Quirks) -> Response:
    """Reject a token (W17)."""
    if quirks.swell_accept_required and not wants_json(request):
        return login_redirect(request)
    match quirks.swell_auth_failure:
        case "302":
            return login_redirect(request)
        case "html":
            return Response(200, LOGIN_PAGE, HTML)
        case "422":
            return _errors_response({"token": ["The selected token is invalid."]}, quirks)
        case "403":
            return json_response(403, {"message": "This action is unauthorized."})
        case _:
            return json_response(401, {"message": "Unauthenticated."})


def invalid(request: Request, errors: Errors, quirks: Quirks) -> Response:
    """Reject parameters (W17)."""
    if quirks.swell_accept_required and not wants_json(request):
        return login_redirect(request)
    match quirks.swell_validation_failure:
        case "302":
            return login_redirect(request)
        case "html":
            return Response(200, LOGIN_PAGE, HTML)
        case _:
            return _errors_response(errors, quirks)


def too_many_attempts(headers: Headers) -> Response:
    """Reject a request over the rate limit (W21)."""
    return json_response(429, {"message": "Too Many Attempts."}, *headers)


def _errors_response(errors: Errors, quirks: Quirks) -> Response:
    messages = [message for field in errors.values() for message in field]
    summary = _summary(messages) if quirks.swell_laravel > 8 else "The given data was invalid."  # noqa: PLR2004
    return json_response(422, {"message": summary, "errors": errors})


def _summary(messages: list[str]) -> str:
    more = len(messages) - 1
    plural = "s" if more > 1 else ""
    return messages[0] + (f" (and {more} more error{plural})" if more else "")
