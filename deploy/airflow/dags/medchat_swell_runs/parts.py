"""The parts of a history that tasks read side by side, and the state that they leave."""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
import typing as t
from datetime import datetime, timedelta, timezone
from pathlib import Path

if t.TYPE_CHECKING:
    from medchat_swell_runs.states import StateStore


PART_MINUTES = 15
MAX_PARTS = 1024  # Airflow's core.max_map_length


class Part(t.TypedDict):
    """What a task reads: `dates` are the tap's start_date and end_date."""

    account: str
    state_name: str
    dates: dict[str, str]


def suggested_count(check: dict[str, t.Any]) -> int:
    """How many parts of about PART_MINUTES a history has, by the estimate of --check=json."""
    estimates = [vendor["estimate"] for vendor in check["vendors"] if vendor["estimate"]]
    minutes = max((estimate["first_load"]["minutes"] for estimate in estimates), default=0)
    return min(MAX_PARTS, max(1, math.ceil(minutes / PART_MINUTES)))


def plan(account: str, start: str, end: str | None, count: int) -> list[Part]:
    """At most so many parts of whole days (UTC). Without `end`, the last one has no end."""
    first, last = _instant(start), _instant(end) if end else datetime.now(timezone.utc)
    days = max(1, (last - first).days)
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    cuts = sorted({midnight + timedelta(days=days * n // count) for n in range(1, count)})
    inner = [_text(cut) for cut in cuts if first < cut < last]
    starts, ends = [start, *inner], [*inner, end or ""]
    return [
        Part(
            account=account,
            state_name=f"{account}.part.{begin}.{until or 'open'}",
            dates={"start_date": begin, "end_date": until},  # the tap takes "" as unset
        )
        for begin, until in zip(starts, ends, strict=True)
    ]


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return instant if instant.tzinfo else instant.replace(tzinfo=timezone.utc)


def _text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def gather(tap: list[str], store: StateStore, parts: list[Part]) -> None:
    """Store one state for what all parts, and the account's runs before, have read.

    Raises RuntimeError with the tap's sentence if it would claim a gap.
    """
    [account] = {part["account"] for part in parts}
    states = [store.get(part["state_name"]) for part in parts]
    states += [state for state in [store.get(account)] if state]
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number, state in enumerate(states):
            files.append(Path(folder, f"{number}.json"))
            files[-1].write_text(json.dumps(state or {}), "utf-8")
        done = subprocess.run(  # noqa: S603 - no shell
            [*tap, "--merge-states", *map(str, files)],
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().rpartition(" | ")[2] or "The tap failed.")
    store.put(account, json.loads(done.stdout))
