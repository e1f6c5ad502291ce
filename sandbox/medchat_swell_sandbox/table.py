"""What the tables of both vendors share: one lock and one change counter."""

from __future__ import annotations

import threading


class Table:
    """Rows that a server thread reads while another thread changes them.

    ``generation`` grows with every change; whatever was computed from the rows under
    an older generation is stale. Hold ``lock`` to read several rows as of one instant.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.generation = 0

    def touch(self) -> None:
        """Note that the rows have changed; the caller holds the lock."""
        self.generation += 1
