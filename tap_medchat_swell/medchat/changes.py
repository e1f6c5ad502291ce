"""Which of the records that are read again have to be written again.

MedChat shows no change marker, so scans read chats again (M7, M8). Writing them all each night
would repeat the history. So for each window and stream a sum of hashes (a digest) over its
records is kept in the bookmark. If the digest over what was there at the last reading is the
same, only newer records are written; if it differs, by a changed status, a late or backdated
message or a new column, the whole window is. No clock has to be trusted for that.
"""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass
from hashlib import blake2b

from tap_medchat_swell.medchat.bookmark import MODULUS, Window
from tap_medchat_swell.stream import encoded, size_of
from tap_medchat_swell.time_ranges import TimeRange, from_epoch
from tap_medchat_swell.timestamps import format_timestamp, now

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tap_medchat_swell.medchat.chats import Chat
    from tap_medchat_swell.record_mapper import Row
    from tap_medchat_swell.stream import Item

MAX_WINDOW_BYTES = 8 << 20  # encoded; a window that is larger is cut
MIN_CUT = 2  # times as large as planned, and a window is cut
MAX_GROWTH = 4  # times as large, and a window is written whole to free its memory


class RecordSource(t.Protocol):
    """What is needed of a stream."""

    @property
    def output_fingerprint(self) -> bytes:
        """A key for digests: another one has everything written again."""

    def records_of(self, chat: Chat) -> list[Row]:
        """The stream's records in a chat."""

    def pack(self, records: list[Row]) -> list[Item]:
        """The records, ready to be written."""


@dataclass(frozen=True)
class Batch:
    """Records to write, one list per stream, and when they were received."""

    items: Sequence[Sequence[Item]]
    received: datetime

    @property
    def size(self) -> int:
        """About how many bytes they take."""
        return sum(map(size_of, self.items))


class StreamRecords:
    """One stream's records of one window.

    `known` is the digest of the last reading over what was created before `known_cutoff`; the
    new digest goes over what was created before `cutoff`.
    """

    def __init__(
        self, source: RecordSource, known: int | None, known_cutoff: str, cutoff: str
    ) -> None:
        self._source = source
        self._key = source.output_fingerprint
        self.known = known
        self._known_cutoff = known_cutoff
        self._cutoff = cutoff
        self._digest = 0
        self._old: list[Item] = []
        self._new: list[Item] = []

    def add(self, chat: Chat) -> tuple[int, int, int]:
        """Take a chat's records; returns their share of the digest, their number and bytes."""
        records = self._source.records_of(chat)
        share = size = 0
        for record, item in zip(records, self._source.pack(records), strict=True):
            text = encoded(item)
            size += len(text)
            mark = self._hash(text)
            created = record.get("created_date_time") or ""
            if created < self._cutoff:
                share += mark
            if self.known is not None and created < self._known_cutoff:
                self._digest += mark
                self._old.append(item)
            else:
                self._new.append(item)
        return share, len(records), size

    def _hash(self, text: bytes) -> int:
        # A checksum would be faster, but opposite changes in two records cancel in its sum.
        return int.from_bytes(blake2b(text, digest_size=8, key=self._key).digest(), "big")

    def forget_digest(self) -> None:
        """Have everything written."""
        self.known = None
        self._new, self._old = [*self._old, *self._new], []

    def ready(self) -> list[Item]:
        """Take out what can be written before the whole window has come."""
        if self.known is not None:
            return []
        items, self._new = self._new, []
        return items

    def rest(self) -> list[Item]:
        """Take out what is left to be written, now that the whole window has come."""
        is_same = self.known is None or self._digest % MODULUS == self.known
        items = self._new if is_same else [*self._old, *self._new]
        self._old, self._new = [], []
        return items


class WindowRecords:
    """All streams' records of one window. A chat that comes twice is taken once."""

    def __init__(
        self,
        sources: Sequence[RecordSource],
        window: Window,
        scan_started: int,
        take: t.Callable[[str, Row], Chat],
    ) -> None:
        known_cutoff, cutoff = (
            format_timestamp(from_epoch(second)) for second in (window.read, scan_started)
        )
        self._streams = [
            StreamRecords(source, known, known_cutoff, cutoff)
            for source, known in zip(sources, window.digests, strict=True)
        ]
        self._changed = bool(window.read) and None in window.digests
        self._take = take
        self._scan_started = scan_started
        self._start = window.range.start
        self._received: datetime | None = None
        # Of the chats of no piece so far: when created (epoch; those without a date belong to the
        # last piece), and per stream their share of the digest and number of records.
        self._chats: dict[str, tuple[float, list[tuple[int, int]]]] = {}
        self._bytes = 0

    @property
    def _is_known(self) -> bool:
        """Whether some of it can only be written once the whole window has come."""
        return any(stream.known is not None for stream in self._streams)

    @property
    def held_bytes(self) -> int:
        """What is kept in memory until the window has come."""
        return self._bytes if self._is_known else 0

    def add(self, ids: Sequence[str], rows: Sequence[Row], created: Sequence[int | None]) -> None:
        """Take chats, with their ids and the seconds in which they were created."""
        self._received = self._received or now()
        for chat_id, row, second in zip(ids, rows, created, strict=True):
            if chat_id not in self._chats:
                chat = self._take(chat_id, row)
                taken = [stream.add(chat) for stream in self._streams]
                when = math.inf if second is None else second
                self._chats[chat_id] = (when, [(share, count) for share, count, _ in taken])
                self._bytes += sum(size for *_, size in taken)

    @property
    def count(self) -> int:
        """How many chats have come that no piece has been made of."""
        return len(self._chats)

    def created_in(self, time: TimeRange) -> list[int]:
        """When the chats of a range were created, as far as they have come, in order."""
        seconds = (second for second, _ in self._chats.values())
        return sorted(int(second) for second in seconds if time.start <= second < time.end)

    def ids_in(self, time: TimeRange) -> set[str]:
        """The ids of a range's chats, as far as they have come."""
        start, end = time.start, time.end
        return {key for key, (created, _) in self._chats.items() if start <= created < end}

    def ready(self) -> Batch:
        """Take out what can be written before the whole window has come."""
        return self._batch([stream.ready() for stream in self._streams])

    def rest(self) -> Batch:
        """Take out what is left to be written, now that the whole window has come."""
        batch = self._batch([stream.rest() for stream in self._streams])
        self._changed |= self._is_known and any(batch.items)
        return batch

    def _batch(self, items: list[list[Item]]) -> Batch:
        return Batch(items, self._received or now())

    def is_full(self, chats_per_window: int) -> bool:
        """Whether a piece can be cut off before the whole window has come."""
        size = self._size(chats_per_window)
        if self._is_known and size >= MAX_GROWTH:
            for stream in self._streams:
                stream.forget_digest()
            self._changed = True
        return size >= MIN_CUT and not self._is_known

    def _size(self, chats_per_window: int) -> float:
        """How many windows what has come would fill."""
        return max(len(self._chats) / chats_per_window, self._bytes / MAX_WINDOW_BYTES)

    def cut(self, end: int) -> Window:
        """The piece of the window up to `end`, all of whose chats have come."""
        inside = {key: chat for key, chat in self._chats.items() if chat[0] < end}
        self._bytes -= self._bytes * len(inside) // max(1, len(self._chats))
        for key in inside:
            del self._chats[key]
        chats = [taken for _, taken in inside.values()] or [[(0, 0)] * len(self._streams)]
        streams = [*zip(*chats, strict=True)]
        digests = tuple(sum(share for share, _ in stream) % MODULUS for stream in streams)
        rows = tuple(sum(count for _, count in stream) for stream in streams)
        time = TimeRange(self._start, end)
        self._start = end
        return Window(time, len(inside), self._scan_started, self._changed, digests, rows)

    def pieces(self, end: int, chats_per_window: int, *, is_end: bool = True) -> list[Window]:
        """The window up to `end`, its own end or not, cut at its middle chats where it doubled."""
        size = self._size(chats_per_window)
        count = int(size) if size >= MIN_CUT else 1
        seconds = self.created_in(TimeRange(self._start, end)) or [self._start]
        cuts = {seconds[len(seconds) * number // count] for number in range(1, count)}
        pieces = [self.cut(second) for second in sorted(cuts) if second > self._start]
        if is_end:  # vendors round what they show: a chat may seem to be created just there
            self._chats = {key: (self._start, taken) for key, (_, taken) in self._chats.items()}
        return [*pieces, self.cut(end)]
