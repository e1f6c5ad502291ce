"""Scripted failures: their kinds, and which requests they affect."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field
from typing import Literal

from medchat_swell_sandbox.checking import check_fields

FaultKind = Literal[
    "status",
    "rate_limited",
    "reset",
    "reset_mid_body",
    "slow",
    "trickle",
    "never_ending",
    "cut_body",
    "length_too_long",
    "length_too_short",
    "cut_chunked",
    "truncated_json",
    "empty",
    "no_content",
    "json_null",
    "empty_status_error",
    "empty_message",
    "empty_code",
    "empty_data",
    "empty_page",
    "empty_list",
    "html",
    "maintenance",
    "login_redirect",
    "data_null",
    "wrong_envelope",
    "rows_not_objects",
    "wrong_types",
    "invalid_utf8",
    "lone_surrogates",
    "deep_nesting",
    "million_keys",
    "huge_body",
    "gzip_bomb",
]


@dataclass(frozen=True, kw_only=True)
class _FaultOptions:
    where: str = "any"
    """``any``, ``medchat``, ``swell``, or a substring of the path and query, as sent."""
    times: int | None = 1
    """How many requests it affects; None for no limit."""
    seconds: float | None = None
    """How long it lasts after the first affected request; ``times`` still applies."""
    from_page: int = 1
    """Only requests with at least this ``page`` (1 if not sent)."""
    after: int = 0
    """How many matching requests to skip first."""
    every: int = 1
    """After that, only every n-th matching request."""
    probability: float = 1.0
    """Probability for each of these, from the sandbox's seed."""
    status: int = 503
    """For ``status``."""
    body: str | None = None
    """For ``status`` and ``html``: the body, instead of the default."""
    headers: tuple[tuple[str, str], ...] = ()
    """Additional response headers."""
    retry_after: float | None = None
    """Seconds to wait, for ``rate_limited``, ``status`` and ``maintenance``."""
    retry_after_form: Literal["seconds", "date", "reset"] = "seconds"
    """``date`` sends an HTTP date, ``reset`` sends X-RateLimit-Reset (epoch) instead."""
    delay_ms: float = 100
    """For ``slow``: delay of the response. For ``trickle`` and ``never_ending``: between pieces."""
    pieces: int = 20
    """For ``trickle``: number of pieces."""
    size: int | None = None
    """Levels, keys or megabytes, for the kinds that send something large."""


@dataclass(frozen=True)
class Fault(_FaultOptions):
    """One kind of failure, of a vendor or the network, for some requests.

    ``cut_body`` and ``cut_chunked`` close the connection early. ``length_too_long`` and
    ``length_too_short`` send the whole body with a wrong Content-Length.
    ``truncated_json`` sends half of the document with the correct Content-Length.

    Outages that return a 200 without rows: ``empty`` has no body; ``json_null`` is
    ``null``; ``empty_data`` is ``{"data": []}``, and ``empty_status_error``,
    ``empty_message`` and ``empty_code`` add the field in their name. ``empty_page``
    removes the rows and keeps the totals; ``empty_list`` sets the total to 0 as well.
    """

    kind: FaultKind = field(kw_only=False)

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for an invalid value."""
        check_fields(self)

    def matches(self, vendor: str, url: str, page: int = 1) -> bool:
        """Return whether a request, by path and query, matches ``where`` and ``from_page``."""
        return page >= self.from_page and self._is_at(vendor, url)

    def _is_at(self, vendor: str, url: str) -> bool:
        return self.where in ("any", vendor) or (
            self.where not in ("medchat", "swell") and self.where in url
        )


class _QueuedFault:
    """A fault in the queue, with its counters."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.seen = 0
        self.hits = 0
        self._started: float | None = None

    def applies(self, rng: random.Random) -> bool:
        fault = self.fault
        self.seen += 1
        place = self.seen - fault.after
        if self.expired or place <= 0 or (place - 1) % fault.every:
            return False
        if fault.probability < 1 and rng.random() >= fault.probability:
            return False
        self.hits += 1
        self._started = self._started or time.monotonic()
        return True

    @property
    def expired(self) -> bool:
        times, seconds = self.fault.times, self.fault.seconds
        if times is not None and self.hits >= times:
            return True
        if seconds is None or self._started is None:
            return False
        return time.monotonic() >= self._started + seconds


class FaultQueue:
    """Faults in the order added. A request gets the first fault that applies to it.

    Later faults do not count that request.
    """

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._queue: list[_QueuedFault] = []
        self._rng = random.Random(seed)

    def add(self, *faults: Fault) -> None:
        """Add faults."""
        with self._lock:
            self._queue += [_QueuedFault(fault) for fault in faults]

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._queue.clear()

    def pending(self) -> list[Fault]:
        """Return the faults that have not expired."""
        with self._lock:
            return [queued.fault for queued in self._queue if not queued.expired]

    def draw(self, vendor: str, url: str, page: int = 1) -> Fault | None:
        """Return the fault for this request, if any."""
        with self._lock:
            hit = None
            for queued in self._queue:
                if hit is None and queued.fault.matches(vendor, url, page):
                    hit = queued.fault if queued.applies(self._rng) else None
            return hit
