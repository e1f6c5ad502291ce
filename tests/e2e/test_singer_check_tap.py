"""The tap as a process, piped into singer-check-tap."""

from __future__ import annotations

import json
import subprocess
import typing as t

from support.tap_runs import STREAMS, discover, select

from .tools import check_tap, plain_environment, tap_command

if t.TYPE_CHECKING:
    from pathlib import Path

    from medchat_swell_sandbox import Sandbox


def test_full_and_incremental_run(sandbox: Sandbox, tmp_path: Path) -> None:
    config = sandbox.tap_config()
    catalog = select(discover(config), dict.fromkeys(STREAMS, True))

    full = tap_output(tmp_path, config=config, catalog=catalog)
    report = check_tap(full)
    assert all(stream in report for stream in STREAMS)

    chat = next(iter(sandbox.dataset.chats))
    sandbox.dataset.add_message(chat, text="later")
    state = [json.loads(line) for line in full.splitlines() if b'"STATE"' in line][-1]["value"]
    incremental = tap_output(tmp_path, config=config, catalog=catalog, state=state)
    check_tap(incremental)
    assert b"later" in incremental
    assert len(incremental) < len(full)


def tap_output(folder: Path, **documents: object) -> bytes:
    arguments = []
    for name, document in documents.items():
        file = folder / f"{name}.json"
        file.write_text(json.dumps(document), "utf-8")
        arguments += [f"--{name}", str(file)]
    done = subprocess.run(
        tap_command(*arguments),
        env=plain_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return done.stdout
