"""Windows read side by side, handed on in order.

One thread plans, submits and takes answers; workers only fetch, and only the planning
thread ever enqueues, so nothing can wait for itself.
"""

from __future__ import annotations

import abc
import collections
import queue
import threading
import typing as t
from dataclasses import dataclass

from tap_medchat_swell.errors import VendorError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_medchat_swell.http.client import Ask

MAX_HELD_BYTES = 11 << 20  # some three parts of MedChat's windows
WINDOWS_AHEAD = 2  # times the number of workers
SPARE = 2  # requests that lie ready, for workers to take at once
TICK = 0.25

PageT = t.TypeVar("PageT")
ReaderT = t.TypeVar("ReaderT", bound="WindowReader[t.Any]")


@dataclass(frozen=True)
class Request:
    """One request of a reader; `token` tells the reader which of its pages it is."""

    reader: WindowReader[t.Any]
    ask: Ask
    token: t.Any


Answered = tuple[Request, t.Any]


class WindowReader(abc.ABC, t.Generic[PageT]):
    """Reads one window: says what to ask, takes the answers in whatever order."""

    finished = False
    started = False

    def __init__(self) -> None:
        self.followers: list[t.Any] = []
        """Readers of windows that this one left to be read right after itself."""

    @property
    def has_results(self) -> bool:
        """Whether there is something to use."""
        return self.finished

    @property
    def held_bytes(self) -> int:
        """About how much memory takes what waits to be used."""
        return 0

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come, but for what there is."""
        return self.finished

    @abc.abstractmethod
    def wanted(self, room: int) -> list[Request]:
        """Requests to send now, `room` at most, each named once.

        They may be another reader's, which works for this one.
        """

    @abc.abstractmethod
    def fetch(self, request: Request) -> PageT:
        """Get one page; runs in a worker, so it must not touch the reader's state."""

    @abc.abstractmethod
    def take(self, request: Request, page: PageT) -> None:
        """Use an answer; one that is no longer wanted is dropped."""

    def refused(self, request: Request, error: VendorError) -> None:
        """Adapt to a refusal, or raise it."""
        del request
        raise error


class Workers:
    """Daemon threads that fetch.

    concurrent.futures joins its threads when the process ends, which would hold up
    Ctrl-C until the slowest answer has come.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.capacity = count + SPARE if count > 1 else 1
        self._jobs: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answered] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, request: Request, busy: int) -> None:
        """Fetch a request; `busy` others are under way or wait, of `capacity` in all."""
        if busy >= len(self._threads) < self.count:
            thread = threading.Thread(target=self._run, name="fetch", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put(request)

    def _run(self) -> None:
        while request := self._jobs.get():
            try:
                answer = request.reader.fetch(request)
            except BaseException as error:  # noqa: BLE001 - the planning thread raises it
                answer = error
            self._answers.put((request, answer))

    def next_answer(self) -> Answered | None:
        """The next answer; None where a moment's wait has brought none."""
        try:
            return self._answers.get(timeout=TICK)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Let idle threads end; busy ones end with their answer, which nobody reads."""
        for _ in self._threads:
            self._jobs.put(None)


class ReadAhead(t.Generic[ReaderT]):
    """Reads planned windows ahead of need; `idle` runs often, also while waiting."""

    def __init__(
        self,
        plan: Iterator[ReaderT],
        workers: Workers,
        idle: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._workers = workers
        self._idle = idle
        self._readers: collections.deque[ReaderT] = collections.deque()
        self._submitted = 0

    def __iter__(self) -> Iterator[ReaderT]:
        """Readers in the order of their windows, each time that they have results."""
        while self._plan_ahead():
            self._idle()
            first = self._readers[0]
            is_over = first.is_over
            if is_over:
                self._readers.popleft()
            if first.has_results:
                yield first
            elif not is_over:
                self._submit()
                self._take_answer()

    def _plan_ahead(self) -> bool:
        ahead = WINDOWS_AHEAD * self._workers.count if self._workers.count > 1 else 1
        while len(self._readers) < ahead:
            reader = next(self._plan, None)
            if reader is None:
                break
            self._readers.append(reader)
        return bool(self._readers)

    def _submit(self) -> None:
        """Send what is wanted: first pages first where they tell what else there is to ask."""
        held = sum(reader.held_bytes for reader in self._readers)
        readers = sorted(self._readers, key=lambda reader: reader.started)
        if self._workers.count == 1:
            readers = [self._readers[0]]  # plain sequential reading
        for reader in readers:
            room = self._workers.capacity - self._submitted
            if room <= 0:
                return
            if held > MAX_HELD_BYTES and reader is not self._readers[0]:
                continue
            for request in reader.wanted(room if reader.started else 1):
                reader.started = True
                self._workers.submit(request, self._submitted)
                self._submitted += 1

    def _take_answer(self) -> None:
        """Use one answer, after sending what its worker can do next.

        One by one, though several may have come: using an answer takes time, which
        spreads the requests, so that the next answers do not come all at once.
        """
        answered = self._workers.next_answer()
        if answered is None:
            return
        request, answer = answered
        reader = t.cast("ReaderT", request.reader)
        self._submitted -= 1
        self._submit()
        if isinstance(answer, VendorError):
            reader.refused(request, answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            reader.take(request, answer)
        self._adopt(reader)

    def _adopt(self, reader: ReaderT) -> None:
        """Queue what a reader left over right behind it."""
        if reader.followers:
            place = self._readers.index(reader) + 1
            for offset, follower in enumerate(reader.followers):
                self._readers.insert(place + offset, follower)
            reader.followers = []
