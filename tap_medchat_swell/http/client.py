"""The client of one vendor: asks until there is an answer that can be used."""

from __future__ import annotations

import logging
import math
import time
import typing as t
from collections import Counter
from dataclasses import dataclass

import backoff

from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.http.responses import (
    Action,
    ResponseError,
    Vendor,
    check_status,
    decode_json,
)
from tap_medchat_swell.http.transport import Transport

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_medchat_swell.http.rate_limiter import RateLimiter
    from tap_medchat_swell.http.transport import Answer
    from tap_medchat_swell.settings import Options

T = t.TypeVar("T")

BRIEF_RETRIES = 2
SHORTEST_PAUSE, LONGEST_BACKOFF = 0.5, 60.0


@dataclass(frozen=True)
class Ask:
    """One GET. `url` holds no secret; `label` names the request in log lines."""

    url: str
    label: str


class Client:
    """Asks one vendor. `fetch` is called from workers; everything in it is shared."""

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
        self._is_proven = False
        self._secret_query = secret_query
        self._rate_limiter = rate_limiter
        self._closed = False
        self._transport = Transport(vendor, options, headers)
        self._log = logging.getLogger(f"tap-medchat-swell.{vendor.name.lower()}")
        self.requests_sent = 0
        self.largest_answer = 0  # bytes

    def close(self) -> None:
        """Cancel what waits and drop idle connections."""
        self._closed = True
        self._rate_limiter.wake()
        self._transport.close()

    def fetch(self, ask: Ask, read: Callable[[t.Any], T]) -> T:
        """Ask until `read` accepts the document, within the retry budget.

        `read` gets None for a 204 or an empty body that stays so. It may raise ResponseError for a
        document that is not believed at once, with what is `meant` where it stays so.
        Raises VendorError when no answer can be used, CancelledError when the client has been
        closed.
        """
        started = time.monotonic()
        pauses = _pauses()
        failures = Counter[str]()
        while True:
            try:
                result = read(self._attempt(ask, failures))
            except ResponseError as error:  # noqa: PERF203 - it is what the loop is for
                if meant := self._meant(error, failures):
                    return t.cast("T", meant())
                # Its frames, and what it may mean, would keep the answer while we wait.
                error.__traceback__ = error.meant = None
                error.error.where = ask.label
                self._count(error, failures)
                pause = error.wait or next(pauses)
                if time.monotonic() - started + pause > self._options.retry_seconds:
                    raise self._gave_up(error, ask, failures.total()) from None
                self._log.info(
                    "%s Again in %.1f s (try %d).",
                    error.error,
                    pause,
                    failures.total() + 1,
                )
                self._sleep(error, pause)
            else:
                self._is_proven = True
                return result

    def _count(self, error: ResponseError, failures: Counter[str]) -> None:
        """Count a failure; raises what ends the tries.

        Odd answers are counted by kind: one between others must not hide what is meant.
        """
        is_odd = error.action is Action.RETRY_LIMITED
        kind = error.kind if is_odd else error.action.name
        failures[kind] += 1
        most = {
            Action.FAIL: 0,
            # A web page may stand for wrong credentials, but not once they have been right.
            Action.RETRY_LIMITED: (
                self._options.max_retries if self._is_proven else self._brief_retries
            ),
            Action.RETRY: self._options.max_retries,
            Action.RATE_LIMITED: math.inf,
        }[error.action]
        if failures[kind] > most:
            raise error.error from None

    def _sleep(self, error: ResponseError, pause: float) -> None:
        if _stops_all(error):
            self._rate_limiter.pause(pause)
        else:
            time.sleep(pause)

    def _gave_up(self, error: ResponseError, ask: Ask, tries: int) -> VendorError:
        return VendorError(
            f"{error} Gave up on {ask.label} after {tries} tries, as retry_seconds "
            f"allows {self._options.retry_seconds} s."
        )

    def _attempt(self, ask: Ask, failures: Counter[str]) -> t.Any:
        headers = None
        self._rate_limiter.acquire(lambda: self._closed)
        try:
            self.requests_sent += 1
            with self._transport.get(ask.url + self._secret_query) as answer:
                headers = answer.headers
                size = len(answer.body)
                self.largest_answer = max(self.largest_answer, size)
                self._log.debug("%s: HTTP %d, %d bytes.", ask.label, answer.status, size)
                return self._document(answer, failures)
        except ResponseError as error:
            if _stops_all(error) and (error.wait or 0) <= self._options.retry_seconds:
                self._rate_limiter.pause(error.wait or SHORTEST_PAUSE)  # nobody may slip in
            raise
        finally:
            self._rate_limiter.release(headers)

    def _document(self, answer: Answer, failures: Counter[str]) -> t.Any:
        check_status(self.vendor, answer.status, answer.headers, answer.body)
        try:
            return decode_json(self.vendor, answer.body)
        except ResponseError as error:
            meant = self._meant(error, failures)
            if meant is None:
                raise
            return meant()

    def _meant(self, error: ResponseError, failures: Counter[str]) -> Callable[[], t.Any] | None:
        """What it means, once it has come too often to be an accident."""
        return error.meant if failures[error.kind] >= self._brief_retries else None


def _stops_all(error: ResponseError) -> bool:
    """Whether it tells of the vendor's limits, which hold for all requests."""
    may_pass = error.action is not Action.FAIL
    return error.action is Action.RATE_LIMITED or (may_pass and error.wait is not None)


def _pauses() -> t.Iterator[float]:
    waits = backoff.expo(factor=1, max_value=LONGEST_BACKOFF)
    next(waits)
    return (wait / 2 + backoff.full_jitter(wait / 2) for wait in waits)
