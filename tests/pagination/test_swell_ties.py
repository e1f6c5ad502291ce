"""Swell's reader against rows that change places with the page, without HTTP."""

from __future__ import annotations

import random
import typing as t
from datetime import date

import pytest

from tap_medchat_swell.pipeline import Emit, Fetch
from tap_medchat_swell.swell.reader import Messages, WindowRead, read_window
from tap_medchat_swell.swell.responses import MessagePage
from tap_medchat_swell.time_ranges import DAY, DayRange
from tap_medchat_swell.timestamps import now

DAYS = DayRange(date(2026, 3, 1), date(2026, 3, 7))
TODAY = date(2026, 6, 1)
Rows = list[tuple[date, int]]  # created, id


class FakeApi:
    """Rows with few different `created_at`, in PostgreSQL's order or with copies."""

    page_size = 100

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def messages(self, days: DayRange, page: int, per_page: int) -> MessagePage:
        """A page, made at once in place of a request."""
        rows = [row for row in self.rows if days.first <= row[0] <= days.last]
        sent = self.order(rows, per_page * page)[per_page * (page - 1) :][:per_page]
        last = max(1, -(-len(rows) // per_page))
        return MessagePage(
            rows=[{"id": number, "created_at": str(day)} for day, number in sent],
            ids=[number for _, number in sent],
            has_next_link=page < last,
            last_page=last,
            total=len(rows),
            envelope=frozenset({"data", "links", "meta"}),
            size=1000,
            received=now(),
        )

    def order(self, rows: Rows, bound: int) -> Rows:
        """The first rows, latest first, as LIMIT and OFFSET have them sorted."""
        newest_first = sorted(rows, key=lambda row: row[0], reverse=True)
        kept = newest_first[:bound] if 2 * bound < len(rows) else newest_first
        ties = {number: random.Random(f"{number} {len(kept)}").random() for _, number in kept}
        return sorted(kept, key=lambda row: (row[0], ties[row[1]]), reverse=True)


class WithCopies(FakeApi):
    """Copies by a join, in one order."""

    def order(self, rows: Rows, bound: int) -> Rows:
        """The same order for each page."""
        del bound
        return sorted(rows)


def read(api: FakeApi) -> tuple[set[int], WindowRead, int]:
    """The ids that came, the verdict, and how many pages were read."""
    reader = read_window(t.cast("t.Any", api), DAYS, TODAY)
    ids, pages, step = set[int](), 0, next(reader)
    while True:
        if isinstance(step, Fetch):
            pages += 1
            step = reader.send(t.cast("t.Any", step.request))
            continue
        assert isinstance(step, Emit)
        if isinstance(step.value, WindowRead):
            return ids, step.value, pages
        assert isinstance(step.value, Messages)
        ids |= step.value.rows.keys()
        step = next(reader)


@pytest.mark.parametrize("campaign_day", [0, 2, 3])
def test_ties_that_no_page_size_shows_turn_up_in_parts(campaign_day: int) -> None:
    rows = [(DAYS.first + (number % 7) * DAY, number) for number in range(700)]
    rows += [(DAYS.first + campaign_day * DAY, 1000 + number) for number in range(300)]
    ids, verdict, pages = read(FakeApi(rows))
    assert ids == {number for _, number in rows}
    assert verdict.passes.is_settled
    assert pages < 100


def test_what_stays_hidden_is_never_believed() -> None:
    """All rows on one day: parts are no narrower, and some rows are on no page of any size."""
    rows = [(DAYS.first, number) for number in range(1000)]
    ids, verdict, _ = read(FakeApi(rows))
    assert len(ids) < len(rows)
    assert not verdict.passes.is_settled
    assert not verdict.passes.is_stable


def test_copies_are_believed_without_asking_for_parts() -> None:
    rows = [(DAYS.first + (number % 7) * DAY, number) for number in range(300)]
    rows += rows[::3]
    ids, verdict, pages = read(WithCopies(rows))
    assert ids == set(range(300))
    assert verdict.passes.is_stable
    assert pages <= 3 * 6
