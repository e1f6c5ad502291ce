"""The table of requests per night in docs/reading.md, computed by the code."""

from __future__ import annotations

import functools
import itertools
import re
import typing as t
from dataclasses import dataclass, replace

import pytest
from support import ROOT

from tap_medchat_swell.medchat.bookmark import History, Window, due, fit
from tap_medchat_swell.pagination import ODataSkipPaginator
from tap_medchat_swell.time_ranges import TimeRange

if t.TYPE_CHECKING:
    from collections.abc import Sequence

PAGE, DAY, YEARS = 100, 86_400, 5
CHATS_PER_WINDOW = 40 * (PAGE - 1)
NIGHTS = 120


@pytest.mark.unmeasured
def test_requests_per_night() -> None:
    text = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| ([\d,]+) chats \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", text, re.MULTILINE
    )
    assert [row[0] for row in rows] == ["10,000", "100,000", "1,000,000"]
    for row in rows:
        chats, *told = (int(number.replace(",", "")) for number in row)
        computed = [requests_per_night(chats, days) for days in (None, 7, 30)]
        assert told == [pytest.approx(number, rel=0.05) for number in computed]


@dataclass
class Page:
    ids: Sequence[int]


@functools.cache
def requests(chats: int) -> int:
    """The requests for a window's pages, overlap and end included."""
    paginator, count = ODataSkipPaginator(), 0
    while not paginator.finished:
        first = paginator.current_value
        paginator.advance(Page(range(first, min(chats, first + PAGE))))  # type: ignore[arg-type]
        count += 1
    return count


def requests_per_night(chats: int, rescan_days: int | None) -> float:
    """The mean of a nightly run's requests, once rescans are spread over the nights.

    Chats came evenly over five years and go on to come so; nothing else changes.
    """
    begin, number = YEARS * 365 * DAY, -(-chats // CHATS_PER_WINDOW)
    edges = [begin * part // number for part in range(number + 1)]
    windows = [
        Window(TimeRange(start, end), chats // number, begin, digests=(0,))
        for start, end in itertools.pairwise(edges)
    ]
    history, counts = History(tuple(windows)), []
    for night in range(1, NIGHTS + 1):
        now = begin + night * DAY
        history = fit(history, TimeRange(0, now), CHATS_PER_WINDOW, 1)
        chosen = due(history, now, rescan_days)
        new = chats * DAY // begin
        read = {window: _read(window, now, new) for window in chosen}
        probes = sum(2 for window in chosen if not window.read)
        counts.append(probes + sum(requests(window.chats) for window in read.values()))
        history = History(tuple(read.get(window, window) for window in history.windows))
    settled = counts[NIGHTS // 2 :]
    return sum(settled) / len(settled)


def _read(window: Window, now: int, new: int) -> Window:
    is_last = window.range.end == now
    return replace(
        window, chats=window.chats + new * is_last, read=now, changed=is_last, digests=(0,)
    )
