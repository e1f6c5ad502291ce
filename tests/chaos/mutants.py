"""Breaks the tap's rules one by one, in copies, and shows which of them chaos notices.

    python -m tests.chaos.mutants            all mutants, one line each
    python -m tests.chaos.mutants gt_for_ge  some, by name

A mutant that survives is a rule that this harness does not prove: exit code 1.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "tap_medchat_swell"
TESTS = ("tests/chaos/test_chaos.py", "tests/chaos/test_regressions.py")
SCHEDULES = os.environ.get("CHAOS_SCHEDULES", "150")


@dataclass(frozen=True)
class Mutant:
    """A rule, and the text in a file of the tap whose replacement breaks it."""

    name: str
    file: str
    old: str
    new: str


MUTANTS = (
    Mutant(
        "medchat_bookmark_before_window",
        "medchat/sweep.py",
        "        for reader in ReadAhead(iter(self._plan()), workers, self._leader.idle):\n",
        "        plan = self._plan()\n"
        "        for p in self._progress:\n"
        "            p.ranges.append(Range(to_epoch(p.end), to_epoch(self._end), 0, 0))\n"
        "            p.kept = len(p.ranges)\n"
        "        self._bookmark()\n"
        "        self._leader.write_state()\n"
        "        for reader in ReadAhead(iter(plan), workers, self._leader.idle):\n",
    ),
    Mutant(
        "swell_bookmark_before_window",
        "swell/streams.py",
        "        for window in ReadAhead(readers, workers, self.idle):\n            if 2",
        "        for window in ReadAhead(readers, workers, self.idle):\n"
        "            frontier.move(window.window.last)\n"
        "            if 2",
    ),
    Mutant("gt_for_ge", "medchat/api.py", "{created} ge ", "{created} gt "),
    Mutant(
        "medchat_short_page_is_the_end",
        "pagination.py",
        "        return bool(fresh) or (self.count == 1 and bool(ids))\n",
        "        return bool(fresh) and len(ids) >= self.page_size\n",
    ),
    Mutant(
        "swell_first_hint_is_the_end",
        "pagination.py",
        "        if any(hints) or not hints:\n",
        "        if all(hints):\n",
    ),
    Mutant(
        "shared_day_dropped",
        "time_ranges.py",
        "        first = end\n",
        "        first = end + timedelta(days=1)\n",
    ),
    Mutant(
        "window_end_not_looked_at",
        "medchat/settling.py",
        "        elif list(page.ids) in self._ends:\n",
        "        elif True:\n",
    ),
    Mutant(
        "seam_check_off",
        "pagination.py",
        "            raise PageDriftError\n",
        "            pass\n",
    ),
    Mutant(
        "sweep_off",
        "medchat/sweep.py",
        "        return start, start\n",
        "        if len(finished) == len(self.shares):\n"
        "            covers = max(progress.covers for progress in finished)\n"
        "            return min(self._now, *(progress.end for progress in finished)), covers\n"
        "        return start, start\n",
    ),
    Mutant(
        "digest_always_same",
        "medchat/digest.py",
        "            and self._sums.get(place, 0) == known.digest\n",
        "",
    ),
    Mutant(
        "digest_trusted_after_a_stop",
        "medchat/sweep.py",
        "            share.distrust(begin, unsure)\n",
        "            pass\n",
    ),
    Mutant(
        "swell_total_check_off",
        "swell/readings.py",
        "if has_every_row and adds_up and self._stayed and is_sure:",
        "if has_every_row:",
    ),
    Mutant(
        "no_look_at_late_changes",
        "swell/streams.py",
        "                self._read_changes(frontier, api, workers)\n",
        "",
    ),
    Mutant(
        "empty_answer_is_no_chats",
        "http/client.py",
        "return error.meant if failures[error.kind] >= self._brief_retries else None",
        "return error.meant",
    ),
    Mutant(
        "state_before_its_records",
        "writer.py",
        "        self.write_lines(self.format_message(message))\n",
        "        self._buffer[:0] = self.format_message(message)\n",
    ),
)


def broken_copy(mutant: Mutant, folder: Path) -> None:
    """Copy what a test run needs, with the mutant's file broken."""
    for name in (PACKAGE, "tests", "sandbox"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    file = folder / PACKAGE / mutant.file
    text = file.read_text("utf-8")
    file.write_text(text.replace(mutant.old, mutant.new), "utf-8")


def outcome(mutant: Mutant) -> tuple[bool, str]:
    """Whether chaos notices the mutant, and how."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name)
        broken_copy(mutant, folder)
        paths = [str(folder), str(folder / "sandbox"), os.environ.get("PYTHONPATH", "")]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", *TESTS],
            cwd=folder,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                "CHAOS_SCHEDULES": SCHEDULES,
            },
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode == 0:
        return False, "survived"
    found = re.search(r"(?:AssertionError|Error): (.{0,90})", done.stdout)
    return done.returncode == 1, found[1] if found else done.stdout[-300:]


def main() -> int:
    """Try all mutants, or those that are named."""
    named = set(sys.argv[1:])
    survivors = 0
    for mutant in MUTANTS:
        if named and mutant.name not in named:
            continue
        started = time.monotonic()
        noticed, how = outcome(mutant)
        survivors += not noticed
        verdict = "noticed" if noticed else "SURVIVED"
        took = time.monotonic() - started
        sys.stdout.write(f"| {mutant.name} | {verdict} | {took:.0f} s | {how} |\n")
        sys.stdout.flush()
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main())
