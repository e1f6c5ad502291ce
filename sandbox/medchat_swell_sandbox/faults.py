"""Scripted trouble: which request it befalls, and what kind of trouble."""

from __future__ import annotations

import random
import threading
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
    "html",
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
class _Trouble:
    where: str = "any"
    """``any``, ``medchat``, ``swell``, or text that the path has to contain."""
    times: int | None = 1
    """How many requests it befalls; None for no end."""
    after: int = 0
    """How many matching requests pass unharmed first."""
    every: int = 1
    """From then on, every n-th matching request."""
    probability: float = 1.0
    """Chance for each of these, from the sandbox's own seeded dice."""
    status: int = 503
    """For ``status``."""
    body: str | None = None
    """For ``status`` and ``html``: the body, instead of the vendor's usual one."""
    headers: tuple[tuple[str, str], ...] = ()
    """Headers added to the answer."""
    retry_after: float | None = None
    """Seconds that ``rate_limited`` or ``status`` ask the client to wait."""
    retry_after_form: Literal["seconds", "date", "reset"] = "seconds"
    """``date`` for an HTTP date, ``reset`` for X-RateLimit-Reset (epoch) instead."""
    delay_ms: float = 100
    """For ``slow``: the wait. For ``trickle`` and ``never_ending``: between pieces."""
    pieces: int = 20
    """For ``trickle``: in how many pieces the answer comes."""
    size: int | None = None
    """Levels, keys or megabytes of the kinds that make something big."""


@dataclass(frozen=True)
class Fault(_Trouble):
    """One kind of trouble for some requests, as a vendor or a network makes it.

    ``cut_body`` and ``cut_chunked`` close before the announced end; ``length_too_long``
    and ``length_too_short`` announce a wrong length for the whole body;
    ``truncated_json`` is half a document with the right length.
    """

    kind: FaultKind = field(kw_only=False)

    def __post_init__(self) -> None:
        """Refuse values that no fault has."""
        check_fields(self)

    def concerns(self, vendor: str, path: str) -> bool:
        """Tell whether a request is one that this fault looks at."""
        return self.where in ("any", vendor) or (
            self.where not in ("medchat", "swell") and self.where in path
        )


class _Armed:
    """A fault in the queue, with what it has seen."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.seen = 0
        self.struck = 0

    def strikes(self, rng: random.Random) -> bool:
        fault = self.fault
        self.seen += 1
        place = self.seen - fault.after
        if self.spent or place <= 0 or (place - 1) % fault.every:
            return False
        if fault.probability < 1 and rng.random() >= fault.probability:
            return False
        self.struck += 1
        return True

    @property
    def spent(self) -> bool:
        times = self.fault.times
        return times is not None and self.struck >= times


class FaultQueue:
    """Faults in the order added; a request meets the first that strikes.

    The faults behind that one do not count the request.
    """

    def __init__(self, seed: int = 0) -> None:
        self._lock = threading.Lock()
        self._armed: list[_Armed] = []
        self._rng = random.Random(seed)

    def add(self, *faults: Fault) -> None:
        """Queue faults."""
        with self._lock:
            self._armed += [_Armed(fault) for fault in faults]

    def clear(self) -> None:
        """Drop every fault."""
        with self._lock:
            self._armed.clear()

    def pending(self) -> list[Fault]:
        """Return the faults that may still strike."""
        with self._lock:
            return [armed.fault for armed in self._armed if not armed.spent]

    def draw(self, vendor: str, path: str) -> Fault | None:
        """Return the fault that befalls this request, if any."""
        with self._lock:
            struck = None
            for armed in self._armed:
                if struck is None and armed.fault.concerns(vendor, path):
                    struck = armed.fault if armed.strikes(self._rng) else None
            return struck
