"""Fixed-window rate limiting per client, like Laravel's throttle."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medchat_swell_sandbox.quirks import Quirks


class Throttle:
    """Counts requests per client; a window starts with the client's first request."""

    def __init__(self) -> None:
        self._windows: dict[str, tuple[float, int]] = {}

    def admit(self, client: str, limit: int | None, quirks: Quirks) -> bool:
        """Count a request; returns False if it exceeds the limit."""
        if limit is None:
            return True
        opened, used = self._window(client, quirks.throttle_window_seconds)
        if used >= limit:
            return False
        self._windows[client] = (opened, used + 1)
        return True

    def remaining(self, client: str, limit: int, quirks: Quirks) -> int:
        """Return how many requests are left in the current window."""
        return limit - self._window(client, quirks.throttle_window_seconds)[1]

    def seconds_left(self, client: str, quirks: Quirks) -> float:
        """Return the seconds until the current window ends."""
        length = quirks.throttle_window_seconds
        return self._window(client, length)[0] + length - time.monotonic()

    def _window(self, client: str, length: float) -> tuple[float, int]:
        now = time.monotonic()
        opened, used = self._windows.get(client, (now, 0))
        return (opened, used) if now < opened + length else (now, 0)
