"""Instants as text: read leniently, written in one fixed-width UTC form.

The form, `2022-12-01T20:40:50.000000Z`, makes text comparison and time comparison the
same, which Singer bookmarks need.
"""

from __future__ import annotations

import re
import zoneinfo
from datetime import datetime, timedelta, timezone, tzinfo

import msgspec

UTC = timezone.utc
_ENCODER = msgspec.json.Encoder()
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WIDTH = len("2022-12-01T20:40:50")
_SHAPE = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d+))?)?"
    r"\s*(Z|z|UTC|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)


def parse_timestamp(text: object, zone: tzinfo = UTC) -> datetime | None:
    """Read a date-time with 0 to 9 or more fractional digits; None for anything else.

    Text without an offset is read in `zone` (M10: MedChat's are UTC; W5: Swell's
    `date_sent` names none). Digits beyond microseconds are cut.
    """
    if not isinstance(text, str):
        return None
    if len(text) >= _WIDTH and text[4] == "-" and text[10] == "T":
        try:
            instant = datetime.fromisoformat(text)
        except ValueError:
            pass  # Python 3.10 reads fewer forms, and no Python reads all
        else:
            return _in_utc(instant, zone)
    match = _SHAPE.fullmatch(text.strip())
    if not match:
        return None
    day, clock, fraction, offset = match.groups()
    clock = clock or "00:00:00"
    try:
        naive = datetime.fromisoformat(f"{day}T{clock}")
        naive = naive.replace(microsecond=int((fraction or "0").ljust(6, "0")[:6]))
        return _in_utc(naive.replace(tzinfo=_offset(offset)), zone)
    except ValueError:
        return None


def _in_utc(instant: datetime, zone: tzinfo) -> datetime | None:
    try:
        return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:  # at the ends of the calendar
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
    """The zone of an IANA name or an offset such as -07:00; None if it is neither."""
    try:
        if re.fullmatch(r"[+-]\d\d:?\d\d", name, re.ASCII):
            return _offset(name)
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def format_timestamp(instant: datetime) -> str:
    """Write an instant in the fixed-width form."""
    # msgspec writes this form some ten times as fast as isoformat, save for zero fractions
    text = _ENCODER.encode(instant.astimezone(UTC))[1:-1].decode()
    return text if len(text) > _WIDTH + 1 else f"{text[:-1]}.000000Z"


def normalize_timestamp(text: object) -> str | None:
    """`format_timestamp(parse_timestamp(text))`, with a short way for the usual forms."""
    if not isinstance(text, str):
        return None
    if len(text) >= _WIDTH and text[10] == "T" and (text[-1] == "Z" or len(text) == _WIDTH):
        head, _, fraction = text.removesuffix("Z").partition(".")
        plain = head[4:8:3] == "--" and head[13:17:3] == "::" and fraction.isascii()
        if plain and len(head) == _WIDTH and (fraction == "" or fraction.isdigit()):
            try:
                datetime.fromisoformat(head)
            except ValueError:
                return None
            return f"{head}.{fraction.ljust(6, '0')[:6]}Z"
    instant = parse_timestamp(text)
    return format_timestamp(instant) if instant else None


def now() -> datetime:
    """The present, UTC."""
    return datetime.now(UTC)
