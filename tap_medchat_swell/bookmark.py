"""What a stream's bookmark holds: read with suspicion, migrated, and written whole.

A bookmark that was written for other settings, or that has been damaged, is not trusted: the
stream is then read from start_date again, which costs time and loses nothing.
"""

from __future__ import annotations

import hashlib
import json
import typing as t

from tap_medchat_swell.errors import TapError
from tap_medchat_swell.time_ranges import from_epoch, to_epoch
from tap_medchat_swell.timestamps import format_timestamp, required_timestamp

if t.TYPE_CHECKING:
    from datetime import datetime

VERSION = 2
Bookmark = dict[str, t.Any]


class Scope(t.NamedTuple):
    """Fingerprints of the settings that decide which rows a stream holds.

    `version_1` is the one that bookmarks of version 1 have, None where they cannot be used.
    """

    current: str
    version_1: str | None = None


def fingerprint(**settings: object) -> str:
    """A short hash of settings."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def scope_of(account: str, url: str, **filters: object) -> Scope:
    """The scope of a stream: the account, the API's address and the filters.

    An unset filter ("") is left out, as in bookmarks from before there was such a filter.
    """
    filters = {name: value for name, value in filters.items() if value != ""}
    version_1 = fingerprint(**filters) if account == "default" else None
    return Scope(fingerprint(account=account, url=url.rstrip("/"), **filters), version_1)


def check_state(state: object) -> None:
    """Raise TapError unless it has the outer shape of a Singer state, and no newer bookmark."""
    if not isinstance(state, dict):
        msg = 'The state must be a JSON object, such as {} or {"bookmarks": {...}}.'
        raise TapError(msg)
    if state and "bookmarks" not in state:
        msg = "The state has no bookmarks: this tap did not write it."
        raise TapError(msg)
    bookmarks = state.get("bookmarks", {})
    if not isinstance(bookmarks, dict) or not all(
        isinstance(bookmark, dict) for bookmark in bookmarks.values()
    ):
        msg = "The state's bookmarks must be a JSON object with one object per stream."
        raise TapError(msg)
    for bookmark in bookmarks.values():
        _check_version(bookmark.get("version"))


def _check_version(version: object) -> None:
    if type(version) is int and version > VERSION:
        msg = (
            f"The state was written by a newer tap-medchat-swell (bookmark version {version}; "
            f"this one reads up to {VERSION}). Upgrade the tap, or start without this state."
        )
        raise TapError(msg)


def load(bookmark: Bookmark, scope: Scope) -> tuple[Bookmark, str | None]:
    """The bookmark in today's version if it can be trusted, else an empty one and why not."""
    if "replication_key_value" not in bookmark:
        return {}, None
    version = bookmark.get("version")
    if type(version) is not int or version not in (*MIGRATIONS, VERSION):
        return {}, "was not written by this tap"
    # States of version 1 that were merged keep its scope.
    scopes = {scope.version_1} if version == 1 else {*scope}
    if str(bookmark.get("scope")) not in scopes:
        return {}, "was written with other settings (account, address, filters or privacy)"
    try:
        return migrated(bookmark), None
    except ValueError:
        return {}, "is damaged"


def migrated(bookmark: Bookmark) -> Bookmark:
    """The bookmark in today's version. Raises ValueError for a damaged one."""
    try:
        for version in range(bookmark["version"], VERSION):
            bookmark = bookmark | MIGRATIONS[version](bookmark)
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError from error
    return bookmark


def write(
    bookmark: Bookmark, *, key: str, value: datetime, scope: Scope, details: dict[str, t.Any]
) -> None:
    """Replace a stream's bookmark.

    Details that are None are written too: where Meltano merges states, a key that is left out
    would keep its old value.
    """
    bookmark.clear()
    bookmark.update(
        replication_key=key,
        replication_key_value=format_timestamp(value),
        version=VERSION,
        scope=scope.current,
        **details,
    )


def _from_version_1(bookmark: Bookmark) -> Bookmark:
    return _days_from_1(bookmark) if "since" in bookmark else _windows_from_1(bookmark)


def _days_from_1(bookmark: Bookmark) -> Bookmark:
    """Swell: changes were asked for since the last finished run."""
    return {**bookmark, "changes_since": bookmark.get("finished")}


def _windows_from_1(bookmark: Bookmark) -> Bookmark:
    """MedChat: parts become windows. Their digests are of another form, so they are unknown."""
    finished: t.Any = bookmark.get("finished")
    sweep: t.Any = bookmark.get("sweep")
    if finished and sweep and second_of(sweep["started"]) <= second_of(finished["started"]):
        sweep = None  # left over, where Meltano merged states
    windows = _parts_from_1(sweep) if sweep else []
    reached = windows[-1].end if windows else 0
    windows += [part for part in _parts_from_1(finished) if part.end > reached] if finished else []
    start = windows[0].start if windows else second_of((sweep or finished)["start"])
    return {
        "since": format_timestamp(from_epoch(start)),
        "scan_started": sweep["started"] if sweep else None,
        "digest": None,
        "windows": [[part.end, part.chats, part.read, 0, None] for part in windows],
    }


class _Part(t.NamedTuple):
    start: int
    end: int
    chats: int
    read: int  # the second at which the scan that read it had started


def _parts_from_1(scan: t.Any) -> list[_Part]:
    read, start = second_of(scan["started"]), second_of(scan["start"])
    parts = []
    for end, chats, _ in scan["windows"]:
        parts.append(_Part(start, int(end), int(chats), read))
        start = int(end)
    return parts


def second_of(text: object) -> int:
    """A bookmark's time in whole seconds since 1970. Raises ValueError for a damaged one."""
    return to_epoch(required_timestamp(text))


MIGRATIONS: dict[t.Any, t.Callable[[Bookmark], Bookmark]] = {1: _from_version_1}
