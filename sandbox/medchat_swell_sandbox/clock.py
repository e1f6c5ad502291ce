"""The vendors' clock, at the resolution that both show in their rows."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

UTC = timezone.utc


def utc_now() -> datetime:
    """Return the present instant in UTC, cut to milliseconds."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


@lru_cache
def zone(name: float | str) -> tzinfo:
    """Turn an IANA name or an offset in hours into a zone."""
    if isinstance(name, str):
        return ZoneInfo(name)
    return timezone(timedelta(hours=name))


def canonical(moment: datetime) -> str:
    """Write an instant in the one form that ``truth()`` uses (UTC, six digits, Z)."""
    utc = moment.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="microseconds") + "Z"
