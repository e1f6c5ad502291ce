"""`--merge-states`: one state for what several runs have read, each a part of the history.

The next run goes on from it as if one run had read all of that.
"""

from __future__ import annotations

import typing as t

from tap_medchat_swell import bookmark as bookmarks
from tap_medchat_swell.errors import TapError
from tap_medchat_swell.medchat import bookmark as medchat
from tap_medchat_swell.swell import bookmark as swell
from tap_medchat_swell.time_ranges import from_epoch, midnight

if t.TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tap_medchat_swell.bookmark import Bookmark

Json = dict[str, t.Any]
Loaded = t.TypeVar("Loaded")
# Windows of messages share a day with their neighbors (W1); counts are read day by day.
DAYS_APART = {"swell_messages": 0, "swell_message_counts": 1}


def merge_states(states: Mapping[str, Json]) -> Json:
    """The union of what states, given by name, say has been read.

    Raises TapError if they belong to different accounts or settings, if one is damaged, or if
    what lies between two of them has not been read. Where one has no bookmark of a stream, the
    others' stand.
    """
    given: dict[str, dict[str, Bookmark]] = {}
    for name, state in states.items():
        bookmarks.check_state(state)
        for stream, bookmark in state.get("bookmarks", {}).items():
            if "replication_key_value" in bookmark:
                given.setdefault(stream, {})[name] = bookmark
    return {"bookmarks": {stream: _merged(stream, given[stream]) for stream in given}}


def _merged(stream: str, given: Mapping[str, Bookmark]) -> Bookmark:
    (first, one), *others = given.items()
    made_by = [one.get("version"), one.get("scope")]
    for name, bookmark in others:
        if [bookmark.get("version"), bookmark.get("scope")] != made_by:
            raise TapError(
                f"{first} and {name} cannot be merged: their bookmarks of {stream} were written "
                "with other settings (account, address, filters or privacy), or by another "
                "version of the tap."
            )
    try:
        value, details = (_days if stream in DAYS_APART else _windows)(stream, given)
    except TapError as problem:
        raise TapError(f"The states cannot be merged: {stream}: {problem}.") from None
    key, scope = str(one.get("replication_key")), bookmarks.Scope(str(one.get("scope")))
    result: Bookmark = {}
    bookmarks.write(result, key=key, value=value, scope=scope, details=details)
    return result


def _windows(_: str, given: Mapping[str, Bookmark]) -> tuple[datetime, Json]:
    """The value and the details of a bookmark of MedChat's."""
    loaded = [_loaded(_history_and_value, name, given[name]) for name in given]
    history = medchat.union(history for history, _ in loaded)
    value = min(history.complete_until, max(value for _, value in loaded))
    return from_epoch(value), history.details(0)


def _history_and_value(bookmark: Bookmark) -> tuple[medchat.History, int]:
    value = bookmarks.second_of(bookmark["replication_key_value"])
    return medchat.History.from_bookmark(bookmark), value


def _days(stream: str, given: Mapping[str, Bookmark]) -> tuple[datetime, Json]:
    """The value and the details of a bookmark of Swell's."""
    load = swell.DayBookmark.from_bookmark
    loaded = [_loaded(load, name, given[name]) for name in given]
    days = swell.union(loaded, DAYS_APART[stream])
    return midnight(days.value), days.details()


def _loaded(load: t.Callable[[Bookmark], Loaded], name: str, bookmark: Bookmark) -> Loaded:
    try:
        return load(bookmarks.migrated(bookmark))
    except ValueError:
        raise TapError(f"the bookmark in {name} is damaged") from None
