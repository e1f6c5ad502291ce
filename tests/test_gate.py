from __future__ import annotations

import threading
import time
import typing as t

import pytest

from tap_medchat_swell.errors import Cancelled
from tap_medchat_swell.gate import Gate

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


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


def admitted(gate: Gate, at_most: int = 50) -> int:
    """How many are let in now, one after the other; they stay in."""
    count = 0
    while count < at_most and (wait := gate._wait()) is not None and wait <= 0:
        gate.enter(never)
        count += 1
    return count


def one_after_another(gate: Gate, answers: Iterator[dict[str, str]]) -> int:
    """How many requests are let through now if each is answered at once."""
    count = 0
    while (wait := gate._wait()) is not None and wait <= 0:
        gate.enter(never)
        gate.leave(next(answers))
        count += 1
    return count


def test_no_more_than_width_at_once(clock: Clock) -> None:
    gate = Gate(3, clock=clock)
    assert admitted(gate) == 3

    gate.leave({})

    assert admitted(gate) == 1


def test_a_hold_stops_everybody_for_so_long(clock: Clock) -> None:
    gate = Gate(3, clock=clock)

    gate.hold(5)

    assert gate._wait() == 5
    clock.now += 4.5
    assert gate._wait() == 0.5
    clock.now += 0.5
    assert admitted(gate) >= 1


def test_a_shorter_hold_does_not_end_a_longer_one(clock: Clock) -> None:
    gate = Gate(3, clock=clock)
    gate.hold(10)

    gate.hold(1)

    assert gate._wait() == 10


def refused(gate: Gate, wait: float, headers: Mapping[str, str] | None = None) -> None:
    """Have a request that was admitted refused, as the client does."""
    gate.hold(wait)
    gate.leave(headers or {})
    gate.hold(wait)


def answered(gate: Gate, width: int, times: int) -> None:
    """Have requests answered well, `width` at a time."""
    for _ in range(times):
        for _ in range(width):
            gate.enter(never)
        for _ in range(width):
            gate.leave({})


def test_width_halves_with_each_hold_and_grows_back_with_answers(clock: Clock) -> None:
    gate = Gate(8, clock=clock)
    widths = []
    for _ in range(4):
        gate.hold(0)
        count = admitted(gate)
        widths.append(count)
        for _ in range(count):
            gate.leave(None)  # no answer, so nothing is learnt
    assert widths == [4, 2, 1, 1]

    answered(gate, 1, 600)

    assert admitted(gate) == 8


def test_a_burst_of_refusals_is_one_sign(clock: Clock) -> None:
    gate = Gate(8, clock=clock)
    admitted(gate)
    for _ in range(8):
        refused(gate, 1)
    clock.now += 1

    assert admitted(gate) == 4


def test_a_limit_of_requests_side_by_side_is_tried_more_and_more_rarely(clock: Clock) -> None:
    gate, limit, good = Gate(8, clock=clock), 2, [0]
    while len(good) < 12:
        width = admitted(gate)
        if width > limit:
            good.append(0)
            refused(gate, 1)
            width -= 1
        else:
            good[-1] += width
        for _ in range(width):
            gate.leave({})
        clock.now += 1

    assert good[-2] > 8 * good[3] > 8 * good[2] > 0, good


def test_what_was_announced_is_no_limit_side_by_side(clock: Clock) -> None:
    gate = Gate(8, clock=clock)
    for _ in range(6):
        gate.enter(never)
        gate.leave(limits(60, 8))
        for _ in range(admitted(gate)):
            refused(gate, 1, limits(60, 0))
        clock.now += 1
    answered(gate, 1, 60)

    assert admitted(gate) == 8


def test_broken_requests_do_not_widen_the_gate(clock: Clock) -> None:
    gate = Gate(8, clock=clock)
    gate.hold(0)
    for _ in range(50):
        gate.enter(never)
        gate.leave(None)

    assert admitted(gate) == 4


def test_announced_remainders_are_not_overdrawn(clock: Clock) -> None:
    gate = Gate(8, clock=clock)
    gate.enter(never)

    gate.leave(limits(60, 2))

    assert admitted(gate) == 2
    assert gate._wait() is None


def test_overtaken_answers_do_not_raise_the_remainder(clock: Clock) -> None:
    gate = Gate(8, clock=clock)
    for _ in range(3):
        gate.enter(never)
    gate.leave(limits(60, 3))

    gate.leave(limits(60, 4))  # sent before, came after

    assert gate._remaining == 3


def test_with_nothing_left_one_at_a_time_finds_out(clock: Clock) -> None:
    gate = Gate(8, clock=clock)
    gate.enter(never)
    gate.leave(limits(60, 0))

    assert admitted(gate) == 1


def test_a_period_once_learnt_is_kept_clear_of(clock: Clock) -> None:
    """60 requests a minute: only the first minute is run into."""
    gate = Gate(1, clock=clock)
    first = iter(limits(60, left) for left in range(59, 57, -1))
    gate.enter(never)
    gate.leave(next(first))  # the period begins
    clock.now += 20
    gate.enter(never)
    refused(gate, 40, limits(60, 0))  # so the period is a minute
    clock.now += 40

    gate.enter(never)
    gate.leave(limits(60, 1))
    assert one_after_another(gate, iter([limits(60, 0)])) == 1
    assert gate._wait() == pytest.approx(60)

    clock.now += 60
    assert gate._wait() == 0


def test_headers_that_make_no_sense_are_ignored(clock: Clock) -> None:
    gate = Gate(4, clock=clock)
    for limit, remaining in (("x", "0"), ("60", "-1"), ("", ""), ("60", "0.5")):
        gate.enter(never)
        gate.leave({"x-ratelimit-limit": limit, "x-ratelimit-remaining": remaining})

    assert admitted(gate) == 4


def test_requests_per_minute(clock: Clock) -> None:
    gate = Gate(50, per_minute=3, clock=clock)
    assert admitted(gate) == 3
    assert gate._wait() == 60

    clock.now += 60

    assert admitted(gate) == 3


def test_requests_per_minute_is_a_sliding_minute(clock: Clock) -> None:
    gate = Gate(50, per_minute=2, clock=clock)
    gate.enter(never)
    clock.now += 50
    gate.enter(never)
    assert gate._wait() == 10

    clock.now += 10

    assert admitted(gate) == 1
    assert gate._wait() == 50


def in_thread(action: Callable[[], None]) -> tuple[threading.Thread, list[str]]:
    outcome: list[str] = []

    def run() -> None:
        try:
            action()
            outcome.append("admitted")
        except Cancelled:
            outcome.append("cancelled")

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, outcome


@pytest.mark.parametrize("reason", ["held", "full"])
def test_close_cancels_whoever_waits(reason: str) -> None:
    gate = Gate(1)
    if reason == "held":
        gate.hold(60)
    else:
        gate.enter(never)
    closed = threading.Event()
    thread, outcome = in_thread(lambda: gate.enter(closed.is_set))
    time.sleep(0.02)
    assert outcome == []

    closed.set()
    gate.wake()

    thread.join(2)
    assert outcome == ["cancelled"]


def test_close_cancels_whoever_comes() -> None:
    gate = Gate(1)

    with pytest.raises(Cancelled):
        gate.enter(lambda: True)


def test_leaving_lets_the_next_one_in() -> None:
    gate = Gate(1)
    gate.enter(never)
    thread, outcome = in_thread(lambda: gate.enter(never))
    time.sleep(0.02)
    assert outcome == []

    gate.leave({})

    thread.join(2)
    assert outcome == ["admitted"]


def test_a_hold_ends_by_itself() -> None:
    gate = Gate(1)
    gate.hold(0.05)
    began = time.monotonic()

    gate.enter(never)

    assert 0.04 < time.monotonic() - began < 2
