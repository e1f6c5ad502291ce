"""Reads Swell's messages and counts (W1 to W16).

Offset paging without a stable order can repeat rows and leave others out. So one pass over the
pages is believed only if it brings as many distinct messages as Swell counts. Otherwise the
question is asked again in pages of another size: copies stay the same copies, and some of what
was left out turns up. Some never does: `ORDER BY created_at DESC LIMIT n OFFSET m` on PostgreSQL
hides rows that share their `created_at` (a campaign) on every page of every size. They turn up
where the question itself is narrower, so its parts are asked too. What still disagrees is
*unsettled*: see `swell.messages`.
"""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass, field

from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.pagination import PageLinksPaginator, PageRepeatedError
from tap_medchat_swell.pipeline import Emit, Fetch
from tap_medchat_swell.record_mapper import key_finder
from tap_medchat_swell.swell.bookmark import OPEN_DAYS
from tap_medchat_swell.time_ranges import DAY, DayRange
from tap_medchat_swell.timestamps import now, parse_timestamp

if t.TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from datetime import date, datetime

    from tap_medchat_swell.http.client import Request
    from tap_medchat_swell.pipeline import Reader
    from tap_medchat_swell.record_mapper import Row
    from tap_medchat_swell.swell.api import SwellApi
    from tap_medchat_swell.swell.responses import CountPage, MessagePage

    T = t.TypeVar("T")
    Step = Generator[Fetch | Emit, t.Any, T]
    Ask = Callable[[int, int], Request]  # page number, page size

PAGE_SIZES = (100, 87, 99, 73, 61)  # percent of the page size, one per pass
MAX_PAGE_SIZE = 100  # W11
ENOUGH_QUIET_PASSES = 2  # page sizes in a row that bring what the one before brought
CHANGES_PARTS = 8  # times since the first one to ask for changes from, if there is need
_created_at = key_finder("created_at")


@dataclass(frozen=True)
class Messages:
    """Messages of one page that have not come before, and when they were received."""

    rows: dict[int, Row]
    received: datetime


@dataclass
class Passes:
    """What all passes over one question have brought, and whether another one is needed.

    `total` is how many messages Swell counts, or how many came in a pass if it counts none.
    """

    ids: set[int] = field(default_factory=set)
    count: int = 0
    total: int | None = None
    envelope: frozenset[str] | None = None
    is_settled: bool = False
    is_hollow: bool = False
    is_shuffled: bool = False
    quiet: int = 0
    _last: tuple[set[int], Counter[int]] | None = None
    _since_change: set[int] = field(default_factory=set)

    def end_pass(self, pages: PageLinksPaginator, known: int) -> None:
        """Judge the passes so far; before this one, so many ids were known."""
        self.count += 1
        rows, before = (pages.ids, pages.copies), self._last
        self.quiet = self.quiet + 1 if len(self.ids) == known and rows == before else 0
        self._last = rows
        previous, self.total = self.total, max(pages.totals, default=pages.rows)
        is_constant = len(pages.totals) <= 1
        is_same_question = is_constant and self.total == previous
        self.is_shuffled = is_same_question and bool(pages.copies) and rows != before
        if not is_same_question:
            self._since_change = set()
        if is_constant:
            self._since_change |= pages.ids
        if pages.is_single and is_constant and not self.is_hollow:
            self.is_settled = True  # all rows came at one instant
        elif not pages.totals:
            enough = 1 if not pages.copies else ENOUGH_QUIET_PASSES
            self.is_settled = self.quiet >= enough
        elif is_constant:  # else messages that arrive may stand in for others
            has_all = self.total in {len(pages.ids), len(self._since_change)}
            # With copies among the rows, the total may be wrong by as many as are missing.
            is_sure = pages.rows == self.total or self.quiet >= ENOUGH_QUIET_PASSES
            self.is_settled = has_all and is_sure

    def end_part(self, pages: PageLinksPaginator) -> None:
        """Add what a part of the question brought."""
        self._since_change |= pages.ids

    def end_parts(self, total: int | None) -> None:
        """Judge all parts, knowing what Swell counts now."""
        if total is not None:
            self.total = total
        self.is_settled = self.has_all

    @property
    def has_all(self) -> bool:
        """Whether as many messages have come as Swell counted last."""
        return len(self._since_change) == self.total

    @property
    def is_stable(self) -> bool:
        """Whether different page sizes bring the same, so that the total counts otherwise."""
        return self.quiet >= ENOUGH_QUIET_PASSES and not self.is_hollow

    @property
    def is_done(self) -> bool:
        """Whether more passes over the whole question would be of no use.

        Where copies change with the page size, the order depends on the page: parts help more.
        """
        return self.is_settled or self.quiet >= ENOUGH_QUIET_PASSES or self.is_shuffled

    @property
    def needs_parts(self) -> bool:
        """Whether messages may be missing that parts of the question would bring."""
        return not self.is_settled and self.quiet < ENOUGH_QUIET_PASSES

    @property
    def missing(self) -> int:
        """How many more messages Swell counts than have come."""
        return (self.total or 0) - len(self.ids)


@dataclass(frozen=True)
class Question:
    """What to ask Swell for, by page number and page size.

    `parts` ask for some of the same messages each. `check` raises VendorError for a page that was
    never asked for.
    """

    ask: Ask
    parts: Sequence[Ask]
    check: Callable[[list[Row]], None] = lambda _: None
    attempt: int = 0


@dataclass(frozen=True)
class WindowRead:
    """A window has been read up to a day; None if Swell refuses all of it as not there yet."""

    window: DayRange
    last: date | None
    passes: Passes


@dataclass(frozen=True)
class ChangesRead:
    """Changes have been read since a time, asked for in this form; None if Swell refuses."""

    since: datetime | None
    form: str | None = None
    passes: Passes = field(default_factory=Passes)


@dataclass(frozen=True)
class CountsRead:
    """The counts of some days, by day, locations and teams."""

    counts: dict[CountKey, CountPage]
    received: datetime


CountKey = tuple["date", str, str]


def read_window(api: SwellApi, window: DayRange, today: date, attempt: int = 0) -> Reader:
    """Emit the messages created in a window, then that it has been read.

    `attempt` is in how many runs it has been unsettled: each asks in another way.

    Swell may refuse days as not there yet (W3). That is believed only if the same question about
    older days is answered.
    """
    days = window
    while True:
        try:
            ask, *parts = (functools.partial(api.messages, part) for part in (days, *_parts(days)))
            question = Question(ask, parts, functools.partial(_check_dates, days), attempt)
            passes = yield from _read_passes(question, api.page_size)
        except RefusedError as refused:  # noqa: PERF203 - one try per question
            is_recent = window.last >= today - OPEN_DAYS * DAY
            if not (is_recent and refused.concerns_dates):
                raise refused.error from None
            if days.last == days.first:
                day = today - (OPEN_DAYS + 1) * DAY
                control = api.messages(DayRange(day, day), 1, api.page_size)
                yield from _ask_control(control, refused.error)
                yield Emit(WindowRead(window, None, Passes()))
                return
            days = DayRange(days.first, days.last - DAY)
        else:
            yield Emit(WindowRead(window, days.last, passes))
            return


def _parts(days: DayRange) -> Iterator[DayRange]:
    """All ranges within a range, the longest first."""
    length = (days.last - days.first).days
    for shorter in range(1, length + 1):
        for start in range(shorter, -1, -1):
            end = start + length - shorter
            yield DayRange(days.first + start * DAY, days.first + end * DAY)


def _ask_control(control: Request, error: VendorError) -> Step[None]:
    """Raise the refusal unless the control, the same question about older days, is answered."""
    try:
        yield Fetch(control)
    except VendorError:
        raise error from None


class RefusedError(Exception):
    """Swell refused the first page of a question."""

    def __init__(self, error: VendorError) -> None:
        super().__init__(str(error))
        self.error = error
        self.concerns_dates = error.fields <= {"from_date", "to_date", "date", "updated_after"}


def _read_passes(question: Question, page_size: int) -> Step[Passes]:
    """Read all pages of a question, then its parts until nothing is missing.

    Raises RefusedError if the first page is refused.
    """
    passes, used = Passes(), set[int]()
    for percent in PAGE_SIZES:
        pages = PageLinksPaginator(_unused_size(page_size * percent // 100, used))
        used.add(pages.page_size)
        known = len(passes.ids)
        try:
            yield from _read_pages(pages, question, question.ask, passes)
        except RefusedError:
            if not passes.count:
                raise
            continue  # Swell does not take this page size
        except PageRepeatedError:
            continue  # by chance, unless it happens in each pass
        passes.end_pass(pages, known)
        if passes.is_done:
            break
        page_size = min(page_size, pages.first_rows or page_size)  # Swell may cap pages
    if not passes.count:
        raise VendorError(
            "Swell sent the same messages for different page numbers: it ignores page, so what "
            "follows the first page cannot be read."
        )
    if passes.needs_parts:
        percent = PAGE_SIZES[question.attempt % len(PAGE_SIZES)]
        yield from _read_parts(question, max(1, page_size * percent // 100), passes)
    return passes


def _unused_size(target: int, used: set[int]) -> int:
    """The nearest page size to this one that no pass has used."""
    free = (size for size in range(1, MAX_PAGE_SIZE + 1) if size not in used)
    return min(free, key=lambda size: abs(size - target))


def _read_parts(question: Question, size: int, passes: Passes) -> Step[None]:
    """Ask for parts until all messages that Swell counts have come, and what it counts now."""
    was_hollow = passes.is_hollow
    for part in question.parts:
        pages = PageLinksPaginator(size)
        try:
            yield from _read_pages(pages, question, part, passes)
        except (RefusedError, PageRepeatedError):
            continue  # other parts may be answered
        passes.end_part(pages)
        if passes.has_all:
            break
    page: MessagePage = yield Fetch(question.ask(1, size))
    passes.is_hollow |= was_hollow
    passes.end_parts(page.total)


def _read_pages(
    pages: PageLinksPaginator, question: Question, ask: Ask, passes: Passes
) -> Step[None]:
    """One pass: emit the messages that are new."""
    size = pages.page_size
    request = functools.cache(lambda number: ask(number, size))
    passes.is_hollow = False
    while not pages.finished:
        number = pages.current_value
        ahead = [request(page) for page in pages.ahead()]
        try:
            page: MessagePage = yield Fetch(request(number), ahead)
        except VendorError as error:
            if number == 1 and error.is_refusal:
                raise RefusedError(error) from None
            raise
        question.check(page.rows)
        pages.advance(t.cast("t.Any", page))  # not the SDK's Response, but a decoded page
        if page.rows:
            rows = dict(zip(page.ids, page.rows, strict=True))
            new = {key: row for key, row in rows.items() if key not in passes.ids}
            passes.ids.update(new)
            yield Emit(Messages(new, page.received), page.size * len(new) // len(rows))
        elif number == 1 and not page.is_documented:
            passes.envelope = page.envelope
        if not page.rows and page.announces_rows(number):
            passes.is_hollow |= pages.ends_full or not pages.rows


def _check_dates(days: DayRange, rows: list[Row]) -> None:
    """Raise VendorError where most messages were created far outside the days (W22)."""
    texts = [str(text)[:10] for text in map(_created_at, rows) if text]
    near = {day: days.is_near(day) for day in set(texts) if parse_timestamp(day)}
    far = sum(not near.get(day, True) for day in texts)
    if 2 * far > len(texts):
        raise VendorError(
            f"Swell sent messages from far outside {days}: it ignores from_date and to_date, so "
            "nothing can be read safely."
        )


def read_changes(api: SwellApi, moments: Iterable[tuple[datetime, str]]) -> Reader:
    """Emit the messages changed since the first of these times that Swell takes (W12).

    Each has the form in which it is asked for, for `strftime`.
    """
    for since, form in moments:
        times = _later(since, form)
        ask, *parts = (functools.partial(api.changes, time) for time in times)
        try:
            passes = yield from _read_passes(Question(ask, parts), api.page_size)
        except RefusedError as refused:
            if not refused.concerns_dates:
                raise refused.error from None
        else:
            yield Emit(ChangesRead(since, form, passes))
            return
    yield Emit(ChangesRead(None))


def _later(since: datetime, form: str) -> list[str]:
    """A time, and later ones up to now, in a form."""
    step = (now() - since) / CHANGES_PARTS
    times = [(since + number * step).strftime(form) for number in range(CHANGES_PARTS)]
    return list(dict.fromkeys(times))


def read_counts(api: SwellApi, keys: Sequence[CountKey], today: date) -> Reader:
    """Emit the counts of some days; an answer names neither its day nor its filters (W14).

    Days that have not begun where the account is may be refused: that is believed only if the
    count of an older day is answered.
    """
    counts: dict[CountKey, CountPage] = {}
    requests = [api.counts(*key) for key in keys]
    for number, key in enumerate(keys):
        try:
            counts[key] = yield Fetch(requests[number], requests[number + 1 :])
        except VendorError as error:  # noqa: PERF203 - a few days
            if not error.is_refusal or key[0] < today:
                raise
            yield from _ask_control(api.counts(key[0] - OPEN_DAYS * DAY, *key[1:]), error)
    yield Emit(CountsRead(counts, now()))
