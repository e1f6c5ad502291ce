"""What was asked of the sandbox, and how much of it at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass


@dataclass(slots=True)
class RequestRecord:
    """One request. Times are ``time.monotonic()`` seconds; no secret is kept."""

    number: int
    vendor: str
    method: str
    path: str
    query: dict[str, str]
    started: float
    status: int | None = None
    """Status of the answer; None while under way and if the client saw none."""
    ended: float | None = None
    fault: str | None = None


class RequestLog:
    """Requests in order of arrival, and the most that were open at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: list[RequestRecord] = []
        self._open: Counter[str] = Counter()
        self._peak: Counter[str] = Counter()
        self._number = 0

    def begin(self, vendor: str, method: str, path: str, query: dict[str, str]) -> RequestRecord:
        """Note a request; its number counts on over resets of the log."""
        with self._lock:
            self._number += 1
            started = time.monotonic()
            record = RequestRecord(self._number, vendor, method, path, query, started)
            self._records.append(record)
            self._open[vendor] += 1
            self._peak[vendor] = max(self._peak[vendor], self._open[vendor])
        return record

    def end(self, record: RequestRecord) -> None:
        """Note that a request is done with."""
        with self._lock:
            record.ended = time.monotonic()
            self._open[record.vendor] -= 1

    def records(self) -> list[RequestRecord]:
        """Return what was asked since the last reset."""
        with self._lock:
            return list(self._records)

    def peak(self) -> dict[str, int]:
        """Return the most requests open at once since the last reset, per vendor."""
        with self._lock:
            return {vendor: self._peak[vendor] for vendor in ("medchat", "swell")}

    def reset(self) -> None:
        """Forget all that is done with."""
        with self._lock:
            self._records = [row for row in self._records if row.ended is None]
            self._peak = Counter(self._open)
