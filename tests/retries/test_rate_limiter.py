from __future__ import annotations

import threading
import time
import typing as t

import pytest

from tap_medchat_swell.errors import CancelledError
from tap_medchat_swell.http.rate_limiter import RateLimiter

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def never() -> bool:
    """Whether the client is closed."""
    return False


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def limits(limit: int, remaining: int) -> dict[str, str]:
    return {"x-ratelimit-limit": str(limit), "x-ratelimit-remaining": str(remaining)}


def admitted(rate_limiter: RateLimiter, at_most: int = 50) -> int:
    """How many are let in now, one after the other; they stay in."""
    count = 0
    while count < at_most and (wait := rate_limiter._wait()) is not None and wait <= 0:
        rate_limiter.acquire(never)
        count += 1
    return count


def test_no_more_than_width_at_once(clock: Clock) -> None:
    rate_limiter = RateLimiter(3, clock=clock)
    assert admitted(rate_limiter) == 3

    rate_limiter.release({})

    assert admitted(rate_limiter) == 1


def test_a_hold_stops_everybody_for_so_long(clock: Clock) -> None:
    rate_limiter = RateLimiter(3, clock=clock)

    rate_limiter.pause(5)

    assert rate_limiter._wait() == 5
    clock.now += 4.5
    assert rate_limiter._wait() == 0.5
    clock.now += 0.5
    assert admitted(rate_limiter) >= 1


def test_a_shorter_hold_does_not_end_a_longer_one(clock: Clock) -> None:
    rate_limiter = RateLimiter(3, clock=clock)
    rate_limiter.pause(10)

    rate_limiter.pause(1)

    assert rate_limiter._wait() == 10


def refused(
    rate_limiter: RateLimiter, wait: float, headers: Mapping[str, str] | None = None
) -> None:
    """Have a request that was admitted refused, as the client does."""
    rate_limiter.pause(wait)
    rate_limiter.release(headers or {})
    rate_limiter.pause(wait)


def answered(rate_limiter: RateLimiter, width: int, times: int) -> None:
    """Have requests answered well, `width` at a time."""
    for _ in range(times):
        for _ in range(width):
            rate_limiter.acquire(never)
        for _ in range(width):
            rate_limiter.release({})


def test_width_halves_with_each_hold_and_grows_back_with_answers(clock: Clock) -> None:
    rate_limiter = RateLimiter(8, clock=clock)
    widths = []
    for _ in range(4):
        rate_limiter.pause(0)
        count = admitted(rate_limiter)
        widths.append(count)
        for _ in range(count):
            rate_limiter.release(None)  # no answer, so nothing is learnt
    assert widths == [4, 2, 1, 1]

    answered(rate_limiter, 1, 600)

    assert admitted(rate_limiter) == 8


def test_a_burst_of_refusals_is_one_sign(clock: Clock) -> None:
    rate_limiter = RateLimiter(8, clock=clock)
    admitted(rate_limiter)
    for _ in range(8):
        refused(rate_limiter, 1)
    clock.now += 1

    assert admitted(rate_limiter) == 4


def test_a_limit_of_requests_side_by_side_is_tried_more_and_more_rarely(clock: Clock) -> None:
    rate_limiter, limit, good = RateLimiter(8, clock=clock), 2, [0]
    while len(good) < 12:
        width = admitted(rate_limiter)
        if width > limit:
            good.append(0)
            refused(rate_limiter, 1)
            width -= 1
        else:
            good[-1] += width
        for _ in range(width):
            rate_limiter.release({})
        clock.now += 1

    assert good[-2] > 8 * good[3] > 8 * good[2] > 0, good


def test_what_was_announced_is_no_limit_side_by_side(clock: Clock) -> None:
    rate_limiter = RateLimiter(8, clock=clock)
    for _ in range(6):
        rate_limiter.acquire(never)
        rate_limiter.release(limits(60, 8))
        for _ in range(admitted(rate_limiter)):
            refused(rate_limiter, 1, limits(60, 0))
        clock.now += 1
    answered(rate_limiter, 1, 60)

    assert admitted(rate_limiter) == 8


def test_broken_requests_do_not_widen_the_gate(clock: Clock) -> None:
    rate_limiter = RateLimiter(8, clock=clock)
    rate_limiter.pause(0)
    for _ in range(50):
        rate_limiter.acquire(never)
        rate_limiter.release(None)

    assert admitted(rate_limiter) == 4


def test_announced_remainders_are_not_overdrawn(clock: Clock) -> None:
    rate_limiter = RateLimiter(8, clock=clock)
    rate_limiter.acquire(never)

    rate_limiter.release(limits(60, 2))

    assert admitted(rate_limiter) == 2
    assert rate_limiter._wait() is None


def test_overtaken_answers_do_not_raise_the_remainder(clock: Clock) -> None:
    rate_limiter = RateLimiter(8, clock=clock)
    for _ in range(3):
        rate_limiter.acquire(never)
    rate_limiter.release(limits(60, 3))

    rate_limiter.release(limits(60, 4))  # sent before, came after

    assert rate_limiter._remaining == 3


def test_with_nothing_left_one_at_a_time_finds_out(clock: Clock) -> None:
    rate_limiter = RateLimiter(8, clock=clock)
    rate_limiter.acquire(never)
    rate_limiter.release(limits(60, 0))

    assert admitted(rate_limiter) == 1


class Throttle:
    """Laravel's: fixed periods of a minute that begin with a request and end without notice."""

    def __init__(self, clock: Clock, limit: int) -> None:
        self._clock, self._limit = clock, limit
        self._end = 0.0
        self._left = limit
        self.sent = self.refused = 0

    def answer(self, rate_limiter: RateLimiter) -> None:
        """Answer a request that was admitted, as the client would pass it on."""
        if self._clock.now >= self._end:
            self._end, self._left = self._clock.now + 60, self._limit
        self.sent += 1
        if self._left == 0:
            self.refused += 1
            refused(rate_limiter, self._end - self._clock.now, limits(self._limit, 0))
            return
        self._left -= 1
        rate_limiter.release(limits(self._limit, self._left))


def test_a_throttle_of_60_a_minute_costs_few_refusals(clock: Clock) -> None:
    rate_limiter, throttle = RateLimiter(8, clock=clock), Throttle(clock, 60)
    end = clock.now + 600
    while clock.now < end:
        count = admitted(rate_limiter)
        clock.now += 0.2
        for _ in range(count):
            throttle.answer(rate_limiter)

    assert throttle.sent - throttle.refused >= 590
    assert throttle.refused <= 0.05 * throttle.sent


def test_a_pause_under_way_counts_as_far_as_it_has_come(clock: Clock) -> None:
    rate_limiter = RateLimiter(3, clock=clock)
    rate_limiter.pause(60)
    clock.now += 4

    assert (rate_limiter.pause_left, rate_limiter.seconds_waited) == (56, 4)


def test_seconds_waited_are_counted_once(clock: Clock) -> None:
    rate_limiter = RateLimiter(3, clock=clock)
    rate_limiter.pause(5)
    rate_limiter.pause(2)
    clock.now += 4
    rate_limiter.pause(3)

    clock.now += 10
    assert rate_limiter.seconds_waited == 7


def test_headers_that_make_no_sense_are_ignored(clock: Clock) -> None:
    rate_limiter = RateLimiter(4, clock=clock)
    for limit, remaining in (("x", "0"), ("60", "-1"), ("", ""), ("60", "0.5")):
        rate_limiter.acquire(never)
        rate_limiter.release({"x-ratelimit-limit": limit, "x-ratelimit-remaining": remaining})

    assert admitted(rate_limiter) == 4


def test_requests_per_minute(clock: Clock) -> None:
    rate_limiter = RateLimiter(50, per_minute=3, clock=clock)
    assert admitted(rate_limiter) == 3
    assert rate_limiter._wait() == 60

    clock.now += 60

    assert admitted(rate_limiter) == 3


def test_requests_per_minute_is_a_sliding_minute(clock: Clock) -> None:
    rate_limiter = RateLimiter(50, per_minute=2, clock=clock)
    rate_limiter.acquire(never)
    clock.now += 50
    rate_limiter.acquire(never)
    assert rate_limiter._wait() == 10

    clock.now += 10

    assert admitted(rate_limiter) == 1
    assert rate_limiter._wait() == 50


def in_thread(action: Callable[[], None]) -> tuple[threading.Thread, list[str]]:
    outcome: list[str] = []

    def run() -> None:
        try:
            action()
            outcome.append("admitted")
        except CancelledError:
            outcome.append("cancelled")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, outcome


@pytest.mark.parametrize("reason", ["held", "full"])
def test_close_cancels_whoever_waits(reason: str) -> None:
    rate_limiter = RateLimiter(1)
    if reason == "held":
        rate_limiter.pause(60)
    else:
        rate_limiter.acquire(never)
    closed = threading.Event()
    thread, outcome = in_thread(lambda: rate_limiter.acquire(closed.is_set))
    time.sleep(0.02)
    assert outcome == []

    closed.set()
    rate_limiter.wake()

    thread.join(30)
    assert outcome == ["cancelled"]


def test_close_cancels_whoever_comes() -> None:
    rate_limiter = RateLimiter(1)

    with pytest.raises(CancelledError):
        rate_limiter.acquire(lambda: True)


def test_leaving_lets_the_next_one_in() -> None:
    rate_limiter = RateLimiter(1)
    rate_limiter.acquire(never)
    thread, outcome = in_thread(lambda: rate_limiter.acquire(never))
    time.sleep(0.02)
    assert outcome == []

    rate_limiter.release({})

    thread.join(30)
    assert outcome == ["admitted"]


def test_a_hold_ends_by_itself() -> None:
    rate_limiter = RateLimiter(1)
    rate_limiter.pause(0.05)
    began = time.monotonic()

    rate_limiter.acquire(never)

    assert 0.04 < time.monotonic() - began < 30
