"""What a stream's bookmark holds, read with suspicion and written whole.

A bookmark that this tap did not write, wrote for other settings, or that has been
damaged is not trusted: the stream is then read from start_date again, which costs time
and loses nothing.
"""

from __future__ import annotations

import hashlib
import json
import typing as t

from tap_medchat_swell.errors import TapError
from tap_medchat_swell.timestamps import format_timestamp

if t.TYPE_CHECKING:
    from datetime import datetime

VERSION = 1
Bookmark = dict[str, t.Any]


def scope_of(**filters: object) -> str:
    """A fingerprint of the settings that decide which rows a stream holds."""
    text = json.dumps(filters, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_state(state: object) -> None:
    """Raise TapError unless it has the outer shape of a Singer state."""
    if not isinstance(state, dict):
        msg = 'The state must be a JSON object, such as {} or {"bookmarks": {...}}.'
        raise TapError(msg)
    if state and "bookmarks" not in state:
        msg = "The state has no bookmarks: it is not one that this tap wrote."
        raise TapError(msg)
    bookmarks = state.get("bookmarks", {})
    if not isinstance(bookmarks, dict) or not all(
        isinstance(bookmark, dict) for bookmark in bookmarks.values()
    ):
        msg = "The state's bookmarks must be a JSON object with one object per stream."
        raise TapError(msg)


def trusted(bookmark: Bookmark, scope: str) -> tuple[Bookmark, str | None]:
    """The bookmark if it can be relied on, else an empty one and the reason why not."""
    if "replication_key_value" not in bookmark:
        return {}, None
    if bookmark.get("version") != VERSION:
        return {}, "was written by another version of this tap"
    if bookmark.get("scope") != scope:
        return {}, "was written with other filter settings"
    return bookmark, None


def write(bookmark: Bookmark, *, key: str, value: datetime, scope: str, **details: object) -> None:
    """Replace a stream's bookmark; details that are None are left out.

    Where Meltano merges states (--full-refresh), what is left out stays as it was: whoever
    reads a run under way must see whether it has finished since.
    """
    bookmark.clear()
    bookmark.update(
        replication_key=key,
        replication_key_value=format_timestamp(value),
        version=VERSION,
        scope=scope,
        **{name: detail for name, detail in details.items() if detail is not None},
    )
