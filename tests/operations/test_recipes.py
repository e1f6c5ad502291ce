"""docs/operations.md: each recipe's commands run as written, but for dates and durations.

In place of Meltano stands a script that runs the real tap with a state per state id. What is
Meltano's own is done by the real one in tests/e2e/test_operations.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import typing as t
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import duckdb
import pytest
from medchat_swell_sandbox import Fault
from support.recipes import EXPORT, commands, cron_command
from support.tap_process import Run
from support.tap_runs import assert_whole, environment

if t.TYPE_CHECKING:
    from pathlib import Path

    from medchat_swell_sandbox import Sandbox

Config = dict[str, t.Any]
TODAY = datetime.now(timezone.utc).date()
# A shell starts it: a first line cannot hold a path with spaces.
MELTANO = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
'''
import json, os, pathlib, subprocess, sys
here, arguments = pathlib.Path({folder!r}), sys.argv[1:]
with (here / "calls").open("a") as calls:
    calls.write(json.dumps([os.environ.get("MELTANO_ENVIRONMENT"), *arguments]) + "\\n")
if arguments[0] == "state":
    file = here / "state-.json"
    if arguments[1] == "get":
        sys.stdout.write(file.read_text())
    else:
        given = arguments[arguments.index("--input-file") + 1]
        file.write_text(pathlib.Path(given).read_text())
    sys.exit()
suffix = next((a.partition("=")[2] for a in arguments if a.startswith("--state-id-suffix=")), "")
file = here / f"state-{{suffix}}.json"
state = ["--state", str(file)] if file.exists() and "--full-refresh" not in arguments else []
command = [sys.executable, "-m", "tap_medchat_swell", "--config", "ENV", *state]
tap = subprocess.Popen(command, stdout=subprocess.PIPE)
with (here / "out.jsonl").open("ab") as out:
    for line in tap.stdout:
        out.write(line)
        out.flush()
        if json.loads(line)["type"] == "STATE":
            file.write_text(json.dumps(json.loads(line)["value"]))
sys.exit(tap.wait())
"""


@dataclass
class Project:
    """A folder with the stand-in for Meltano, and the settings in the environment."""

    folder: Path
    config: Config

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        variables = {
            f"TAP_MEDCHAT_SWELL_{name.upper()}": str(value) for name, value in self.config.items()
        }
        return subprocess.run(
            ["/bin/bash", "-c", f"{EXPORT}\n{command}"],
            cwd=self.folder,
            env={**environment(self.folder), **variables},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def run(self, command: str = "meltano run tap-medchat-swell target-duckdb") -> Run:
        """Run; what was written in this run, and what the log says."""
        out = self.folder / "out.jsonl"
        before = len(out.read_bytes()) if out.exists() else 0
        done = self.shell(command)
        return Run(done.returncode, out.read_bytes()[before:], done.stderr)

    def state(self, suffix: str = "") -> Config:
        state: Config = json.loads((self.folder / f"state-{suffix}.json").read_text())
        return state


@pytest.fixture
def project(tmp_path: Path, config: Config) -> Project:
    tool = tmp_path / ".venvs" / "meltano" / "bin" / "meltano"
    tool.parent.mkdir(parents=True)
    tool.write_text(MELTANO.format(python=sys.executable, folder=str(tmp_path)))
    tool.chmod(0o755)
    (tmp_path / "output").mkdir()
    return Project(tmp_path, config)


def ids(run: Run, stream: str) -> set[str]:
    return {record["id"] for record in run.records(stream)}


def test_one_month_again(sandbox: Sandbox, project: Project) -> None:
    everything = project.run()
    nightly = project.state()
    first, last = TODAY - timedelta(days=12), TODAY - timedelta(days=6)
    [command] = commands("Read one month again")
    command = command.replace("2024-03-01", str(first)).replace("2024-04-01", str(last))

    again = project.run(command)

    assert again.code == 0, again.log
    assert project.state() == nightly
    wanted = {
        record["id"]
        for record in everything.records("sms_chats")
        if str(first) <= record["created_date_time"] < str(last)
    }
    assert ids(again, "sms_chats") == wanted
    assert wanted


def test_a_token_that_expired(sandbox: Sandbox, project: Project) -> None:
    token = project.config["swell_api_token"]
    project.config["swell_api_token"] = "expired"
    failed = project.run()
    assert failed.code == 1
    assert "swell_api_token" in failed.errors[-1]
    assert failed.records("sms_chats")

    project.config["swell_api_token"] = token
    [command] = commands("A token that expired")
    rest = project.run(command)

    assert rest.code == 0, rest.log
    assert_whole(Run(0, failed.stdout + rest.stdout, ""), sandbox)


def test_a_first_load_over_several_nights(sandbox: Sandbox, project: Project) -> None:
    project.config |= {
        "max_concurrency": 1,
        "medchat_page_size": 4,
        "medchat_window_pages": 1,
        "swell_window_days": 2,
    }
    [command] = commands("A first load of years, over several nights")
    nights = []
    for _ in range(2):
        sandbox.faults.add(Fault("slow", delay_ms=600_000, times=None, after=25))
        nights.append(project.run(command.replace("5h", "3s")))
        sandbox.faults.clear()
    nights.append(project.run(command))

    assert [night.code for night in nights] == [124, 124, 0]
    assert nights[-1].records("sms_chats")
    assert_whole(Run(0, b"".join(night.stdout for night in nights), ""), sandbox)


def test_start_date_moved_back(sandbox: Sandbox, project: Project) -> None:
    start = project.config["start_date"]
    project.config["start_date"] = str(TODAY - timedelta(days=8))
    short = project.run()
    project.config["start_date"] = start

    rest = project.run()

    assert rest.code == 0, rest.log
    assert "covers only what came after" in rest.log
    assert_whole(Run(0, short.stdout + rest.stdout, ""), sandbox)


def test_a_new_clinic(project: Project) -> None:
    project.run()
    token = project.config["swell_api_token"]
    [command] = commands("A new clinic")

    run = project.run(command.replace("=...", f"={token}"))

    assert run.code == 0, run.log
    assert {record["account_name"] for record in run.records("sms_chats")} == {"north-clinic"}
    assert len(run.records("sms_chats")) == 40, "it has a state of its own"
    assert project.state("north-clinic") != project.state()
    assert (project.folder / "output" / "north-clinic.json").exists()


def cron(project: Project, line: str) -> subprocess.CompletedProcess[str]:
    """Run a line as cron does: sh, no environment, and an unescaped % ends it."""
    variables = {
        f"TAP_MEDCHAT_SWELL_{name.upper()}={value}\n" for name, value in project.config.items()
    }
    (project.folder / ".env").write_text("".join(variables))
    return subprocess.run(
        ["/bin/sh", "-c", cron_command(line, project.folder)],
        cwd="/",
        env={
            name: os.environ[name]
            for name in ("COVERAGE_PROCESS_START", "PYTHONPATH")
            if name in os.environ
        }
        | {"PATH": "/usr/bin:/bin", "HOME": str(project.folder), "SHELL": "/bin/sh"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.skipif(not shutil.which("flock"), reason="needs util-linux")
def test_the_crontab_line(project: Project) -> None:
    [line] = commands("A crontab line", "")

    done = cron(project, line)

    log = (project.folder / "output" / "nightly.log").read_text()
    assert done.returncode == 0, log
    assert "Everything up to" in log
    [call] = (project.folder / "calls").read_text().splitlines()
    assert json.loads(call) == ["prod", "run", "tap-medchat-swell", "target-duckdb"]


@pytest.mark.parametrize(
    ("result", "hours", "code"),
    [("complete", 1, 0), ("complete", 40, 1), ("failed", 1, 1), ("stopped", 1, 1)],
)
def test_the_alert_when_the_night_went_wrong(
    project: Project, result: str, hours: int, code: int
) -> None:
    project.config["report_path"] = "output/run-report.json"
    project.run()
    path = project.folder / "output" / "run-report.json"
    finished = datetime.now(timezone.utc) - timedelta(hours=hours)
    report = json.loads(path.read_text())
    report |= {"result": result, "finished_at": finished.strftime("%Y-%m-%dT%H:%M:%S.000000Z")}
    path.write_text(json.dumps(report))
    [command] = commands("An alert when the night went wrong")

    done = project.shell(command)

    assert done.returncode == code
    assert ("The last run finished at" in done.stderr) == bool(code)


@pytest.mark.parametrize(("days", "is_told"), [(30, False), (10, True), (-1, True)])
def test_the_alert_before_a_token_expires(project: Project, days: int, *, is_told: bool) -> None:
    day = TODAY + timedelta(days=days)
    (project.folder / "token-expires").write_text(f"{day}\n")
    [line] = commands("An alert before a token expires", "")

    done = cron(project, line)

    assert done.stderr == ""
    assert done.stdout == (f"A token expires on {day}\n" if is_told else "")


def test_another_pipeline_is_already_running(project: Project) -> None:
    [command] = commands('"Another pipeline is already running"')

    assert project.run(command).code == 0
    [call] = (project.folder / "calls").read_text().splitlines()
    assert "--force" in json.loads(call)


def test_upgrade_and_roll_back(project: Project) -> None:
    project.run()
    before = project.state()
    keep, restore = commands("Upgrade, and roll back")
    assert project.shell(keep).returncode == 0
    newer = json.loads(json.dumps(before))
    for bookmark in newer["bookmarks"].values():
        bookmark["version"] = 99
    (project.folder / "state-.json").write_text(json.dumps(newer))
    refused = project.run()
    assert refused.code == 1
    assert "newer tap-medchat-swell" in refused.log

    assert project.shell(restore).returncode == 0

    assert project.state() == before
    assert not project.run().records("sms_chats"), "nothing is read as new"


def test_where_deletions_show(sandbox: Sandbox, project: Project) -> None:
    first = project.run()
    [gone] = sorted(ids(first, "swell_messages"))[:1]
    sandbox.dataset.delete_swell_message(int(gone))
    [command] = commands("Where deletions show")
    second = project.run(command)
    assert second.code == 0, second.log
    rows = {r["id"]: "2026-01-01 03:15" for r in first.records("swell_messages")}
    rows |= {r["id"]: "2026-01-02 03:15" for r in second.records("swell_messages")}

    with duckdb.connect() as database:
        database.execute("CREATE TABLE swell_messages (id VARCHAR, _sdc_extracted_at TIMESTAMP)")
        database.executemany("INSERT INTO swell_messages VALUES (?, ?)", [*rows.items()])
        [query] = commands("Where deletions show", "sql")
        found = database.execute(query).fetchall()

    assert found == [(str(gone),)]
