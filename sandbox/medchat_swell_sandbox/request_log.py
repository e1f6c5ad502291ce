"""A log of requests, and the maximum number of concurrent requests."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass


@dataclass(slots=True)
class RequestRecord:
    """A request. Times are ``time.monotonic()`` seconds; contains no secrets."""

    number: int
    vendor: str
    method: str
    path: str
    query: dict[str, str]
    started: float
    status: int | None = None
    """Status of the response; None if none has been sent."""
    ended: float | None = None
    fault: str | None = None


class RequestLog:
    """Requests in order of arrival, and the maximum number of concurrent ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: list[RequestRecord] = []
        self._open: Counter[str] = Counter()
        self._peak: Counter[str] = Counter()
        self._number = 0

    def begin(self, vendor: str, method: str, path: str, query: dict[str, str]) -> RequestRecord:
        """Add a request. Numbers continue after a reset of the log."""
        with self._lock:
            self._number += 1
            started = time.monotonic()
            record = RequestRecord(self._number, vendor, method, path, query, started)
            self._records.append(record)
            self._open[vendor] += 1
            self._peak[vendor] = max(self._peak[vendor], self._open[vendor])
        return record

    def end(self, record: RequestRecord) -> None:
        """Mark a request as completed."""
        with self._lock:
            record.ended = time.monotonic()
            self._open[record.vendor] -= 1

    def records(self) -> list[RequestRecord]:
        """Return the requests since the last reset."""
        with self._lock:
            return list(self._records)

    def peak(self) -> dict[str, int]:
        """Return the maximum concurrent requests since the last reset, per vendor."""
        with self._lock:
            return {vendor: self._peak[vendor] for vendor in ("medchat", "swell")}

    def reset(self) -> None:
        """Remove completed requests."""
        with self._lock:
            self._records = [row for row in self._records if row.ended is None]
            self._peak = Counter(self._open)
