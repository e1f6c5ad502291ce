"""Base class of the tables: a lock and a change counter."""

from __future__ import annotations

import threading


class Table:
    """Rows that the server thread reads while another thread changes them.

    ``generation`` increases with every change, to invalidate caches. Hold ``lock`` for a
    consistent view of several rows.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.generation = 0

    def touch(self) -> None:
        """Record a change; the caller holds the lock."""
        self.generation += 1
