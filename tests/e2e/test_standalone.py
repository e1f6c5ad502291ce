"""The script of docs/targets.md: tap and target in a pipe, without Meltano."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

import pytest
from medchat_swell_sandbox import Fault, Sandbox

from .comparison import assert_table
from .loads import FORMS, expected, history, let_things_happen, rows_held
from .targets import TARGETS, Place
from .tools import ROOT, plain_environment, programs

if t.TYPE_CHECKING:
    from .tools import PostgreSQL

[POSTGRES] = [target for target in TARGETS if target.name == "meltanolabs-target-postgres"]


@dataclass
class Script:
    folder: Path

    def run(self) -> int:
        done = subprocess.run(
            ["bash", "run.sh"],
            cwd=self.folder,
            env=plain_environment(),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=120,
            check=False,
        )
        return done.returncode

    def configure(self, **settings: object) -> None:
        (self.folder / "tap.json").write_text(json.dumps(settings), "utf-8")

    def use_target(self, text: str) -> None:
        """Be a target written in shell."""
        program = self.folder / "target" / "bin" / "target-postgres"
        program.unlink(missing_ok=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)

    @property
    def state(self) -> t.Any:
        return json.loads((self.folder / "state.json").read_text("utf-8"))


@pytest.fixture
def script(tmp_path: Path) -> Script:
    text = (ROOT / "docs" / "targets.md").read_text("utf-8")
    [found] = re.findall(r"```bash\n(#!/bin/bash\n.*?)```", text, re.DOTALL)
    lines = found.replace("cd /path/to/a/folder\n", f"cd '{tmp_path}'\n")
    assert lines != found
    (tmp_path / "run.sh").write_text(lines, "utf-8")
    for name in ("tap", "target"):
        (tmp_path / name / "bin").mkdir(parents=True)
    tap = Path(sys.executable).with_name("tap-medchat-swell")
    (tmp_path / "tap" / "bin" / "tap-medchat-swell").symlink_to(tap)
    return Script(tmp_path)


def test_full_incremental_and_failed_runs(script: Script, postgres: PostgreSQL) -> None:
    place = Place(script.folder, "standalone", "full", {"postgres": postgres}.__getitem__)
    target = programs(POSTGRES.environment) / POSTGRES.program
    (script.folder / "target" / "bin" / POSTGRES.program).symlink_to(target)
    (script.folder / "target.json").write_text(json.dumps(POSTGRES.config(place)), "utf-8")
    dataset = history()
    with Sandbox(dataset) as sandbox:
        script.configure(**sandbox.tap_config(max_retries=0))
        assert script.run() == 0
        assert_held(place, sandbox)
        first = script.state

        let_things_happen(dataset)
        sandbox.faults.add(Fault("status", where="medchat", status=500, after=1))
        assert script.run() != 0
        assert script.state["bookmarks"]["swell_messages"] != first["bookmarks"]["swell_messages"]

        sandbox.faults.clear()
        assert script.run() == 0
        assert_held(place, sandbox)
    for name in ("state.json", "states.jsonl"):
        assert (script.folder / name).stat().st_mode & 0o077 == 0


def assert_held(place: Place, sandbox: Sandbox) -> None:
    tables = expected(rows_held(sandbox), FORMS["plain"])
    for table in ("sms_chats", "sms_messages", "swell_messages", "swell_message_counts"):
        assert_table(table, POSTGRES.rows(place, table), tables[table])


@pytest.mark.parametrize(
    ("target", "code", "state"),
    [
        ("cat > /dev/null; echo '{\"old\": 1}'; echo '{\"new\": 2}'", 0, {"new": 2}),
        ("cat > /dev/null; echo '{\"new\": 2}'; exit 3", 3, {"new": 2}),
        ("cat > /dev/null; echo '{\"new\": 2}'; printf '{\"half\": {}'; exit 3", 3, {"new": 2}),
        ("cat > /dev/null; printf '{\"half\": {}'; exit 3", 3, {"bookmarks": {}}),
        ("exit 3", 3, {"bookmarks": {}}),
        ("cat > /dev/null", 0, {"bookmarks": {}}),
    ],
)
def test_state(script: Script, sandbox: Sandbox, target: str, code: int, state: t.Any) -> None:
    script.configure(**sandbox.tap_config())
    (script.folder / "state.json").write_text('{"bookmarks": {}}', "utf-8")
    (script.folder / "target.json").write_text("{}", "utf-8")
    script.use_target(target)

    result = script.run()

    assert result == code
    assert script.state == state
