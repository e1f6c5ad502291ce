"""Clocks that are wrong, or that stand at a date on which a fixture was recorded.

Nobody waits: a moved clock runs on at its usual pace.
"""

from __future__ import annotations

import sys
import typing as t
from datetime import datetime, timedelta, timezone, tzinfo
from unittest import mock

from medchat_swell_sandbox import clock

if t.TYPE_CHECKING:
    from typing_extensions import Self

TAP = "tap_medchat_swell"


def offset_to(moment: datetime) -> timedelta:
    """How far a clock has to be moved to show this instant now."""
    return moment - datetime.now(timezone.utc)


def move_tap_clock(offset: timedelta) -> None:
    """Move the clock of the tap in this process, for good.

    Every module that has imported `timestamps.now` by name gets the moved one.
    """
    timestamps = sys.modules[f"{TAP}.timestamps"]
    now: t.Callable[[], datetime] = timestamps.now

    def moved() -> datetime:
        return now() + offset

    for name, module in list(sys.modules.items()):
        if name.startswith(TAP) and getattr(module, "now", None) is now:
            module.now = moved  # type: ignore[attr-defined]


class VendorClock:
    """Moves the clock of every sandbox in this process, while it is entered."""

    def __init__(self, offset: timedelta = timedelta()) -> None:
        self.offset = offset

    def __enter__(self) -> Self:
        vendors = self

        class Moved(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Moved:
                return t.cast("Moved", datetime.now(tz) + vendors.offset)

        self._patch = mock.patch.object(clock, "datetime", Moved)
        self._patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.stop()
