from __future__ import annotations

import random
import threading
import time
import typing as t

import pytest

from tap_medchat_swell.errors import PageTooLargeError, VendorError
from tap_medchat_swell.http.client import Ask
from tap_medchat_swell.readahead import (
    MAX_HELD_BYTES,
    WINDOWS_AHEAD,
    ReadAhead,
    Request,
    WindowReader,
    Workers,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Load:
    """How many requests are under way, and the most that ever were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.peak = self.total = 0

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.total += 1
            self.peak = max(self.peak, self.now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1


class Reader(WindowReader[str]):
    """A window of some pages, all asked for at once where there is room."""

    def __init__(
        self,
        name: str,
        pages: int = 1,
        load: Load | None = None,
        errors: Sequence[BaseException] = (),
        delay: float = 0.0,
    ) -> None:
        super().__init__()
        self.name = name
        self.load = load or Load()
        self.to_ask = [f"{name}{number}" for number in range(pages)]
        self.missing = set(self.to_ask)
        self.errors = list(errors)
        self.delay = delay
        self.leaves: list[WindowReader[str]] = []
        self.refusals = 0
        self.held = 0

    @property
    def held_bytes(self) -> int:
        return self.held

    def wanted(self, room: int) -> list[Request]:
        now, self.to_ask = self.to_ask[:room], self.to_ask[room:]
        return [Request(self, Ask("", name), name) for name in now]

    def fetch(self, request: Request) -> str:
        with self.load:
            time.sleep(self.delay or random.random() / 500)
            if self.errors:
                raise self.errors.pop()
            return str(request.token)

    def take(self, request: Request, page: str) -> None:
        assert page == request.token
        self.missing.remove(page)
        if not self.missing:
            self.finished = True
            self.followers += self.leaves


class Forgiving(Reader):
    def refused(self, request: Request, error: VendorError) -> None:
        if not isinstance(error, PageTooLargeError):
            raise error
        self.refusals += 1
        self.to_ask.append(request.token)


def planned(*readers: WindowReader[str]) -> Iterator[WindowReader[str]]:
    return iter(readers)


def read(readers: Sequence[Reader], workers: int = 4) -> list[str]:
    pool = Workers(workers)
    try:
        ahead = ReadAhead(planned(*readers), pool, lambda: None)
        return [t.cast("Reader", reader).name for reader in ahead]
    finally:
        pool.close()


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_windows_come_in_their_order(workers: int) -> None:
    names = [chr(ord("a") + number) for number in range(20)]

    assert read([Reader(name, pages=3) for name in names], workers) == names


def test_nothing_planned_nothing_read() -> None:
    assert read([]) == []


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_requests_at_once_than_workers(workers: int) -> None:
    load = Load()

    read([Reader(str(number), pages=5, load=load) for number in range(10)], workers)

    assert load.peak == workers
    assert load.total == 50


def test_one_worker_reads_one_window_after_the_other() -> None:
    begun: list[str] = []

    def plan() -> Iterator[WindowReader[str]]:
        for name in "abc":
            begun.append(name)
            yield Reader(name)

    pool = Workers(1)
    seen = []
    for reader in ReadAhead(plan(), pool, lambda: None):
        seen.append(t.cast("Reader", reader).name)
        assert begun == seen
    pool.close()


def test_look_ahead_is_bounded() -> None:
    planned: list[int] = []

    def plan() -> Iterator[WindowReader[str]]:
        for number in range(100):
            planned.append(number)
            yield Reader(str(number))

    pool = Workers(2)
    ahead = ReadAhead(plan(), pool, lambda: None)
    next(iter(ahead))

    assert len(planned) <= 2 * WINDOWS_AHEAD + 1
    pool.close()


def test_held_answers_hold_up_what_is_further_ahead() -> None:
    """Memory stays bounded: over the limit only the first window is still read."""
    first, second, third = Reader("a", delay=0.05), Reader("b", pages=2), Reader("c")
    first.to_ask = []
    second.started = True
    second.held = MAX_HELD_BYTES + 1
    pool = Workers(4)
    ahead = ReadAhead(planned(first, second, third), pool, lambda: None)
    ahead._plan_ahead()

    ahead._submit()
    assert (second.load.total, len(second.to_ask), len(third.to_ask)) == (0, 2, 1)

    second.held = 0
    ahead._submit()
    assert (second.to_ask, third.to_ask) == ([], [])
    pool.close()


def left_after_asking_once(*readers: Reader) -> list[int]:
    """How many pages each has still to ask for when four workers have all they can hold."""
    pool = Workers(4)
    ahead = ReadAhead(planned(*readers), pool, lambda: None)
    ahead._plan_ahead()
    ahead._submit()
    pool.close()
    return [len(reader.to_ask) for reader in readers]


def test_first_pages_go_first() -> None:
    """They tell what else there is to ask: a long window must not keep them back."""
    first, second = Reader("a", pages=7), Reader("b", pages=5)
    first.started = True

    assert left_after_asking_once(first, second) == [2, 4]


def test_followers_are_read_right_after_their_window() -> None:
    first, last = Reader("a"), Reader("d")
    follower = Reader("b")
    follower.leaves = [Reader("c")]
    first.leaves = [follower]

    assert read([first, last]) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("workers", [1, 4])
def test_an_error_surfaces_once_and_as_itself(workers: int) -> None:
    error = VendorError("no")

    with pytest.raises(VendorError) as caught:
        read([Reader("a", pages=3), Reader("b", pages=2, errors=[error])], workers)

    assert caught.value is error


def test_windows_before_the_failing_one_are_handed_on() -> None:
    seen = []
    pool = Workers(1)
    readers = [Reader("a"), Reader("b", errors=[VendorError("no")]), Reader("c")]

    def see_all() -> None:
        for reader in ReadAhead(planned(*readers), pool, lambda: None):
            seen.append(t.cast("Reader", reader).name)  # noqa: PERF401 - up to the error

    with pytest.raises(VendorError):
        see_all()
    pool.close()

    assert seen == ["a"]


@pytest.mark.parametrize("error", [KeyError("x"), KeyboardInterrupt(), MemoryError()])
def test_a_mistake_in_a_worker_surfaces_too(error: BaseException) -> None:
    with pytest.raises(type(error)):
        read([Reader("a", errors=[error])])


def test_a_reader_may_adapt_to_a_refusal() -> None:
    reader = Forgiving("a", pages=2, errors=[PageTooLargeError("no")])

    assert read([reader, Reader("b")]) == ["a", "b"]
    assert reader.refusals == 1


def test_idle_runs_while_answers_are_waited_for() -> None:
    calls: list[float] = []
    pool = Workers(1)
    slow = Reader("a", delay=0.6)

    list(ReadAhead(planned(slow), pool, lambda: calls.append(1)))

    assert len(calls) >= 3
    pool.close()


def test_what_idle_raises_ends_the_reading() -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    pool = Workers(1)
    with pytest.raises(KeyboardInterrupt):
        list(ReadAhead(planned(Reader("a")), pool, stop))
    pool.close()


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    read([Reader(str(number), pages=4) for number in range(5)], workers=4)

    deadline = time.monotonic() + 2
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
