"""`meltano run` with this project's meltano.yml, into real databases."""

from __future__ import annotations

import re
import typing as t

from medchat_swell_sandbox import Sandbox

from .comparison import assert_table
from .loads import FORMS, expected, history, let_things_happen, rows_held
from .targets import EMPTY_IS_NULL, duckdb_table
from .tools import SCHEMA

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tap_runs import Record

    from .targets import Loss
    from .tools import MeltanoProject, PostgreSQL


def full_and_incremental(
    project: MeltanoProject, target: str, rows_of: Callable[[str], list[Record]], *losses: Loss
) -> tuple[str, str]:
    """The logs of both runs; what the target holds after each is compared."""
    dataset = history()
    with Sandbox(dataset) as sandbox:
        project.point_at(sandbox, "tap-medchat-swell", medchat_page_size=10, medchat_window_pages=1)
        full = project.meltano("run", "tap-medchat-swell", target)
        assert_held(rows_of, sandbox, losses)

        let_things_happen(dataset)
        incremental = project.meltano("run", "tap-medchat-swell", target)
        assert_held(rows_of, sandbox, losses)
    return full, incremental


def assert_held(
    rows_of: Callable[[str], list[Record]], sandbox: Sandbox, losses: tuple[Loss, ...]
) -> None:
    for table, wanted in expected(rows_held(sandbox), FORMS["plain"]).items():
        assert_table(table, rows_of(table), wanted, losses)


def test_duckdb(project: MeltanoProject, tmp_path: Path) -> None:
    file = tmp_path / "warehouse.duckdb"
    project.variables["TARGET_DUCKDB_FILEPATH"] = str(file)

    full, incremental = full_and_incremental(
        project, "target-duckdb", lambda table: duckdb_table(file, SCHEMA, table), EMPTY_IS_NULL
    )

    assert rows_loaded(incremental) < rows_loaded(full) / 3


def rows_loaded(log: str) -> int:
    counts = re.findall(r"Loading (\d+) rows into", log)
    assert counts
    return sum(map(int, counts))


def test_postgres(project: MeltanoProject, postgres: PostgreSQL) -> None:
    project.variables |= {
        "TARGET_POSTGRES_HOST": "127.0.0.1",
        "TARGET_POSTGRES_PORT": str(postgres.port),
        "TARGET_POSTGRES_USER": "tap",
        "TARGET_POSTGRES_PASSWORD": "none is needed",
        "TARGET_POSTGRES_DATABASE": "postgres",
    }

    full_and_incremental(project, "target-postgres", postgres.rows)
