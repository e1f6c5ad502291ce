"""When Swell's messages have all come, and when they must be read once more."""

from __future__ import annotations

import random
import typing as t

import pytest
from support.pages import Page, advance

from tap_medchat_swell.pagination import PageLinksPaginator
from tap_medchat_swell.swell.readings import MAX_IN_VAIN, MOST_DISAGREEING, Readings, Trust

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PAGE_SIZE = 4


def read(
    serve: Callable[[], Sequence[int]], totals: Sequence[int | None], trust: Trust
) -> tuple[set[int], Readings]:
    """Read a question until it is over: its pages, each asked for anew, and its totals."""
    found: set[int] = set()
    readings = Readings(trust)
    told = list(totals)
    while not readings.over:
        pages = PageLinksPaginator()
        while not pages.finished:
            start = (pages.current_value - 1) * PAGE_SIZE
            total = told.pop(0) if len(told) > 1 else told[0]
            advance(pages, Page(serve()[start : start + PAGE_SIZE], total=total))
        found |= pages.ids
        readings.add(pages, len(found))
    return found, readings


def steady() -> Sequence[int]:
    return range(10)


def copies() -> Sequence[int]:
    return [number // 2 for number in range(20)]


def test_one_reading_is_enough_where_it_adds_up() -> None:
    found, readings = read(steady, [10], Trust())

    assert len(found) == 10
    assert readings.count == 1
    assert not readings.some_missing


def test_messages_that_keep_coming_are_the_next_runs() -> None:
    """The newest stand first, so each one that comes moves all others."""
    newest = [20]

    def serve() -> Sequence[int]:
        newest[0] += 1
        return range(newest[0], 0, -1)

    found, readings = read(serve, [*range(21, 900)], Trust())

    assert readings.count == 1
    assert found >= set(range(1, 21))
    assert not readings.some_missing


def test_a_total_that_falls_is_a_message_that_may_have_slipped() -> None:
    orders = [range(10), *[range(1, 10)] * 20]
    each = iter(orders)

    found, readings = read(lambda: next(each), [10, 9], Trust())

    assert found == set(range(10))
    assert readings.count == 2


def test_copies_on_a_single_page_need_no_other_reading() -> None:
    found, readings = read(lambda: [1, 1, 2, 2], [4], Trust())

    assert (found, readings.count, readings.some_missing) == ({1, 2}, 1, False)


def test_without_a_total_another_reading_shows_what_slipped_between_pages() -> None:
    """W10: a deleted message moves those after it to the page before."""
    orders = [range(10), *[range(1, 10)] * 20]
    each = iter(orders)

    found, readings = read(lambda: next(each), [None], Trust())

    assert found == set(range(10))
    assert readings.count == 3
    assert not readings.some_missing


def test_without_a_total_one_reading_of_one_page_is_enough() -> None:
    readings = Readings(Trust())
    pages = PageLinksPaginator()
    advance(pages, Page([1, 2], has_next_link=False))

    readings.add(pages, 2)

    assert readings.over


@pytest.mark.parametrize(("total", "missing"), [(13, True), (9, False)])
def test_totals_that_lie_cost_one_more_reading_and_at_last_their_trust(
    total: int, *, missing: bool
) -> None:
    trust = Trust()

    readings = [read(steady, [total], trust)[1] for _ in range(5)]

    assert [reading.count for reading in readings] == [2, 2, 2, 1, 1]
    assert [reading.some_missing for reading in readings] == [missing] * 3 + [False] * 2


def test_a_total_that_is_right_brings_trust_back() -> None:
    trust = Trust(disagreed=MOST_DISAGREEING)

    read(steady, [10], trust)

    assert read(steady, [11], trust)[1].count == 2


def test_no_messages_where_some_are_counted_are_never_believed_at_once() -> None:
    trust = Trust(disagreed=MOST_DISAGREEING)

    _, readings = read(list, [3], trust)

    assert readings.count == 2
    assert readings.some_missing
    assert trust.disagreed == MOST_DISAGREEING


def test_no_messages_are_believed_where_pages_are_empty_again_and_again() -> None:
    trust = Trust(disagreed=MOST_DISAGREEING, hollow=MOST_DISAGREEING)

    _, readings = read(list, [3], trust)

    assert readings.count == 1


def test_totals_that_change_meanwhile_need_another_reading() -> None:
    trust = Trust(disagreed=MOST_DISAGREEING)

    _, readings = read(steady, [11, 10], trust)

    assert readings.count == 2


@pytest.mark.parametrize("shift", [None, 0, 3, -1], ids=["no total", "right", "more", "less"])
@pytest.mark.parametrize("size", [5, 40])
def test_an_order_that_changes_is_read_until_all_have_come(size: int, shift: int | None) -> None:
    rng = random.Random(size)
    trust = Trust()
    total = None if shift is None else size + shift
    for _ in range(50):
        found, _ = read(lambda: rng.sample(range(size), size), [total], trust)
        assert len(found) == size
    assert not trust.in_order


@pytest.mark.parametrize("total", [None, 20, 10], ids=["none", "of rows", "of messages"])
def test_copies_in_a_steady_order_are_recognized_once(total: int | None) -> None:
    """W13: the same message may come once per location."""
    trust = Trust()

    _, readings = read(copies, [total], trust)
    _, later = read(copies, [total], trust)

    assert readings.count < MAX_IN_VAIN
    assert later.count == (1 if total else 2)
    assert not readings.some_missing


def test_copies_in_an_order_that_changes_end_too() -> None:
    rng = random.Random(5)
    trust = Trust()

    found, readings = read(lambda: rng.sample(copies(), 20), [20], trust)

    assert len(found) == 10
    assert readings.count > MAX_IN_VAIN
    assert not trust.in_order
    assert readings.some_missing


def test_nothing_is_read_once() -> None:
    _, readings = read(list, [0], Trust())

    assert readings.count == 1


def test_an_empty_window_that_is_said_to_have_messages_is_read_again() -> None:
    _, readings = read(list, [3], Trust())

    assert readings.count == 2
    assert readings.some_missing


def test_few_copies_that_come_in_the_same_order_prove_nothing() -> None:
    trust = Trust()

    read(lambda: [1, 2, 2, 1, 1], [None], trust)

    assert not trust.in_order


def test_a_deleted_message_stands_for_no_other() -> None:
    """The second reading has a row less, and still misses one message."""
    orders = [[1, 2, 3, 4, 5, 6, 1, 2], [1, 2, 3, 4, 5, 8, 1], *[[1, 2, 3, 4, 5, 7, 8]] * 2]
    pages = iter([order for order in orders for _ in range(3)])

    found, readings = read(lambda: next(pages), [None], Trust())

    assert readings.count == len(orders)
    assert found == {1, 2, 3, 4, 5, 6, 7, 8}
