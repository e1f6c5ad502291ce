"""The DAGs of deploy/airflow, run by Airflow itself: many accounts, a history in parts.

Tap and target are those of the image.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import socket
import sqlite3
import subprocess
import typing as t
from dataclasses import dataclass
from datetime import timedelta

import pytest
from medchat_swell_runs.parts import plan
from medchat_swell_runs.states import MeltanoStates
from medchat_swell_sandbox import Dataset, Sandbox
from medchat_swell_sandbox.credentials import Credentials

from .image import build
from .targets import duckdb_table
from .tools import ROOT, PostgreSQL, Row, plain_environment, programs, run_program

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ACCOUNTS, BAD_TOKENS, DOWN = 50, (7, 21, 42), 33
PARTS = 60
SCHEMA = "clinics"
STREAMS = ("sms_chats", "sms_messages", "swell_messages")
# Kills the tap when it reads the third part for the first time.
KILLED_ONCE = """#!/bin/sh
if [ "$TAP_MEDCHAT_SWELL_START_DATE" = "{start}" ] && mkdir '{folder}/killed' 2>/dev/null; then
    {tap} "$@" | head -c 5000
    kill -9 $$
fi
exec {tap} "$@"
"""


@dataclass
class Airflow:
    """Airflow in a folder of its own, with SQLite; it runs a DAG without a scheduler."""

    folder: Path
    variables: dict[str, str]

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of Airflow's."""
        environment = plain_environment() | self.variables
        environment |= {
            "AIRFLOW_HOME": str(self.folder),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "deploy" / "airflow" / "dags"),
            "NO_COLOR": "1",
        }
        command = [programs("airflow") / "airflow", *arguments]
        return run_program(command, self.folder, environment, seconds=900)

    def connect(self, name: str, **settings: object) -> None:
        """Define the connection medchat_swell_<name>."""
        document = json.dumps({"conn_type": "generic", "extra": settings})
        self.variables[f"AIRFLOW_CONN_MEDCHAT_SWELL_{name.upper()}"] = document

    def tasks(self, dag: str) -> list[tuple[str, int, str]]:
        """The name, map index and state of each task of the last run."""
        with contextlib.closing(sqlite3.connect(self.folder / "airflow.db")) as database:
            sql = "SELECT task_id, map_index, state FROM task_instance WHERE dag_id = ?"
            return database.execute(sql, (dag,)).fetchall()

    def everything(self) -> bytes:
        """All that Airflow has kept: logs, and its database with all that was deleted."""
        return b"\n".join(path.read_bytes() for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An empty database of Airflow's."""
    airflow = Airflow(tmp_path_factory.mktemp("airflow"), {})
    done = airflow("db", "migrate")
    assert done.returncode == 0, done.stdout[-3000:]
    return (airflow.folder / "airflow.db").read_bytes()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is /opt in the image of the Containerfile."""
    return build(tmp_path_factory.mktemp("image"))


@pytest.fixture
def airflow(prepared: bytes, tmp_path: Path, image: Path) -> Airflow:
    folder = tmp_path / "airflow"
    folder.mkdir()
    (folder / "airflow.db").write_bytes(prepared)
    target = image / "target" / "bin" / "target-postgres"
    return Airflow(
        folder,
        {
            "MEDCHAT_SWELL_TAP": str(image / "tap" / "bin" / "tap-medchat-swell"),
            "MEDCHAT_SWELL_TARGET": f"{target} --config ENV",
            "MEDCHAT_SWELL_STATES": str(tmp_path / "states"),
            "MEDCHAT_SWELL_RETRIES": "0",
            "MEDCHAT_SWELL_RETRY_SECONDS": "0",
        },
    )


def into_postgres(airflow: Airflow, postgres: PostgreSQL) -> None:
    airflow.connect(
        "target",
        TARGET_POSTGRES_HOST="127.0.0.1",
        TARGET_POSTGRES_PORT=str(postgres.port),
        TARGET_POSTGRES_USER="tap",
        TARGET_POSTGRES_PASSWORD="pgCanary",
        TARGET_POSTGRES_DATABASE="postgres",
        TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA=SCHEMA,
    )


def into_duckdb(airflow: Airflow, folder: Path) -> Path:
    """Have the target that starts fastest write into a database of its own."""
    database, config = folder / "warehouse.duckdb", folder / "duckdb.json"
    settings = {"filepath": str(database), "default_target_schema": SCHEMA}
    config.write_text(json.dumps({**settings, "add_metadata_columns": True}), "utf-8")
    target = programs("target-duckdb") / "target-duckdb"
    airflow.variables["MEDCHAT_SWELL_TARGET"] = shlex.join([str(target), "--config", str(config)])
    airflow.connect("target")
    return database


def clinic(number: int) -> str:
    return f"clinic_{number:02}"


def rows(number: int) -> Dataset:
    """An account's rows; Swell's ids are numbers that no other account has."""
    data = Dataset.generate(
        seed=100 + number, chats=8, messages_per_chat=2, swell_messages=0, days=6
    )
    data._last_message_id = 100 * number
    for days in range(6):
        data.add_swell_message(created=data.oldest() + timedelta(days=days))
    return data


@contextlib.contextmanager
def clinics() -> Iterator[dict[str, Sandbox]]:
    """A sandbox per account, each with its own rows and tokens."""
    with contextlib.ExitStack() as stack:
        yield {
            clinic(number): stack.enter_context(
                Sandbox(
                    rows(number),
                    credentials=Credentials(
                        medchat_access_token=f"mcCanary{number}",
                        swell_api_token=f"swCanary{number}",
                    ),
                )
            )
            for number in range(ACCOUNTS)
        }


def rows_of(sandbox: Sandbox, account: str) -> dict[str, set[tuple[str, str]]]:
    truth = sandbox.truth()
    return {stream: {(account, str(row["id"])) for row in truth[stream]} for stream in STREAMS}


def keys(rows: list[Row]) -> list[tuple[str, str]]:
    return [(row["account_name"], str(row["id"])) for row in rows]


def test_a_night_of_many_accounts(airflow: Airflow, postgres: PostgreSQL) -> None:
    failing = {clinic(number) for number in (*BAD_TOKENS, DOWN)}
    into_postgres(airflow, postgres)
    with clinics() as sandboxes, socket.create_server(("127.0.0.1", 0)) as free:
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
        free.close()
        for number, (account, sandbox) in enumerate(sandboxes.items()):
            settings = sandbox.tap_config()
            if number in BAD_TOKENS:
                settings |= {"medchat_access_token": "badCanary", "swell_api_token": "badCanary"}
            if number == DOWN:
                settings |= {"max_retries": 0, "medchat_api_url": nobody, "swell_api_url": nobody}
            airflow.connect(account, **settings)
        airflow.connect("accounts", accounts=list(sandboxes))

        done = airflow("dags", "test", "medchat_swell_nightly")

        truth = {name: rows_of(sandbox, name) for name, sandbox in sandboxes.items()}
    tasks = airflow.tasks("medchat_swell_nightly")
    states = {index: state for name, index, state in tasks if name == "load"}
    assert len(states) == ACCOUNTS, done.stdout[-5000:]
    assert {clinic(number) for number in states if states[number] == "failed"} == failing
    assert {states[number] for number in states} == {"failed", "success"}
    for stream in STREAMS:
        rows = keys(postgres.rows(stream, SCHEMA))
        wanted = set().union(*(truth[name][stream] for name in truth if name not in failing))
        assert len(rows) == len(set(rows))
        assert set(rows) == wanted, stream
    assert f"4 of {ACCOUNTS} accounts are not complete: {', '.join(sorted(failing))}" in done.stdout
    assert done.stdout.count("AirflowFailException: Not read completely") >= len(BAD_TOKENS)
    assert "rejected the credentials (401" in done.stdout
    for place in (done.stdout.encode(), airflow.everything()):
        assert b"Canary" not in place


def test_a_history_in_parts_one_of_which_is_killed(airflow: Airflow, tmp_path: Path) -> None:
    data = Dataset.generate(
        seed=3, chats=2 * PARTS, messages_per_chat=3, swell_messages=2 * PARTS, days=PARTS + 2
    )
    database = into_duckdb(airflow, tmp_path)
    with Sandbox(data) as sandbox:
        config = sandbox.tap_config()
        planned = plan("north", str(config["start_date"]), None, PARTS)
        tap = tmp_path / "tap"
        script = KILLED_ONCE.format(
            start=planned[2]["dates"]["start_date"],
            folder=tmp_path,
            tap=airflow.variables["MEDCHAT_SWELL_TAP"],
        )
        tap.write_text(script, "utf-8")
        tap.chmod(0o755)
        airflow.variables |= {"MEDCHAT_SWELL_TAP": str(tap), "MEDCHAT_SWELL_RETRIES": "1"}
        airflow.connect("north", **config)
        airflow.connect("accounts", accounts=["north"])

        conf = json.dumps({"account": "north", "parts": PARTS})
        done = airflow("dags", "test", "medchat_swell_backfill", "-c", conf)

        assert (tmp_path / "killed").exists()
        assert "The tap was killed by signal 9." in done.stdout
        assert done.returncode == 0, done.stdout[-5000:]
        tasks = airflow.tasks("medchat_swell_backfill")
        assert sorted(index for name, index, _ in tasks if name == "read") == [*range(PARTS)]
        assert {state for *_, state in tasks} == {"success"}
        for stream, rows in rows_of(sandbox, "north").items():
            found = keys(duckdb_table(database, SCHEMA, stream))
            assert len(found) == len(set(found))
            assert set(found) == rows
        before = received(database)
        night = airflow("dags", "test", "medchat_swell_nightly")
        assert night.returncode == 0, night.stdout[-5000:]
        assert received(database) == before, "nothing old is written again"


def received(database: Path) -> list[str]:
    """When the chats' messages were written."""
    rows = duckdb_table(database, SCHEMA, "sms_messages")
    return sorted(str(row["_sdc_batched_at"]) for row in rows)


def test_states_in_meltano(tmp_path: Path) -> None:
    (tmp_path / "meltano.yml").write_text(
        "default_environment: prod\nenvironments: [{name: prod}]\n"
    )
    store = MeltanoStates(tmp_path, str(programs("meltano") / "meltano"))

    assert store.get("north") is None
    for number in (1, 2):
        store.put("north", {"bookmarks": {"a": {str(number): number}}})

    assert store.get("north") == {"bookmarks": {"a": {"2": 2}}}
    assert store.get("south") is None
    with pytest.raises(RuntimeError, match="meltano state set failed"):
        MeltanoStates(tmp_path / "..", store.meltano).put("north", {})


def test_states_wherever_fsspec_leads() -> None:
    """fsspec comes with Airflow, so in its environment."""
    script = """
from medchat_swell_runs.states import open_store
store = open_store("memory://bucket/states")
assert store.get("north/1") is None
for number in (1, 2):
    store.put("north/1", {"bookmarks": {"a": number}})
assert store.get("north/1") == {"bookmarks": {"a": 2}}
assert open_store("memory://bucket/states").get("north") is None
"""
    dags = str(ROOT / "deploy" / "airflow" / "dags")
    subprocess.run(
        [programs("airflow") / "python", "-c", script],
        env=plain_environment() | {"PYTHONPATH": dags},
        check=True,
    )
