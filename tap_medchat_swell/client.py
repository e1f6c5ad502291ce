"""The client of one vendor: asks until there is an answer that can be used."""

from __future__ import annotations

import logging
import math
import time
import typing as t
from collections import Counter
from dataclasses import dataclass

import backoff

from tap_medchat_swell.answers import (
    Action,
    Unusable,
    Vendor,
    check_status,
    decode_json,
)
from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.transport import Transport

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_medchat_swell.gate import Gate
    from tap_medchat_swell.settings import Options
    from tap_medchat_swell.transport import Answer

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
        gate: Gate,
        headers: Mapping[str, str],
        secret_query: str = "",
    ) -> None:
        self.vendor = vendor
        self._options = options
        self._brief_retries = min(BRIEF_RETRIES, options.max_retries)
        self._is_proven = False
        self._secret_query = secret_query
        self._gate = gate
        self._closed = False
        self._transport = Transport(vendor, options, headers)
        self._log = logging.getLogger(f"tap-medchat-swell.{vendor.name.lower()}")
        self.requests_sent = 0
        self.largest_answer = 0  # bytes

    def close(self) -> None:
        """Cancel what waits and drop idle connections."""
        self._closed = True
        self._gate.wake()
        self._transport.close()

    def fetch(self, ask: Ask, read: Callable[[t.Any], T]) -> T:
        """Ask until `read` accepts the document, within the retry budget.

        `read` gets None for a 204 or an empty body that stays so. It may raise Unusable for a
        document that is not believed at once, with what is `meant` where it stays so.
        Raises VendorError when no answer can be used, Cancelled when the client has been
        closed.
        """
        started = time.monotonic()
        pauses = _pauses()
        failures = Counter[str]()
        while True:
            try:
                result = read(self._attempt(ask, failures))
            except Unusable as unusable:  # noqa: PERF203 - it is what the loop is for
                if meant := self._meant(unusable, failures):
                    return t.cast("T", meant())
                # Its frames, and what it may mean, would keep the answer while we wait.
                unusable.__traceback__ = unusable.meant = None
                unusable.error.where = ask.label
                self._count(unusable, failures)
                pause = unusable.wait or next(pauses)
                if time.monotonic() - started + pause > self._options.retry_seconds:
                    raise self._gave_up(unusable, ask, failures.total()) from None
                self._log.info(
                    "%s Again in %.1f s (try %d).",
                    unusable.error,
                    pause,
                    failures.total() + 1,
                )
                self._sleep(unusable, pause)
            else:
                self._is_proven = True
                return result

    def _count(self, unusable: Unusable, failures: Counter[str]) -> None:
        """Count a failure; raises what ends the tries.

        Odd answers are counted by kind: one between others must not hide what is meant.
        """
        is_odd = unusable.action is Action.RETRY_BRIEFLY
        kind = unusable.kind if is_odd else unusable.action.name
        failures[kind] += 1
        most = {
            Action.FAIL: 0,
            # A web page may stand for wrong credentials, but not once they have been right.
            Action.RETRY_BRIEFLY: (
                self._options.max_retries if self._is_proven else self._brief_retries
            ),
            Action.RETRY: self._options.max_retries,
            Action.WAIT: math.inf,
        }[unusable.action]
        if failures[kind] > most:
            raise unusable.error from None

    def _sleep(self, unusable: Unusable, pause: float) -> None:
        if _stops_all(unusable):
            self._gate.hold(pause)
        else:
            time.sleep(pause)

    def _gave_up(self, unusable: Unusable, ask: Ask, tries: int) -> VendorError:
        return VendorError(
            f"{unusable} Gave up on {ask.label} after {tries} tries, as retry_seconds "
            f"allows {self._options.retry_seconds} s."
        )

    def _attempt(self, ask: Ask, failures: Counter[str]) -> t.Any:
        headers = None
        self._gate.enter(lambda: self._closed)
        try:
            self.requests_sent += 1
            with self._transport.get(ask.url + self._secret_query) as answer:
                headers = answer.headers
                size = len(answer.body)
                self.largest_answer = max(self.largest_answer, size)
                self._log.debug("%s: HTTP %d, %d bytes.", ask.label, answer.status, size)
                return self._document(answer, failures)
        except Unusable as unusable:
            if _stops_all(unusable) and (unusable.wait or 0) <= self._options.retry_seconds:
                self._gate.hold(unusable.wait or SHORTEST_PAUSE)  # nobody may slip in
            raise
        finally:
            self._gate.leave(headers)

    def _document(self, answer: Answer, failures: Counter[str]) -> t.Any:
        check_status(self.vendor, answer.status, answer.headers, answer.body)
        try:
            return decode_json(self.vendor, answer.body)
        except Unusable as unusable:
            meant = self._meant(unusable, failures)
            if meant is None:
                raise
            return meant()

    def _meant(self, unusable: Unusable, failures: Counter[str]) -> Callable[[], t.Any] | None:
        """What it means, once it has come too often to be an accident."""
        return unusable.meant if failures[unusable.kind] >= self._brief_retries else None


def _stops_all(unusable: Unusable) -> bool:
    """Whether it tells of the vendor's limits, which hold for all requests."""
    may_pass = unusable.action is not Action.FAIL
    return unusable.action is Action.WAIT or (may_pass and unusable.wait is not None)


def _pauses() -> t.Iterator[float]:
    waits = backoff.expo(factor=1, max_value=LONGEST_BACKOFF)
    next(waits)
    return (wait / 2 + backoff.full_jitter(wait / 2) for wait in waits)
