"""What the chaos tests know about a bookmark's format; everything else asks here."""

from __future__ import annotations

import math
import typing as t
from datetime import date, datetime, timedelta, timezone

Bookmark = dict[str, t.Any]
State = dict[str, t.Any]
UNFINISHED = ("scan_started", "at", "started", "progress_markers")


def bookmarks_of(state: State | None) -> dict[str, Bookmark]:
    """Each stream's bookmark."""
    return t.cast("dict[str, Bookmark]", (state or {}).get("bookmarks", {}))


def started(bookmark: Bookmark) -> str | None:
    """When the reading that the bookmark is in the middle of began."""
    return bookmark.get("scan_started") or bookmark.get("started")


def finished(bookmark: Bookmark) -> str | None:
    """When the last reading that completed began."""
    if "windows" not in bookmark:
        return bookmark.get("finished")
    under_way = epoch(bookmark["scan_started"]) if bookmark["scan_started"] else math.inf
    read = [window[2] for window in bookmark["windows"] if 0 < window[2] < under_way]
    return instant(max(read)) if read else None


def unfinished(bookmark: Bookmark) -> list[str]:
    """What shows that a reading is under way."""
    return [name for name in UNFINISHED if bookmark.get(name) is not None]


def is_under_way(bookmark: Bookmark) -> bool:
    """Whether the reading that it is in the middle of has not completed since (merged states)."""
    begun, done = started(bookmark), finished(bookmark)
    return begun is not None and (done is None or begun > done)


def scope(bookmark: Bookmark) -> str:
    """What settings the bookmark is for."""
    return str(bookmark.get("scope"))


def chats_read_until(bookmark: Bookmark) -> float | None:
    """Epoch seconds up to which an interrupted scan has read chats."""
    if not bookmark.get("scan_started"):
        return None
    begun = epoch(bookmark["scan_started"])
    read = [window[0] for window in bookmark["windows"] if window[2] >= begun]
    return max(read, default=epoch(bookmark["since"]))


def first_day(bookmark: Bookmark, lookback: int) -> date | None:
    """The first day that a run has to ask Swell for; None for all of them."""
    if is_under_way(bookmark):
        return date.fromisoformat(bookmark["at"])
    if not bookmark.get("finished"):
        return None
    value = date.fromisoformat(bookmark["replication_key_value"][:10])
    return value - timedelta(days=lookback)


def unsettled(bookmark: Bookmark) -> list[tuple[str, str]]:
    """First and last days of the windows that must be read again."""
    return [(first, last) for first, last, *_ in bookmark.get("unsettled", ())]


def describe(stream: str, bookmark: Bookmark) -> list[t.Any]:
    """What shows where a run stands."""
    names = ("scan_started", "windows") if "sms" in stream else ("started", "at", "finished")
    return [bookmark.get(name) for name in names]


def merge(old: t.Any, new: t.Any) -> t.Any:
    """As Meltano merges states (`--state-strategy merge`): keys that are left out survive."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    both = {key: merge(old[key], new[key]) for key in old.keys() & new.keys()}
    return {**old, **new, **both}


def midnight(day: str) -> datetime:
    """The beginning of a day, UTC."""
    return datetime.fromisoformat(day).replace(tzinfo=timezone.utc)


def epoch(text: str) -> float:
    """Epoch seconds of a timestamp."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def instant(second: int) -> str:
    """The timestamp of an epoch second."""
    return datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
