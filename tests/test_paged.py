"""Pages come in whatever order, and some come when nobody needs them any more."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

import pytest

from tap_medchat_swell.client import Ask
from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.paged import PagedReader
from tap_medchat_swell.pagination import ODataSkipPaginator

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

    def __init__(self) -> None:
        super().__init__()
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
        self.read += page.ids[self.paginator.new_rows(page)]
        self.paginator.advance(page)  # type: ignore[arg-type]
        self.finished = self.paginator.finished


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
    refusal = VendorError("no")
    refusal.status = 404

    reader.refused(ahead, refusal)
    with pytest.raises(VendorError):
        answer(reader, due)

    assert reader.read == list(range(3))


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
