from __future__ import annotations

import shutil
import tempfile
import typing as t
from pathlib import Path

import pytest

from .tools import TOOLS, MeltanoProject, PostgreSQL

if t.TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def project(tmp_path: Path) -> MeltanoProject:
    """A Meltano project without state; its plugins are kept from run to run."""
    return MeltanoProject.copied(TOOLS / "e2e", tmp_path / "meltano.db")


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
