"""Pages come in whatever order, and some come when nobody needs them any more."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

import pytest
from support.pages import Client

from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.http.client import Ask
from tap_medchat_swell.paged import PagedReader
from tap_medchat_swell.pagination import ODataSkipPaginator
from tap_medchat_swell.readahead import MAX_HELD_BYTES

if t.TYPE_CHECKING:
    from tap_medchat_swell.readahead import Request

LENGTH = 5
SIZE = 2


@dataclass(frozen=True)
class Page:
    ids: list[int]


class Numbers(PagedReader[Page]):
    """Reads the numbers below LENGTH, two to a page."""

    paginator: ODataSkipPaginator

    def __init__(self, answer_bytes: int = 1) -> None:
        super().__init__(t.cast("t.Any", Client(answer_bytes)))
        self.paginator = ODataSkipPaginator(SIZE)
        self.read: list[int] = []
        self.forget_pages()

    def ask(self, page: int) -> Ask:
        return Ask("", str(page))

    def fetch(self, request: Request) -> Page:
        start = int(request.ask.label)
        return Page(list(range(LENGTH))[start : start + SIZE])

    def pages_ahead(self) -> float:
        return LENGTH

    def accept(self, page: Page) -> None:
        self.read += page.ids[self.paginator.new_rows]
        self.paginator.advance(page)  # type: ignore[arg-type]
        self.finished = self.paginator.finished


def refusal(status: int) -> VendorError:
    error = VendorError("no")
    error.status = status
    return error


def answer(reader: Numbers, request: Request) -> None:
    reader.take(request, reader.fetch(request))


def test_pages_are_used_in_their_order() -> None:
    reader = Numbers()
    answer(reader, *reader.wanted(9))
    ahead = reader.wanted(9)

    for request in reversed(ahead):
        answer(reader, request)

    assert reader.finished
    assert reader.read == list(range(LENGTH))


def test_a_page_is_asked_for_once() -> None:
    reader = Numbers()
    answer(reader, *reader.wanted(1))

    asked = [request.ask.label for request in (*reader.wanted(2), *reader.wanted(2))]

    assert len(set(asked)) == len(asked) == 4


def test_a_refusal_of_a_page_that_is_needed_is_raised() -> None:
    reader = Numbers()
    (request,) = reader.wanted(1)

    with pytest.raises(VendorError):
        reader.refused(request, VendorError("no"))


def test_a_refusal_of_a_page_ahead_waits_until_it_is_needed() -> None:
    reader = Numbers()
    answer(reader, *reader.wanted(1))
    due, ahead, *_ = reader.wanted(9)

    reader.refused(ahead, refusal(404))
    with pytest.raises(VendorError):
        answer(reader, due)

    assert reader.read == list(range(3))


def test_large_pages_wait_for_the_one_that_is_due_in_small_numbers() -> None:
    reader = Numbers(answer_bytes=MAX_HELD_BYTES + 1)
    answer(reader, *reader.wanted(9))
    due, ahead = reader.wanted(2)

    answer(reader, ahead)
    assert reader.wanted(9) == []

    answer(reader, due)
    assert reader.wanted(9)


def test_nothing_is_asked_behind_a_refused_page() -> None:
    reader = Numbers()
    answer(reader, *reader.wanted(9))
    _, ahead = reader.wanted(2)

    reader.refused(ahead, refusal(400))

    assert reader.wanted(9) == []


def test_a_refused_page_that_nobody_needs_any_more_bounds_nothing() -> None:
    reader = Numbers()
    answer(reader, *reader.wanted(9))
    due, ahead, *_ = reader.wanted(2)
    reader.refused(ahead, refusal(400))

    reader.take(due, Page([1, 2, 3]))  # of another length, so that offset is never due

    assert reader.wanted(9)


def test_refused_credentials_end_the_reading_at_once() -> None:
    reader = Numbers()
    answer(reader, *reader.wanted(9))
    _, third = reader.wanted(2)

    with pytest.raises(VendorError):
        reader.refused(third, refusal(401))


def test_a_refusal_of_a_page_of_an_earlier_reading_is_nothing() -> None:
    reader = Numbers()
    (request,) = reader.wanted(1)
    reader.forget_pages()

    reader.refused(request, VendorError("no"))
    answer(reader, request)

    assert not reader.read


def test_a_refusal_past_the_end_is_nothing() -> None:
    reader = Numbers()
    answer(reader, *reader.wanted(1))
    *needed, beyond = reader.wanted(9)
    for request in needed:
        answer(reader, request)

    reader.refused(beyond, VendorError("no"))

    assert reader.read == list(range(LENGTH))
