"""Swell's windows share a day, which must be neither written nor made ready twice."""

from __future__ import annotations

import typing as t
from datetime import date, datetime, timedelta, timezone

import pytest
from support.pages import Client

from tap_medchat_swell.http.client import Ask
from tap_medchat_swell.swell.api import MessagePage
from tap_medchat_swell.swell.readings import Trust
from tap_medchat_swell.swell.window import MessageWindow
from tap_medchat_swell.time_ranges import DayRange

if t.TYPE_CHECKING:
    from tap_medchat_swell.record_mapper import Row
    from tap_medchat_swell.stream import Item

DAY = timedelta(days=1)
FIRST = date(2024, 3, 1)
SHARED = FIRST + 2 * DAY
LAST = SHARED + 2 * DAY
PAGE_SIZE = 4


class Swell:
    """Ten messages a day, their ids in the order of their creation."""

    page_size = PAGE_SIZE
    client = Client()

    def ask_window(self, window: DayRange, page: int) -> Ask:
        return Ask(f"{window.first} {window.last} {page}", "")

    def answer(self, ask: Ask) -> MessagePage:
        first, last, page = ask.url.split()
        days = (date.fromisoformat(last) - date.fromisoformat(first)).days + 1
        start = (date.fromisoformat(first) - FIRST).days * 10
        ids = list(range(start, start + days * 10))
        end = int(page) * PAGE_SIZE
        shown = ids[end - PAGE_SIZE : end]
        rows = [{"id": number, "created_at": str(FIRST + number // 10 * DAY)} for number in shown]
        received = datetime(2024, 4, 1, tzinfo=timezone.utc)
        pages = -(-len(ids) // PAGE_SIZE)
        return MessagePage(rows, shown, end < len(ids), pages, len(ids), received)


class Windows:
    """Two windows that share a day, and what has been made ready to be written."""

    def __init__(self) -> None:
        self.swell = Swell()
        self.packed: list[int] = []
        trust = Trust()
        self.first = self._window(DayRange(FIRST, SHARED), trust, None)
        self.second = self._window(DayRange(SHARED, LAST), trust, self.first)

    def _window(self, days: DayRange, trust: Trust, before: MessageWindow | None) -> MessageWindow:
        swell = t.cast("t.Any", self.swell)
        return MessageWindow(swell, self._pack, trust, days, before)

    def _pack(self, rows: list[Row]) -> list[Item]:
        self.packed += [row["id"] for row in rows]
        return [str(row["id"]).encode() for row in rows]

    def read(self, window: MessageWindow, pages: int = 99) -> None:
        """Answer a window's requests, some or all."""
        while pages and (requests := window.wanted(1)):
            window.take(requests[0], self.swell.answer(requests[0].ask))
            pages -= 1


@pytest.mark.parametrize("early_pages", [0, 1, 99], ids=["after it", "begun before", "before it"])
def test_a_shared_days_messages_belong_to_the_earlier_window(early_pages: int) -> None:
    windows = Windows()
    windows.read(windows.second, early_pages)
    windows.read(windows.first)
    windows.read(windows.second)

    assert windows.first.finished
    assert windows.second.finished
    assert windows.first.take_messages() == [b"%d" % number for number in range(30)]
    assert windows.second.take_messages() == [b"%d" % number for number in range(30, 50)]
    assert sorted(windows.packed) == list(range(50)), "made ready more than once, or not at all"


def test_what_waits_for_the_window_before_counts_as_held() -> None:
    windows = Windows()
    windows.read(windows.second)

    assert windows.packed == []
    assert windows.second.held_bytes > 0
