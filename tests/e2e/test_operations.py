"""What docs/operations.md and docs/check.md do with Meltano, done with the real one."""

from __future__ import annotations

import fcntl
import json
import sqlite3
import subprocess
import typing as t
import uuid
from contextlib import closing
from datetime import datetime, timedelta, timezone

import jsonschema  # type: ignore[import-untyped]
import pytest
from medchat_swell_sandbox import Dataset, Sandbox
from support.recipes import EXPORT, commands, cron_command

from .targets import duckdb_table
from .tools import ROOT, SCHEMA, TOOLS, MeltanoProject, plain_environment, programs

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STATE_ID = "prod:tap-medchat-swell-to-target-duckdb"
TODAY = datetime.now(timezone.utc).date()
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Path]:
    """A folder as a user has it: meltano.yml, Meltano in .venvs, and settings in .env.

    Its plugins are those of the other tests, so these wait (see `project`).
    """
    plugins = TOOLS / "e2e" / ".meltano"
    (tmp_path / ".meltano").mkdir()
    (tmp_path / ".venvs").mkdir()
    (tmp_path / ".venvs" / "meltano").symlink_to(programs("meltano").parent)
    for kind in ("extractors", "loaders"):
        (plugins / kind).mkdir(parents=True, exist_ok=True)
        (tmp_path / ".meltano" / kind).symlink_to(plugins / kind)
    project = MeltanoProject.copied(tmp_path, tmp_path / ".meltano" / "meltano.db")
    data = Dataset.generate(seed=7, chats=12, swell_messages=30, days=20)
    with (TOOLS / "e2e.lock").open("w") as lock, Sandbox(data) as sandbox:
        fcntl.flock(lock, fcntl.LOCK_EX)
        project.point_at(sandbox, "tap-medchat-swell")
        lines = (f"{name}='{value}'\n" for name, value in project.variables.items())
        (tmp_path / ".env").write_text("".join(lines), "utf-8")
        yield tmp_path


def shell(folder: Path, command: str, code: int = 0) -> Done:
    """Run a command in the shell of docs/operations.md."""
    done = subprocess.run(
        ["/bin/bash", "-c", f"{EXPORT}\n{command}"],
        cwd=folder,
        env=plain_environment() | {"NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def state(folder: Path, state_id: str = STATE_ID) -> dict[str, t.Any]:
    """A state as Meltano's database has it."""
    with closing(sqlite3.connect(folder / ".meltano" / "meltano.db")) as database:
        query = "SELECT completed_state FROM state WHERE state_id = ?"
        [[text]] = database.execute(query, [state_id])
    found: dict[str, t.Any] = json.loads(text)["singer_state"]
    return found


def leave_a_killed_run(folder: Path) -> None:
    """A job that Meltano believes to go on; its database must exist."""
    now = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
    job = {
        "job_name": STATE_ID,
        "run_id": uuid.uuid4().hex,
        "state": "RUNNING",
        "started_at": now,
        "last_heartbeat_at": now,
        "payload": "{}",
        "payload_flags": 0,
    }
    with closing(sqlite3.connect(folder / ".meltano" / "meltano.db")) as database, database:
        marks = ", ".join(f":{name}" for name in job)
        database.execute(f"INSERT INTO runs ({', '.join(job)}) VALUES ({marks})", job)


def test_recipes(clinic: Path) -> None:
    """A killed run, the crontab line, a forced run; then its state kept, and put back."""
    [line] = commands("A crontab line", "")
    listed = shell(clinic, "meltano schedule list --format=json").stdout
    [job] = json.loads(listed)["schedules"]["job"]
    assert line.startswith(job["cron_interval"]), "README: every-night may take its place"

    leave_a_killed_run(clinic)
    cron = subprocess.run(
        ["/bin/sh", "-c", cron_command(line, clinic)],
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "HOME": str(clinic), "NO_PROXY": "127.0.0.1"},
        check=False,
        timeout=120,
    )
    log = (clinic / "output" / "nightly.log").read_text("utf-8")
    assert cron.returncode == 1, log[-3000:]
    assert f"Another '{STATE_ID}' pipeline is already running" in log

    [force] = commands('"Another pipeline is already running"')
    assert "Everything up to" in shell(clinic, force).stderr
    nightly = state(clinic)
    keep, restore = commands("Upgrade, and roll back")
    shell(clinic, keep)

    [command] = commands("Read one month again")
    first, last = TODAY - timedelta(days=12), TODAY - timedelta(days=6)
    command = command.replace("2024-03-01", str(first)).replace("2024-04-01", str(last))
    shell(clinic, command)
    assert state(clinic) == nightly
    assert state(clinic, f"{STATE_ID}:again-2024-03") != nightly
    rows = duckdb_table(clinic / "output" / "prod.duckdb", SCHEMA, "swell_messages")
    assert len(rows) == 30, "the same rows, not twice"

    with closing(sqlite3.connect(clinic / ".meltano" / "meltano.db")) as database, database:
        database.execute("DELETE FROM state")
    shell(clinic, restore)
    assert state(clinic) == nightly


def test_check(clinic: Path) -> None:
    done = shell(clinic, "meltano invoke tap-medchat-swell --check=json")

    document = json.loads(done.stdout)
    schema = json.loads((ROOT / "docs" / "check.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)
    assert document["works"]


def test_a_check_that_fails(clinic: Path) -> None:
    wrong = "TAP_MEDCHAT_SWELL_SWELL_API_TOKEN=wrong-token"

    done = shell(clinic, f"{wrong} meltano invoke tap-medchat-swell --check", code=1)

    assert done.stdout.startswith("tap-medchat-swell ")
    assert "MedChat: a sync would work." in done.stdout
    assert "Swell: a sync would fail." in done.stdout
    assert "Check swell_api_token" in done.stdout
    assert "wrong-token" not in done.stdout + done.stderr
