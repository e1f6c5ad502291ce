"""The vendors' clock, in milliseconds."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

UTC = timezone.utc


def utc_now() -> datetime:
    """Return the current time in UTC, truncated to milliseconds."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@lru_cache
def zone(name: float | str) -> tzinfo:
    """Return the time zone for an IANA name or a UTC offset in hours."""
    if isinstance(name, str):
        return ZoneInfo(name)
    return timezone(timedelta(hours=name))


def canonical(moment: datetime) -> str:
    """Format a time as ``truth()`` does (UTC, six digits, Z)."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="microseconds") + "Z"
