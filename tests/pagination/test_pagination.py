from __future__ import annotations

import random
import typing as t

import pytest
from support.pages import Page, advance

from tap_medchat_swell.pagination import (
    MAX_PAGES_WITHOUT_NEW,
    ODataSkipPaginator,
    OneRowPagesError,
    PageDriftError,
    PageLinksPaginator,
    PageRepeatedError,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def offsets(serve: Callable[[int], Sequence[t.Any]]) -> list[int]:
    """Read to the end; the offsets that were asked for."""
    paginator, asked = ODataSkipPaginator(), list[int]()
    while not paginator.finished:
        asked.append(paginator.current_value)
        advance(paginator, Page(serve(paginator.current_value)))
        assert len(asked) < 100, "endless"
    return asked


def read_fresh(serve: Callable[[int], Sequence[t.Any]]) -> list[t.Any]:
    """Read to the end; the rows behind the overlaps."""
    paginator, rows = ODataSkipPaginator(), list[t.Any]()
    while not paginator.finished:
        page, overlap = Page(serve(paginator.current_value)), paginator.overlap
        advance(paginator, page)
        rows += page.ids[overlap:]
    return rows


def after(*pages: Sequence[t.Any]) -> ODataSkipPaginator:
    """A paginator that has been given these pages."""
    paginator = ODataSkipPaginator()
    for ids in pages:
        advance(paginator, Page(ids))
    return paginator


class TestODataSkip:
    @pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 9, 10, 11])
    @pytest.mark.parametrize("size", [2, 3, 5])
    def test_every_row_is_new_once(self, count: int, size: int) -> None:
        rows = list(range(count))

        assert read_fresh(lambda skip: rows[skip : skip + size]) == rows

    def test_pages_overlap_by_one_row(self) -> None:
        rows = list(range(7))

        assert offsets(lambda skip: rows[skip : skip + 3]) == [0, 2, 4, 6]

    def test_offsets_advance_by_the_rows_received(self) -> None:
        """M3: a server may cap pages below the page size."""
        rows = list(range(9))

        assert offsets(lambda skip: rows[skip : skip + 4]) == [0, 3, 6, 8]
        assert offsets(lambda skip: rows[skip : skip + 2 + skip % 3]) == [0, 1, 3, 4, 6, 7, 8]

    def test_a_short_page_is_not_the_end(self) -> None:
        pages = {0: ["a", "b", "c"], 2: ["c", "d"], 3: ["d", "e", "f"], 5: ["f"]}

        assert read_fresh(pages.__getitem__) == list("abcdef")

    def test_an_empty_first_page_is_the_end(self) -> None:
        assert offsets(lambda _: []) == [0]

    def test_a_single_row_is_followed_by_an_empty_page(self) -> None:
        assert offsets(lambda skip: ["a"][skip:]) == [0, 1]

    def test_pages_of_one_row_cannot_overlap(self) -> None:
        rows = ["a", "b"]

        with pytest.raises(OneRowPagesError):
            offsets(lambda skip: rows[skip : skip + 1])

    def test_a_deleted_row_is_page_drift(self) -> None:
        paginator = after(["a", "b", "c"])

        with pytest.raises(PageDriftError):  # "a" is gone, so d is where c was
            advance(paginator, Page(["d", "e"]))

    def test_an_empty_page_in_place_of_the_overlap_is_page_drift(self) -> None:
        with pytest.raises(PageDriftError):
            advance(after(["a", "b", "c"]), Page([]))

    @pytest.mark.parametrize("ids", [["c", "a"], ["c", "d", "d"]], ids=["earlier", "same page"])
    def test_an_id_that_comes_twice_is_page_drift(self, ids: list[str]) -> None:
        with pytest.raises(PageDriftError):
            advance(after(["a", "b", "c"]), Page(ids))

    def test_an_id_that_comes_twice_on_the_first_page_is_page_drift(self) -> None:
        with pytest.raises(PageDriftError):
            after(["a", "b", "a"])

    def test_another_known_row_in_the_last_place_is_the_end(self) -> None:
        """Ties in another order: as many rows as before, and all of them have come."""
        paginator = after(["a", "b", "c"])

        advance(paginator, Page(["b"]))

        assert paginator.finished

    def test_a_new_row_in_the_last_place_is_page_drift(self) -> None:
        with pytest.raises(PageDriftError):
            advance(after(["a", "b", "c"]), Page(["d"]))

    @pytest.mark.parametrize("page", [["a"], ["a", "b"], ["a", "b", "c"]])
    def test_the_first_page_again_is_a_repeated_page(self, page: list[str]) -> None:
        """M5: $skip is ignored."""
        with pytest.raises(PageRepeatedError):
            after(page, page)

    def test_ahead_strides_as_full_pages_do(self) -> None:
        paginator = after(["a", "b", "c"])

        assert paginator.current_value == 2
        assert paginator.ahead(8, 3) == [4, 6, 7]

    @pytest.mark.parametrize("rows", [0, *range(2, 12)])
    @pytest.mark.parametrize("size", [2, 3, 5])
    def test_ahead_foresees_every_offset(self, rows: int, size: int) -> None:
        served = list(range(rows))

        asked = offsets(lambda skip: served[skip : skip + size])

        assert [0, *ODataSkipPaginator().ahead(rows, size)] == asked

    @pytest.mark.parametrize(("rows", "page_rows"), [(0, 3), (3, 3), (9, 0), (9, 1)])
    def test_ahead_is_nothing_where_nothing_is_known(self, rows: int, page_rows: int) -> None:
        assert after(["a", "b", "c"]).ahead(rows, page_rows) == []

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
                seen = read_fresh(serve)
            except PageDriftError:
                broken += 1
                continue
            assert set(rows) <= set(seen)
        assert 0 < broken < 300


class TestPageLinks:
    def test_all_hints_agree(self) -> None:
        paginator = PageLinksPaginator(2)
        advance(paginator, Page([1, 2], has_next_link=True, last_page=2, total=3))
        assert paginator.current_value == 2

        advance(paginator, Page([3], has_next_link=False, last_page=2, total=3))

        assert paginator.finished
        assert paginator.ids == {1, 2, 3}

    def test_an_empty_page_is_the_end(self) -> None:
        paginator = PageLinksPaginator(2)

        advance(paginator, Page([], has_next_link=False, last_page=1, total=99))

        assert paginator.finished

    @pytest.mark.parametrize(
        "page", [Page([], has_next_link=True), Page([], last_page=99)], ids=["link", "last page"]
    )
    def test_an_empty_page_may_say_that_pages_follow(self, page: Page) -> None:
        """PHP may have filtered all of its rows out. It is not believed forever."""
        paginator = PageLinksPaginator(2)
        for _ in range(MAX_PAGES_WITHOUT_NEW - 1):
            advance(paginator, page)
            assert not paginator.finished

        advance(paginator, page)

        assert paginator.finished

    def test_without_hints_pages_follow_until_an_empty_one(self) -> None:
        paginator = PageLinksPaginator(2)
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
        paginator = PageLinksPaginator(2)

        advance(paginator, page)

        assert not paginator.finished

    @pytest.mark.parametrize("last_page", [1, 9], ids=["one hint of more", "all hints"])
    def test_some_pages_may_bring_nothing_new(self, last_page: int) -> None:
        """W10, W13: an unstable order, or copies. While more is announced, it may come."""
        paginator = PageLinksPaginator(2)
        advance(paginator, Page([1, 2], has_next_link=True, last_page=last_page, total=9))

        advance(paginator, Page([2, 1], has_next_link=True, last_page=last_page, total=9))
        assert not paginator.finished
        assert paginator.rows == 4

        for _ in range(MAX_PAGES_WITHOUT_NEW):
            if not paginator.finished:
                advance(paginator, Page([2, 1], has_next_link=True, last_page=last_page, total=9))
        assert paginator.finished

    @pytest.mark.parametrize(("ids", "ended"), [([1, 2], False), ([1], False), ([], True)])
    def test_anything_new_outweighs_a_lone_hint(self, ids: list[int], *, ended: bool) -> None:
        paginator = PageLinksPaginator(2)

        advance(paginator, Page(ids, has_next_link=False))

        assert paginator.finished is ended

    @pytest.mark.parametrize("ids", [[1, 2, 3], [1, 1, 2, 3]])
    def test_the_first_page_again_in_place_of_the_second_is_a_repeated_page(
        self, ids: list[int]
    ) -> None:
        """`page` is ignored."""
        paginator = PageLinksPaginator(len(ids))
        advance(paginator, Page(ids, has_next_link=True, last_page=2, total=5))

        with pytest.raises(PageRepeatedError):
            advance(paginator, Page(ids, has_next_link=True, last_page=2, total=5))

    @pytest.mark.parametrize("ids", [[1], [1, 2], [1, 1, 1, 2]])
    def test_few_ids_may_come_again_by_chance(self, ids: list[int]) -> None:
        """W10, W13: in another order, or as copies that fill pages."""
        paginator = PageLinksPaginator(len(ids))
        for _ in range(2):
            advance(paginator, Page(ids, has_next_link=True, last_page=3, total=5))

        assert not paginator.finished

    def test_the_first_page_once_more_later_on_is_only_a_page_without_new_rows(self) -> None:
        """W10: by chance, in an order that changes."""
        paginator = PageLinksPaginator(2)
        for number in (1, 2):
            advance(paginator, Page([number], has_next_link=True, total=3))

        advance(paginator, Page([1], has_next_link=True, total=3))

        assert paginator.current_value == 4

    def test_ahead_reaches_the_announced_last_page_only(self) -> None:
        paginator = PageLinksPaginator(2)
        assert paginator.ahead() == []

        advance(paginator, Page([1, 2], has_next_link=True, last_page=4, total=7))

        assert paginator.ahead() == [3, 4]

    def test_ahead_trusts_no_last_page_that_another_hint_contradicts(self) -> None:
        paginator = PageLinksPaginator(2)

        advance(paginator, Page([1, 2], has_next_link=False, last_page=4, total=7))

        assert paginator.ahead() == []

    def test_ahead_is_nothing_at_the_end(self) -> None:
        paginator = PageLinksPaginator(2)
        advance(paginator, Page([]))

        assert paginator.ahead() == []

    def test_every_different_total_is_kept(self) -> None:
        paginator = PageLinksPaginator(2)
        for ids, total in (([1], 3), ([2], 4), ([3], None)):
            advance(paginator, Page(ids, has_next_link=True, total=total))

        assert paginator.totals == {3, 4}

    @pytest.mark.parametrize(("ids", "goes_on"), [([1, 2], True), ([1], False)])
    def test_a_full_page_is_followed_by_another_whatever_the_hints_say(
        self, ids: list[int], *, goes_on: bool
    ) -> None:
        """W9: last_page and total may count too little."""
        paginator = PageLinksPaginator(2)

        advance(paginator, Page(ids, has_next_link=False, last_page=1, total=len(ids)))

        assert paginator.finished is not goes_on

    def test_full_pages_without_anything_new_end_where_the_hints_say_so(self) -> None:
        paginator = PageLinksPaginator(2)
        for ids in ([1, 2], [3, 1], [2, 3]):
            assert not paginator.finished
            advance(paginator, Page(ids, has_next_link=False, last_page=1, total=1))

        assert paginator.finished

    def test_all_rows_on_the_first_page(self) -> None:
        paginator = PageLinksPaginator(2)
        advance(paginator, Page([1, 2], total=3))
        advance(paginator, Page([], total=3))

        assert paginator.is_single
        assert paginator.first_rows == 2

    @pytest.mark.parametrize(("last", "ends_full"), [([3, 4], True), ([3], False)])
    def test_whether_the_last_page_with_rows_is_full(
        self, last: list[int], *, ends_full: bool
    ) -> None:
        paginator = PageLinksPaginator(2)
        for ids in ([1, 2], last, []):
            advance(paginator, Page(ids, total=9))

        assert paginator.ends_full is ends_full
        assert not paginator.is_single
