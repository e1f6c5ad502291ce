"""The comparison: all candidates on the same data, in turn, round after round."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import typing as t
from dataclasses import asdict

from harness import environments
from harness.candidates import RAW, STREAMS, TAP
from harness.measure import run
from harness.places import BENCHMARKS, WORK
from harness.server import Data, Server

if t.TYPE_CHECKING:
    from pathlib import Path

    from harness.candidates import Candidate

TIMEOUT = 900
Numbers = dict[str, t.Any]


def compare(data: Data, candidates: list[Candidate], *, latency_ms: int, rounds: int) -> Numbers:
    """Every candidate's runs in one regime, and what the sandbox did meanwhile."""
    pin = latency_ms == 0
    runs: dict[str, list[Numbers]] = {candidate.key: [] for candidate in candidates}
    with Server(data, latency_ms=latency_ms) as server:
        truth, config = prepared(server)
        fewest = _helper("fewest.py", str(truth), server.config["start_date"])
        for number in range(1, rounds + 1):
            for candidate in candidates:
                result = one_run(candidate, server, config, truth, pin=pin)
                runs[candidate.key].append(result)
                _tell(f"{latency_ms} ms, round {number}/{rounds}", candidate, result)
        raw = one_run(RAW, server, config, truth, pin=pin) if pin else None
    return {"latency_ms": latency_ms, "fewest": fewest, "runs": runs, "raw": raw}


def one_run(
    candidate: Candidate, server: Server, config: Path, truth: Path, *, pin: bool
) -> Numbers:
    """Run one candidate once, in a fresh folder, and check what it wrote."""
    work = fresh_folder()
    server.reset()
    served = server.cpu_seconds()
    result = run(candidate.command(config, work), work, timeout=TIMEOUT, pin=pin)
    numbers = {**asdict(result), "server_cpu": server.cpu_seconds() - served, **server.seen()}
    if candidate.form != "none":
        numbers |= _helper("count_rows.py", candidate.form, str(work), str(truth))
        numbers["verdict"] = _verdict(numbers)
    if result.returncode:
        sys.stderr.write(f"{candidate.title} ended with {result.returncode}:\n{last_words(work)}\n")
    shutil.rmtree(work, ignore_errors=True)
    return numbers


def prepared(server: Server) -> tuple[Path, Path]:
    """Files of what the server holds, and of the settings; the catalog beside them."""
    config = server.write_config()
    truth = WORK / "truth.json"
    server.save_truth(truth)
    write_catalog(config)
    return truth, config


def fresh_folder() -> Path:
    """An empty folder for one run."""
    work = WORK / "run"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    return work


def last_words(work: Path) -> str:
    """The end of what a run wrote to its standard error."""
    return (work / "stderr").read_bytes()[-2000:].decode(errors="replace")


def _verdict(numbers: Numbers) -> str:
    """Whether all rows came; in words where not."""
    if numbers["timed_out"]:
        return f"stopped after {TIMEOUT} s"
    problems = [
        f"{row[what]:,} {stream} {what}"
        for stream, row in numbers["streams"].items()
        for what in ("missing", "unknown")
        if row[what]
    ]
    if numbers["returncode"]:
        problems.insert(0, f"exit code {numbers['returncode']}")
    return ", ".join(problems) or "all rows"


def write_catalog(config: Path) -> None:
    """The tap's own catalog with the three streams of the comparison selected."""
    command = [*TAP.command(config, WORK)[:5], "--discover"]
    found = subprocess.run(command, capture_output=True, check=True)  # noqa: S603
    catalog = json.loads(found.stdout)
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = stream["tap_stream_id"] in STREAMS
    (WORK / "catalog.json").write_text(json.dumps(catalog))


def _helper(script: str, *arguments: str) -> Numbers:
    command = [str(environments.python("sandbox")), str(BENCHMARKS / "harness" / script)]
    done = subprocess.run([*command, *arguments], stdout=subprocess.PIPE, check=True)  # noqa: S603
    result: Numbers = json.loads(done.stdout)
    return result


def _tell(where: str, candidate: Candidate, result: Numbers) -> None:
    sys.stderr.write(
        f"{where}: {candidate.title}: {result['wall']:.1f} s, {result['cpu']:.1f} CPU s, "
        f"{result['rss_mb']:.0f} MB, {result['medchat']}+{result['swell']} requests, "
        f"{result['verdict']}\n"
    )
