"""Which of the chats and messages that are read again have to be written again.

MedChat shows no change marker, so every sweep reads all chats (M7, M8). Writing them
all each night would repeat the history. So for each part of a window a sum over its
records is kept in the bookmark. Where the sum over what was there before is the same as
last time, only what is newer is written; where it differs, by a changed status, a late
or backdated message or a new column, the whole part is. No clock has to be trusted for
that.
"""

from __future__ import annotations

import bisect
import typing as t
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_medchat_swell.stream import Item

MODULUS = 1 << 64
ALWAYS = -1
UNSURE = -1  # a digest that no sum is equal to


@dataclass(frozen=True)
class Range:
    """A part of a finished sweep: epoch seconds, chats read, and the records' sum."""

    start: int
    end: int
    rows: int
    digest: int


@dataclass(frozen=True)
class Known:
    """What the last finished sweep saw of a stream.

    `cut` is when that sweep began, in the fixed-width form: sums go over what is older.
    """

    cut: str = ""
    ranges: Sequence[Range] = ()

    @cached_property
    def _ends(self) -> list[int]:
        return [known.end for known in self.ranges]

    def place(self, created: int | None) -> int:
        """The number of the range that a chat created then belongs to."""
        if created is None or not self.ranges:
            return ALWAYS
        place = bisect.bisect_right(self._ends, created)
        inside = place < len(self.ranges) and self.ranges[place].start <= created
        return place if inside else ALWAYS


class Changes:
    """One stream's records of one part: collects them, then tells what to write.

    `form` is the digests' key: see `WindowedStream.form`.
    """

    def __init__(self, known: Known, cut: str, form: bytes = b"") -> None:
        self._known = known
        self._cut = cut
        self._form = form
        self._items: list[Item] = []
        self._places: list[int] = []
        self._sums: dict[int, int] = {}
        self.digest = 0
        """The sum over what is older than this sweep, for the next one to compare."""

    def add(self, item: Item, encoded: bytes, created: str | None, place: int) -> None:
        """Take a record, created then, of a chat in the range at `place`."""
        # A checksum would be quicker, but opposite changes in two records cancel in its sum.
        mark = int.from_bytes(blake2b(encoded, digest_size=8, key=self._form).digest(), "big")
        if created is None or created < self._cut:
            self.digest = (self.digest + mark) % MODULUS
        if created is not None and created >= self._known.cut:
            place = ALWAYS
        self._items.append(item)
        self._places.append(place)
        if place != ALWAYS:
            self._sums[place] = (self._sums.get(place, 0) + mark) % MODULUS

    def to_write(self, start: int, end: int) -> list[Item]:
        """The records to write, given the part's bounds in epoch seconds."""
        same = {
            place
            for place, known in enumerate(self._known.ranges)
            if start <= known.start
            and known.end <= end
            and self._sums.get(place, 0) == known.digest
        }
        pairs = zip(self._items, self._places, strict=True)
        return [item for item, place in pairs if place not in same]
