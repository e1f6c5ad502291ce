"""Reads MedChat's chats: plans windows, and reads each with its own $filter (M3, M5, M6, M19).

A window is complete when its pages fit together: they overlap by one chat, no chat comes twice,
and the last page brings no new chat. If chats move between two requests (page drift), what came
before the overlap is complete, and the rest is read again with a filter of its own; a single
second is read until a whole pass brings nothing new.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from tap_medchat_swell.errors import PageTooLargeError, VendorError
from tap_medchat_swell.medchat.bookmark import Window
from tap_medchat_swell.pagination import (
    ODataSkipPaginator,
    OneRowPagesError,
    PagingError,
)
from tap_medchat_swell.pipeline import Emit, Fetch, Start
from tap_medchat_swell.time_ranges import TimeRange, to_epoch
from tap_medchat_swell.timestamps import parse_timestamp

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from tap_medchat_swell.http.client import Request
    from tap_medchat_swell.medchat.api import ChatPage, MedChatApi
    from tap_medchat_swell.medchat.changes import Batch, WindowRecords
    from tap_medchat_swell.pipeline import Plan, Reader

    T = t.TypeVar("T")
    Step = Generator[Fetch | Emit, ChatPage, T]

MAX_PASSES = 20
MAX_REPEATED = 5  # of a page for another $skip
MAX_ONE_ROW_PAGES = 3
LARGEST_TOP = 1000


class EmptyWindowError(VendorError):
    """A range came empty in which chats had been seen before."""


@dataclass
class Reading:
    """What the functions below need to read one window.

    It has about `expected` chats, 0 if unknown; `known` had come at the last reading.
    """

    api: MedChatApi
    records: WindowRecords
    chats_per_window: int
    time: TimeRange
    expected: int
    known: int
    is_doubtful: bool = False

    def expected_in(self, time: TimeRange) -> int:
        """How many chats a range of the window holds, as far as is known."""
        if time == self.time:
            return max(self.expected, self.records.count)
        return len(self.records.ids_in(time))


def plan_windows(
    due: Sequence[Window], api: MedChatApi, chats_per_window: int, read: Callable[[Window], Reader]
) -> Plan:
    """Start reading the windows. Those never read are cut by probes that run ahead of the reading.

    A probe asks for the chat that begins the next window. Bounds need not be exact: each window
    is complete by its own filter.
    """
    for window in due:
        if window.read:
            yield Start(read(window))
            continue
        rest = window.range
        first = yield from _probe(api.probe(rest, 0))
        while first is not None:
            following = yield from _probe(api.probe(rest, chats_per_window))
            second = epoch(api.chats.created(following.rows[0])) if following else None
            # The same chat again: MedChat ignores $skip, or orders by something else.
            if following is None or second is None or following.ids == first.ids:
                break
            if not rest.start < second < rest.end:
                break
            part = TimeRange(rest.start, second)
            yield Start(read(Window(part, chats_per_window, digests=window.digests)))
            rest, first = TimeRange(second, rest.end), following
        chats = 1 if first is not None else 0
        yield Start(read(Window(rest, chats, digests=window.digests)))


def _probe(request: Request, held_bytes: int = 0) -> Generator[Fetch, ChatPage, ChatPage | None]:
    """The chats at an offset; None if there are none, or MedChat refuses the question."""
    try:
        page = yield Fetch(request, held_bytes=held_bytes)
    except VendorError as error:
        if error.is_refusal:
            return None
        raise
    return page if page.rows else None


def read_window(reading: Reading, window: Window) -> Reader:
    """Emit the window's records as batches, and lists of windows, the pieces that are complete."""
    try:
        yield from _read(reading, window.range)
    except EmptyWindowError:
        # If these chats were deleted, the next run has nothing to expect.
        yield Emit([Window(window.range, digests=window.without_digests().digests)])
        raise
    yield from _emit(reading.records.rest())
    if not reading.is_doubtful:
        yield Emit(reading.records.pieces(window.range.end, reading.chats_per_window))


def _read(reading: Reading, time: TimeRange) -> Step[None]:
    """Read a range, even if chats move between requests."""
    rest: TimeRange | None = time
    while rest is not None:
        order = yield from _read_pages(reading, rest, reading.api.page_size)
        if order is None:
            return
        if order.is_cut:
            rest = TimeRange(order.reached, rest.end) if order.reached < rest.end else None
        else:
            rest = yield from _after_drift(reading, rest, order)


def _after_drift(reading: Reading, time: TimeRange, order: _Order) -> Step[TimeRange | None]:
    """Go on where chats moved; returns what is left of the range.

    Where chats come in the order of their creation, all from before the move have come: their
    number proves it. Otherwise the range is read in halves.
    """
    if time.end - time.start == 1:
        yield from _read_second(reading, time)
        return None
    if order.is_sorted and order.reached > time.start:
        middle = order.reached
        if (yield from _is_complete(reading, TimeRange(time.start, middle))):
            return TimeRange(middle, time.end)
    elif order.is_sorted and order.has_dates:
        middle = time.start + 1
    else:
        seconds = reading.records.created_in(time)
        middle = seconds[len(seconds) // 2] if seconds else time.start
    first, rest = time.halves(middle)
    yield from _read(reading, first)
    return rest


def _is_complete(reading: Reading, time: TimeRange) -> Step[bool]:
    """Whether a range holds exactly the chats that have come: the last offset shows one of them."""
    ids = reading.records.ids_in(time)
    if not ids:
        return False
    request = reading.api.page(time, len(ids) - 1, 2, must_have_rows=False)
    page = yield from _probe(request, reading.records.held_bytes)
    return page is not None and len(page.ids) == 1 and page.ids[0] in ids


def _read_pages(reading: Reading, time: TimeRange, top: int) -> Step[_Order | None]:
    """Read a range page by page; returns None when it is complete, else how far it came."""
    api, records = reading.api, reading.records
    pager, order = ODataSkipPaginator(), _Order(reading, time)
    length = 0
    while not pager.finished:
        skip, overlap = pager.current_value, pager.overlap
        try:
            page = yield _fetch(reading, time, top, pager)
            if skip == 0 and not page.rows:
                yield from _check_empty(reading, time, page)
            pager.advance(t.cast("t.Any", page))  # not the SDK's Response, but a decoded page
        except PageTooLargeError as error:
            if top > api.page_size:
                return order
            _reduce_page_size(api, top, error)
            top, pager, order = api.page_size, ODataSkipPaginator(), _Order(reading, time)
            continue
        except (PagingError, VendorError) as error:
            _check_paging(api, error, skip)
            order.is_sorted &= isinstance(error, PagingError)
            return order
        _learn_lengths(api, top, length, len(page.rows), overlap)
        length = len(page.rows)
        order.take(page, overlap)
        yield from _emit(records.ready())
        if order.is_sorted and not pager.finished and records.is_full(reading.chats_per_window):
            yield from _cut(reading, order)
            if order.is_cut:
                return order
    return order if (yield from _goes_on(reading, time, top, pager)) else None


def _learn_lengths(api: MedChatApi, top: int, before: int, rows: int, overlap: int) -> None:
    """Learn from a page how long full ones are, and so was the one before if chats follow it."""
    if before and rows > overlap:
        api.has_short_pages |= before < min(api.page_rows, top)
        api.page_rows = before
    if rows == top:
        api.page_rows = top
    if rows > 1:
        api.one_row_pages = 0


def _goes_on(reading: Reading, time: TimeRange, top: int, pager: ODataSkipPaginator) -> Step[bool]:
    """Whether chats follow the last page: it may have been so short that it held no new one (M3).

    Not asked where as many chats came as expected, unless pages vary in length.
    """
    is_whole = time == reading.time and reading.records.count == reading.expected
    if not pager.overlap or (is_whole and not reading.api.has_short_pages):
        return False
    request = reading.api.page(time, pager.current_value + 1, top, must_have_rows=False)
    return (yield from _probe(request, reading.records.held_bytes)) is not None


def _fetch(reading: Reading, time: TimeRange, top: int, pager: ODataSkipPaginator) -> Fetch:
    """The page at the current offset, with those that are expected behind it."""
    api, skip = reading.api, pager.current_value
    expected = reading.expected_in(time)
    must_have_rows = bool(pager.overlap or (skip == 0 and expected))
    ahead = pager.ahead(expected, min(api.page_rows, top))
    return Fetch(
        api.page(time, skip, top, must_have_rows=must_have_rows),
        [api.page(time, offset, top, must_have_rows=False) for offset in ahead],
        reading.records.held_bytes,
    )


def _cut(reading: Reading, order: _Order) -> Step[None]:
    """Emit pieces of a large window, so that they can be bookmarked, if they are complete.

    What follows is read with a filter of its own: large offsets cost databases time.
    """
    time = TimeRange(order.time.start, order.reached)
    if time.start >= time.end:
        return
    order.is_cut = order.is_sorted = yield from _is_complete(reading, time)
    if order.is_cut:
        yield from _emit(reading.records.ready())
        yield Emit(reading.records.pieces(time.end, reading.chats_per_window, is_end=False))


def _emit(batch: Batch) -> Generator[Emit, t.Any, None]:
    if any(batch.items):
        yield Emit(batch, batch.size)


def _check_empty(reading: Reading, time: TimeRange, page: ChatPage) -> Step[None]:
    """Raise VendorError if a range seems empty in which chats were seen before.

    A single chat may have been deleted, and one at either end may be outside: vendors round what
    they show. All may have left the user's filter, if there are others. An empty body is no
    proof: the window stays unread.
    """
    seen = len(reading.records.ids_in(TimeRange(time.start + 1, time.end - 1)))
    expected = max(seen, reading.known) if time == reading.time else seen
    reading.is_doubtful |= not page.is_list
    others = reading.api.unfiltered(time) if expected > 1 else None
    if others and (yield Fetch(others)).rows:
        return
    if expected > 1:
        raise EmptyWindowError(
            f"MedChat sent no chats of {time}, where it had sent {expected} before. If they were "
            "deleted, the next run goes on without them."
        )


def _reduce_page_size(api: MedChatApi, top: int, error: PageTooLargeError) -> None:
    if top <= 2:  # noqa: PLR2004 - pages overlap by one chat
        raise error
    if top == api.page_size:  # else another window has reduced it
        api.page_size = max(2, min(error.limit or top // 2, top - 1))


def _check_paging(api: MedChatApi, error: PagingError | VendorError, skip: int) -> None:
    """Raise VendorError unless the pages do not fit together, or MedChat limits $skip (M5).

    Also where MedChat sends one chat per page, whatever $top asks for.
    """
    if isinstance(error, VendorError) and not (skip and error.is_refusal):
        raise error
    api.one_row_pages += isinstance(error, OneRowPagesError)
    if api.one_row_pages >= MAX_ONE_ROW_PAGES:
        raise VendorError(
            "MedChat sends one chat per page, so chats that move between two requests would go "
            "unnoticed and nothing can be read safely. Ask MedChat for larger pages ($top)."
        ) from None


class _Order:
    """In which order the chats of a range come. Before `reached`, all have come if it is sorted.

    `is_cut`: they have been emitted as pieces.
    """

    def __init__(self, reading: Reading, time: TimeRange) -> None:
        self._reading = reading
        self.time = time
        self.reached = time.start
        self.is_sorted = True
        self.is_cut = False
        self.has_dates = False

    def take(self, page: ChatPage, overlap: int) -> None:
        """Take the new chats of a page. Raises VendorError if they lie outside the range (M19)."""
        api, rows = self._reading.api, page.rows[overlap:]
        created = [epoch(api.chats.created(row)) for row in rows]
        for second in filter(None, created):
            if not self.time.holds(second):
                raise VendorError(
                    f"MedChat sent chats from outside {self.time}: it ignores the $filter on "
                    "CreatedDateTime, so nothing can be read safely. Report this to MedChat."
                )
            self.has_dates = True
            self.is_sorted &= second >= self.reached
            self.reached = max(self.reached, second)
        self._reading.records.add(page.ids[overlap:], rows, created)


def epoch(created: t.Any) -> int | None:
    """The second of a CreatedDateTime; None if it has none (M10)."""
    instant = parse_timestamp(created)
    return None if instant is None else to_epoch(instant)


def _read_second(reading: Reading, time: TimeRange) -> Step[None]:
    """Read a second with more chats than a page, or in no stable order."""
    if reading.api.page_size < LARGEST_TOP:
        order = yield from _read_pages(reading, time, LARGEST_TOP)
        if order is None:
            return
    yield from _read_until_stable(reading, time)


def _read_until_stable(reading: Reading, time: TimeRange) -> Step[None]:
    """Read passes until one brings nothing new, and as many chats have come as a pass has rows.

    Only passes since that number last changed count: a deleted chat proves nothing.
    """
    known: set[str] = set()
    seen: set[str] = set()
    rows = repeated = 0
    largest = reading.api.page_size
    for number in range(MAX_PASSES):
        # Each pass with another $top: ties may be ordered by it.
        pages = yield from _read_pass(reading, time, largest - number % (largest - 1))
        ids = [chat_id for page in pages for chat_id in page]
        repeated += len(pages) > 1 and pages[-1] == pages[0]
        if repeated >= MAX_REPEATED:
            raise VendorError(
                f"MedChat sent the same chats of {time} for every $skip: it ignores $skip, so "
                "what follows the first page cannot be read."
            )
        seen = {*ids, *(seen if len(ids) == rows else ())}
        is_stable = known.issuperset(ids) and len(seen) >= len(ids) == rows
        rows = len(ids)
        known.update(ids)
        if is_stable:
            return
    raise VendorError(
        f"The chats of {time} came in another order each of {MAX_PASSES} times, so some may be "
        "missing. Run again at a quieter time, or raise medchat_page_size."
    )


def _read_pass(reading: Reading, time: TimeRange, top: int) -> Step[list[list[str]]]:
    """The ids of all pages without overlap, up to an empty page or the first page again."""
    pages: list[list[str]] = []
    skip = 0
    while len(pages) < 2 or pages[-1] != pages[0]:  # noqa: PLR2004 - a first and another
        request = reading.api.page(time, skip, top, must_have_rows=False)
        page = yield Fetch(request, held_bytes=reading.records.held_bytes)
        if not page.rows:
            break
        _Order(reading, time).take(page, 0)
        yield from _emit(reading.records.ready())
        pages.append([*page.ids])
        skip += len(page.rows)
    return pages
