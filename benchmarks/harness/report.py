"""RESULTS.md: tables out of the numbers. Ratios, as seconds say more of the machine."""

from __future__ import annotations

import typing as t

from harness import chart
from harness.places import PICTURE, REQUIREMENTS, RESULTS
from harness.summary import TIMES, TITLES, Summary, baseline, goals, ideal, memory_mb, summaries

if t.TYPE_CHECKING:
    from pathlib import Path

Numbers = dict[str, t.Any]
PACKAGES = ("singer-sdk", "dlt", "airbyte-cdk")

NOTES = """\
## How it is measured

- The sandbox is a process of its own, on one core (`taskset`). Without latency the \
candidate runs on another one; with latency it may use all.
- Candidates run in turn (A B C A B C ...); numbers are medians. CPU seconds are user and \
system time of the process and its children (`wait4`), memory is its peak RSS.
- Output goes through a pipe, as it does to a target, and is read and compared id by id \
with what the sandbox holds after the run.
- *Plain SDK tap* is `candidates/plain_tap.py`: what the SDK's template leads to, though \
kinder than usual: no request per chat, and one bookmark for the messages of all chats.
- dlt runs `parallelized` with 16 workers, Airbyte with 16 at once. dlt's extract step \
leaves messages inside their chats, where all others write records of their own: less \
work. As Airbyte's streams share no answers, it asks MedChat twice. dlt reads MedChat \
by one chain of offsets, as its paginator does; Airbyte by slices of 30 days.
- No candidate but this tap folds keys, writes dates in one form, keeps unknown fields in \
a column of their own, or checks its windows. Swell's rule of 7 days makes weeks for \
all others; this tap's windows share a day, so that nothing depends on how `to_date` \
is read: more requests, no lost day.
- *Floor* is `candidates/floor.py`: eight threads, urllib3 and msgspec, rows as they come; \
no types, no checks, no state, no retries.
- The sandbox reads `+` as a space here, as Airbyte cannot send `%20`."""


def write(numbers: Numbers, folder: Path | None = None) -> Path:
    """Write the report and its picture; into `folder` instead of the tree if given."""
    results = folder / RESULTS.name if folder else RESULTS
    picture = folder / PICTURE.name if folder else PICTURE
    results.parent.mkdir(exist_ok=True)
    picture.write_text(chart.svg(numbers))
    results.write_text("\n".join(_lines(numbers)) + "\n")
    return results


def versions() -> dict[str, str]:
    """Of the packages that are compared."""
    pins = "\n".join(path.read_text() for path in sorted(REQUIREMENTS.glob("*.txt")))
    lines = [line.split(";")[0].strip() for line in pins.splitlines()]
    found = dict(line.split("==") for line in lines if "==" in line)
    return {name: found[name] for name in PACKAGES}


def _lines(numbers: Numbers) -> t.Iterator[str]:
    about = numbers["about"]
    yield "# Results of the benchmark\n"
    yield "Written by `benchmarks/run`; do not edit.\n"
    packages = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    yield (
        f"{about['date']}: {about['data']}; {about['rounds']} rounds; {about['system']}, "
        f"{about['cores']} cores, Python {about['python']}; {packages}.\n"
    )
    yield "![Speed of each candidate](results.svg)\n"
    yield from _goals(numbers)
    if "latency" in numbers:
        yield from _latency(numbers["latency"])
    if "no-latency" in numbers:
        yield from _no_latency(numbers["no-latency"])
    yield from _losses(numbers)
    yield from _extras(numbers)
    yield NOTES


def _goals(numbers: Numbers) -> t.Iterator[str]:
    yield "## What it must reach\n"
    rows = [
        (
            goal.what,
            f"{'≥' if goal.at_least else '≤'} {goal.bound:g}{goal.unit}",
            f"**{goal.value:.{0 if goal.unit == ' MB' else 2}f}{goal.unit}**",
            "yes" if goal.is_met else "**no**",
        )
        for goal in goals(numbers)
    ]
    yield _table(("", "goal", "measured", "met"), rows)


def _latency(regime: Numbers) -> t.Iterator[str]:
    by_key = summaries(regime)
    base = baseline(by_key)
    best = ideal(regime)
    fewest = sum(regime["fewest"].values())
    yield f"## {regime['latency_ms']} ms per request\n"
    yield (
        f"*Ideal* is the fewest requests that the tap's paging rules allow ({fewest:,}), "
        "eight in flight.\n"
    )
    rows = [
        (
            _title(one),
            f"{base.wall / one.wall:.1f}{TIMES}",
            f"{one.wall / best:.2f}{TIMES}",
            f"{one.requests:,}",
            str(one.peak),
            f"{one.rss_mb:.0f} MB",
            one.verdict,
        )
        for one in by_key.values()
    ]
    heads = (
        "candidate",
        f"as fast as {base.title}",
        "time ÷ ideal",
        "requests",
        "in flight",
        "peak memory",
        "rows",
    )
    yield _table(heads, rows)
    yield from _again(regime)


def _no_latency(regime: Numbers) -> t.Iterator[str]:
    by_key = summaries(regime)
    base = baseline(by_key)
    yield "## No latency: what the processor does\n"
    rows = [
        (
            _title(one),
            f"{one.rate / base.rate:.1f}{TIMES}",
            f"{base.wall / one.wall:.1f}{TIMES}",
            f"{one.requests:,}",
            f"{one.rss_mb:.0f} MB",
            f"{one.server_share:.0%}",
            one.verdict,
        )
        for one in by_key.values()
    ]
    heads = (
        "candidate",
        f"records per CPU second ÷ {base.title}",
        f"as fast as {base.title}",
        "requests",
        "peak memory",
        "sandbox's core in use",
        "rows",
    )
    yield _table(heads, rows)
    yield from _again(regime)
    yield from _server(regime, by_key)


def _server(regime: Numbers, by_key: dict[str, Summary]) -> t.Iterator[str]:
    raw, tap = regime["raw"], by_key.get("tap")
    if raw is None or tap is None:
        return
    served = (raw["medchat"] + raw["swell"]) / raw["wall"]
    ratio = served / (tap.requests / tap.wall)
    yield (
        "The sandbox is not the bottleneck: a client that only fetches gets "
        f"{ratio:.1f} times as many pages a second out of it as this tap, whose run "
        f"leaves the sandbox's core idle for {1 - tap.server_share:.0%} of the time.\n"
    )


def _again(regime: Numbers) -> t.Iterator[str]:
    if regime.get("again"):
        titles = ", ".join(TITLES[key] for key in regime["again"])
        yield f"Measured again by itself, after the rounds of all: {titles}.\n"


def _losses(numbers: Numbers) -> t.Iterator[str]:
    """Everything in which another candidate is better, found by comparing."""
    found = [
        line
        for part, name in (("latency", "100 ms per request"), ("no-latency", "no latency"))
        if part in numbers
        for line in _losses_of(summaries(numbers[part]), name)
    ]
    yield "## Where this tap loses\n"
    yield "\n".join(found) + "\n" if found else "Nowhere in these tables.\n"


def _losses_of(by_key: dict[str, Summary], regime: str) -> t.Iterator[str]:
    tap = by_key.get("tap")
    if tap is None:
        return
    measures: tuple[tuple[str, t.Callable[[Summary], float]], ...] = (
        ("time", lambda one: one.wall),
        ("CPU time", lambda one: one.cpu),
        ("peak memory", lambda one: one.rss_mb),
        ("requests", lambda one: one.requests),
    )
    for name, measure in measures:
        better = [
            f"{measure(tap) / measure(one):.2f}{TIMES} that of {one.title}"
            for one in by_key.values()
            if one is not tap and measure(one) < measure(tap)
        ]
        if better:
            yield f"- {regime}, {name}: {'; '.join(better)}."


def _extras(numbers: Numbers) -> t.Iterator[str]:
    if "memory" in numbers:
        one, ten = memory_mb(numbers["memory"])
        yield "## Memory of the tap\n"
        yield (
            f"{one:.0f} MB for the history above, {ten:.0f} MB for ten times as much of it "
            f"({ten / one:.2f}{TIMES}).\n"
        )
    if "start-up" in numbers:
        yield from _start_up(numbers["start-up"])
    if "throttle" in numbers:
        throttle = numbers["throttle"]
        yield "## Under a throttle of 60 requests a minute\n"
        yield (
            f"{throttle['swell']} requests, of which {throttle['refused']} were refused; "
            f"{throttle['verdict']}; {throttle['wall']:.0f} s, where the throttle allows "
            f"{throttle['allowed']} s at best.\n"
        )


def _start_up(medians: dict[str, float]) -> t.Iterator[str]:
    yield "## Start-up\n"
    yield "Time until all is done, as a multiple of what `import singer_sdk` takes by itself.\n"
    base = medians["import singer_sdk"]
    names = {
        "tap": "this tap",
        "plain": "plain SDK tap",
        "dlt-extract": "dlt rest_api, extract only",
        "airbyte": "airbyte-cdk",
        "floor": "floor",
    }
    columns = ("--help", "--discover", "sync")
    rows = [
        (title, *(_multiple(medians.get(f"{key} {column}"), base) for column in columns))
        for key, title in names.items()
    ]
    yield _table(("", "`--help`", "`--discover`", "sync of next to nothing"), rows)


def _multiple(value: float | None, base: float) -> str:
    return "" if value is None else f"{value / base:.1f}{TIMES}"


def _title(one: Summary) -> str:
    return f"**{one.title}**" if one.key == "tap" else one.title


def _table(heads: tuple[str, ...], rows: t.Sequence[tuple[str, ...]]) -> str:
    lines = [heads, ("--", *("-:" for _ in heads[1:])), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
