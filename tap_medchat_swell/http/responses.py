"""From an answer's status and shape to what is done about it: the one table.

An answer that is not what was asked for never becomes "no rows" (P3): it is asked for
again where that can help, and otherwise ends the reading with one sentence. Sentences
hold numbers, names of settings and the vendor's own error codes and parameter names;
nothing else of a body, which may hold patient text.
"""

from __future__ import annotations

import email.utils
import enum
import functools
import json
import re
import time
import typing as t
from dataclasses import dataclass, field

import msgspec

from tap_medchat_swell.errors import OK, PageTooLargeError, VendorError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Action(enum.Enum):
    """What helps against an answer that cannot be used."""

    FAIL = "nothing: end with the sentence"
    RETRY = "asking again a little later"
    RETRY_LIMITED = "asking again twice; oftener, once the vendor has answered well"
    RATE_LIMITED = "waiting until the rate limit allows more, however often"


@dataclass(frozen=True)
class Vendor:
    """What the table needs to know of a vendor.

    `advice` holds, for a status, what the user of the tap can do about it.
    `parameters` are the names that may be repeated from an error body.
    """

    name: str
    advice: Mapping[int, str] = field(default_factory=dict)
    parameters: frozenset[str] = frozenset()


RULES: dict[int, tuple[Action, str]] = {
    400: (Action.FAIL, "refused the request as malformed"),
    401: (Action.FAIL, "refused the credentials"),
    403: (Action.FAIL, "refused access"),
    404: (Action.FAIL, "knows no such address"),
    406: (Action.FAIL, "does not offer the version that was asked for"),
    408: (Action.RETRY, "gave up waiting for the request"),
    409: (Action.RETRY_LIMITED, "reported a conflict"),
    415: (Action.FAIL, "does not offer the version that was asked for"),
    422: (Action.FAIL, "refused a parameter"),
    425: (Action.RETRY, "asked for the request later"),
    429: (Action.RATE_LIMITED, "limits the rate of requests"),
}
RULE_BY_CLASS: dict[int, tuple[Action, str]] = {
    1: (Action.RETRY_LIMITED, "sent an interim answer only"),
    2: (Action.RETRY_LIMITED, "sent an answer without data"),
    3: (Action.FAIL, "redirected the request, which is never followed"),
    4: (Action.FAIL, "refused the request"),
    5: (Action.RETRY, "failed to answer"),
}
NO_CONTENT = 204
UNAVAILABLE = 503


class ResponseError(Exception):
    """An answer, or the lack of one, that cannot be used as it is.

    `wait` is how many seconds the vendor asked for; `error` is what to raise when
    nothing (more) is done about it. `meant` gives what the answer holds if it is no
    accident on the way: if it stays like that, however often it is asked for.
    """

    def __init__(
        self,
        action: Action,
        error: VendorError,
        wait: float | None = None,
        meant: Callable[[], t.Any] | None = None,
    ) -> None:
        super().__init__(str(error))
        self.action = action
        self.error = error
        self.wait = wait
        self.meant = meant

    @property
    def kind(self) -> str:
        """Alike for what went wrong in the same way."""
        return re.sub(r"\d+", "", str(self))


def check_status(vendor: Vendor, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raise ResponseError unless the status is 200, or 204 with its empty body (M1)."""
    if status in {OK, NO_CONTENT}:
        return
    action, what = RULES.get(status) or RULE_BY_CLASS.get(
        status // 100, (Action.FAIL, "sent an unknown status")
    )
    if action is Action.FAIL and _is_cut(body):
        action = Action.RETRY_LIMITED  # what helps may stand in what was cut off (M3)
    sentence = " ".join(
        filter(
            None,
            (
                f"{vendor.name} {what} (HTTP {status}{_request_id(headers)}).",
                _details(vendor, body),
                vendor.advice.get(status, ""),
            ),
        )
    )
    error = VendorError(sentence)
    if status == 400 and re.search(rb"\btop\b", body.lower()):  # noqa: PLR2004
        error = PageTooLargeError(sentence, _named_limit(body))
    error.status = status
    wait = asked_wait(headers, is_limited=action is Action.RATE_LIMITED)
    if status == UNAVAILABLE and wait is not None:
        action = Action.RATE_LIMITED  # as short waits, asked for, would use up all tries
    raise ResponseError(action, error, wait)


def _parsed(body: bytes) -> t.Any:
    """The document in an error's body; None where it holds none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _is_cut(body: bytes) -> bool:
    """Whether a JSON document begins but does not end."""
    return _begins_as_json(body) and _parsed(body) is None


def _begins_as_json(body: bytes) -> bool:
    return body.lstrip().startswith((b"{", b"["))


def _named_limit(body: bytes) -> int | None:
    """The number in "The limit of '50' for Top query has been exceeded" (M3)."""
    found = re.search(rb"limit of '?(\d{1,6})'? for top", body.lower())
    return int(found[1]) if found else None


def _request_id(headers: Mapping[str, str]) -> str:
    for name in ("x-request-id", "request-id", "x-correlation-id", "cf-ray"):
        value = headers.get(name, "")
        # Made by a machine: a name or a phone number could stand there, too.
        if re.fullmatch(r"(?=.*[a-f])[\da-f-]{16,64}(-[a-z]{3})?", value, re.IGNORECASE):
            return f", request {value}"
    return ""


# Phrases of Laravel's own validation messages. Anything else may quote what was sent.
KNOWN_PHRASES = (
    "is required",
    "field is required",
    "is invalid",
    "must be an integer",
    "must be a date",
    "is not a valid date",
    "does not match the format",
    "must be a date before or equal to",
    "must be a date after or equal to",
    "must be a date before",
    "must be a date after",
    "must be at least",
    "must not be greater than",
    "may not be greater than",
    "must be between",
    "cannot exceed",
    "may not exceed",
    "must not exceed",
)
KNOWN_CODES = frozenset(
    [
        "BadRequest",
        "InvalidInput",
        "InvalidFilter",
        "Unauthorized",
        "InvalidToken",
        "ExpiredToken",
        "TokenExpired",
        "Forbidden",
        "AccessDenied",
        "InsufficientScope",
        "NotFound",
        "UnsupportedApiVersion",
        "InvalidApiVersion",
        "TooManyRequests",
        "RateLimitExceeded",
        "InternalServerError",
        "ServiceUnavailable",
        "QueryOptionsNotSupported",
    ]
)


def _details(vendor: Vendor, body: bytes) -> str:
    """The vendor's error code, and the names of refused parameters with known phrases."""
    document = _parsed(body)
    if not isinstance(document, dict):
        return ""
    inner = document.get("error")
    code = (inner if isinstance(inner, dict) else document).get("code")
    parts = [f"Error code {code}."] if _is_known_code(code) else []
    errors = document.get("errors")
    if isinstance(errors, dict):
        parts.extend(_field_details(vendor, errors))
    return " ".join(parts)


def _is_known_code(code: object) -> bool:
    if not isinstance(code, (str, int)):
        return False  # a list cannot even be looked for in a set
    return code in KNOWN_CODES or bool(re.fullmatch(r"\d{1,6}", str(code)))


def _field_details(vendor: Vendor, errors: Mapping[str, t.Any]) -> list[str]:
    named = [name for name in errors if name in vendor.parameters]
    details = [f"{name}: {_known_phrase(errors[name])}." for name in named[:5]]
    if len(errors) > len(named):
        details.append(f"Other fields refused: {len(errors) - len(named)}.")
    return details


def _known_phrase(messages: object) -> str:
    text = json.dumps(messages)[:2000]
    found = [phrase for phrase in KNOWN_PHRASES if phrase in text]
    return max(found, key=len, default="refused")


MAX_WAIT = 3600.0


def asked_wait(headers: Mapping[str, str], *, is_limited: bool) -> float | None:
    """Seconds to wait by Retry-After (seconds or a date), else by X-RateLimit-Reset.

    The reset counts where requests are limited, as it may stand on every answer. It is an
    instant (epoch seconds, as Laravel sends it) or, where it is too small for one, a
    number of seconds. Instants are by the vendor's clock, which the Date header shows.
    Never below 0 or over an hour (M20, W21).
    """
    now = _instant(headers.get("date", "")) or time.time()
    value = headers.get("retry-after", "").strip()
    wait = _seconds(value)
    if wait is None:
        instant = _instant(value)
        wait = None if instant is None else instant - now
    if wait is None and is_limited:
        wait = _seconds(headers.get("x-ratelimit-reset", ""))
        if wait is not None and wait > 1e8:  # noqa: PLR2004 - no wait lasts three years
            wait -= now
    return None if wait is None else min(max(wait, 0.0), MAX_WAIT)


def _instant(text: str) -> float | None:
    try:
        parsed = email.utils.parsedate_tz(text)
        return email.utils.mktime_tz(parsed) if parsed else None
    except (ValueError, OverflowError):  # such as the year 99999
        return None


def _seconds(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,12}(\.\d{1,6})?", text.strip()) else None


def decode_json(vendor: Vendor, body: bytes) -> t.Any:
    """The document in a body.

    What is not JSON raises ResponseError. An empty body, or null, may be meant as none, and
    bytes that are not UTF-8 as they are. Lone surrogates are replaced, as UTF-8 has no
    form for them.
    """
    try:
        document = msgspec.json.decode(body)
    except RecursionError:
        raise _not_json(vendor, "is nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        document = _decode_slowly(vendor, body)
    if document is None:
        raise unexpected_payload(vendor, "an empty answer", lambda: None)
    return document


def _decode_slowly(vendor: Vendor, body: bytes, errors: str = "strict") -> t.Any:
    if not body.strip():
        return None
    try:
        return _without_surrogates(json.loads(body.decode("utf-8-sig", errors)))
    except UnicodeDecodeError:
        replaced = functools.partial(_decode_slowly, vendor, body, "replace")
        raise _not_json(vendor, "is not UTF-8", replaced) from None
    except RecursionError:
        raise _not_json(vendor, "is nested too deeply") from None
    except ValueError:
        if _begins_as_json(body):
            sentence = f"{vendor.name} sent an answer that was cut short ({len(body)} bytes)."
            raise ResponseError(Action.RETRY, VendorError(sentence)) from None
        what = "is a web page" if b"<html" in body[:2000].lower() else "is not JSON"
        raise _not_json(vendor, f"{what} ({len(body)} bytes)") from None


def _without_surrogates(value: t.Any) -> t.Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(k): _without_surrogates(v) for k, v in value.items()}
    return value


def names_error(document: t.Any) -> bool:
    """Whether an object says of itself, under a 200, that it is an error."""
    if not isinstance(document, dict):
        return False
    by_key = {key.lower(): value for key, value in document.items()}
    return by_key.get("success") is False or any(map(by_key.get, ("error", "errors")))


def _not_json(vendor: Vendor, what: str, meant: Callable[[], t.Any] | None = None) -> ResponseError:
    return unexpected_payload(vendor, f"an answer that {what}", meant)


def unexpected_payload(
    vendor: Vendor, what: str, meant: Callable[[], t.Any] | None = None
) -> ResponseError:
    """A 200 that holds something else than what was asked for."""
    error = VendorError(f"{vendor.name} sent {what}. {vendor.advice.get(OK, '')}".strip())
    error.status = OK
    return ResponseError(Action.RETRY_LIMITED, error, meant=meant)
