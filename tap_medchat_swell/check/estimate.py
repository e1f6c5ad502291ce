"""How long syncs take at today's settings, and which settings are worth changing."""

from __future__ import annotations

import math
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tap_medchat_swell.settings import Options

Estimate = dict[str, t.Any]
LONG = 10.0  # minutes
SLOW, MANY = 2.0, 4  # seconds per answer, requests at once


def chat_requests(total: int, page_rows: int, days: float, options: Options) -> tuple[int, int]:
    """Requests of a first load and of a night, for so many chats in so many days."""
    rows = max(1, page_rows - 1)
    windows = max(1, math.ceil(total / (options.medchat_window_pages * rows)))
    scan = nightly = math.ceil(total / rows) + windows
    if rescan := options.medchat_rescan_days:
        recent = math.ceil(min(1.0, rescan / max(days, 1.0)) * windows)
        quiet = math.ceil(max(0, windows - recent - 1) / rescan)
        nightly = min(scan, math.ceil(scan / windows * (recent + 1 + quiet)))
    return scan + windows, nightly


def message_requests(
    per_day: float, days: int, page_rows: int, counts_per_day: int, options: Options
) -> tuple[int, int]:
    """Requests of a first load and of a night, for so many messages a day."""

    def requests(span: int, counted: int) -> int:
        width = min(options.swell_window_days, max(1, span))
        pages = max(1, math.ceil(per_day * (width + 1) / max(1, page_rows)))
        return math.ceil(span / width) * pages + counted * counts_per_day + 1

    night = requests(options.swell_lookback_days + 5, options.swell_counts_lookback_days + 4)
    return requests(days + 2, days), night


def described(
    rows: Mapping[str, float],
    requests: tuple[int, int],
    seconds: Sequence[float],
    options: Options,
    announced: int | None,
) -> Estimate:
    """Rows, and both loads at the median latency; the vendor and the settings may limit it."""
    middle = sorted(seconds)[len(seconds) // 2]
    per_minute = min(filter(None, (options.requests_per_minute, announced)), default=math.inf)
    pace = min(per_minute, 60 * options.max_concurrency / max(middle, 0.001))
    first, nightly = ({"requests": n, "minutes": round(n / pace, 1)} for n in requests)
    return {
        "rows": {name: round(number) for name, number in rows.items()},
        "first_load": first,
        "nightly_run": nightly,
        "seconds_per_request": round(middle, 3),
        "advice": [*_concurrency(first["minutes"], middle, per_minute, options)],
    }


def _concurrency(
    minutes: float, seconds: float, per_minute: float, options: Options
) -> Iterator[str]:
    if minutes > LONG and per_minute < math.inf:
        limit = f"{per_minute} requests per minute are the limit"
        yield f"max_concurrency: more would not help; {limit}."
    elif seconds > SLOW and options.max_concurrency > MANY:
        yield f"max_concurrency: {MANY}. Answers take {seconds:.1f} s, a sign of load."
    elif minutes > LONG:
        yield f"max_concurrency: {min(64, 2 * options.max_concurrency)}, if no 429 comes."


def chat_advice(estimate: Estimate, page_rows: int, options: Options) -> Iterator[str]:
    """What to change for MedChat."""
    minutes = estimate["nightly_run"]["minutes"]
    if page_rows < options.medchat_page_size:
        yield f"medchat_page_size: {page_rows}. MedChat sends no more chats per request."
    if minutes > LONG and not options.medchat_rescan_days:
        yield (
            f"medchat_rescan_days: 7. A nightly run takes {minutes:.0f} minutes because it reads "
            "all chats; news on quiet chats then comes up to 7 days late."
        )
