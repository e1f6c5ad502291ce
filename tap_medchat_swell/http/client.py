"""The client of one vendor: sends requests, and retries until a response can be used."""

from __future__ import annotations

import logging
import math
import threading
import time
import typing as t
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import backoff

from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.http.responses import (
    Action,
    ResponseError,
    Vendor,
    check_status,
    date_header,
    decode_json,
)
from tap_medchat_swell.http.transport import Transport
from tap_medchat_swell.timestamps import EPOCH, now

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_medchat_swell.http.rate_limiter import RateLimiter
    from tap_medchat_swell.http.transport import Answer
    from tap_medchat_swell.settings import Options

BRIEF_RETRIES = 2
LINE_SECONDS = 60
SHORTEST_PAUSE, LONGEST_BACKOFF = 0.5, 60.0


@dataclass(frozen=True)
class Request:
    """One GET. `url` contains no secret; `label` names the request in log lines.

    `read` makes a page of the document (None for an empty body) and the body's size in bytes. It
    may raise ResponseError for a document that is not trusted at once, with a `fallback` to use
    if every retry gets the same.
    """

    url: str
    label: str
    read: Callable[[t.Any, int], t.Any] = field(compare=False)


@dataclass
class Traffic:
    """How many requests have been sent, and how many of them were retries."""

    requests: int = 0
    retries: int = 0


class Client:
    """Sends requests to one vendor. All workers share it, so `fetch` is thread-safe.

    `clock_offset` is how far the vendor's clock is ahead of this one; `headers_seen` are all
    response headers so far, each with its last value.
    """

    def __init__(
        self,
        vendor: Vendor,
        options: Options,
        rate_limiter: RateLimiter,
        headers: Mapping[str, str],
        secret_query: str = "",
    ) -> None:
        self.vendor = vendor
        self._options = options
        self._brief_retries = min(BRIEF_RETRIES, options.max_retries)
        self._has_sent_data = False
        self._secret_query = secret_query
        self._rate_limiter = rate_limiter
        self._closed = False
        self._transport = Transport(vendor, options, headers)
        self._log = logging.getLogger(f"tap-medchat-swell.{vendor.name.lower()}")
        self._counting = threading.Lock()
        self._told: dict[str, tuple[float, int]] = {}  # per cause: when, and retries since
        self.requests_sent = 0
        self.clock_offset = timedelta()
        self.headers_seen: dict[str, str] = {}

    @property
    def tls_version(self) -> str:
        """The version of the last connection, such as TLSv1.3; empty without TLS."""
        return self._transport.tls_version

    def close(self) -> None:
        """Cancel waiting requests and drop idle connections."""
        self._closed = True
        self._rate_limiter.wake()
        self._transport.close()

    def fetch(self, request: Request, traffic: Traffic | None = None) -> t.Any:
        """Send a request until `request.read` accepts the document, within the retry budget.

        `traffic` counts what is sent. Raises VendorError if no response can be used,
        CancelledError if the client has been closed.
        """
        traffic = traffic or Traffic()
        started = time.monotonic()
        pauses = _pauses()
        failures = Counter[str]()
        while True:
            try:
                result = request.read(*self._attempt(request, failures, traffic))
            except ResponseError as error:  # noqa: PERF203 - it is what the loop is for
                if fallback := self._fallback(error, failures):
                    return fallback()
                # Its frames and fallback would keep the response in memory while we wait.
                error.__traceback__ = error.fallback = None
                error.error.where = request.label
                self._count(error, failures)
                pause = error.wait or next(pauses)
                if time.monotonic() - started + pause > self._options.retry_seconds:
                    raise self._gave_up(error, failures.total()) from None
                with self._counting:
                    traffic.retries += 1
                self._log_retry(error, pause)
                wait = self._rate_limiter.pause if _concerns_all(error) else time.sleep
                wait(pause)
            else:
                self._has_sent_data = True
                return result

    def _count(self, error: ResponseError, failures: Counter[str]) -> None:
        """Count a failure; raises its error when there have been enough retries.

        Unexpected payloads are counted by kind, so that another failure in between does not
        keep a fallback from being used.
        """
        is_unexpected = error.action is Action.RETRY_LIMITED
        kind = error.kind if is_unexpected else error.action.name
        failures[kind] += 1
        limit = {
            Action.FAIL: 0,
            # A web page may mean wrong credentials, but not after they have been accepted.
            Action.RETRY_LIMITED: (
                self._options.max_retries if self._has_sent_data else self._brief_retries
            ),
            Action.RETRY: self._options.max_retries,
            Action.RATE_LIMITED: math.inf,
        }[error.action]
        if failures[kind] > limit:
            raise error.error from None

    def _log_retry(self, error: ResponseError, pause: float) -> None:
        """Log a retry: one line per cause and minute, since many workers meet the same one."""
        with self._counting:
            told_at, untold = self._told.get(error.kind, (-math.inf, 0))
            is_due = time.monotonic() - told_at >= LINE_SECONDS
            self._told[error.kind] = (time.monotonic(), 0) if is_due else (told_at, untold + 1)
        more = f" {untold} more retries since the last such line." if is_due and untold else ""
        self._log.log(
            logging.INFO if is_due else logging.DEBUG,
            "%s Retrying in %.1f s.%s [%s]",
            error.error.sentence,
            pause,
            more,
            error.error.where,
        )

    def _gave_up(self, error: ResponseError, tries: int) -> VendorError:
        last = VendorError(
            f"{error} Gave up after {tries} tries, because retry_seconds is "
            f"{self._options.retry_seconds}."
        )
        last.where = error.error.where
        return last

    def _attempt(
        self, request: Request, failures: Counter[str], traffic: Traffic
    ) -> tuple[t.Any, int]:
        headers = None
        self._rate_limiter.acquire(lambda: self._closed)
        try:
            with self._counting:
                self.requests_sent += 1
                traffic.requests += 1
            with self._transport.get(request.url + self._secret_query) as answer:
                headers = answer.headers
                size = len(answer.body)
                self._note_clock(headers)
                self._log.debug("%s: HTTP %d, %d bytes.", request.label, answer.status, size)
                return self._document(answer, failures), size
        except ResponseError as error:
            if _concerns_all(error) and (error.wait or 0) <= self._options.retry_seconds:
                self._rate_limiter.pause(error.wait or SHORTEST_PAUSE)  # before the release
            raise
        finally:
            self._rate_limiter.release(headers)

    def _note_clock(self, headers: Mapping[str, str]) -> None:
        self.headers_seen = {**self.headers_seen, **headers}
        sent = date_header(headers)
        if sent is not None:
            self.clock_offset = timedelta(seconds=sent) - (now() - EPOCH)

    def _document(self, answer: Answer, failures: Counter[str]) -> t.Any:
        check_status(self.vendor, answer.status, answer.headers, answer.body)
        try:
            return decode_json(self.vendor, answer.body)
        except ResponseError as error:
            fallback = self._fallback(error, failures)
            if fallback is None:
                raise
            return fallback()

    def _fallback(self, error: ResponseError, failures: Counter[str]) -> Callable[[], t.Any] | None:
        """The fallback, once the same failure has occurred too often to be an accident."""
        return error.fallback if failures[error.kind] >= self._brief_retries else None


def _concerns_all(error: ResponseError) -> bool:
    """Whether it is about the vendor's limits, which apply to all requests."""
    if error.action is Action.FAIL:
        return False
    return error.action is Action.RATE_LIMITED or error.wait is not None


def _pauses() -> t.Iterator[float]:
    waits = backoff.expo(factor=1, max_value=LONGEST_BACKOFF)
    next(waits)
    return (wait / 2 + backoff.full_jitter(wait / 2) for wait in waits)
