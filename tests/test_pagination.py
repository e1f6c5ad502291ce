from __future__ import annotations

import random
import typing as t

import pytest
from support.pages import Page, advance

from tap_medchat_swell.pagination import (
    MOST_WITHOUT_NEW,
    ODataSkipPaginator,
    PageDriftError,
    PageLinksPaginator,
    PageRepeatedError,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def offsets(paginator: ODataSkipPaginator, serve: Callable[[int], Sequence[t.Any]]) -> list[int]:
    """Read to the end; the offsets that were asked for."""
    asked = []
    while not paginator.finished:
        asked.append(paginator.current_value)
        advance(paginator, Page(serve(paginator.current_value)))
        assert len(asked) < 100, "endless"
    return asked


def read_fresh(
    paginator: ODataSkipPaginator, serve: Callable[[int], Sequence[t.Any]]
) -> list[t.Any]:
    """Read to the end; the rows that the paginator called new."""
    rows: list[t.Any] = []
    while not paginator.finished:
        page = Page(serve(paginator.current_value))
        fresh = paginator.new_rows
        advance(paginator, page)
        rows += page.ids[fresh]
    return rows


class TestODataSkip:
    @pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 9, 10, 11])
    @pytest.mark.parametrize("size", [1, 2, 3, 5])
    def test_every_row_is_new_once(self, count: int, size: int) -> None:
        rows = list(range(count))
        paginator = ODataSkipPaginator(size)

        assert read_fresh(paginator, lambda skip: rows[skip : skip + size]) == rows

    def test_pages_overlap_by_one_row(self) -> None:
        rows = list(range(7))

        asked = offsets(ODataSkipPaginator(3), lambda skip: rows[skip : skip + 3])

        assert asked == [0, 2, 4, 6]

    def test_offsets_advance_by_the_rows_received(self) -> None:
        """M3: a silent page cap of 4 below a page size of 10."""
        rows = list(range(9))

        asked = offsets(ODataSkipPaginator(10), lambda skip: rows[skip : skip + 4])

        assert asked == [0, 3, 6, 8]

    def test_a_short_page_is_not_the_end(self) -> None:
        pages = {0: ["a", "b", "c"], 2: ["c", "d"], 3: ["d", "e", "f"], 5: ["f"]}

        assert read_fresh(ODataSkipPaginator(3), pages.__getitem__) == list("abcdef")

    def test_an_empty_first_page_is_the_end(self) -> None:
        assert offsets(ODataSkipPaginator(3), lambda _: []) == [0]

    def test_pages_of_one_row_cannot_overlap(self) -> None:
        rows = ["a", "b"]

        assert offsets(ODataSkipPaginator(1), lambda skip: rows[skip : skip + 1]) == [0, 1, 2]

    def test_a_deleted_row_breaks_the_seam(self) -> None:
        paginator = ODataSkipPaginator(3)
        advance(paginator, Page(["a", "b", "c"]))

        with pytest.raises(PageDriftError):  # "a" is gone, so c's place is taken by d
            advance(paginator, Page(["d", "e"]))

    def test_an_empty_page_at_the_seam_breaks_it(self) -> None:
        paginator = ODataSkipPaginator(3)
        advance(paginator, Page(["a", "b", "c"]))

        with pytest.raises(PageDriftError):
            advance(paginator, Page([]))

    @pytest.mark.parametrize("ids", [["c", "a"], ["c", "d", "d"]], ids=["earlier", "same page"])
    def test_an_id_that_comes_twice_breaks_the_seam(self, ids: list[str]) -> None:
        paginator = ODataSkipPaginator(3)
        advance(paginator, Page(["a", "b", "c"]))

        with pytest.raises(PageDriftError):
            advance(paginator, Page(ids))

    def test_an_id_that_comes_twice_on_the_first_page_breaks_it(self) -> None:
        with pytest.raises(PageDriftError):
            advance(ODataSkipPaginator(3), Page(["a", "b", "a"]))

    @pytest.mark.parametrize("overlap", [True, False])
    def test_the_first_page_again_is_a_repeated_page(self, overlap: bool) -> None:  # noqa: FBT001
        """M5: $skip is ignored."""
        paginator = ODataSkipPaginator(2, overlap=overlap)
        advance(paginator, Page(["a", "b"]))

        with pytest.raises(PageRepeatedError):
            advance(paginator, Page(["a", "b"]))

    def test_without_overlap_ids_may_repeat_and_only_an_empty_page_ends(self) -> None:
        pages = {0: ["a", "b"], 2: ["b", "a"], 4: ["c"], 5: []}
        paginator = ODataSkipPaginator(2, overlap=False)

        assert offsets(paginator, pages.__getitem__) == [0, 2, 4, 5]
        assert paginator.rows_seen == 5

    def test_ahead_is_only_the_current_offset_until_a_full_page_was_seen(self) -> None:
        paginator = ODataSkipPaginator(3)
        assert paginator.ahead(5) == [0]

        advance(paginator, Page(["a", "b"]))

        assert paginator.ahead(5) == [1]

    def test_ahead_strides_as_full_pages_do(self) -> None:
        paginator = ODataSkipPaginator(3)
        advance(paginator, Page(["a", "b", "c"]))

        assert paginator.ahead(3) == [2, 4, 6]
        assert paginator.ahead(0) == [2]

    def test_ahead_is_nothing_at_the_end(self) -> None:
        paginator = ODataSkipPaginator(3)
        advance(paginator, Page([]))

        assert paginator.ahead(3) == []

    def test_rows_that_move_between_pages_never_get_lost_unnoticed(self) -> None:
        """Whatever is deleted while paging: all rows that stay, or PageDriftError."""
        rng = random.Random(5)
        broken = 0
        for _ in range(300):
            rows = list(range(12))
            doomed = rng.sample(rows, rng.randrange(4))

            def serve(skip: int, rows: list[int] = rows, doomed: list[int] = doomed) -> list[int]:
                page = rows[skip : skip + 4]
                if doomed and rng.random() < 0.5:
                    rows.remove(doomed.pop())
                return page

            try:
                seen = read_fresh(ODataSkipPaginator(4), serve)
            except PageDriftError:
                broken += 1
                continue
            assert set(rows) <= set(seen)
        assert 0 < broken < 300


class TestPageLinks:
    def test_all_hints_agree(self) -> None:
        paginator = PageLinksPaginator()
        advance(paginator, Page([1, 2], has_next_link=True, last_page=2, total=3))
        assert paginator.current_value == 2

        advance(paginator, Page([3], has_next_link=False, last_page=2, total=3))

        assert paginator.finished
        assert paginator.ids == {1, 2, 3}

    def test_an_empty_page_ends_whatever_the_hints_say(self) -> None:
        paginator = PageLinksPaginator()

        advance(paginator, Page([], has_next_link=True, last_page=9, total=99))

        assert paginator.finished

    def test_without_hints_pages_follow_until_an_empty_one(self) -> None:
        paginator = PageLinksPaginator()
        for ids in ([1], [2]):
            advance(paginator, Page(ids))
            assert not paginator.finished

        advance(paginator, Page([]))

        assert paginator.finished

    @pytest.mark.parametrize(
        "page",
        [
            Page([1], has_next_link=False, last_page=1, total=2),
            Page([1], has_next_link=True, last_page=1, total=1),
            Page([1], has_next_link=False, last_page=2, total=1),
        ],
        ids=["total", "link", "last page"],
    )
    def test_one_hint_of_more_is_enough_to_look(self, page: Page) -> None:
        """W9: hints contradict each other."""
        paginator = PageLinksPaginator()

        advance(paginator, page)

        assert not paginator.finished

    @pytest.mark.parametrize("last_page", [1, 9], ids=["one hint of more", "all hints"])
    def test_some_pages_may_bring_nothing_new(self, last_page: int) -> None:
        """W10, W13: an unstable order, or copies. While more is announced, it may come."""
        paginator = PageLinksPaginator()
        advance(paginator, Page([1, 2], has_next_link=True, last_page=last_page, total=9))

        advance(paginator, Page([2, 1], has_next_link=True, last_page=last_page, total=9))
        assert not paginator.finished
        assert paginator.rows == 4

        for _ in range(MOST_WITHOUT_NEW):
            if not paginator.finished:
                advance(paginator, Page([2, 1], has_next_link=True, last_page=last_page, total=9))
        assert paginator.finished

    @pytest.mark.parametrize(("ids", "ended"), [([1, 2], False), ([1], False), ([], True)])
    def test_anything_new_outweighs_a_lone_hint(self, ids: list[int], *, ended: bool) -> None:
        paginator = PageLinksPaginator()

        advance(paginator, Page(ids, has_next_link=False))

        assert paginator.finished is ended

    def test_a_page_surely_announced_that_brings_no_news_is_a_repeated_page(self) -> None:
        paginator = PageLinksPaginator()
        advance(paginator, Page([1], has_next_link=True, last_page=2, total=2))

        with pytest.raises(PageRepeatedError):
            advance(paginator, Page([1], has_next_link=True, last_page=2, total=2))

    def test_the_first_page_once_more_later_on_is_only_a_page_without_news(self) -> None:
        """W10: by chance, in an order that changes."""
        paginator = PageLinksPaginator()
        for number in (1, 2):
            advance(paginator, Page([number], has_next_link=True, total=3))

        advance(paginator, Page([1], has_next_link=True, total=3))

        assert paginator.current_value == 4

    def test_ahead_reaches_the_announced_last_page_only(self) -> None:
        paginator = PageLinksPaginator()
        assert paginator.ahead(5) == [1]

        advance(paginator, Page([1, 2], has_next_link=True, last_page=4, total=7))

        assert paginator.ahead(2) == [2, 3]
        assert paginator.ahead(9) == [2, 3, 4]

    def test_ahead_trusts_no_last_page_that_another_hint_contradicts(self) -> None:
        paginator = PageLinksPaginator()

        advance(paginator, Page([1, 2], has_next_link=False, last_page=4, total=7))

        assert paginator.ahead(9) == [2]

    def test_ahead_is_nothing_at_the_end(self) -> None:
        paginator = PageLinksPaginator()
        advance(paginator, Page([]))

        assert paginator.ahead(9) == []

    def test_every_total_that_was_told_is_kept(self) -> None:
        paginator = PageLinksPaginator()
        for ids, total in (([1], 3), ([2], 4), ([3], None)):
            advance(paginator, Page(ids, has_next_link=True, total=total))

        assert paginator.totals == {3, 4}
