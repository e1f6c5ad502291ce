"""Readers side by side: order, prefetch, failures and memory, without a vendor."""

from __future__ import annotations

import threading
import typing as t
from dataclasses import dataclass, field

import pytest

from tap_medchat_swell import pipeline
from tap_medchat_swell.http.client import Request
from tap_medchat_swell.pipeline import Emit, Fetch, Start

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tap_medchat_swell.pipeline import Plan, Reader


class NotThereError(Exception):
    """An answer that cannot be had."""


@dataclass(frozen=True)
class Page:
    name: str
    size: int = 1


def request(name: str) -> Request:
    return Request(name, name, lambda document, _: document)


def fetch(name: str, *ahead: str) -> Fetch:
    return Fetch(request(name), [request(other) for other in ahead])


@dataclass
class Scan:
    """Reads with these readers, and keeps what happens."""

    readers: Iterable[Reader] = ()
    vendor: str = "one"
    fails_on: tuple[str, ...] = ()
    page_size: int = 1
    enough: int = 10**9
    answer: Callable[[str], object] | None = None
    accepted: list[t.Any] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    ended: list[Exception | str] = field(default_factory=list)
    busy: int = 0
    peak: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fetch(self, request: Request) -> Page:
        with self._lock:
            self.asked.append(request.url)
            self.busy += 1
            self.peak = max(self.peak, self.busy)
        try:
            if self.answer is not None:
                self.answer(request.url)
            if request.url in self.fails_on:
                raise NotThereError(request.url)
            return Page(request.url, self.page_size)
        finally:
            with self._lock:
                self.busy -= 1

    def plan(self) -> Plan:
        for reader in self.readers:
            yield Start(reader)

    def accept(self, value: t.Any) -> bool:
        self.accepted.append(value)
        return len(self.accepted) >= self.enough

    def finish(self) -> None:
        self.ended.append("finished")

    def fail(self, error: Exception) -> None:
        self.ended.append(error)


def read(name: str, pages: int, *, ahead: int = 0) -> Reader:
    """Emit each of some pages."""
    names = [f"{name}{number}" for number in range(pages)]
    for number, url in enumerate(names):
        page = yield fetch(url, *names[number + 1 : number + 1 + ahead])
        yield Emit(page.name, page.size)


def run(*scans: Scan, workers: int = 4, on_tick: Callable[[], None] = lambda: None) -> None:
    pipeline.run(scans, workers, on_tick)


def slowest_first() -> Callable[[str], object]:
    """The last question that waits is answered first."""
    turn = threading.Condition()
    waiting: list[str] = []

    def answer(name: str) -> None:
        with turn:
            waiting.append(name)
            turn.notify_all()
            turn.wait_for(lambda: waiting[-1] == name, timeout=0.02)
            waiting.remove(name)
            turn.notify_all()

    return answer


WORKERS = pytest.mark.parametrize("workers", [1, 2, 8])


@WORKERS
def test_values_come_in_the_order_of_the_readers(workers: int) -> None:
    scan = Scan([read(name, 3, ahead=2) for name in "abcdef"], answer=slowest_first())

    run(scan, workers=workers)

    assert scan.accepted == [f"{name}{number}" for name in "abcdef" for number in range(3)]
    assert scan.ended == ["finished"]


@WORKERS
def test_every_page_is_fetched_once(workers: int) -> None:
    scan = Scan([read(name, 4, ahead=2) for name in "abc"])

    run(scan, workers=workers)

    assert len(scan.asked) == len(set(scan.asked)) == 12


def test_a_scan_without_readers_finishes() -> None:
    scan = Scan()

    run(scan)

    assert (scan.accepted, scan.ended) == ([], ["finished"])


def test_readers_need_not_fetch() -> None:
    def constant(value: str) -> Reader:
        yield Emit(value)

    scan = Scan(constant(name) for name in "abc")

    run(scan)

    assert scan.accepted == ["a", "b", "c"]


def test_scans_of_several_vendors_are_read_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=60)
    scans = [Scan([read("a", 1)], name, answer=lambda _: both.wait()) for name in ("one", "two")]

    run(*scans, workers=1)

    assert [scan.accepted for scan in scans] == [["a0"], ["a0"]]


def test_scans_of_one_vendor_share_its_workers() -> None:
    lock, busy, peak = threading.Lock(), [0], [0]

    def answer(_: str) -> None:
        with lock:
            busy[0] += 1
            peak[0] = max(peak[0], busy[0])
        threading.Event().wait(0.001)
        with lock:
            busy[0] -= 1

    scans = [Scan([read(name, 5, ahead=4)], answer=answer) for name in "ab"]

    run(*scans, workers=2)

    assert peak == [2]
    assert [len(scan.accepted) for scan in scans] == [5, 5]


def test_one_worker_reads_one_page_after_the_other() -> None:
    """Nothing is fetched ahead of what the first reader needs but its own next pages."""
    scan = Scan([read("a", 3, ahead=2), read("b", 2)])

    run(scan, workers=1)

    assert scan.asked == ["a0", "a1", "a2", "b0", "b1"]
    assert scan.peak == 1


def test_pages_are_fetched_ahead() -> None:
    """All at once, though the reader wants one after the other."""
    together = threading.Barrier(4, timeout=60)
    scan = Scan([read("a", 4, ahead=3)], answer=lambda _: together.wait())

    run(scan, workers=4)

    assert scan.accepted == ["a0", "a1", "a2", "a3"]


def test_later_readers_are_read_ahead() -> None:
    together = threading.Barrier(3, timeout=60)
    scan = Scan([read(name, 1) for name in "abc"], answer=lambda _: together.wait())

    run(scan, workers=3)

    assert scan.accepted == ["a0", "b0", "c0"]


def test_a_prefetched_page_that_nobody_wants_is_dropped() -> None:
    def reader() -> Reader:
        yield fetch("a", "never")
        page = yield fetch("b")
        yield Emit(page.name)

    scan = Scan([reader()], fails_on=("never",))

    run(scan)

    assert scan.accepted == ["b"]
    assert scan.ended == ["finished"]


def test_an_error_is_raised_where_the_page_is_wanted() -> None:
    def reader() -> Reader:
        page = yield fetch("a", "b")
        yield Emit(page.name)
        try:
            yield fetch("b")
        except NotThereError as error:
            yield Emit(f"no {error}")

    scan = Scan([reader()], fails_on=("b",))

    run(scan)

    assert scan.accepted == ["a", "no b"]
    assert scan.ended == ["finished"]


@WORKERS
def test_a_reader_that_fails_ends_only_its_scan_and_after_the_values_before_it(
    workers: int,
) -> None:
    failing = Scan([read(name, 3, ahead=2) for name in "abc"], "one", fails_on=("b1",))
    other = Scan([read(name, 3) for name in "xyz"], "one")

    run(failing, other, workers=workers)

    assert failing.accepted == ["a0", "a1", "a2", "b0"]
    [error] = failing.ended
    assert isinstance(error, NotThereError)
    assert len(other.accepted) == 9
    assert other.ended == ["finished"]


def test_an_error_of_a_later_reader_waits_for_its_turn() -> None:
    first_may_go = threading.Event()

    def answer(name: str) -> None:
        if name == "b0":
            first_may_go.set()
        elif name == "a1":
            first_may_go.wait(5)

    scan = Scan([read("a", 3), read("b", 1), read("c", 1)], fails_on=("b0",), answer=answer)

    run(scan)

    assert scan.accepted == ["a0", "a1", "a2"]
    assert isinstance(scan.ended[0], NotThereError)


def test_a_plan_that_fails_ends_its_scan_after_its_readers() -> None:
    class Planned(Scan):
        def plan(self) -> Plan:
            yield Start(read("a", 2))
            yield fetch("plan")

    scan = Planned(fails_on=("plan",))

    run(scan)

    assert scan.accepted == ["a0", "a1"]
    assert isinstance(scan.ended[0], NotThereError)


def test_a_plan_may_ask_before_it_starts_readers() -> None:
    class Planned(Scan):
        def plan(self) -> Plan:
            page = yield fetch("plan")
            yield Start(read(page.name, 1))

    scan = Planned()

    run(scan)

    assert scan.accepted == ["plan0"]


def test_what_accept_raises_ends_the_scan() -> None:
    class Picky(Scan):
        def accept(self, value: t.Any) -> bool:
            raise NotThereError(value)

    scan, other = Picky([read("a", 2)]), Scan([read("b", 2)])

    run(scan, other)

    assert isinstance(scan.ended[0], NotThereError)
    assert other.accepted == ["b0", "b1"]


@WORKERS
def test_a_scan_that_has_enough_ends_early(workers: int) -> None:
    scan = Scan([read(name, 9, ahead=8) for name in "ab"], enough=2)
    other = Scan([read("x", 5)])

    run(scan, other, workers=workers)

    assert scan.accepted == ["a0", "a1"]
    assert scan.ended == [], "a dry run bookmarks nothing"
    assert len(other.accepted) == 5


def test_what_on_tick_raises_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "TICK_SECONDS", 0.001)
    release = threading.Event()
    scan = Scan([read("a", 2)], answer=lambda _: release.wait(5))

    def stop() -> None:
        if scan.busy:
            raise KeyboardInterrupt

    try:
        with pytest.raises(KeyboardInterrupt):
            run(scan, on_tick=stop)
    finally:
        release.set()
    assert (scan.accepted, scan.ended) == ([], [])


def test_on_tick_is_called_while_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "TICK_SECONDS", 0.001)
    ticks, enough = [0], threading.Event()

    def tick() -> None:
        ticks[0] += 1
        if ticks[0] == 20:
            enough.set()

    run(Scan([read("a", 1)], answer=lambda _: enough.wait(5)), on_tick=tick)

    assert enough.is_set()


def test_what_is_no_exception_in_a_worker_ends_the_run() -> None:
    def cancel(_: str) -> t.NoReturn:
        raise SystemExit

    with pytest.raises(SystemExit):
        run(Scan([read("a", 1)], answer=cancel))


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However far ahead readers may go: pages and values that wait stay within the bound."""
    monkeypatch.setattr(pipeline, "MAX_BUFFERED_BYTES", 1000)
    sent, used, peak = [0], [0], [0]
    lock = threading.Lock()

    def answer(_: str) -> None:
        with lock:
            sent[0] += 100
            peak[0] = max(peak[0], sent[0] - used[0])

    class Slow(Scan):
        def accept(self, value: t.Any) -> bool:
            with lock:
                used[0] += 100
            return super().accept(value)

    scan = Slow([read(name, 50, ahead=49) for name in "abcd"], page_size=100, answer=answer)

    run(scan, workers=8)

    assert len(scan.accepted) == 200
    assert peak[0] <= 1000 + 100  # what is needed now is always fetched


def test_what_the_first_reader_needs_is_fetched_however_full_memory_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "MAX_BUFFERED_BYTES", 0)
    scan = Scan([read("a", 3, ahead=2), read("b", 2)], page_size=100)

    run(scan, workers=8)

    assert scan.asked == ["a0", "a1", "a2", "b0", "b1"]
    assert len(scan.accepted) == 5


def test_what_readers_hold_counts_as_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later reader that holds much has no page fetched until its turn."""
    monkeypatch.setattr(pipeline, "MAX_BUFFERED_BYTES", 1000)
    first_is_read, seen_early = threading.Event(), list[bool]()

    def hoarder() -> Reader:
        yield fetch("b0")
        page = yield Fetch(request("b1"), held_bytes=2000)
        yield Emit(page.name)

    def answer(name: str) -> None:
        if name == "b1":
            seen_early.append(not first_is_read.is_set())

    class Ordered(Scan):
        def accept(self, value: t.Any) -> bool:
            if value == "a9":
                first_is_read.set()
            return super().accept(value)

    scan = Ordered([read("a", 10), hoarder()], answer=answer)

    run(scan, workers=4)

    assert scan.accepted[-1] == "b1"
    assert seen_early == [False]
