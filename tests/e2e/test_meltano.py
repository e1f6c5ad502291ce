"""`meltano run` with this project's meltano.yml, into real databases."""

from __future__ import annotations

import re
import typing as t
from datetime import datetime

from medchat_swell_sandbox import Dataset, Sandbox
from tap_runs import STREAMS, contact_held

from .tools import MeltanoProject, PostgreSQL, Row, Tables, duckdb_rows

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


KEYS = dict.fromkeys(STREAMS, "id") | {"swell_message_counts": "date"}
# What the sandbox knows of a message and Swell does not tell.
UNTOLD = {"swell_messages": {"team_id", "updated_at"}}


def history() -> Dataset:
    return Dataset.generate(seed=11, chats=120, swell_messages=300, days=60)


def let_things_happen(dataset: Dataset) -> None:
    """Everything that a tap can see. Deletions it cannot."""
    chats = dataset.chats_created(None, None)
    for chat in chats[::30]:
        dataset.add_message(chat.id, text="years later \u2713\nand more", direction="Inbound")
        dataset.change_chat(chat.id, status="Ended", name="Someone Else")
    busy = max(chats, key=lambda chat: len(chat.messages))
    dataset.change_message(busy.id, busy.messages[0].id, status="Failed")
    dataset.add_message(dataset.add_chat(name=None).id, text="first words")
    old = dataset.messages_created(None, None)
    for contact in list(dataset.contacts)[:3]:
        dataset.add_swell_message(contact, text="a new one")
    dataset.change_swell_message(old[3].id, read=not old[3].read, status="Close")
    dataset.change_swell_message(old[-1].id, text="corrected")


def in_one_form(value: object) -> object:
    """Instants as the tap writes them."""
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?", value):
        value = datetime.fromisoformat(value)
    return value.isoformat("T", "microseconds") + "Z" if isinstance(value, datetime) else value


def assert_held(tables: Tables, sandbox: Sandbox, *, empty_is_null: bool) -> None:
    """Every row that the sandbox holds is there, with every value, and no other row is."""
    for stream, wanted in sandbox.truth().items():
        rows = {row[KEYS[stream]]: row for row in tables[stream]}
        assert len(rows) == len(tables[stream])
        if stream == "swell_message_counts":
            rows = {day: row for day, row in rows.items() if row["sent"] or row["received"]}
        assert rows.keys() == {row[KEYS[stream]] for row in wanted}, stream
        for truth in wanted:
            assert_row_held(stream, rows[truth[KEYS[stream]]], truth, empty_is_null=empty_is_null)


def assert_row_held(stream: str, row: Row, truth: Row, *, empty_is_null: bool) -> None:
    extras = row["additional_properties"] or {}
    for column, value in truth.items():
        place = f"{stream} {truth.get('id')} {column}"
        if column == "date_sent":
            assert in_one_form(row["date_sent_utc"]) == value, place
        elif column == "contact":
            held = contact_held(row["contact"])
            assert {name: held[name] for name in value} == value, place
        elif column in row:
            wanted = None if value == "" and empty_is_null else value
            assert in_one_form(row[column]) == wanted, place
        elif column in extras:
            assert in_one_form(extras[column]) == value, place
        else:
            assert column in UNTOLD[stream], place


def assert_full_and_incremental(
    project: MeltanoProject,
    target: str,
    rows_of: Callable[[str], list[Row]],
    *,
    empty_is_null: bool = False,
) -> tuple[str, str]:
    dataset = history()
    with Sandbox(dataset) as sandbox:
        project.point_at(sandbox, "tap-medchat-swell", medchat_page_size=10, medchat_window_pages=1)
        full = project.meltano("run", "tap-medchat-swell", target)
        tables = {stream: rows_of(stream) for stream in STREAMS}
        assert_held(tables, sandbox, empty_is_null=empty_is_null)

        let_things_happen(dataset)
        incremental = project.meltano("run", "tap-medchat-swell", target)
        tables = {stream: rows_of(stream) for stream in STREAMS}
        assert_held(tables, sandbox, empty_is_null=empty_is_null)
    return full, incremental


def test_duckdb(project: MeltanoProject, tmp_path: Path) -> None:
    file = tmp_path / "warehouse.duckdb"
    project.variables["TARGET_DUCKDB_FILEPATH"] = str(file)

    full, incremental = assert_full_and_incremental(
        project, "target-duckdb", lambda table: duckdb_rows(file, table), empty_is_null=True
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

    assert_full_and_incremental(project, "target-postgres", postgres.rows)
