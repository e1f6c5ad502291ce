"""Measures what each privacy profile costs: whole runs of the tap against the sandbox.

    .venv/bin/python scripts/bench_privacy.py [rounds]

Prints the processor seconds of the fastest run of each profile, without what starting takes, and
how that compares with the profile `none`.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from medchat_swell_sandbox import Dataset, Sandbox

from tap_medchat_swell.privacy.profiles import PROFILES

COMMAND = (sys.executable, "-m", "tap_medchat_swell", "--config")


def processor_seconds(config: Path, *arguments: str) -> float:
    """What one run of the tap takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    subprocess.run(  # noqa: S603 - this tap
        [*COMMAND, str(config), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
        check=True,
    )
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def main() -> None:
    """Print a line per profile."""
    rounds = int(sys.argv[1]) if sys.argv[1:] else 5
    data = Dataset.generate(seed=1, chats=4000, messages_per_chat=3, swell_messages=12_000, days=60)
    taken: dict[str, list[float]] = {name: [] for name in PROFILES}
    with Sandbox(data) as sandbox, tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"
        for _ in range(rounds):
            for name, seconds in taken.items():  # in turn, so that a busy moment hits all
                given = sandbox.tap_config(privacy_profile=name, pseudonym_key="k" * 32)
                config.write_text(json.dumps(given), "utf-8")
                seconds.append(processor_seconds(config))
        start_up = min(processor_seconds(config, "--discover") for _ in range(rounds))
    for name, seconds in taken.items():
        own, base = min(seconds) - start_up, min(taken["none"]) - start_up
        print(f"{name:16}{own:6.2f} s{own / base:6.2f}x")


if __name__ == "__main__":
    main()
