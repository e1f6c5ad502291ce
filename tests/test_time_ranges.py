from __future__ import annotations

import itertools
from datetime import date, datetime, timedelta, timezone

import pytest

from tap_medchat_swell.time_ranges import (
    SECOND,
    DayRange,
    TimeRange,
    ceil_second,
    from_epoch,
    literal,
    plan_days,
    to_epoch,
)

UTC = timezone.utc
NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class TestWindow:
    window = TimeRange(NOON, NOON + HOUR)

    @pytest.mark.parametrize(
        ("instant", "inside"),
        [
            (NOON - 2 * SECOND, False),
            (NOON - SECOND, True),
            (NOON, True),
            (NOON + HOUR + SECOND, True),
            (NOON + HOUR + 1.5 * SECOND, False),
        ],
    )
    def test_holds_with_a_second_of_grace(self, instant: datetime, *, inside: bool) -> None:
        assert self.window.holds(instant) is inside

    def test_cut_leaves_no_gap_and_no_overlap(self) -> None:
        at = NOON + timedelta(minutes=20)

        assert self.window.cut(at) == (TimeRange(NOON, at), TimeRange(at, NOON + HOUR))

    def test_cut_is_at_a_whole_second(self) -> None:
        """Filters hold whole seconds: a cut in between would lose what lies there."""
        parts = self.window.cut(NOON + timedelta(microseconds=1))

        assert parts is not None
        assert parts[0].end == parts[1].start == NOON + SECOND

    @pytest.mark.parametrize("at", [NOON - HOUR, NOON, NOON + HOUR, NOON + 2 * HOUR])
    def test_cut_needs_both_parts(self, at: datetime) -> None:
        assert self.window.cut(at) is None

    def test_a_second_cannot_be_cut(self) -> None:
        assert TimeRange(NOON, NOON + SECOND).cut(NOON + SECOND / 2) is None

    def test_text(self) -> None:
        assert str(self.window) == "2024-02-29T12:00:00Z to 2024-02-29T13:00:00Z"


class TestDays:
    @pytest.mark.parametrize("days", [1, 3, 6])
    @pytest.mark.parametrize("length", [0, 1, 5, 6, 7, 12, 13, 400])
    def test_windows_share_a_day_and_cover_all(self, days: int, length: int) -> None:
        """W1: with shared days it does not matter whether to_date's day is read."""
        first = date(2024, 2, 20)
        last = first + timedelta(days=length)

        windows = list(plan_days(first, last, days))

        assert windows[0].first == first
        assert windows[-1].last == last
        assert all((window.last - window.first).days <= days for window in windows)
        assert all(a.last == b.first for a, b in itertools.pairwise(windows))

    def test_one_day(self) -> None:
        day = date(2024, 2, 29)

        assert list(plan_days(day, day, 6)) == [DayRange(day, day)]

    @pytest.mark.parametrize(
        ("day", "near"),
        [("07", False), ("08", True), ("10", True), ("16", True), ("18", True), ("19", False)],
    )
    def test_near(self, day: str, *, near: bool) -> None:
        window = DayRange(date(2024, 5, 10), date(2024, 5, 16))

        assert window.is_near(f"2024-05-{day}") is near

    def test_text(self) -> None:
        assert str(DayRange(date(2024, 5, 10), date(2024, 5, 16))) == "2024-05-10 to 2024-05-16"


def test_ceil_second() -> None:
    assert ceil_second(NOON) == NOON
    assert ceil_second(NOON + timedelta(microseconds=1)) == NOON + SECOND
    assert ceil_second(NOON + timedelta(microseconds=999_999)) == NOON + SECOND


def test_literal_is_bare_utc_to_the_second() -> None:
    east = timezone(timedelta(hours=5, minutes=30))

    assert literal(datetime(2024, 1, 1, 2, 0, 0, 999, tzinfo=east)) == "2023-12-31T20:30:00Z"


def test_epoch_there_and_back() -> None:
    assert to_epoch(NOON) == 1_709_208_000
    assert from_epoch(to_epoch(NOON)) == NOON
    assert from_epoch(-1) == datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_epoch_beyond_the_calendar() -> None:
    with pytest.raises(OverflowError):
        from_epoch(10**13)
