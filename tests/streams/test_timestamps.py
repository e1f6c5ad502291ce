from __future__ import annotations

from datetime import datetime, timedelta, timezone
from unittest.mock import Mock
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tap_medchat_swell.timestamps import (
    format_timestamp,
    named_zone,
    normalize_timestamp,
    parse_timestamp,
)

UTC = timezone.utc
FORMS = [
    ("2022-12-01T20:40:50Z", "2022-12-01T20:40:50.000000Z"),
    ("2022-12-01T20:40:50", "2022-12-01T20:40:50.000000Z"),
    ("2022-12-01T20:40:50.1Z", "2022-12-01T20:40:50.100000Z"),
    ("2022-12-01T20:40:50.12", "2022-12-01T20:40:50.120000Z"),
    ("2022-12-01T20:40:50.123Z", "2022-12-01T20:40:50.123000Z"),
    ("2022-12-01T20:40:50.1234Z", "2022-12-01T20:40:50.123400Z"),
    ("2022-12-01T20:40:50.12345Z", "2022-12-01T20:40:50.123450Z"),
    ("2022-12-01T20:40:50.123456Z", "2022-12-01T20:40:50.123456Z"),
    ("2022-12-01T20:40:50.1234567Z", "2022-12-01T20:40:50.123456Z"),
    ("2022-12-01T20:40:50.12345678", "2022-12-01T20:40:50.123456Z"),
    ("2022-12-01T20:40:50.999999999Z", "2022-12-01T20:40:50.999999Z"),
    ("2022-12-01T20:40:50+00:00", "2022-12-01T20:40:50.000000Z"),
    ("2022-12-01T20:40:50.5+05:30", "2022-12-01T15:10:50.500000Z"),
    ("2022-12-01T20:40:50-0700", "2022-12-02T03:40:50.000000Z"),
    ("2022-12-01T20:40:50-07", "2022-12-02T03:40:50.000000Z"),
    ("2022-12-01T20:40Z", "2022-12-01T20:40:00.000000Z"),
    ("2022-12-01 20:40:50", "2022-12-01T20:40:50.000000Z"),
    ("2022-12-01T20:40:50.123", "2022-12-01T20:40:50.123000Z"),
    ("2022-12-01 20:40:50 UTC", "2022-12-01T20:40:50.000000Z"),
    ("2022-12-01 20:40:50,25", "2022-12-01T20:40:50.250000Z"),
    ("2022-12-01", "2022-12-01T00:00:00.000000Z"),
    (" 2022-12-01T20:40:50z ", "2022-12-01T20:40:50.000000Z"),
    ("0001-01-01T00:00:00", "0001-01-01T00:00:00.000000Z"),
    ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
    ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999999Z"),
]
NO_INSTANTS = [
    "",
    "yesterday",
    "2022-13-01T00:00:00Z",
    "2022-02-29T00:00:00Z",
    "2022-12-01T24:00:01Z",
    "2022-12-01T20:60:00Z",
    "2022-12-01T20:40:50+25:00",
    "2022-12-01T20:40:50ZZ",
    "2022-12-01T20:40:50.123ZZ",
    "2022-02-29T00:00:00.000Z",
    "2022-12-01T24:00:00.001Z",
    "2022-12-01T20:40:50.12x4Z",
    "2022-12-01T20:40:5Z",
    "20221201T204050Z",
    "1669927250",
    "0001-01-01T00:00:00+01:00",
    "9999-12-31T23:59:59-01:00",
    "2022-12-01T20:40:50.²Z",
    "2022-12-01T20:40:50.\u0661Z",
]


@pytest.mark.parametrize(("text", "fixed"), FORMS)
def test_every_form_becomes_the_fixed_width_one(text: str, fixed: str) -> None:
    assert normalize_timestamp(text) == fixed


@pytest.mark.parametrize(("text", "fixed"), FORMS)
def test_the_short_way_is_the_long_way(text: str, fixed: str) -> None:
    instant = parse_timestamp(text)

    assert instant is not None
    assert format_timestamp(instant) == fixed


@pytest.mark.parametrize("text", NO_INSTANTS)
def test_what_is_no_instant_is_none(text: str) -> None:
    assert parse_timestamp(text) is None
    assert normalize_timestamp(text) is None


def test_text_without_offset_is_read_in_the_zone() -> None:
    denver = ZoneInfo("America/Denver")

    winter = parse_timestamp("2022-12-01 20:40:50", denver)
    summer = parse_timestamp("2022-07-01 20:40:50", denver)

    assert winter == datetime(2022, 12, 2, 3, 40, 50, tzinfo=UTC)
    assert summer == datetime(2022, 7, 2, 2, 40, 50, tzinfo=UTC)


def test_an_offset_in_the_text_wins_over_the_zone() -> None:
    tokyo = ZoneInfo("Asia/Tokyo")

    instant = parse_timestamp("2022-12-01T20:40:50+01:00", tokyo)

    assert instant == datetime(2022, 12, 1, 19, 40, 50, tzinfo=UTC)


@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_order_as_text_is_order_in_time(one: datetime, other: datetime) -> None:
    assert (format_timestamp(one) < format_timestamp(other)) == (one < other)


@given(
    st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)),  # noqa: DTZ001
    st.integers(-23 * 60, 23 * 60),
    st.sampled_from("T "),
)
def test_what_isoformat_writes_is_read(naive: datetime, minutes: int, separator: str) -> None:
    instant = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))

    assert parse_timestamp(instant.isoformat(separator)) == instant


@given(st.text(alphabet="0123456789-T :.Z+", max_size=30))
@example("2022-12-01T20:40:50.+07")
@example("2022-w48-4T20:40:50.123Z".upper())
def test_both_ways_agree_on_any_text(text: str) -> None:
    instant = parse_timestamp(text)

    assert normalize_timestamp(text) == (format_timestamp(instant) if instant else None)


def test_utc_needs_no_time_zone_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoneinfo.ZoneInfo", Mock(side_effect=ZoneInfoNotFoundError))

    assert named_zone("UTC") is UTC
    assert named_zone("America/Denver") is None
