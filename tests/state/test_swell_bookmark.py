"""Up to which day Swell has been read."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone

import pytest

from tap_medchat_swell.swell.bookmark import DayBookmark, Unsettled
from tap_medchat_swell.time_ranges import DAY, DayRange
from tap_medchat_swell.timestamps import now

UTC = timezone.utc
STARTED = datetime(2024, 3, 10, 7, 30, tzinfo=UTC)
TODAY = STARTED.date()
SINCE, VALUE = date(2024, 1, 1), date(2024, 3, 1)
WINDOW = DayRange(date(2024, 2, 1), date(2024, 2, 7))

FINISHED = DayBookmark(SINCE, VALUE, STARTED, finished=STARTED - DAY)
INTERRUPTED = replace(FINISHED, at=date(2024, 2, 25))
FIRST = DayBookmark(SINCE, SINCE, STARTED)


def document(bookmark: DayBookmark, **changes: object) -> dict[str, t.Any]:
    value = f"{bookmark.value}T00:00:00.000000Z"
    return {**bookmark.details(), "replication_key_value": value, **changes}


@pytest.mark.parametrize(
    "bookmark",
    [
        INTERRUPTED,
        replace(FIRST, at=date(2024, 1, 20)),
        replace(INTERRUPTED, changes_since=STARTED - DAY, changes_form="%Y-%m-%d"),
        replace(INTERRUPTED, unsettled=(Unsettled(WINDOW, 3, 2), Unsettled(WINDOW, None, 1))),
    ],
    ids=["interrupted", "first", "changes", "unsettled"],
)
def test_there_and_back(bookmark: DayBookmark) -> None:
    assert DayBookmark.from_bookmark(document(bookmark)) == bookmark


def test_after_a_finished_run_another_one_starts_now() -> None:
    before = now()

    loaded = DayBookmark.from_bookmark(document(FINISHED))

    assert before <= loaded.started <= now()
    assert replace(loaded, started=STARTED) == FINISHED


def test_a_run_left_over_where_states_were_merged() -> None:
    finished = replace(INTERRUPTED, finished=STARTED)

    assert DayBookmark.from_bookmark(document(finished)).at is None


@pytest.mark.parametrize(
    "changes",
    [
        {"since": None},
        {"since": "soon"},
        {"replication_key_value": 5},
        {"at": None},
        {"at": "soon"},
        {"started": None},
        {"started": 5},
        {"unsettled": 5},
        {"unsettled": [None]},
        {"unsettled": [["2024-02-01", "2024-02-07", 3]]},
        {"unsettled": [["2024-02-01", "soon", 3, 1]]},
        {"unsettled": [["2024-02-01", "2024-02-07", 3, None]]},
        {"unsettled": [["2024-02-01", "2024-02-07", 3, "x"]]},
    ],
)
def test_damaged(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it has no text
        DayBookmark.from_bookmark(document(INTERRUPTED, **changes))


def test_neither_finished_nor_interrupted_is_damaged() -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - it has no text
        DayBookmark.from_bookmark(document(FIRST))


@pytest.mark.parametrize("name", ["since", "replication_key_value"])
def test_a_key_is_missing(name: str) -> None:
    damaged = document(INTERRUPTED)
    del damaged[name]

    with pytest.raises(ValueError):  # noqa: PT011 - it has no text
        DayBookmark.from_bookmark(damaged)


class TestWhyNot:
    def test_it_will_do(self) -> None:
        assert FINISHED.why_not(SINCE) is None
        assert FINISHED.why_not(SINCE + DAY) is None

    def test_an_earlier_start(self) -> None:
        assert FINISHED.why_not(SINCE - DAY) == "covers only what came after 2024-01-01"

    @pytest.mark.parametrize("name", ["value", "at"])
    def test_a_day_in_the_future(self, name: str) -> None:
        days: dict[str, t.Any] = {name: now().date() + 3 * DAY}

        assert replace(INTERRUPTED, **days).why_not(SINCE) == "lies in the future"

    def test_a_day_that_has_begun_somewhere(self) -> None:
        assert replace(FINISHED, value=now().date() + DAY).why_not(SINCE) is None


class TestFirstDay:
    def test_a_first_run_begins_at_the_start(self) -> None:
        assert FIRST.first_day(2) == SINCE

    def test_some_days_before_the_end_are_read_again(self) -> None:
        assert FINISHED.first_day(5) == VALUE - 5 * DAY

    def test_an_interrupted_run_resumes_where_it_stopped(self) -> None:
        assert INTERRUPTED.first_day(5) == INTERRUPTED.at

    @pytest.mark.parametrize("bookmark", [FINISHED, replace(INTERRUPTED, at=SINCE - DAY)])
    def test_never_before_the_start(self, bookmark: DayBookmark) -> None:
        assert bookmark.first_day(1000) == SINCE


class TestMoved:
    def test_up_to_a_day(self) -> None:
        moved = FINISHED.moved(date(2024, 3, 5), TODAY)

        assert (moved.at, moved.value) == (date(2024, 3, 5), date(2024, 3, 5))

    def test_never_back(self) -> None:
        moved = FINISHED.moved(date(2024, 2, 20), TODAY)

        assert (moved.at, moved.value) == (date(2024, 2, 20), VALUE)

    def test_never_past_the_day_before_yesterday(self) -> None:
        """W1, W3, W4: where the account is, yesterday may not be over."""
        moved = FINISHED.moved(TODAY + DAY, TODAY)

        assert moved.at == moved.value == TODAY - 2 * DAY

    def test_never_past_when_the_run_was_first_started(self) -> None:
        """A run resumed days later: what changed since then is the next run's."""
        later = TODAY + 7 * DAY

        moved = INTERRUPTED.moved(later, later)

        assert moved.at == later - 2 * DAY
        assert moved.value == TODAY - 2 * DAY

    def test_completed(self) -> None:
        completed = FINISHED.moved(TODAY, TODAY).completed()

        assert (completed.at, completed.finished) == (None, STARTED)
        assert completed.first_day(3) == TODAY - 2 * DAY - timedelta(days=3)
