"""Progress lines: every 30 seconds, per vendor, how far a long run has come.

With a terminal at standard error one line rewrites itself. A library for that (rich, tqdm)
would have to be kept out of the log's way and locked in; the little that is needed is here.
"""

from __future__ import annotations

import logging
import shutil
import sys
import time
import typing as t

from tap_medchat_swell.redaction import RedactedStream

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tap_medchat_swell.http.rate_limiter import RateLimiter
    from tap_medchat_swell.scan import VendorScan

INTERVAL = 30.0
REWRITE_INTERVAL = 1.0
SHORTEST_SHARE = 0.02  # an estimate from less would be a guess

log = logging.getLogger("tap-medchat-swell")


def shown(
    scans: Sequence[VendorScan],
    limiters: Mapping[str, RateLimiter],
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[], None]:
    """A function to be called often, which shows progress when it is due."""
    began = clock()
    due = began + INTERVAL
    screen = sys.stderr if isinstance(sys.stderr, RedactedStream) else None
    screen = screen if screen and screen.isatty() else None

    def tick() -> None:
        nonlocal due
        if clock() < due:
            return
        due = clock() + (REWRITE_INTERVAL if screen else INTERVAL)
        texts = [*lines(scans, limiters, clock() - began)]
        if screen:
            width = shutil.get_terminal_size().columns - 1
            screen.write_status(" | ".join(texts)[:width])
            return
        for text in texts:
            log.info("%s", text)

    return tick


def lines(
    scans: Sequence[VendorScan], limiters: Mapping[str, RateLimiter], seconds: float
) -> Iterator[str]:
    """How far each vendor has been read: that of its scans which has come least far."""
    for vendor in dict.fromkeys(scan.vendor for scan in scans):
        own = [scan for scan in scans if scan.vendor == vendor]
        under_way = [scan for scan in own if not scan.is_complete]
        if not under_way:
            continue
        share, scan = min(((scan.share_read, scan) for scan in under_way), key=lambda item: item[0])
        rows = sum(stream.rows_read for scan in own for stream in scan.all_streams)
        reached = f"up to {scan.reached:%Y-%m-%d} ({share:.0%})" if scan.reached else "begun"
        text = f"{vendor}: {reached}, {rows:,} rows, {rows / seconds:,.0f} a second"
        if share > SHORTEST_SHARE:
            text += f", about {duration(seconds * (1 - share) / share)} left"
        wait = limiters[vendor].pause_left
        yield f"{text}; {vendor} has us wait {wait:.0f} s (rate limit)." if wait else f"{text}."


def duration(seconds: float) -> str:
    """A rough time for people."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.0f} h"  # noqa: PLR2004
