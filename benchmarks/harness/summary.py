"""From single runs to medians, and from medians to ratios."""

from __future__ import annotations

import statistics
import typing as t
from dataclasses import dataclass

from harness.candidates import CANDIDATES_ALL

Numbers = dict[str, t.Any]
TIMES = "\N{MULTIPLICATION SIGN}"
TITLES = {candidate.key: candidate.title for candidate in CANDIDATES_ALL}


@dataclass(frozen=True)
class Summary:
    """A candidate's medians in one regime."""

    key: str
    wall: float
    cpu: float
    rss_mb: float
    server_share: float
    requests: int
    peak: int
    rate: float
    verdict: str

    @property
    def title(self) -> str:
        """Its name in tables."""
        return TITLES[self.key]


def summaries(regime: Numbers) -> dict[str, Summary]:
    """All candidates of a regime."""
    return {key: _summary(key, runs) for key, runs in regime["runs"].items() if runs}


def baseline(by_key: dict[str, Summary]) -> Summary:
    """What the others are compared with: the plain SDK tap, or the first of them."""
    return by_key.get("plain") or next(iter(by_key.values()))


def _summary(key: str, runs: list[Numbers]) -> Summary:
    def median(name: str) -> float:
        return float(statistics.median(run[name] for run in runs))

    rows = sum(stream["held"] for stream in runs[0]["streams"].values())
    bad = [run["verdict"] for run in runs if run["verdict"] != "all rows"]
    return Summary(
        key=key,
        wall=median("wall"),
        cpu=median("cpu"),
        rss_mb=median("rss_mb"),
        server_share=statistics.median(run["server_cpu"] / run["wall"] for run in runs),
        requests=round(median("medchat") + median("swell")),
        peak=max(run["peak"] for run in runs),
        rate=rows / median("cpu"),
        verdict=bad[0] if bad else "all rows",
    )


@dataclass(frozen=True)
class Goal:
    """Something to reach: `value` has to be at least, or at most, `bound`."""

    what: str
    value: float
    bound: float
    at_least: bool
    unit: str = TIMES

    @property
    def is_met(self) -> bool:
        """Whether it was reached."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound


IN_FLIGHT = 8


def goals(numbers: Numbers) -> list[Goal]:
    """Every goal that the numbers at hand can tell about."""
    found: list[Goal] = []
    if "latency" in numbers:
        found += _latency_goals(numbers["latency"])
    if "no-latency" in numbers:
        found += _rate_goals(summaries(numbers["no-latency"]))
    if "memory" in numbers:
        one, ten = memory_mb(numbers["memory"])
        found.append(Goal("memory for ten times the history", ten / one, 1.1, at_least=False))
        found.append(Goal("peak memory", max(one, ten), 120, at_least=False, unit=" MB"))
    if "throttle" in numbers:
        throttle = numbers["throttle"]
        ratio = throttle["wall"] / throttle["allowed"] if throttle["allowed"] else 0.0
        found.append(Goal("time under a throttle ÷ what it allows", ratio, 1.05, at_least=False))
    return found


def ideal(regime: Numbers) -> float:
    """Seconds for the fewest possible requests, eight in flight."""
    fewest: Numbers = regime["fewest"]
    seconds = sum(fewest.values()) * regime["latency_ms"] / 1000 / IN_FLIGHT
    return float(seconds)


def _latency_goals(regime: Numbers) -> list[Goal]:
    by_key = summaries(regime)
    tap = by_key.get("tap")
    if tap is None:
        return []
    bounds = {"plain": 9.0, "dlt-extract": 2.0, "dlt": 2.0, "airbyte": 2.0}
    found = [
        Goal(f"100 ms: as fast as {TITLES[key]}", by_key[key].wall / tap.wall, bound, at_least=True)
        for key, bound in bounds.items()
        if key in by_key
    ]
    return [
        *found,
        Goal("100 ms: time ÷ ideal", tap.wall / ideal(regime), 1.15, at_least=False),
        Goal(
            "requests ÷ fewest",
            tap.requests / sum(regime["fewest"].values()),
            1.05,
            at_least=False,
        ),
    ]


def _rate_goals(by_key: dict[str, Summary]) -> list[Goal]:
    if "tap" not in by_key:
        return []
    bounds = {"plain": 8.0, "dlt-extract": 1.5, "airbyte": 5.0}
    return [
        Goal(
            f"records per CPU second ÷ those of {TITLES[key]}",
            by_key["tap"].rate / by_key[key].rate,
            bound,
            at_least=True,
        )
        for key, bound in bounds.items()
        if key in by_key
    ]


def memory_mb(results: list[Numbers]) -> tuple[float, float]:
    """Median peak memory for the history and for ten times as much."""
    one, ten = (statistics.median(run["rss_mb"] for run in result["runs"]) for result in results)
    return one, ten
