"""What is measured of the tap alone: memory, start-up, and a throttled vendor."""

from __future__ import annotations

import statistics
import typing as t

from harness import environments
from harness.candidates import CANDIDATES_ALL, PLAIN, TAP
from harness.comparison import fresh_folder, last_words, one_run, prepared, write_catalog
from harness.measure import run
from harness.places import WORK
from harness.server import Data, Server

if t.TYPE_CHECKING:
    from pathlib import Path

Numbers = dict[str, t.Any]
PERIOD = 60
PER_PERIOD = 60
TENFOLD = 10


def memory(data: Data, rounds: int) -> list[Numbers]:
    """Peak memory of the tap for the history, and for ten times as much of it."""
    results = []
    for factor in (1, TENFOLD):
        with Server(data.times(factor)) as server:
            truth, config = prepared(server)
            runs = [one_run(TAP, server, config, truth, pin=True) for _ in range(rounds)]
        results.append({"factor": factor, "runs": runs})
    return results


def start_up(rounds: int) -> Numbers:
    """Seconds until each is done with nothing; in turn, medians."""
    results: dict[str, list[float]] = {}
    with Server(Data(1, 1, 1)) as server:
        config = server.write_config(start_date=server.config["start_date"])
        write_catalog(config)
        commands = _start_up_commands(config)
        for _ in range(rounds):
            for name, command in commands.items():
                work = fresh_folder()
                done = run(command, work, timeout=120)
                if done.returncode:
                    raise SystemExit(f"{name} failed:\n{last_words(work)}")
                results.setdefault(name, []).append(done.wall)
    return {name: statistics.median(walls) for name, walls in results.items()}


def _start_up_commands(config: Path) -> dict[str, list[str]]:
    work = WORK / "run"
    tap, plain = TAP.command(config, work)[:3], PLAIN.command(config, work)[:2]
    commands = {
        "import singer_sdk": [str(environments.python("tap")), "-c", "import singer_sdk"],
        "tap --help": [*tap, "--help"],
        "plain --help": [*plain, "--help"],
        "tap --discover": [*tap, "--config", str(config), "--discover"],
        "plain --discover": [*plain, "--config", str(config), "--discover"],
    }
    named = {candidate.key: candidate for candidate in CANDIDATES_ALL}
    for key in ("tap", "plain", "dlt-extract", "airbyte", "floor"):
        commands[f"{key} sync"] = named[key].command(config, work)
    return commands


def throttled(data: Data) -> Numbers:
    """The tap against Laravel's throttle of 60 a minute, and what that allows at best.

    Laravel counts in periods that begin with their first request: n requests cannot be
    done before (n - 1) // 60 whole periods are over.
    """
    quirk = f"swell_throttle_per_minute={PER_PERIOD}"
    with Server(data, quirks=(quirk,)) as server:
        truth, config = prepared(server)
        result = one_run(TAP, server, config, truth, pin=False)
    answered = result["swell"] - result["refused"]
    result["allowed"] = (answered - 1) // PER_PERIOD * PERIOD
    return result
