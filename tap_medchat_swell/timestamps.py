"""Timestamps: parsed leniently, written in one fixed-width UTC form.

In that form, `2022-12-01T20:40:50.000000Z`, text order is time order, which Singer bookmarks
rely on.
"""

from __future__ import annotations

import re
import typing as t
import zoneinfo
from datetime import datetime, timedelta, timezone, tzinfo

import msgspec

UTC = timezone.utc
_ENCODER = msgspec.json.Encoder()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# By their separators, the usual forms of UTC: how much of the text stays, and what follows it.
_USUAL = {"--T::": (19, ".000000Z"), "--T::Z": (19, ".000000Z"), "--T::.": (23, "000Z")}
_SHAPE = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d+))?)?"
    r"\s*(Z|z|UTC|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)


def parse_timestamp(text: object, zone: tzinfo = UTC) -> datetime | None:
    """Parse a date or a date-time with any number of fractional digits; None for other values.

    Text without an offset is read in `zone` (M10: MedChat's are UTC; W5: Swell's
    `date_sent` names none). Digits beyond microseconds are cut. The result is in UTC.
    """
    instant = _read(text, zone)
    try:
        return instant and instant.astimezone(UTC)
    except OverflowError:  # at the ends of the calendar
        return None


def required_timestamp(text: object) -> datetime:
    """As `parse_timestamp`; raises ValueError for anything that is no date."""
    instant = parse_timestamp(text)
    if instant is None:
        raise ValueError
    return instant


def _read(text: t.Any, zone: tzinfo) -> datetime | None:
    try:  # the usual forms first: no Python reads all, and Python 3.10 few
        if text[16] == ":" and text[10] == "T" and text[4] == "-":
            instant = datetime.fromisoformat(text)
            return instant if instant.tzinfo else instant.replace(tzinfo=zone)
    except (TypeError, LookupError, ValueError):
        pass
    if not isinstance(text, str):
        return None
    match = _SHAPE.fullmatch(text.strip())
    if not match:
        return None
    day, clock, fraction, offset = match.groups()
    clock = clock or "00:00:00"
    try:
        naive = datetime.fromisoformat(f"{day}T{clock}")
        naive = naive.replace(microsecond=int((fraction or "0").ljust(6, "0")[:6]))
        return naive.replace(tzinfo=_offset(offset) or zone)
    except ValueError:
        return None


def _offset(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text in {"Z", "z", "UTC"}:
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-size if text[0] == "-" else size)


def named_zone(name: str) -> tzinfo | None:
    """The zone of an IANA name or an offset such as -07:00; None if it is neither.

    UTC is never looked up, so that it works without a time zone database.
    """
    if name in {"UTC", "Etc/UTC", "Z"}:
        return UTC
    try:
        if re.fullmatch(r"[+-]\d\d:?\d\d", name, re.ASCII):
            return _offset(name)
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def format_timestamp(instant: datetime) -> str:
    """Write an aware instant in the fixed-width form; raises OverflowError out of its years."""
    if instant.tzinfo is not UTC:
        instant -= instant.utcoffset() or timedelta()  # much faster than astimezone
    # msgspec writes this form some ten times as fast as isoformat, except for zero fractions
    text = _ENCODER.encode(instant)[1:27].decode()
    return f"{text}Z" if text[19] == "." else f"{text[:19]}.000000Z"


def _is_valid(naive: str) -> bool:
    try:
        return datetime.fromisoformat(naive).tzinfo is None and naive[11:13] != "24"
    except ValueError:
        return False


def normalize_timestamp(text: object) -> str | None:
    """The fixed-width form of a date-time; None for anything else."""
    if isinstance(text, str) and (usual := _USUAL.get(text[4:20:3])):
        width, end = usual
        head = text[:width]
        if len(head) == width and text[width:] in {"", "Z"} and _is_valid(head):
            return head + end
    instant = _read(text, UTC)
    try:
        return format_timestamp(instant) if instant else None
    except OverflowError:  # at the ends of the calendar
        return None


def now() -> datetime:
    """The current time, UTC."""
    return datetime.now(UTC)
