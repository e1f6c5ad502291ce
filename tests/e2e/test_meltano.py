"""`meltano run` with this project's meltano.yml, into real databases."""

from __future__ import annotations

import re
import typing as t

import pytest
from medchat_swell_sandbox import Dataset, Sandbox
from support.tap_runs import DEFAULT_STREAMS

from .comparison import assert_table
from .loads import FORMS, expected, history, let_things_happen, rows_held
from .targets import EMPTY_IS_NULL, duckdb_table
from .tools import ROOT, SCHEMA, MeltanoProject

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.tap_runs import Record

    from .targets import Loss
    from .tools import PostgreSQL


def full_and_incremental(
    project: MeltanoProject,
    target: str,
    nightly: tuple[str, ...],
    rows_of: Callable[..., list[Record]],
    *losses: Loss,
) -> tuple[str, str]:
    """The logs of both runs; what the target holds after each is compared, and what dbt made."""
    dataset = history()
    with Sandbox(dataset) as sandbox:
        project.point_at(sandbox, "tap-medchat-swell", medchat_page_size=10, medchat_window_pages=1)
        full = project.meltano("run", "tap-medchat-swell", target)
        assert_held(rows_of, sandbox, losses)

        let_things_happen(dataset)
        incremental = project.meltano("run", *nightly)
        assert_held(rows_of, sandbox, losses)
        truth = rows_held(sandbox)
    messages = rows_of("medchat_swell__messages", "medchat_swell")
    loaded = [row for name in ("sms_messages", "swell_messages") for row in truth[name]]
    assert {row["message_id"] for row in messages} == {str(row["id"]) for row in loaded}
    assert len(messages) == len(loaded)
    return full, incremental


def assert_held(
    rows_of: Callable[[str], list[Record]], sandbox: Sandbox, losses: tuple[Loss, ...]
) -> None:
    for table, wanted in expected(rows_held(sandbox), FORMS["plain"]).items():
        assert_table(table, rows_of(table), wanted, losses)


def test_duckdb(project: MeltanoProject, tmp_path: Path) -> None:
    file = tmp_path / "warehouse.duckdb"
    project.variables["TARGET_DUCKDB_FILEPATH"] = str(file)

    project.variables["DBT_DUCKDB_FILEPATH"] = str(file)

    full, incremental = full_and_incremental(
        project,
        "target-duckdb",
        ("nightly",),
        lambda table, schema=SCHEMA: duckdb_table(file, schema, table),
        EMPTY_IS_NULL,
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

    for name in ("HOST", "PORT", "USER", "PASSWORD", "DATABASE"):
        project.variables[f"DBT_POSTGRES_{name}"] = project.variables[f"TARGET_POSTGRES_{name}"]
    nightly = ("tap-medchat-swell", "target-postgres", "dbt-postgres:build")

    full_and_incremental(project, "target-postgres", nightly, postgres.rows)


@pytest.fixture
def to_jsonl(project: MeltanoProject, tmp_path: Path) -> Iterator[MeltanoProject]:
    """A project that loads a small sandbox into `tmp_path`."""
    with Sandbox(Dataset.generate(seed=1, chats=5, swell_messages=5)) as sandbox:
        project.point_at(sandbox, "tap-medchat-swell")
        project.variables["TARGET_JSONL_DESTINATION_PATH"] = str(tmp_path)
        yield project


def test_meltanos_default_select_reads_no_optional_streams(
    to_jsonl: MeltanoProject, tmp_path: Path
) -> None:
    """`meltano add` writes no `select`, which is the same as this."""
    to_jsonl.variables["TAP_MEDCHAT_SWELL__SELECT"] = '["*.*"]'

    to_jsonl.meltano("run", "tap-medchat-swell", "target-jsonl")

    assert {file.stem for file in tmp_path.glob("*.jsonl")} == set(DEFAULT_STREAMS)


def test_a_select_pattern_that_matches_nothing(to_jsonl: MeltanoProject) -> None:
    patterns = '["*.*", "!swell_messages.contact__phone"]'
    to_jsonl.variables["TAP_MEDCHAT_SWELL__SELECT"] = patterns

    log = to_jsonl.meltano("run", "tap-medchat-swell", "target-jsonl", code=1)

    assert "'!swell_messages.contact__phone' matches nothing. Did you mean 'contact.phone'?" in log


def test_a_log_level_for_the_tap(to_jsonl: MeltanoProject) -> None:
    """Meltano's own level, which shows whole records, stays as it is."""
    run = ("run", "tap-medchat-swell", "target-jsonl")
    assert "DEBUG" not in to_jsonl.meltano(*run)

    to_jsonl.variables["TAP_MEDCHAT_SWELL_LOGLEVEL"] = "DEBUG"
    log = to_jsonl.meltano(*run)

    assert re.search(r"tap-medchat-swell .* \| DEBUG +\| tap-medchat-swell", log)


def test_blank_numbers_count_as_unset(to_jsonl: MeltanoProject, tmp_path: Path) -> None:
    names = ("MEDCHAT_RESCAN_DAYS", "MAX_RETRIES", "FLATTENING_MAX_DEPTH", "SWELL_STATUS")
    to_jsonl.variables |= {f"TAP_MEDCHAT_SWELL_{name}": "" for name in names}

    to_jsonl.meltano("run", "tap-medchat-swell", "target-jsonl")

    assert (tmp_path / "swell_messages.jsonl").stat().st_size


def test_meltano_keeps_the_form_of_its_file(tmp_path: Path) -> None:
    before = (ROOT / "meltano.yml").read_text("utf-8")
    file = tmp_path / "meltano.yml"
    file.write_text(before, "utf-8")

    project = MeltanoProject(tmp_path, tmp_path / "meltano.db")
    project.meltano("--no-environment", "select", "tap-medchat-swell", "sms_memberships", "*")

    after = file.read_text("utf-8")
    assert after.replace("    - sms_memberships.*\n", "", 1) == before != after
