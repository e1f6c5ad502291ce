"""The one rate_limiter through which all requests to a vendor pass.

Whatever one worker learns of the vendor's limits holds for all: a wait that was asked
for stops everybody, announced remainders are not overdrawn, and after a 429 fewer
requests run side by side until answers have come back well for a while. Where that is
refused again and again, it is tried more and more rarely: a vendor may count requests
that run side by side.
"""

from __future__ import annotations

import collections
import threading
import time
import typing as t

from tap_medchat_swell.errors import CancelledError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MINUTE = 60.0
MAX_BACKOFF = 64.0


class RateLimiter:
    """Admits requests one by one; all times are seconds of a monotonic clock."""

    def __init__(
        self,
        limit: int,
        per_minute: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._max_limit = self._limit = self._ceiling = float(limit)
        self._backoff = 1.0
        self._per_minute = per_minute
        self._starts: collections.deque[float] = collections.deque()
        self._in_flight = 0
        self._not_before = 0.0
        self._remaining: int | None = None
        self._period_start: float | None = None
        self._period: float | None = None

    def acquire(self, is_closed: Callable[[], bool]) -> None:
        """Wait for admission; raises CancelledError when the client is closed: see `wake`."""
        with self._changed:
            while True:
                if is_closed():
                    raise CancelledError
                wait = self._wait()
                if wait is not None and wait <= 0:
                    break
                self._changed.wait(wait)
            self._in_flight += 1
            self._starts.append(self._clock())

    def _wait(self) -> float | None:
        """Seconds until the next admission, None until another request is done."""
        now = self._clock()
        if now < self._not_before:
            return self._not_before - now
        if self._in_flight >= max(1, int(self._limit)):
            return None
        if self._remaining is not None and self._remaining <= self._in_flight:
            if self._in_flight:
                return None
            return self._until_next_period(now)
        return self._until_under_cap(now)

    def _until_next_period(self, now: float) -> float:
        """Seconds until the vendor counts anew; 0 lets one request through to find out.

        Laravel counts in fixed periods that begin with their first request, and tells
        a period's end only in a 429. So the first one is run into, and the length that
        it teaches keeps later periods clear of them.
        """
        if self._period is None or self._period_start is None:
            return self._until_under_cap(now)
        wait = self._period_start + self._period - now
        if wait <= 0:
            self._remaining = None
            return self._until_under_cap(now)
        return wait

    def _until_under_cap(self, now: float) -> float:
        if self._per_minute is None:
            self._starts.clear()
            return 0.0
        while self._starts and self._starts[0] <= now - MINUTE:
            self._starts.popleft()
        if len(self._starts) < self._per_minute:
            return 0.0
        return self._starts[0] + MINUTE - now

    def release(self, headers: Mapping[str, str] | None) -> None:
        """A request is done; `headers` are its answer's, in lower case; None: none came."""
        with self._changed:
            self._in_flight -= 1
            # While nobody is admitted, answers tell of what is over, refusals among them.
            if headers is not None and self._clock() >= self._not_before:
                self._learn(headers)
                self._increase()
            self._changed.notify_all()

    def _increase(self) -> None:
        """By one per round trip; beyond what was refused, the slower the oftener it was."""
        backoff = self._backoff if self._limit >= self._ceiling else 1.0
        self._limit = min(self._max_limit, self._limit + 1 / (backoff * self._limit))

    def _decrease(self) -> None:
        if self._remaining is None:  # else it was a number per minute that was overdrawn
            self._ceiling = max(1.0, self._in_flight - 1.0)
            self._backoff = min(2 * self._backoff, MAX_BACKOFF)
        self._limit = max(1.0, self._limit / 2)

    def _learn(self, headers: Mapping[str, str]) -> None:
        limit, remaining = (
            headers.get(f"x-ratelimit-{name}", "") for name in ("limit", "remaining")
        )
        if not (remaining.isdecimal() and limit.isdecimal()):
            self._remaining = None
            return
        left = int(remaining)
        if self._remaining is None or left > self._remaining + self._in_flight:
            self._period_start = self._clock()
            self._remaining = left
        # Answers overtake each other: the smallest number is the newest.
        self._remaining = min(left, self._remaining)

    def pause(self, seconds: float) -> None:
        """A 429 or Retry-After came: admit nobody for so long, then fewer at a time.

        To be called before the refused request leaves; once more only prolongs it. What else
        is refused while nobody is admitted was under way already, and is no new sign.
        """
        with self._changed:
            now = self._clock()
            end = now + seconds
            if self._period_start is not None:
                self._period = max(end - self._period_start, 1.0)
            if now >= self._not_before:
                self._decrease()
            self._not_before = max(self._not_before, end)
            self._remaining = self._period_start = None
            self._changed.notify_all()

    def wake(self) -> None:
        """Have whoever waits see that its client has been closed."""
        with self._changed:
            self._changed.notify_all()
