"""MedChat's windows: what is known of each, which are due, and how the bookmark keeps them.

The windows of a bookmark follow each other without gaps. `read` is when the scan started that
last read the window completely, 0 for never. A scan reads the windows that are due, oldest
first; an interrupted one goes on with those that were not read since it started.
"""

from __future__ import annotations

import itertools
import typing as t
from collections import defaultdict
from dataclasses import dataclass, field, replace

from tap_medchat_swell.bookmark import second_of
from tap_medchat_swell.errors import TapError
from tap_medchat_swell.time_ranges import DAY, TimeRange, from_epoch
from tap_medchat_swell.timestamps import format_timestamp

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tap_medchat_swell.bookmark import Bookmark

DAY_SECONDS = int(DAY.total_seconds())
DIGEST = "blake2b-64-sum"  # the algorithm: a digest that another one made is unknown
MODULUS = 1 << 64


@dataclass(frozen=True)
class Window:
    """Chats created in a range, as the last reading found them.

    `digests` has one item per stream: over the records created before `read`, None if unknown.
    `changed` says whether that reading wrote anything. `rows` is how many came in it per stream.
    """

    range: TimeRange
    chats: int = 0
    read: int = 0
    changed: bool = False
    digests: tuple[int | None, ...] = ()
    rows: tuple[int, ...] = field(default=(), compare=False)

    def without_digests(self) -> Window:
        """The window, to be written whole."""
        return replace(self, digests=(None,) * len(self.digests))


@dataclass(frozen=True)
class History:
    """What a stream's bookmark says; `scan_started` is 0 unless a scan was interrupted."""

    windows: tuple[Window, ...] = ()
    scan_started: int = 0

    @classmethod
    def from_bookmark(cls, bookmark: Bookmark) -> History:
        """Read one stream's bookmark. Raises ValueError for a damaged one."""
        if not bookmark:
            return cls()
        try:
            since, is_known = second_of(bookmark["since"]), bookmark["digest"] == DIGEST
            ends = [int(window[0]) for window in bookmark["windows"]]
            starts = [since, *ends[:-1]]
            windows = tuple(
                _window(start, window, is_known=is_known)
                for start, window in zip(starts, bookmark["windows"], strict=bool(ends))
            )
            started = bookmark["scan_started"]
            history = cls(windows, second_of(started) if started else 0)
        except (KeyError, TypeError, IndexError, OverflowError) as error:
            raise ValueError from error
        if any(window.range.end <= window.range.start for window in windows):
            raise ValueError
        # The scan under way read some windows, an earlier one the others.
        if started and any(window.read > history.scan_started for window in windows):
            raise ValueError
        return history

    def details(self, stream: int) -> dict[str, t.Any]:
        """What the bookmark of the stream with this number keeps."""
        started = self.scan_started
        return {
            "since": format_timestamp(from_epoch(self.windows[0].range.start)),
            "scan_started": format_timestamp(from_epoch(started)) if started else None,
            "digest": DIGEST,
            "windows": [_to_json(window, window.digests[stream]) for window in self.windows],
        }

    @property
    def complete_until(self) -> int:
        """Everything created before has been read at least once."""
        unread = (window.range.start for window in self.windows if not window.read)
        return next(unread, self.windows[-1].range.end)

    def replace(self, piece: Window) -> History:
        """With a piece that has been read now, at the beginning of a window."""
        index, whole = next(
            (index, window)
            for index, window in enumerate(self.windows)
            if window.range.end > piece.range.start
        )
        parts = [piece]
        if piece.range.end < whole.range.end:
            rest = TimeRange(piece.range.end, whole.range.end)
            chats = max(0, whole.chats - piece.chats)
            parts.append(replace(whole.without_digests(), range=rest, chats=chats))
        return replace(self, windows=(*self.windows[:index], *parts, *self.windows[index + 1 :]))


def _window(start: int, document: t.Any, *, is_known: bool) -> Window:
    end, chats, read, changed, digest = document
    known = int(digest, 16) if is_known and digest is not None else None
    return Window(TimeRange(start, int(end)), int(chats), int(read), bool(changed), (known,))


def _to_json(window: Window, digest: int | None) -> list[t.Any]:
    text = None if digest is None else f"{digest:x}"
    return [window.range.end, window.chats, window.read, int(window.changed), text]


def combine(histories: Sequence[History]) -> History:
    """One history for streams that are read together.

    Windows are those of the stream with the most. Where another stream has not the same one, the
    window is unread and its digest unknown. A scan is resumed only if all streams took part.
    """
    most = max(histories, key=lambda history: len(history.windows))
    by_range = [{window.range: window for window in history.windows} for history in histories]
    windows = tuple(
        _combined(window, [known.get(window.range) for known in by_range])
        for window in most.windows
    )
    started = {history.scan_started for history in histories}
    return History(windows, started.pop() if len(started) == 1 else 0)


def _combined(window: Window, same: Sequence[Window | None]) -> Window:
    return replace(
        window,
        read=min(known.read if known else 0 for known in same),
        changed=any(known.changed for known in same if known),
        digests=tuple(known.digests[0] if known else None for known in same),
    )


def union(histories: Iterable[History]) -> History:
    """One history for what several runs have read of one stream.

    Raises TapError if none of them has planned to read what lies between two others.
    """
    windows = [window for history in histories for window in history.windows]
    if not windows:
        raise TapError("nothing has been read")
    starting = defaultdict(list)
    for window in windows:
        starting[window.range.start].append(window)
    bounds = {bound for window in windows for bound in (window.range.start, window.range.end)}
    pieces, here = [], list[Window]()
    for start, end in itertools.pairwise(sorted(bounds)):
        here = [window for window in here if window.range.end > start] + starting[start]
        pieces.append(_shared(TimeRange(start, end), here))
    return History(tuple(pieces))


def _shared(piece: TimeRange, windows: Sequence[Window]) -> Window:
    """What several runs' windows, which all cover the piece, say of it.

    Which of them the target received last is unknown: unless all came to the same result, the
    piece is to be written again.
    """
    if not windows:
        raise TapError(f"nothing created from {piece} has been read")
    one, read = windows[0], [window.read for window in windows if window.read]
    if all((window.range, window.digests) == (piece, one.digests) for window in windows):
        if len(windows) == 1:
            return one
        if len(read) == len(windows) and None not in one.digests:
            return replace(one, read=min(read), changed=any(w.changed for w in windows))
    return Window(piece, read=min(read, default=0), changed=True, digests=(None,))


def fit(history: History, whole: TimeRange, chats_per_window: int, streams: int) -> History:
    """The windows of a range: small neighbors merged, gaps filled with unread windows."""
    unknown = (None,) * streams
    windows = [Window(whole, digests=unknown)] if not history.windows else []
    begin = whole.start
    for window in history.windows:
        start, end = max(window.range.start, whole.start), min(window.range.end, whole.end)
        if start >= end:
            continue
        if start > begin:
            windows.append(Window(TimeRange(begin, start), digests=unknown))
        is_whole = (start, end) == (window.range.start, window.range.end)
        windows.append(window if is_whole else Window(TimeRange(start, end), digests=unknown))
        begin = end
    if begin < whole.end and history.windows:
        rest = Window(TimeRange(begin, whole.end), digests=unknown)
        windows[-1:] = _extended(windows[-1:], rest, chats_per_window)
    return replace(history, windows=tuple(_merged(windows, chats_per_window)))


def _extended(last: list[Window], rest: Window, chats_per_window: int) -> list[Window]:
    """The last known window, if any, goes on to the end where few new chats are to be expected.

    Not if it was read later than it ends: what is older than its reading would seem to be changed.
    """
    if last and 0 < last[0].read <= last[0].range.end:
        known = last[0].range
        rate = last[0].chats / (known.end - known.start)
        if last[0].chats + rate * (rest.range.end - rest.range.start) <= chats_per_window:
            return [replace(last[0], range=TimeRange(known.start, rest.range.end))]
    return [*last, rest]


def _merged(windows: Iterable[Window], chats_per_window: int) -> list[Window]:
    """Small neighbors become one: sums of digests add up where both end at the same time."""
    result: list[Window] = []
    for window in windows:
        last = result[-1] if result else None
        if last and _can_merge(last, window, chats_per_window):
            result[-1] = Window(
                TimeRange(last.range.start, window.range.end),
                last.chats + window.chats,
                window.read,
                last.changed or window.changed,
                tuple(map(_sum, last.digests, window.digests)),
            )
        else:
            result.append(window)
    return result


def _can_merge(one: Window, other: Window, chats_per_window: int) -> bool:
    is_known = [[digest is not None for digest in w.digests] for w in (one, other)]
    fits = one.chats + other.chats <= chats_per_window
    return fits and one.read == other.read and is_known[0] == is_known[1]


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else (one + other) % MODULUS


def due(history: History, started: int, rescan_days: int | None) -> list[Window]:
    """The windows to read in the scan that started then, in order.

    Without `rescan_days` all. With it: those never read, those that changed at their last
    reading or hold chats created in the last `rescan_days`, those not read for so long (counting
    until the next run), and, to spread the rest evenly, the longest unread up to their share.
    """
    done = [window.range.end for window in history.windows if window.read >= started]
    reached = max(done, default=0)  # by an interrupted scan: before it, what was due has been read
    left = [
        window
        for window in history.windows
        if window.read < started and (window.range.start >= reached or not window.read)
    ]
    if rescan_days is None:
        return left
    period = rescan_days * DAY_SECONDS
    interval = started - max((window.read for window in left), default=started)
    quiet = [window for window in left if not _is_active(window, started - period)]
    chosen = {window for window in left if _is_active(window, started - period)}
    scans = max(1, round(period / max(1, interval)))  # nights are never exactly a day apart
    share = sum(window.chats for window in quiet) / scans
    for window in sorted(quiet, key=lambda window: (window.read, window.range.start)):
        if share > 0 or window.read + period < started + interval:
            chosen.add(window)
            share -= window.chats
    return [window for window in left if window in chosen]


def _is_active(window: Window, lately: int) -> bool:
    return not window.read or window.changed or window.range.end > lately
