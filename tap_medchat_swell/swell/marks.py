"""Remembers the content of all messages that a run has written, in few bytes each."""

from __future__ import annotations

from array import array

MAX_SLOTS = 1 << 21  # 16 MiB, for 1.4 million messages


class Marks:
    """A set of 64-bit hashes in 12 to 24 bytes each, a quarter of what Python's own set takes.

    A set that is full starts anew: what it has forgotten is written again, which is harmless.
    """

    def __init__(self, slots: int = 1 << 10) -> None:
        self._slots = array("q", [0]) * slots  # 0: free
        self._count = 0

    def add(self, mark: int) -> bool:
        """Add a hash; returns whether it is new."""
        mark = mark or 1
        slots, mask = self._slots, len(self._slots) - 1
        place = mark & mask
        while (found := slots[place]) and found != mark:
            place = (place + 1) & mask
        if found:
            return False
        slots[place] = mark
        self._count += 1
        if 3 * self._count > 2 * len(slots):
            self._grow()
        return True

    def _grow(self) -> None:
        old, size = self._slots, len(self._slots)
        self._slots, self._count = array("q", [0]) * min(2 * size, MAX_SLOTS), 0
        for mark in filter(None, old if size < MAX_SLOTS else ()):
            self.add(mark)
