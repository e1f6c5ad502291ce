"""One run of one command: time, processor time, memory, and what came out of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
import typing as t
from dataclasses import dataclass

from harness.cores import CANDIDATE_CORE, SERVER_CORE, pinned

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# ru_maxrss is in KiB on Linux and in bytes on macOS.
RSS_UNIT = 1 if os.uname().sysname == "Darwin" else 1024


@dataclass(frozen=True)
class Run:
    """What a run cost."""

    wall: float
    cpu: float
    rss_mb: float
    returncode: int
    timed_out: bool


def run(command: list[str], work: Path, *, timeout: float, pin: bool = False) -> Run:
    """Run a command, its output going through a pipe, as to a target, to files in `work`."""
    environment = {
        **{key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ},
        "NO_PROXY": "127.0.0.1",
        "TMPDIR": str(work),
    }
    core = CANDIDATE_CORE if pin else None
    with _pipe_into(work / "stdout") as pipe, (work / "stderr").open("wb") as err:
        started = time.perf_counter()
        process = subprocess.Popen(  # noqa: S603
            pinned(command, core),
            stdout=pipe,
            stderr=err,
            cwd=work,
            env=environment,
            start_new_session=True,
        )
        with _ended_after(timeout, process.pid) as is_over:
            _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    return Run(
        wall=wall,
        cpu=usage.ru_utime + usage.ru_stime,
        rss_mb=usage.ru_maxrss * RSS_UNIT / 1e6,
        returncode=process.returncode,
        timed_out=is_over.is_set(),
    )


@contextlib.contextmanager
def _pipe_into(path: Path) -> Iterator[t.IO[bytes]]:
    """A pipe whose reader keeps what comes in a file; all of it, once this is left."""
    command = pinned([str(shutil.which("cat"))], SERVER_CORE)
    with path.open("wb") as out:
        reader = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out)  # noqa: S603
    with reader, t.cast("t.IO[bytes]", reader.stdin) as pipe:
        yield pipe


@contextlib.contextmanager
def _ended_after(seconds: float, group: int) -> Iterator[threading.Event]:
    """End a process and its children when the time is over, or when this is left."""
    is_over = threading.Event()

    def end() -> None:
        is_over.set()
        _kill(group)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield is_over
    finally:
        timer.cancel()
        _kill(group)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
