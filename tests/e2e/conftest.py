"""Whole runs with real counterparts: Meltano, databases, singer-check-tap."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import typing as t
from pathlib import Path

import pytest

from .loads import FORMS, make_loads
from .targets import TARGETS
from .tools import S3, TOOLS, Dbt, MeltanoProject, PostgreSQL

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest.terminal import TerminalReporter


@pytest.fixture
def project(tmp_path: Path) -> Iterator[MeltanoProject]:
    """A Meltano project without state; its plugins are kept from run to run.

    One test at a time: runs side by side in one project would share a catalog file.
    """
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "e2e.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield MeltanoProject.copied(TOOLS / "e2e", tmp_path / "meltano.db")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgreSQL]:
    # Not below pytest's folder, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="tap-postgres-"))
    try:
        server = PostgreSQL(folder)
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    server = S3(tmp_path_factory.mktemp("s3"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def dbt() -> Iterator[Dbt]:
    process = Dbt()
    yield process
    process.stop()


@pytest.fixture(scope="session")
def loads(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """What `make_loads` writes. The first worker that wants it makes it for all."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "loads"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            scratch = Path(tempfile.mkdtemp(dir=folder.parent))
            make_loads(scratch)
            scratch.rename(folder)
    return folder


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """With all targets, what came of each form; "-" is not tried, "no" is known to fail."""
    if os.environ.get("TARGETS") != "all":
        return
    failed = " ".join(report.nodeid for report in terminalreporter.stats.get("failed", ()))
    passed = " ".join(report.nodeid for report in terminalreporter.stats.get("passed", ()))
    terminalreporter.section("targets")
    width = max(len(target.name) for target in TARGETS)
    terminalreporter.line(" ".join(["".ljust(width), *FORMS]))
    for target in TARGETS:
        words = []
        for form in FORMS:
            case = f"[{target.name}: {form}]"
            word = "FAILED" if case in failed else "yes" if case in passed else "-"
            word = "no" if word == "yes" and form in target.fails else word
            words.append(word.center(len(form)))
        terminalreporter.line(" ".join([target.name.ljust(width), *words]))
