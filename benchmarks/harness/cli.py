"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from datetime import datetime, timezone

from harness import environments, extras, report
from harness.candidates import CANDIDATES_ALL
from harness.comparison import compare
from harness.cores import can_pin
from harness.places import CACHE, NUMBERS, WORK
from harness.server import Data

FULL = Data(20_000, 60_000)
QUICK = Data(1_000, 3_000)
THROTTLED = Data(100, 15_000, 100)
QUICK_THROTTLED = Data(50, 6_000, 40)
PARTS = ("latency", "no-latency", "memory", "start-up")


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(
        prog="benchmarks/run",
        description="Compare this tap with others on the sandbox; writes RESULTS.md. All of "
        "it takes about half an hour.",
    )
    options.add_argument("--quick", action="store_true", help="little data; writes no RESULTS.md")
    options.add_argument("--rounds", type=int, default=3, help="rounds (default 3)")
    options.add_argument(
        "--part",
        action="append",
        choices=PARTS,
        help="only this part, the others as measured before; may be repeated",
    )
    options.add_argument(
        "--only",
        action="append",
        choices=[candidate.key for candidate in CANDIDATES_ALL],
        help="only this candidate in the comparison, the others as measured before; may be "
        "repeated",
    )
    options.add_argument(
        "--throttle", action="store_true", help="also against 60 requests a minute (minutes)"
    )
    options.add_argument(
        "--render", action="store_true", help="measure nothing, write RESULTS.md again"
    )
    return options


def main(arguments: list[str] | None = None) -> int:
    """Measure, write, and tell where."""
    given = parser().parse_args(arguments)
    CACHE.mkdir(exist_ok=True)
    (CACHE / ".gitignore").write_text("*\n")
    path = NUMBERS.with_name("quick-numbers.json") if given.quick else NUMBERS
    numbers = json.loads(path.read_text()) if path.exists() else {}
    if not given.render:
        environments.prepare()
        try:
            for part in _parts(given):
                numbers[part] = _merged(numbers.get(part), _measured(part, given), given.only)
                numbers["about"] = _about(given)
                path.write_text(json.dumps(numbers, indent=1))
        finally:
            shutil.rmtree(WORK, ignore_errors=True)
    written = report.write(numbers, CACHE / "quick" if given.quick else None)
    sys.stderr.write(f"Written: {written}\n")
    return 0


def _parts(given: argparse.Namespace) -> list[str]:
    only_throttle = given.throttle and not given.part
    parts = [] if only_throttle else list(given.part or PARTS)
    return [*parts, "throttle"] if given.throttle else parts


def _measured(part: str, given: argparse.Namespace) -> object:
    data = QUICK if given.quick else FULL
    if part == "memory":
        return extras.memory(data, min(given.rounds, 2))
    if part == "start-up":
        return extras.start_up(given.rounds + 2)
    if part == "throttle":
        return extras.throttled(QUICK_THROTTLED if given.quick else THROTTLED)
    candidates = [c for c in CANDIDATES_ALL if not given.only or c.key in given.only]
    latency_ms = 100 if part == "latency" else 0
    return compare(data, candidates, latency_ms=latency_ms, rounds=given.rounds)


def _merged(before: object, after: object, only: list[str] | None) -> object:
    """What was measured now, amid what was measured before of the other candidates."""
    if not (only and isinstance(before, dict) and isinstance(after, dict) and "runs" in after):
        return after
    again = sorted({*before.get("again", ()), *only})
    return {**before, "runs": {**before["runs"], **after["runs"]}, "again": again}


def _about(given: argparse.Namespace) -> dict[str, object]:
    return {
        "data": str(QUICK if given.quick else FULL),
        "date": datetime.now(timezone.utc).date().isoformat(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "pinned": can_pin(),
        "rounds": given.rounds,
        "versions": report.versions(),
    }
