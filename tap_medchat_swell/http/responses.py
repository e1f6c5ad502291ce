"""What to do about each response that is not the data that was requested.

Such a response never becomes "no rows" (P3): it is requested again where that can help, and
otherwise ends the stream with one sentence. Sentences contain numbers, names of settings and
the vendor's own error codes and parameter names. Nothing else of a body is repeated, because
it may contain patient data.
"""

from __future__ import annotations

import email.utils
import enum
import functools
import http
import json
import re
import time
import typing as t
from dataclasses import dataclass, field

import msgspec

from tap_medchat_swell.errors import PageTooLargeError, VendorError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Action(enum.Enum):
    """What helps against a response that cannot be used."""

    FAIL = "nothing: stop with the sentence"
    RETRY = "retrying after a pause"
    RETRY_LIMITED = "retrying twice; more often once the vendor has sent data"
    RATE_LIMITED = "waiting until the rate limit allows more, without limit"


@dataclass(frozen=True)
class Vendor:
    """What the rules below need to know about a vendor.

    `advice` says what the user can do about a status. `parameters` maps the query parameters
    that may be named from an error body to what to check if the vendor rejects one.
    """

    name: str
    advice: Mapping[int, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


OK, NO_CONTENT, BAD_REQUEST, UNAVAILABLE = 200, 204, 400, 503
# The action, and what the vendor did; "" if the status says it all.
RULES: dict[int, tuple[Action, str]] = {
    401: (Action.FAIL, "rejected the credentials"),
    403: (Action.FAIL, "denied access"),
    406: (Action.FAIL, "does not support the requested version"),
    408: (Action.RETRY, ""),
    409: (Action.RETRY_LIMITED, ""),
    415: (Action.FAIL, "does not support the requested version"),
    422: (Action.FAIL, "rejected a parameter"),
    425: (Action.RETRY, ""),
    429: (Action.RATE_LIMITED, "rate-limited the request"),
    # All others, by their first digit.
    1: (Action.RETRY_LIMITED, ""),
    2: (Action.RETRY_LIMITED, ""),
    3: (Action.FAIL, "redirected the request, and redirects are never followed"),
    4: (Action.FAIL, ""),
    5: (Action.RETRY, ""),
}
TEMPORARY_REDIRECTS = {302, 303, 307}
SCOPE = re.compile(rb"\b(read|create|send)\.[a-z]+(_[a-z]+){0,4}\b")
PHRASES = {status.value: status.phrase for status in http.HTTPStatus}


class ResponseError(Exception):
    """A response, or the lack of one, that cannot be used.

    `wait` is the number of seconds that the vendor asked to wait; `error` is what to raise
    when it is not retried (again). `fallback` returns what to make of the response if every
    retry gets the same one, so that it is not an accident on the way.
    """

    def __init__(
        self,
        action: Action,
        error: VendorError,
        wait: float | None = None,
        fallback: Callable[[], t.Any] | None = None,
    ) -> None:
        super().__init__(str(error))
        self.action = action
        self.error = error
        self.wait = wait
        self.fallback = fallback

    @property
    def kind(self) -> str:
        """Equal for failures of the same kind: without numbers and the ids of requests."""
        return re.sub(r"request [\da-f-]{16,}|\d+", "", str(self), flags=re.IGNORECASE)


def check_status(vendor: Vendor, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raise ResponseError unless the status is 200, or 204 with its empty body (M1)."""
    if status in {OK, NO_CONTENT}:
        return
    action, what = RULES.get(status) or RULES.get(status // 100, (Action.FAIL, ""))
    advice = vendor.advice.get(status, "")
    document = _parsed(body)
    if action is Action.FAIL and document is None and _begins_as_json(body):
        action = Action.RETRY_LIMITED  # the missing part may say what to do (M3)
    if status in TEMPORARY_REDIRECTS and "login" not in headers.get("location", "").lower():
        action = Action.RETRY_LIMITED
        advice = (
            f"{vendor.name} may be down for maintenance, or {vendor.name.lower()}_api_url is wrong."
        )
    fields = _rejected_fields(vendor, document)
    sentences = (
        _headline(vendor, status, what, headers),
        _named_scope(headers, body),
        _error_code(document),
        *(f"{name}: {phrase}." for name, phrase in fields.items()),
        _field_advice(vendor, fields) or advice,
    )
    sentence = " ".join(filter(None, sentences))
    error = VendorError(sentence)
    if status == BAD_REQUEST and re.search(rb"\btop\b", body.lower()):
        error = PageTooLargeError(sentence, _named_limit(body))
    error.status, error.fields = status, frozenset(fields)
    wait = requested_wait(headers, is_limited=action is Action.RATE_LIMITED)
    if status == UNAVAILABLE and wait is not None:
        action = Action.RATE_LIMITED  # else several short waits would use up all retries
    raise ResponseError(action, error, wait)


def _headline(vendor: Vendor, status: int, what: str, headers: Mapping[str, str]) -> str:
    code = f"{status} {PHRASES.get(status, '')}".strip()
    request = _request_id(headers)
    if what:
        return f"{vendor.name} {what} ({code}{request and ', '}{request})."
    return f"{vendor.name} returned {code}{request and f' ({request})'}."


def _named_scope(headers: Mapping[str, str], body: bytes) -> str:
    """Which scope the vendor asks for, if it is named like one and so nothing else."""
    found = SCOPE.search(headers.get("www-authenticate", "").encode() + b" " + body)
    return f"It asks for the scope {found[0].decode()}." if found else ""


def _request_id(headers: Mapping[str, str]) -> str:
    for name in ("x-request-id", "request-id", "x-correlation-id", "cf-ray"):
        value = headers.get(name, "")
        # It must look machine-made, because a name or a phone number could be in its place.
        if re.fullmatch(r"(?=.*[a-f])[\da-f-]{16,64}(-[a-z]{3})?", value, re.IGNORECASE):
            return f"request {value}"
    return ""


def _parsed(body: bytes) -> t.Any:
    """The JSON document in an error's body, or None."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _begins_as_json(body: bytes) -> bool:
    return body.lstrip().startswith((b"{", b"["))


def _named_limit(body: bytes) -> int | None:
    """The number in "The limit of '50' for Top query has been exceeded" (M3)."""
    found = re.search(rb"limit of '?(\d{1,6})'? for top", body.lower())
    return int(found[1]) if found else None


# Codes are repeated only if they cannot be a name or a phone number.
KNOWN_CODE = re.compile(
    r"\d{1,6}|Unauthorized|Forbidden|([A-Z][a-z]+){1,4}"
    r"(Request|Requests|Input|Filter|Token|Expired|Denied|Scope|Found|Version|Exceeded|Error|"
    r"Unavailable|Supported)"
)
# Laravel's validation messages; versions 8 and 10 word some of them differently.
KNOWN_PHRASE = re.compile(
    r"is required|is invalid|must be an integer|is not a valid date|must be a valid date"
    r"|must be a date( (before|after)( or equal to)?)?|(does not|must) match the format"
    r"|must be at least \d{1,4}\b|must be between \d{1,4} and \d{1,4}\b"
    r"|(must|may) not (be greater than|exceed) \d{1,4}\b"
)
MAX_FIELDS = 5


def _error_code(document: t.Any) -> str:
    if not isinstance(document, dict):
        return ""
    inner = document.get("error")
    code = (inner if isinstance(inner, dict) else document).get("code")
    is_known = isinstance(code, (str, int)) and KNOWN_CODE.fullmatch(str(code))
    return f"Error code {code}." if is_known else ""


def _rejected_fields(vendor: Vendor, document: t.Any) -> dict[str, str]:
    """The known parameters in Laravel's `errors`, and what it says about them if known."""
    errors = document.get("errors") if isinstance(document, dict) else None
    fields: dict[str, str] = {}
    for key, messages in list(errors.items())[:MAX_FIELDS] if isinstance(errors, dict) else ():
        name = key.partition(".")[0]  # `location_id.0` is an item of a list
        if name in vendor.parameters:
            found = KNOWN_PHRASE.search(json.dumps(messages)[:2000])
            fields[name] = found[0] if found else "rejected"
    return fields


def _field_advice(vendor: Vendor, fields: Mapping[str, str]) -> str:
    checks = dict.fromkeys(filter(None, (vendor.parameters[name] for name in fields)))
    return f"Check {' and '.join(checks)}." if checks else ""


MAX_WAIT = 3600.0


def requested_wait(headers: Mapping[str, str], *, is_limited: bool) -> float | None:
    """Seconds to wait according to Retry-After (seconds or a date) or X-RateLimit-Reset.

    The reset counts only on rate-limited responses, as others may have the header too. It is
    a time (epoch seconds, as Laravel sends it) or, if too small for that, a number of seconds.
    Times are read by the vendor's clock, which the Date header shows. The result is between 0
    and an hour (M20, W21).
    """
    now = date_header(headers) or time.time()
    value = headers.get("retry-after", "").strip()
    wait = _seconds(value)
    if wait is None:
        until = _epoch_of_date(value)
        wait = None if until is None else until - now
    if wait is None and is_limited:
        wait = _seconds(headers.get("x-ratelimit-reset", ""))
        if wait is not None and wait > 1e8:  # noqa: PLR2004 - nobody waits three years
            wait -= now
    return None if wait is None else min(max(wait, 0.0), MAX_WAIT)


def date_header(headers: Mapping[str, str]) -> float | None:
    """When the response was sent, by the vendor's clock, in epoch seconds."""
    return _epoch_of_date(headers.get("date", ""))


def _epoch_of_date(text: str) -> float | None:
    try:
        parsed = email.utils.parsedate_tz(text)
        return email.utils.mktime_tz(parsed) if parsed else None
    except (ValueError, OverflowError):  # such as the year 99999
        return None


def _seconds(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,12}(\.\d{1,6})?", text.strip()) else None


def decode_json(vendor: Vendor, body: bytes) -> t.Any:
    """The JSON document in a body; raises ResponseError if there is none.

    The fallback for an empty body or null is None; for bytes that are not UTF-8 it is the
    document with replacement characters. Lone surrogates are replaced at once, because UTF-8
    cannot encode them.
    """
    try:
        document = msgspec.json.decode(body)
    except RecursionError:
        raise unexpected_payload(vendor, "a response that is nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        document = _decode_leniently(vendor, body)
    if document is None:
        raise unexpected_payload(vendor, "an empty response", lambda: None)
    return document


def _decode_leniently(vendor: Vendor, body: bytes, errors: str = "strict") -> t.Any:
    if not body.strip():
        return None
    try:
        return _without_surrogates(json.loads(body.decode("utf-8-sig", errors)))
    except UnicodeDecodeError:
        replaced = functools.partial(_decode_leniently, vendor, body, "replace")
        raise unexpected_payload(vendor, "a response that is not UTF-8", replaced) from None
    except RecursionError:
        raise unexpected_payload(vendor, "a response that is nested too deeply") from None
    except ValueError:
        if _begins_as_json(body):
            sentence = f"{vendor.name} sent a truncated response ({len(body)} bytes)."
            raise ResponseError(Action.RETRY, VendorError(sentence)) from None
        what = "is a web page" if b"<html" in body[:2000].lower() else "is not JSON"
        raise unexpected_payload(vendor, f"a response that {what} ({len(body)} bytes)") from None


def _without_surrogates(value: t.Any) -> t.Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(k): _without_surrogates(v) for k, v in value.items()}
    return value


def names_error(document: t.Any) -> bool:
    """Whether the object in a 200 response says that it is an error."""
    if not isinstance(document, dict):
        return False
    by_key = {key.lower(): value for key, value in document.items()}
    return by_key.get("success") is False or any(map(by_key.get, ("error", "errors")))


def unexpected_payload(
    vendor: Vendor, what: str, fallback: Callable[[], t.Any] | None = None
) -> ResponseError:
    """For a 200 response that is not the requested data; `what` completes "Swell sent ..."."""
    advice = vendor.advice.get(OK, "") if fallback is None else ""  # else it may be nothing odd
    error = VendorError(f"{vendor.name} sent {what}. {advice}".strip())
    error.status = OK
    return ResponseError(Action.RETRY_LIMITED, error, fallback=fallback)
