"""How long syncs take at today's settings, and which settings are worth changing."""

from __future__ import annotations

import math
import typing as t
from dataclasses import dataclass, replace

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_medchat_swell.settings import Options

LONG = 10.0  # minutes
SHORT_LATENCY = 2.0  # seconds


@dataclass(frozen=True)
class Load:
    """One run of one vendor."""

    requests: int
    minutes: float


@dataclass(frozen=True)
class Estimate:
    """What there is to read, by what it is, and what reading it takes. All about."""

    rows: dict[str, int]
    first_load: Load
    nightly_run: Load
    seconds_per_request: float
    advice: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pace:
    """How fast a vendor answers."""

    seconds: float
    at_once: int
    per_minute: int | None

    def load(self, requests: int) -> Load:
        """A run with so many requests."""
        minutes = requests * self.seconds / self.at_once / 60
        if self.per_minute:
            minutes = max(minutes, requests / self.per_minute)
        return Load(requests, round(minutes, 1))


def pace(seconds: Sequence[float], options: Options, announced: int | None) -> Pace:
    """The pace at the median latency; both the vendor and the settings may limit it."""
    limits = [limit for limit in (options.requests_per_minute, announced) if limit]
    middle = sorted(seconds)[len(seconds) // 2]
    return Pace(middle, options.max_concurrency, min(limits, default=None))


def chats(  # noqa: PLR0913, PLR0917 - what a scan depends on
    total: int, messages: float, page_rows: int, days: float, options: Options, speed: Pace
) -> Estimate:
    """MedChat's estimate: `messages` per chat, `days` of history."""
    per_window = options.medchat_window_pages * max(1, page_rows - 1)
    windows = max(1, math.ceil(total / per_window))
    scan = math.ceil(total / max(1, page_rows - 1)) + windows
    nightly, rescan = scan, options.medchat_rescan_days
    if rescan:
        recent = math.ceil(min(1.0, rescan / max(days, 1.0)) * windows)
        quiet = math.ceil(max(0, windows - recent - 1) / rescan)
        nightly = min(scan, math.ceil(scan / windows * (recent + 1 + quiet)))
    estimate = Estimate(
        {"chats": total, "messages": round(total * messages)},
        speed.load(scan + windows),
        speed.load(nightly),
        round(speed.seconds, 3),
    )
    return _advised(estimate, _chat_advice(estimate, page_rows, options), options, speed)


def messages(  # noqa: PLR0913, PLR0917 - what windows of days depend on
    per_day: float, days: int, page_rows: int, counts_per_day: int, options: Options, speed: Pace
) -> Estimate:
    """Swell's estimate: windows of days, and a count per day."""

    def requests(span: int, counted: int) -> int:
        width = min(options.swell_window_days, max(1, span))
        pages = max(1, math.ceil(per_day * (width + 1) / max(1, page_rows)))
        return math.ceil(span / width) * pages + counted * counts_per_day + 1

    nightly = options.swell_lookback_days + 5
    estimate = Estimate(
        {"messages": round(per_day * days)},
        speed.load(requests(days + 2, days)),
        speed.load(requests(nightly, options.swell_counts_lookback_days + 4)),
        round(speed.seconds, 3),
    )
    advice: tuple[str, ...] = ()
    if options.swell_page_size < page_rows:
        advice = (f"swell_page_size: {page_rows}, for fewer requests.",)
    return _advised(estimate, advice, options, speed)


def _chat_advice(estimate: Estimate, page_rows: int, options: Options) -> Iterator[str]:
    if page_rows < options.medchat_page_size:
        yield f"medchat_page_size: {page_rows}. MedChat sends no more chats per request."
    if estimate.nightly_run.minutes > LONG and not options.medchat_rescan_days:
        yield (
            f"medchat_rescan_days: 7. A nightly run takes {estimate.nightly_run.minutes:.0f} "
            "minutes because it reads all chats; news on quiet chats then comes up to 7 days late."
        )


def _advised(
    estimate: Estimate, advice: t.Iterable[str], options: Options, speed: Pace
) -> Estimate:
    given = [*advice]
    is_long = estimate.first_load.minutes > LONG
    if speed.per_minute and is_long:
        given.append(
            f"max_concurrency: more would not help; {speed.per_minute} requests per minute are "
            "the limit."
        )
    elif speed.seconds > SHORT_LATENCY and options.max_concurrency > 4:  # noqa: PLR2004
        given.append(f"max_concurrency: 4. Answers take {speed.seconds:.1f} s, a sign of load.")
    elif is_long:
        given.append(f"max_concurrency: {min(64, 2 * options.max_concurrency)}, if no 429 comes.")
    return replace(estimate, advice=tuple(given))
