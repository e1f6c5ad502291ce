"""Chats read by one filter, whatever their order is and whatever moves meanwhile."""

from __future__ import annotations

import random
import typing as t
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone

import pytest
from support.pages import Client

from tap_medchat_swell.http.client import Ask
from tap_medchat_swell.medchat import window as windows
from tap_medchat_swell.medchat.api import ChatPage
from tap_medchat_swell.medchat.window import ChatWindow, Expected
from tap_medchat_swell.readahead import ReadAhead, Workers
from tap_medchat_swell.time_ranges import TimeRange, to_epoch
from tap_medchat_swell.timestamps import format_timestamp, parse_timestamp

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_medchat_swell.medchat.reader import ChatReader, Part

START = datetime(2026, 1, 1, tzinfo=timezone.utc)
END = START + timedelta(days=30)
SIZE = 10

Row = dict[str, t.Any]


def chat(number: int, hours: float) -> Row:
    return {"id": f"c{number}", "created": format_timestamp(START + timedelta(hours=hours))}


def chats(count: int) -> list[Row]:
    return [chat(number, number) for number in range(count)]


def by_date(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row["created"] or "")


def true_date(row: Row) -> datetime:
    date = parse_timestamp(str(row.get("true", row["created"])))
    assert date
    return date


@dataclass
class Server:
    """MedChat, in `order`; `before` is called with the number of each request."""

    rows: list[Row]
    order: Callable[[list[Row]], list[Row]] = by_date
    most: int = SIZE
    before: Callable[[int], object] = lambda _: None
    page_size: int = SIZE
    asked: list[tuple[TimeRange, int]] = field(default_factory=list)
    client: Client = field(default_factory=Client)

    def ask(self, window: TimeRange, skip: int) -> Ask:
        self.asked.append((window, skip))
        return Ask(str(len(self.asked) - 1), "")

    def fetch(self, ask: Ask, identify: Callable[[Row], str]) -> ChatPage:
        self.before(int(ask.url))
        window, skip = self.asked[int(ask.url)]
        held = [row for row in self.rows if window.start <= true_date(row) < window.end]
        rows = self.order(held)[skip : skip + min(self.page_size, self.most)]
        return ChatPage([dict(row) for row in rows], [identify(row) for row in rows], END)


def without_order(count: int, most: int, rng: random.Random) -> Server:
    """Chats without a time, so all in one window, shuffled anew for every request."""
    rows = [{**row, "true": row["created"], "created": None} for row in chats(count)]
    return Server(rows, lambda held: rng.sample(held, len(held)), most)


class Gathered:
    def __init__(self) -> None:
        self.ids: list[str] = []
        self.size = 0

    def add(self, rows: Sequence[Row], seconds: Sequence[int | None], received: datetime) -> None:
        assert len(rows) == len(seconds)
        assert received == END
        self.ids += [row["id"] for row in rows]


class Sweeping:
    window_pages = 8

    def identify(self, row: Row) -> str:
        return str(row["id"])

    def created(self, row: Row) -> t.Any:
        return row["created"]

    def new_content(self) -> Gathered:
        return Gathered()


def read(server: Server, expected: Expected | None = None, workers: int = 1) -> list[Part]:
    pool = Workers(workers)
    reader = ChatWindow(t.cast("t.Any", server), Sweeping(), TimeRange(START, END), expected)
    try:
        ahead = ReadAhead(iter([reader]), pool, lambda: None)
        return [t.cast("ChatReader", reader).take_part() for reader in ahead]
    finally:
        pool.close()


def ids(parts: Sequence[Part]) -> list[str]:
    return [chat_id for part in parts for chat_id in t.cast("Gathered", part.content).ids]


def bookmarked(parts: Sequence[Part]) -> list[tuple[datetime, set[str]]]:
    """For each window's end: how far it reaches, and what was handed on up to it."""
    found = []
    for number, part in enumerate(parts):
        if part.ends_window:
            so_far = parts[: number + 1]
            frontier = max(each.window.end for each in so_far if each.window)
            found.append((frontier, set(ids(so_far))))
    return found


def check_bookmarks(parts: Sequence[Part], rows: Sequence[Row]) -> None:
    """All that was created before a bookmark was handed on before it."""
    for frontier, given in bookmarked(parts):
        assert {row["id"] for row in rows if true_date(row) < frontier} <= given
    assert bookmarked(parts)[-1][0] == END


def fewest(count: int) -> int:
    """Pages that overlap by one chat, and a last one without a new chat."""
    return 1 + -(-(count - SIZE) // (SIZE - 1)) + 1


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 200])
def test_every_chat_once_in_order(count: int, workers: int) -> None:
    rows = chats(count)

    parts = read(Server(rows), workers=workers)

    assert ids(parts) == [row["id"] for row in rows]
    check_bookmarks(parts, rows)
    ranges = [part.window for part in parts if part.window]
    assert [ranges[0].start, *(each.end for each in ranges)] == [
        *(each.start for each in ranges),
        END,
    ]


def test_few_requests_however_chats_are_spread() -> None:
    """The fewest, and one for each window's end but the last."""
    early = [chat(number, number * 20) for number in range(20)]
    burst = [chat(20 + number, 400 + number / 60) for number in range(180)]
    server = Server(early + burst)

    parts = read(server)

    assert len(server.asked) == fewest(200) + len(bookmarked(parts)) - 1
    assert len(bookmarked(parts)) <= 5


def test_few_requests_where_many_share_a_second_without_an_order() -> None:
    shuffle = random.Random(4)
    rows = [chat(number, 110 if 105 <= number < 120 else number) for number in range(300)]

    def in_any_order(rows: list[Row]) -> list[Row]:
        return by_date(shuffle.sample(rows, len(rows)))

    server = Server(rows, order=in_any_order)

    parts = read(server)

    assert set(ids(parts)) == {row["id"] for row in rows}
    assert len(server.asked) < 3 * fewest(300)


def test_a_sweep_of_what_is_known_asks_for_no_page_in_vain() -> None:
    rows = chats(200)
    ends = [to_epoch(START + timedelta(hours=hours)) for hours in (50, 100, 150)]
    server = Server(rows)

    parts = read(server, Expected(200, to_epoch(END), ends, ends[1:2]), workers=8)

    assert [to_epoch(part.window.end) for part in parts if part.window] == [*ends, to_epoch(END)]
    assert len(bookmarked(parts)) == 2
    assert len(server.asked) == fewest(200) + 1


def test_late_chats_are_handed_on_before_their_time_is_bookmarked() -> None:
    """MedChat ignores $orderby, and sends chats as they were inserted."""
    rows = [*chats(150), chat(900, 3.5), chat(901, 70.5)]

    parts = read(Server(rows, order=lambda rows: rows))

    assert Counter(ids(parts)).keys() == {row["id"] for row in rows}
    check_bookmarks(parts, rows)


@pytest.mark.parametrize("at", range(1, 30, 4))
@pytest.mark.parametrize("workers", [1, 4])
def test_chats_deleted_meanwhile_hide_none(at: int, workers: int) -> None:
    rows = chats(150)
    gone = {"c3", "c60", "c61", "c140"}

    def delete(number: int) -> None:
        if number == at:
            server.rows = [row for row in server.rows if row["id"] not in gone]

    server = Server(rows, before=delete)

    parts = read(server, workers=workers)

    assert set(ids(parts)) | gone == {row["id"] for row in rows}
    check_bookmarks(parts, [row for row in rows if row["id"] not in gone])


@pytest.mark.parametrize("at", range(15))
def test_a_deleted_chat_stands_for_none_that_has_not_come(at: int) -> None:
    rng = random.Random(at)
    for _ in range(100):
        server = without_order(12, 4, rng)

        def delete(number: int, server: Server = server) -> None:
            if number == at:
                server.rows = server.rows[1:]

        server.before = delete

        assert set(ids(read(server))) >= {row["id"] for row in server.rows}


def in_orders(
    hours: dict[str, int], orders: dict[int, str], order: str, *, undated: str = ""
) -> Server:
    """Chats in an order of its own for some $skip, and in another for all others."""
    rows = [{**chat(0, hour), "id": name} for name, hour in hours.items()]
    for row in rows:
        if row["id"] in undated:
            row["true"], row["created"] = row["created"], None

    def ordered(held: list[Row]) -> list[Row]:
        _, skip = server.asked[-1]
        return sorted(held, key=lambda row: orders.get(skip, order).index(row["id"]))

    server = Server(rows, ordered)
    return server


@pytest.mark.parametrize("count", [3, 4, 9])
def test_a_chat_that_comes_again_stands_for_none_that_has_not_come(count: int) -> None:
    """The first and the last change places behind the first page, and pages fit again."""
    names = "abcdefghi"[:count]
    hours = {name: hour for hour, name in enumerate(names)}
    server = in_orders(hours, {0: names}, names[-1] + names[1:-1] + names[0])

    parts = read(server)

    assert set(ids(parts)) == set(names)


def test_a_chat_without_a_time_stands_for_none_of_a_window_that_it_is_not_in() -> None:
    """It came among early ones, and only the filter tells that it is a late one."""
    hours = {"a": 1, "b": 2, "c": 50, "x": 60, "y": 61}
    server = in_orders(hours, {0: "axycb"}, "abcxy", undated="xy")
    server.page_size = 4
    end = to_epoch(START + timedelta(hours=10))

    parts = read(server, Expected(2, end, [end], [end]))

    assert set(ids(parts)) == set(hours)


def test_chats_without_a_time_that_come_again_stand_for_none_that_has_not_come() -> None:
    """Behind a broken seam two of three came again; they belong elsewhere. b and B are missing."""
    hours = {"a": 1, "b": 2, "B": 2, "c": 3, "d": 4, "e": 5, "x": 60, "y": 61, "z": 62}
    orders = {0: "xyzabBcde", 3: "bBzacxyde"}
    server = in_orders(hours, orders, "abBcdexyz", undated="xyz")
    server.page_size = 6

    parts = read(server)

    assert set(ids(parts)) == set(hours)


def test_pages_that_are_alike_by_chance_are_no_ignored_skip() -> None:
    rng = random.Random(1)
    for _ in range(1000):
        server = without_order(4, 2, rng)

        assert set(ids(read(server))) == {row["id"] for row in server.rows}


@pytest.mark.parametrize("at", range(1, 30, 4))
def test_chats_inserted_meanwhile_hide_none(at: int) -> None:
    rows = chats(150)

    def insert(number: int) -> None:
        if number == at:
            server.rows = [*server.rows, chat(900, 0.5), chat(901, 100.5)]

    server = Server(rows, before=insert)

    parts = read(server)

    check_bookmarks(parts, rows)


def test_chats_rounded_up_over_the_end_of_a_window_are_handed_on() -> None:
    """Shown to the second, half a second late: the filter sees them before the end."""
    rows = [
        {**chat(number, number), "true": format_timestamp(START + timedelta(hours=number - 1e-4))}
        for number in range(1, 150)
    ]

    parts = read(Server(rows))

    assert set(ids(parts)) == {row["id"] for row in rows}
    check_bookmarks(parts, rows)


@pytest.mark.parametrize("every", [1, 3, 7])
def test_chats_without_a_time_go_with_their_neighbours(every: int) -> None:
    rows = chats(150)
    for row in rows[::every]:
        row["true"], row["created"] = row["created"], None

    parts = read(Server(rows, order=lambda rows: sorted(rows, key=true_date)))

    assert ids(parts) == [row["id"] for row in rows]
    check_bookmarks(parts, rows)


@pytest.mark.parametrize("every", [1, 2])
def test_chats_without_a_time_or_an_order_take_no_request_per_second(every: int) -> None:
    shuffle = random.Random(3)
    rows = chats(60)
    for row in rows[::every]:
        row["true"], row["created"] = row["created"], None
    server = Server(rows, order=lambda rows: shuffle.sample(rows, len(rows)))

    parts = read(server)

    assert set(ids(parts)) == {row["id"] for row in rows}
    assert len(server.asked) < 1000


def test_pages_cut_silently_are_asked_for_ahead_as_well() -> None:
    """M3: once two pages have come alike short, the others are expected to be so, too."""
    together: list[int] = []
    server = Server(chats(100), most=4)
    reader = ChatWindow(t.cast("t.Any", server), Sweeping(), TimeRange(START, END))
    while not reader.finished:
        requests = reader.wanted(8)
        together.append(len(requests))
        for request in requests:
            request.reader.take(request, request.reader.fetch(request))

    assert together[:3] == [1, 1, 8]


def test_a_filter_of_its_own_follows_where_offsets_become_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(windows, "MAX_OFFSET", 60)
    rows = chats(300)
    server = Server(rows)

    parts = read(server)

    assert ids(parts) == [row["id"] for row in rows]
    check_bookmarks(parts, rows)
    assert max(skip for _, skip in server.asked) < 150


def test_an_empty_page_bounds_what_is_read_ahead() -> None:
    """Chats ended long ago, and what lies behind them comes before the last of them."""
    server = Server(chats(25))
    reader = ChatWindow(t.cast("t.Any", server), Sweeping(), TimeRange(START, END))
    for request in reader.wanted(1):
        reader.take(request, reader.fetch(request))
    *_, behind_the_end = reader.wanted(8)
    reader.take(behind_the_end, reader.fetch(behind_the_end))

    assert reader.wanted(8) == []


def test_a_page_that_is_late_bounds_what_is_read_ahead() -> None:
    """Memory: the pages behind it only wait."""
    server = Server(chats(600))
    reader = ChatWindow(t.cast("t.Any", server), Sweeping(), TimeRange(START, END))
    for request in reader.wanted(1):
        reader.take(request, reader.fetch(request))
    late, *others = reader.wanted(8)
    while others:
        for request in others:
            reader.take(request, reader.fetch(request))
        others = reader.wanted(8)

    assert len(server.asked) < 40
    reader.take(late, reader.fetch(late))
    assert reader.wanted(8)
