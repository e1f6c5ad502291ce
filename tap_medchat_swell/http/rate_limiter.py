"""The rate limiter that all requests to one vendor pass through.

What one worker learns about the vendor's limits applies to all of them. A requested wait pauses
everybody; announced remainders are not exceeded; after a 429 the number of concurrent requests
is halved, and grows by one per round trip (AIMD). A limit that was refused before is tried more
and more rarely, because a vendor may also limit concurrent requests.
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
    """Admits requests one by one; all times are seconds of a monotonic clock.

    Nobody is admitted during a pause, because of a 429 or Retry-After.
    """

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
        self._seconds_paused = 0.0

    def acquire(self, is_closed: Callable[[], bool]) -> None:
        """Wait for admission; raises CancelledError once the client is closed: see `wake`."""
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
        """Seconds until the next admission; None: until another request is done."""
        now = self._clock()
        if now < self._not_before:
            return self._not_before - now
        if self._in_flight >= max(1, int(self._limit)):
            return None
        # With nothing left, one request at a time finds out whether a new period has begun.
        # Laravel announces the end of a period only in its 429.
        if self._remaining is not None and 0 < self._in_flight >= self._remaining:
            return None
        return self._until_below_cap(now)

    def _until_below_cap(self, now: float) -> float:
        if self._per_minute is None:
            self._starts.clear()
            return 0.0
        while self._starts and self._starts[0] <= now - MINUTE:
            self._starts.popleft()
        if len(self._starts) < self._per_minute:
            return 0.0
        return self._starts[0] + MINUTE - now

    def release(self, headers: Mapping[str, str] | None) -> None:
        """A request is done; `headers` of its response have lowercase names; None: no response."""
        with self._changed:
            self._in_flight -= 1
            # During a pause, responses reflect an earlier state; refusals are among them.
            if headers is not None and self._clock() >= self._not_before:
                self._learn(headers)
                self._increase()
            self._changed.notify_all()

    def _increase(self) -> None:
        """Grow by one per round trip; above the ceiling, slower by the backoff."""
        backoff = self._backoff if self._limit >= self._ceiling else 1.0
        self._limit = min(self._max_limit, self._limit + 1 / (backoff * self._limit))

    def _decrease(self) -> None:
        if self._remaining is None:  # else too many per minute, not too many at once
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
        known = self._remaining
        # Responses overtake each other: within a period the smallest number is the newest.
        # More than that are left at the beginning of a new period.
        if known is None or not known <= left <= known + self._in_flight:
            self._remaining = left

    def pause(self, seconds: float) -> None:
        """After a 429 or Retry-After: admit nobody for this long, then fewer at a time.

        Call it before the refused request is released; calling it again only prolongs the
        pause. Other refusals during a pause were already in flight, and are no new sign.
        """
        with self._changed:
            now = self._clock()
            end = now + seconds
            if now >= self._not_before:
                self._decrease()
            self._seconds_paused += max(0.0, end - max(now, self._not_before))
            self._not_before = max(self._not_before, end)
            self._remaining = None
            self._changed.notify_all()

    @property
    def pause_left(self) -> float:
        """How many more seconds the pause lasts; 0 without one."""
        return max(0.0, self._not_before - self._clock())

    @property
    def seconds_waited(self) -> float:
        """How long all pauses have lasted so far."""
        return self._seconds_paused - self.pause_left

    def wake(self) -> None:
        """Let everybody who waits notice that the client has been closed."""
        with self._changed:
            self._changed.notify_all()
