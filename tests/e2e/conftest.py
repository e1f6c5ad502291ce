from __future__ import annotations

import fcntl
import shutil
import tempfile
import typing as t
from pathlib import Path

import pytest

from .tools import TOOLS, MeltanoProject, PostgreSQL

if t.TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def project(tmp_path: Path) -> Iterator[MeltanoProject]:
    """A Meltano project without state; its plugins are kept from run to run.

    One test at a time: runs side by side in one project would share a catalog file.
    """
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "e2e.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield MeltanoProject.copied(TOOLS / "e2e", tmp_path / "meltano.db")


@pytest.fixture
def postgres() -> Iterator[PostgreSQL]:
    # Not below tmp_path, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="tap-postgres-"))
    try:
        server = PostgreSQL(folder)
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
