"""Runs readers side by side. A reader is a generator: it asks for pages and emits values.

    page = yield Fetch(request, ahead=[...])    one page; a refusal is raised at the yield
    yield Emit(value)                           something finished

Readers know nothing of threads. One thread advances all of them, worker threads only
fetch. A scan's plan, a generator too, starts its readers in the order in which their values
are accepted. Scans of one vendor share its workers; all scans run at the same time.
"""

from __future__ import annotations

import itertools
import queue
import threading
import typing as t
from collections import deque
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from tap_medchat_swell.http.client import Request

# Per scan, in bytes as they came over the wire or will go to the target.
MAX_BUFFERED_BYTES = 6 << 20
READERS_AHEAD = 2  # times the number of workers
SPARE = 2  # requests that lie ready, so that no worker waits for the main thread
TICK_SECONDS = 0.25


@dataclass(frozen=True)
class Fetch:
    """A page that is needed now, and those that will probably be needed next.

    `held_bytes` is what the reader itself holds, to bound memory.
    """

    request: Request
    ahead: Sequence[Request] = ()
    held_bytes: int = 0


@dataclass(frozen=True)
class Emit:
    """A value for the scan; `size` is about how many bytes it holds."""

    value: t.Any
    size: int = 0


@dataclass(frozen=True)
class Start:
    """Yielded by plans only: a reader whose values come next."""

    reader: Reader


if t.TYPE_CHECKING:
    Reader = Generator[Fetch | Emit, t.Any, None]
    Plan = Generator[Fetch | Start, t.Any, None]


class Scan(t.Protocol):
    """What is read in one go; every method but `fetch` runs in the main thread."""

    vendor: str

    def fetch(self, request: Request) -> t.Any:
        """Get a page; runs in a worker. Raises VendorError. Its `size` is in bytes."""

    def plan(self) -> Plan:
        """Start the readers."""

    def accept(self, value: t.Any) -> bool:
        """Use what a reader emitted; values come in the order of the readers.

        Returns whether the scan has enough and shall end early.
        """

    def finish(self) -> None:
        """Everything has been accepted."""

    def fail(self, error: Exception) -> None:
        """Stop with an error; everything emitted before it has been accepted."""


@dataclass(eq=False)
class _Task:
    """A generator under way, with the pages that have come and are not used yet."""

    steps: Generator[Fetch | Emit | Start, t.Any, None]
    wanted: Fetch | None = None  # None: it can go on
    pages: dict[str, t.Any] = field(default_factory=dict)  # by the request's URL
    asked: set[str] = field(default_factory=set)
    output: deque[Emit] = field(default_factory=deque)
    done: bool = False
    error: Exception | None = None

    def step(self) -> Emit | Start | None:
        """Go on to the next value; None where a page is missing or the end has come."""
        while not self.done:
            page = None
            if self.wanted is not None:
                if self.wanted.request.url not in self.pages:
                    return None
                page = self.pages.pop(self.wanted.request.url)
                self.wanted = None
            value = self._resume(page)
            if value is not None:
                return value
        return None

    def _resume(self, page: t.Any) -> Emit | Start | None:
        try:
            step = self.steps.throw(page) if isinstance(page, Exception) else self.steps.send(page)
        except StopIteration:
            self.done = True
        except Exception as error:  # noqa: BLE001 - it is reported in its place
            self.done, self.error = True, error
        else:
            if not isinstance(step, Fetch):
                return step
            self.wanted = step
            likely = {request.url for request in (step.request, *step.ahead)}
            self.asked &= likely  # an answer to anything else is dropped
            self.pages = {url: page for url, page in self.pages.items() if url in likely}
        return None

    def requests(self) -> Iterator[Request]:
        """What to ask for, the most urgent first."""
        if self.wanted is not None:
            for request in (self.wanted.request, *self.wanted.ahead):
                if request.url not in self.asked and request.url not in self.pages:
                    yield request

    def buffered_bytes(self) -> int:
        """What waits to be used, not counting what the reader holds."""
        pages: int = sum(getattr(page, "size", 0) for page in self.pages.values())
        return pages + sum(emit.size for emit in self.output)

    def take(self, request: Request, page: t.Any) -> None:
        """Keep an answer, if it is still wanted."""
        if request.url in self.asked:
            self.asked.discard(request.url)
            self.pages[request.url] = page


class _Workers:
    """Daemon threads that fetch for one vendor.

    concurrent.futures joins its threads when the process ends, which would delay Ctrl-C until
    the slowest answer has come.
    """

    def __init__(self, count: int, answers: queue.SimpleQueue[tuple[_Job, t.Any]]) -> None:
        self.count = count
        self.in_flight = 0
        self.largest_page = 0
        self._answers = answers
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = 0

    @property
    def capacity(self) -> int:
        """How many more requests may be handed to the workers."""
        return self.count + (SPARE if self.count > 1 else 0) - self.in_flight

    def submit(self, job: _Job) -> None:
        """Fetch a page; its answer comes with the next ones."""
        job.task.asked.add(job.request.url)
        self.in_flight += 1
        if self._threads < min(self.count, self.in_flight):
            self._threads += 1
            threading.Thread(target=self._work, name="fetch", daemon=True).start()
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                page: t.Any = job.chain.scan.fetch(job.request)
            except BaseException as error:  # noqa: BLE001 - raised where the page is wanted
                page = error
            self._answers.put((job, page))

    def close(self) -> None:
        """Let idle threads end; a busy one ends after its answer, which nobody reads."""
        for _ in range(self._threads):
            self._jobs.put(None)


@dataclass(eq=False)
class _Chain:
    """A scan under way."""

    scan: Scan
    workers: _Workers
    plan: _Task
    tasks: deque[_Task] = field(default_factory=deque)
    over: bool = False

    def advance(self) -> None:
        """Start readers, accept what has been emitted in order, and end when all is done."""
        try:
            self._start_readers()
            self._deliver()
            if not self.over and self.plan.done and not self.tasks:
                self._finish()
        except Exception as error:  # noqa: BLE001 - other scans go on
            self.over = True
            self.tasks.clear()
            self.scan.fail(error)

    def _finish(self) -> None:
        if self.plan.error is not None:
            raise self.plan.error
        self.over = True
        self.scan.finish()

    def _start_readers(self) -> None:
        limit = READERS_AHEAD * self.workers.count if self.workers.count > 1 else 1
        while len(self.tasks) < limit and not any(task.error for task in self.tasks):
            step = self.plan.step()
            if not isinstance(step, Start):
                return
            task = _Task(step.reader)
            self.tasks.append(task)
            self.run(task)

    def run(self, task: _Task) -> None:
        """Let a reader go on until it needs a page that has not come."""
        while isinstance(step := task.step(), Emit):
            task.output.append(step)

    def _deliver(self) -> None:
        while self.tasks:
            first = self.tasks[0]
            while first.output:
                if self.scan.accept(first.output.popleft().value):
                    self.over = True
                    return
            if first.error is not None:
                raise first.error
            if not first.done:
                return
            self.tasks.popleft()
            self._start_readers()

    def submit(self) -> None:
        """Ask for what is wanted, as far as there are workers and memory."""
        for task, request in self._wanted():
            if self.workers.capacity <= 0:
                return
            is_needed_now = task is self.tasks[0] if self.tasks else True
            is_needed_now &= task.wanted is not None and request is task.wanted.request
            if is_needed_now or self._has_memory():
                self.workers.submit(_Job(self, task, request))

    def _wanted(self) -> Iterator[tuple[_Task, Request]]:
        failed = next((task for task in self.tasks if task.error), None)
        tasks = list(self.tasks)
        for task in tasks[:1]:
            yield from ((task, request) for request in itertools.islice(task.requests(), 1))
        if failed is None:
            yield from ((self.plan, request) for request in self.plan.requests())
        for task in tasks:
            if task is failed:
                return
            yield from ((task, request) for request in task.requests())

    def _has_memory(self) -> bool:
        buffered = sum(task.buffered_bytes() for task in self.tasks)
        held = sum(task.wanted.held_bytes for task in [*self.tasks][1:] if task.wanted)
        coming = (1 + self.workers.in_flight) * self.workers.largest_page
        return buffered + held + coming < MAX_BUFFERED_BYTES


class _Job(t.NamedTuple):
    chain: _Chain
    task: _Task
    request: Request


def run(scans: Sequence[Scan], workers: int, on_tick: Callable[[], None]) -> None:
    """Run all scans to their ends; `on_tick` is called often, also while waiting.

    `workers` is the number of requests in flight per vendor. What `on_tick` raises ends the run.
    """
    answers: queue.SimpleQueue[tuple[_Job, t.Any]] = queue.SimpleQueue()
    pools = {scan.vendor: _Workers(workers, answers) for scan in scans}
    chains = [_Chain(scan, pools[scan.vendor], _Task(scan.plan())) for scan in scans]
    try:
        while chains:
            on_tick()
            for chain in chains:
                chain.advance()
            chains = [chain for chain in chains if not chain.over]
            _submit(chains)
            if chains:
                _take_answer(answers, chains)
    finally:
        for pool in pools.values():
            pool.close()


def _submit(chains: Sequence[_Chain]) -> None:
    for chain in chains:
        chain.submit()


def _take_answer(answers: queue.SimpleQueue[tuple[_Job, t.Any]], chains: Sequence[_Chain]) -> None:
    """Use one answer, after its worker has got the next request.

    One by one, though several may have come: using one takes time, which spreads the requests.
    """
    try:
        (chain, task, request), page = answers.get(timeout=TICK_SECONDS)
    except queue.Empty:
        return
    chain.workers.in_flight -= 1
    if isinstance(page, BaseException) and not isinstance(page, Exception):
        raise page
    if not isinstance(page, Exception):
        chain.workers.largest_page = max(chain.workers.largest_page, page.size)
    if chain.over:
        return
    task.take(request, page)
    _submit(chains)
    if task is not chain.plan:
        chain.run(task)
