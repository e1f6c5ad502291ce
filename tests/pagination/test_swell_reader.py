"""Reading Swell's messages and counts: believed where complete, read again where not."""

from __future__ import annotations

import random
import typing as t
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from urllib.parse import parse_qs, urlsplit

import pytest

from tap_medchat_swell import pipeline
from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.http.rate_limiter import RateLimiter
from tap_medchat_swell.http.responses import ResponseError
from tap_medchat_swell.pipeline import Start
from tap_medchat_swell.settings import Options
from tap_medchat_swell.swell.api import SwellApi
from tap_medchat_swell.swell.reader import (
    ChangesRead,
    CountsRead,
    Messages,
    Passes,
    WindowRead,
    read_changes,
    read_counts,
    read_window,
)
from tap_medchat_swell.time_ranges import DAY, DayRange

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tap_medchat_swell.http.client import Request
    from tap_medchat_swell.pipeline import Plan, Reader
    from tap_medchat_swell.record_mapper import Row

Json = dict[str, t.Any]
TODAY = date(2024, 3, 10)
CLOSED = DayRange(date(2024, 2, 1), date(2024, 2, 7))
OPEN = DayRange(TODAY - 3 * DAY, TODAY)
CONFIG = {"swell_api_token": "token", "start_date": "2024-01-01T00:00:00Z"}


def refusal(*fields: str) -> VendorError:
    error = VendorError("Swell refused that.")
    error.status, error.fields = 422, frozenset(fields)
    return error


def rows_of(count: int, day: date = CLOSED.first) -> list[Row]:
    return [{"id": number, "created_at": f"{day}T12:00:00Z"} for number in range(count)]


@dataclass
class FakeSwell:
    """Answers as Laravel does, and oddly where it is told to.

    `order` puts the rows of a question in order, given its page and per_page. `lie` changes a
    page before it is sent; `refuse` may return a refusal.
    """

    rows: list[Row]
    order: Callable[[list[Row], int, int], list[Row]] = lambda rows, *_: rows
    lie: Callable[[Json, int, int], t.Any] = lambda page, *_: page
    refuse: Callable[[dict[str, str]], VendorError | None] = lambda _: None
    before_each: Callable[[FakeSwell], None] = lambda _: None
    asked: list[dict[str, str]] = field(default_factory=list)

    def document(self, request: Request) -> t.Any:
        query = {key: values[0] for key, values in parse_qs(urlsplit(request.url).query).items()}
        self.asked.append(query)
        self.before_each(self)
        if error := self.refuse(query):
            raise error
        if urlsplit(request.url).path.endswith("count"):
            return {"received": len(self.asked), "sent": 0}
        page, size = int(query["page"]), int(query["per_page"])
        rows = self.order([*self.rows], page, size)
        last = max(1, -(-len(rows) // size))
        document = {
            "data": rows[(page - 1) * size : page * size],
            "links": {"next": f"?page={page + 1}" if page < last else None},
            "meta": {"last_page": last, "total": len(rows)},
        }
        return self.lie(document, page, size)

    @property
    def sizes(self) -> list[str]:
        """The page sizes, in the order of their first use."""
        return [*dict.fromkeys(query["per_page"] for query in self.asked)]


class FakeScan:
    vendor = "Swell"

    def __init__(self, server: FakeSwell, read: Callable[[SwellApi], Reader], size: int) -> None:
        self.server, self.read = server, read
        options = Options.from_config({**CONFIG, "swell_page_size": size})
        self.api = SwellApi(options, RateLimiter(8))
        self.ids: list[int] = []
        self.end: t.Any = None
        self.error: Exception | None = None

    def fetch(self, request: Request) -> t.Any:
        try:
            return request.read(self.server.document(request), 100)
        except ResponseError as error:
            if error.fallback is None:
                raise error.error from None
            return error.fallback()

    def plan(self) -> Plan:
        yield Start(self.read(self.api))

    def accept(self, value: t.Any) -> bool:
        if isinstance(value, Messages):
            self.ids += value.rows
        else:
            self.end = value
        return False

    def finish(self) -> None:
        pass

    def fail(self, error: Exception) -> None:
        self.error = error

    @property
    def passes(self) -> Passes:
        assert self.error is None
        assert isinstance(self.end, (WindowRead, ChangesRead))
        return self.end.passes


def scan(
    server: FakeSwell, read: Callable[[SwellApi], Reader], size: int, workers: int
) -> FakeScan:
    scan = FakeScan(server, read, size)
    pipeline.run([scan], workers, lambda: None)
    return scan


def read(
    server: FakeSwell, window: DayRange = CLOSED, size: int = 10, workers: int = 2
) -> FakeScan:
    return scan(server, lambda api: read_window(api, window, TODAY), size, workers)


WORKERS = pytest.mark.parametrize("workers", [1, 2, 8])


@WORKERS
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 35])
def test_a_pass_with_as_many_messages_as_swell_counts_settles(count: int, workers: int) -> None:
    server = FakeSwell(rows_of(count))

    scanned = read(server, workers=workers)

    assert scanned.ids == list(range(count))
    assert scanned.end.last == CLOSED.last
    assert scanned.passes.is_settled
    assert server.sizes == ["10"]
    fewest = max(1, -(-count // 10))
    assert len(server.asked) <= fewest + (count % 10 == 0)  # a full page is followed by another


def shuffled_ties(rows: list[Row], page: int, size: int) -> list[Row]:
    """W10: as PostgreSQL: another order of equal times for each page and per_page."""
    random.Random(f"{page} {size}").shuffle(rows)
    return rows


@pytest.mark.parametrize("seed", range(8))
def test_ties_in_another_order_for_each_page_are_read_again_in_other_sizes(seed: int) -> None:
    server = FakeSwell(rows_of(25 + seed), shuffled_ties)

    scanned = read(server)

    assert len(server.sizes) > 1
    assert len(scanned.ids) == len(set(scanned.ids)), "each message is emitted once"
    assert set(scanned.ids) == set(range(25 + seed)) or not scanned.passes.is_settled


def test_copies_stay_copies() -> None:
    """W13: a join repeats messages, and the total counts the copies."""
    server = FakeSwell([row for row in rows_of(20) for _ in range(2)])

    scanned = read(server)

    assert scanned.ids == list(range(20))
    assert not scanned.passes.is_settled
    assert scanned.passes.is_stable
    assert scanned.passes.missing == 20
    assert len(server.sizes) == 3, "two more sizes brought nothing new"


def test_a_total_of_distinct_messages_with_empty_pages_at_the_end() -> None:
    def lie(page: Json, *_: int) -> Json:
        page["meta"]["total"] = 20
        return page

    server = FakeSwell([row for row in rows_of(20) for _ in range(2)], lie=lie)

    scanned = read(server)

    assert scanned.ids == list(range(20))
    assert scanned.passes.is_settled


def test_a_total_that_is_too_large_is_stable() -> None:
    def lie(page: Json, *_: int) -> Json:
        page["meta"]["total"] += 5
        return page

    scanned = read(FakeSwell(rows_of(25), lie=lie))

    assert scanned.ids == list(range(25))
    assert not scanned.passes.is_settled
    assert (scanned.passes.is_stable, scanned.passes.missing) == (True, 5)


@pytest.mark.parametrize("window", [CLOSED, OPEN], ids=["closed", "open"])
def test_messages_that_arrive_meanwhile_are_read_with_another_pass(window: DayRange) -> None:
    """Messages push others to pages that have been read: a changing total proves nothing."""
    day = window.first

    def arrive(server: FakeSwell) -> None:
        if len(server.asked) in {2, 3}:
            number = 100 + len(server.asked)
            server.rows = [{"id": number, "created_at": f"{day}T13:00:00Z"}, *server.rows]

    server = FakeSwell(rows_of(35, day), before_each=arrive)

    scanned = read(server, window, workers=1)

    assert set(scanned.ids) == {*range(35), 102, 103}
    assert scanned.passes.is_settled
    assert len(server.sizes) > 1


def without_hints(page: Json, *_: int) -> Json:
    return {"data": page["data"]}


@pytest.mark.parametrize("count", [0, 9, 10, 30, 35])
def test_without_totals_another_pass_has_to_bring_the_same(count: int) -> None:
    scanned = read(FakeSwell(rows_of(count), lie=without_hints))

    assert scanned.ids == list(range(count))
    assert scanned.passes.is_settled


def test_a_full_last_page_is_followed_by_another() -> None:
    """W9: last_page and total that count one page only."""

    def lie(page: Json, *_: int) -> Json:
        return {**page, "links": {"next": None}, "meta": {"last_page": 1, "total": 10}}

    assert read(FakeSwell(rows_of(25), lie=lie)).ids == list(range(25))


def test_an_ignored_page_ends_with_one_sentence() -> None:
    server = FakeSwell(rows_of(25))

    def first_page(page: Json, _: int, size: int) -> Json:
        return {**page, "data": server.rows[:size]}

    server.lie = first_page

    assert "it ignores page" in str(read(server).error)


def test_a_size_that_is_refused_is_passed_over() -> None:
    server = FakeSwell(
        rows_of(25),
        shuffled_ties,
        refuse=lambda query: None if query["per_page"] == "10" else refusal("per_page"),
    )

    scanned = read(server)

    assert scanned.error is None
    assert scanned.passes.count == 1
    assert len(server.sizes) == 5


def test_a_first_size_that_is_refused_ends_the_scan() -> None:
    assert read(FakeSwell([], refuse=lambda _: refusal("per_page"))).error is not None


def test_data_as_an_object_with_number_keys() -> None:
    """PHP makes an object of a list out of which rows were filtered."""

    def lie(page: Json, *_: int) -> Json:
        rows = page["data"]
        return {**page, "data": {str(9 - n): row for n, row in enumerate(reversed(rows))} or []}

    assert read(FakeSwell(rows_of(35), lie=lie)).ids == list(range(35))


def test_hollow_pages_are_neither_settled_nor_stable() -> None:
    """An outage that leaves the totals alone: whole pages come empty."""

    def lie(page: Json, number: int, _: int) -> Json:
        return page if number == 1 else {**page, "data": []}

    server = FakeSwell(rows_of(35), lie=lie)

    scanned = read(server)

    assert scanned.ids == list(range(10))
    assert not scanned.passes.is_settled
    assert not scanned.passes.is_stable


def test_all_pages_hollow() -> None:
    scanned = read(FakeSwell(rows_of(35), lie=lambda page, *_: {**page, "data": []}))

    assert scanned.ids == []
    assert not scanned.passes.is_settled
    assert not scanned.passes.is_stable


def test_messages_from_far_away_end_with_one_sentence() -> None:
    """W22: the filter is ignored."""
    scanned = read(FakeSwell(rows_of(25, date(2023, 1, 1))))

    assert "it ignores from_date and to_date" in str(scanned.error)
    assert scanned.ids == []


def refuses_after(last: date) -> Callable[[dict[str, str]], VendorError | None]:
    def refuse(query: dict[str, str]) -> VendorError | None:
        return refusal("to_date") if query["to_date"] > str(last) else None

    return refuse


def test_days_that_are_not_there_yet_may_be_refused() -> None:
    """W3: the window ends on the last day that Swell takes."""
    server = FakeSwell(rows_of(5, OPEN.first), refuse=refuses_after(TODAY - DAY))

    scanned = read(server, OPEN)

    assert (scanned.end.last, scanned.ids) == (TODAY - DAY, [0, 1, 2, 3, 4])


def test_a_window_that_is_refused_whole_is_believed_with_a_control_question() -> None:
    window = DayRange(TODAY, TODAY + DAY)
    server = FakeSwell([], refuse=refuses_after(TODAY - DAY))

    scanned = read(server, window)

    assert scanned.error is None
    assert scanned.end == WindowRead(window, None, Passes())
    assert server.asked[-1]["to_date"] == str(TODAY - 3 * DAY)


def test_without_an_answer_to_the_control_question_the_refusal_counts() -> None:
    server = FakeSwell([], refuse=lambda _: refusal("to_date"))

    assert "Swell refused that." in str(read(server, DayRange(TODAY, TODAY)).error)


@pytest.mark.parametrize(
    ("window", "fields"), [(CLOSED, ["to_date"]), (OPEN, ["location_id"])], ids=["old", "others"]
)
def test_other_refusals_end_the_scan(window: DayRange, fields: list[str]) -> None:
    server = FakeSwell([], refuse=lambda _: refusal(*fields))

    assert read(server, window).error is not None
    assert len(server.asked) == 1


def test_a_page_that_is_lost_later_ends_the_scan() -> None:
    server = FakeSwell(
        rows_of(25), refuse=lambda query: refusal("page") if query["page"] == "2" else None
    )

    scanned = read(server, workers=1)

    assert scanned.error is not None
    assert scanned.end is None


NOON = datetime(2024, 3, 9, 12, tzinfo=timezone.utc)
MOMENTS = [
    (NOON + hours * timedelta(hours=1), form)
    for hours in (0, 6)
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d")
]


def read_changed(server: FakeSwell) -> FakeScan:
    return scan(server, lambda api: read_changes(api, MOMENTS), 10, 2)


def test_changes_are_asked_for_in_the_first_form_that_swell_takes() -> None:
    taken = "2024-03-09"
    server = FakeSwell(
        rows_of(3),
        refuse=lambda query: None if query["updated_after"] == taken else refusal("updated_after"),
    )

    scanned = read_changed(server)

    assert (scanned.end.since, scanned.end.form) == (NOON, "%Y-%m-%d")
    assert scanned.ids == [0, 1, 2]
    assert [query["updated_after"] for query in server.asked] == ["2024-03-09 12:00:00", taken]


def test_changes_in_a_later_time() -> None:
    server = FakeSwell(
        [],
        refuse=lambda q: None if q["updated_after"] > "2024-03-09 13" else refusal("updated_after"),
    )

    assert read_changed(server).end.since == NOON + timedelta(hours=6)


def test_changes_that_swell_refuses_altogether() -> None:
    scanned = read_changed(FakeSwell([], refuse=lambda _: refusal("updated_after")))

    assert scanned.end == ChangesRead(None)
    assert scanned.error is None


def test_changes_with_another_refusal_end_the_scan() -> None:
    assert read_changed(FakeSwell([], refuse=lambda _: refusal("team_id"))).error is not None


def count(server: FakeSwell, *days: date, workers: int = 2) -> FakeScan:
    keys = [(day, "1,2", "") for day in days]
    return scan(server, lambda api: read_counts(api, keys, TODAY), 10, workers)


@WORKERS
def test_counts_belong_to_the_days_that_were_asked_for(workers: int) -> None:
    server = FakeSwell([])
    days = [TODAY - number * DAY for number in range(4)]

    scanned = count(server, *days, workers=workers)

    assert isinstance(scanned.end, CountsRead)
    assert [key[0] for key in scanned.end.counts] == days
    assert {query["date"] for query in server.asked} == {str(day) for day in days}
    assert {query["location_id"] for query in server.asked} == {"1,2"}


def refuses_day(*days: date) -> Callable[[dict[str, str]], VendorError | None]:
    return lambda query: refusal("date") if query["date"] in map(str, days) else None


def test_a_count_of_today_may_be_refused_where_an_older_one_is_answered() -> None:
    server = FakeSwell([], refuse=refuses_day(TODAY))

    scanned = count(server, TODAY - DAY, TODAY)

    assert [key[0] for key in scanned.end.counts] == [TODAY - DAY]
    assert server.asked[-1]["date"] == str(TODAY - 2 * DAY)


@pytest.mark.parametrize("refused", [[TODAY - DAY], [TODAY, TODAY - 2 * DAY]])
def test_other_refused_counts_end_the_scan(refused: list[date]) -> None:
    scanned = count(FakeSwell([], refuse=refuses_day(*refused)), TODAY - DAY, TODAY)

    assert scanned.error is not None
    assert scanned.end is None
