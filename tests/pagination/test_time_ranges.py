from __future__ import annotations

import itertools
from datetime import date, datetime, timedelta, timezone

import pytest

from tap_medchat_swell.time_ranges import (
    DayRange,
    TimeRange,
    from_epoch,
    literal,
    midnight,
    plan_days,
    to_epoch,
)

UTC = timezone.utc
NOON = to_epoch(datetime(2024, 2, 29, 12, tzinfo=UTC))
HOUR = 3600


class TestTimeRange:
    hour = TimeRange(NOON, NOON + HOUR)

    @pytest.mark.parametrize(
        ("second", "inside"),
        [
            (NOON - 2, False),
            (NOON - 1, True),
            (NOON, True),
            (NOON + HOUR, True),
            (NOON + HOUR + 1, False),
        ],
    )
    def test_holds_with_a_second_of_grace(self, second: int, *, inside: bool) -> None:
        assert self.hour.holds(second) is inside

    def test_halves_leave_no_gap_and_no_overlap(self) -> None:
        middle = NOON + 1200

        assert self.hour.halves(middle) == (
            TimeRange(NOON, middle),
            TimeRange(middle, NOON + HOUR),
        )

    @pytest.mark.parametrize("middle", [NOON - HOUR, NOON, NOON + HOUR, NOON + 2 * HOUR])
    def test_halves_of_the_time_where_the_middle_is_outside(self, middle: int) -> None:
        half = NOON + HOUR // 2

        assert self.hour.halves(middle) == (TimeRange(NOON, half), TimeRange(half, NOON + HOUR))

    def test_a_second_has_no_halves(self) -> None:
        with pytest.raises(ValueError, match="12:00:00Z"):
            TimeRange(NOON, NOON + 1).halves(NOON)

    def test_text(self) -> None:
        assert str(self.hour) == "2024-02-29T12:00:00Z to 2024-02-29T13:00:00Z"


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


def test_literal_is_bare_utc_to_the_second() -> None:
    assert literal(NOON) == "2024-02-29T12:00:00Z"


def test_epoch_there_and_back() -> None:
    assert NOON == 1_709_208_000
    assert to_epoch(from_epoch(NOON)) == NOON
    assert from_epoch(-1) == datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(("microseconds", "second"), [(999_999, 0), (-1, -1)])
def test_epoch_rounds_down(microseconds: int, second: int) -> None:
    assert to_epoch(from_epoch(0) + timedelta(microseconds=microseconds)) == second


def test_epoch_beyond_the_calendar() -> None:
    with pytest.raises(OverflowError):
        from_epoch(10**13)


def test_midnight_is_utc() -> None:
    assert midnight(date(2024, 2, 29)) == datetime(2024, 2, 29, tzinfo=UTC)
