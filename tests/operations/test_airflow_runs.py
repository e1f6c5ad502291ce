"""What the Airflow DAGs run, without Airflow: states, pipes, parts, the report."""

from __future__ import annotations

import os
import sys
import threading
import time
import typing as t
from pathlib import Path

import pytest
from medchat_swell_runs import parts, pipe, report, states
from medchat_swell_runs.pipe import Programs, RunFailed
from medchat_swell_runs.states import FolderStates, MeltanoStates, open_store
from support.tap_runs import COMMAND, sync

if t.TYPE_CHECKING:
    from medchat_swell_sandbox import Sandbox

Config = dict[str, t.Any]
# Writes each STATE that it receives, and how many records came before; fails if told to.
TARGET = """
import json, os, sys
records = 0
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "RECORD":
        records += 1
        if records == int(os.environ.get("FAILS_AT", "-1")):
            raise ValueError("canary row: " + line)
    if message["type"] == "STATE":
        open(os.environ["RECEIVED"], "a").write(f"{records}\\n")
        print(json.dumps(message["value"]), flush=True)
"""


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(
        [*COMMAND], [sys.executable, "-c", TARGET], {"RECEIVED": str(tmp_path / "received")}
    )


@pytest.fixture
def store(tmp_path: Path) -> FolderStates:
    return FolderStates(tmp_path / "states")


class TestStates:
    def test_there_and_back(self, store: FolderStates) -> None:
        assert store.get("north/1") is None

        store.put("north/1", {"bookmarks": {"a": 1}})
        store.put("north/1", {"bookmarks": {"a": 2}})

        assert store.get("north/1") == {"bookmarks": {"a": 2}}
        assert [path.name for path in store.folder.iterdir()] == ["north%2F1.json"]
        assert store.get("north") is None

    def test_a_reader_never_finds_half_a_state(self, store: FolderStates) -> None:
        def write() -> None:
            for number in range(100):
                store.put("a", {"n": [number] * 5000})

        store.put("a", {"n": [0]})
        writer = threading.Thread(target=write)
        writer.start()
        while writer.is_alive():
            found = store.get("a")
            assert found
            assert len(set(found["n"])) == 1
        writer.join()

    def test_a_failed_write_leaves_the_old_state(self, store: FolderStates) -> None:
        store.put("a", {"n": 1})

        with pytest.raises(TypeError):
            store.put("a", {"n": object()})

        assert store.get("a") == {"n": 1}
        assert [path.name for path in store.folder.iterdir()] == ["a.json"]

    def test_which_store(self, tmp_path: Path) -> None:
        assert open_store(str(tmp_path)) == FolderStates(tmp_path)
        assert open_store("s3://bucket/folder") == states.ObjectStates("s3://bucket/folder")
        assert open_store("meltano:/project") == MeltanoStates(Path("/project"))


class TestPipe:
    def test_a_run_then_another_one(
        self, config: Config, programs: Programs, store: FolderStates
    ) -> None:
        first = pipe.run(programs, config, store, "north")
        state = store.get("north")
        second = pipe.run(programs, config, store, "north")

        assert first["result"] == second["result"] == "complete"
        assert state
        assert set(state["bookmarks"]) >= {"sms_chats", "swell_messages"}
        written = {s["stream"]: s["rows_written"] for s in second["streams"]}
        assert written["sms_chats"] == written["sms_messages"] == 0

    def test_without_a_store_all_is_read(self, config: Config, programs: Programs) -> None:
        for _ in range(2):
            document = pipe.run(programs, config)
            assert document["streams"][0]["rows_written"] == 40

    def test_a_bad_token_is_the_tap_s_sentence(
        self, config: Config, programs: Programs, store: FolderStates
    ) -> None:
        config["swell_api_token"] = "tokenCanary"

        with pytest.raises(
            RunFailed, match=r"Not read completely: .*Swell rejected the cred"
        ) as failed:
            pipe.run(programs, config, store, "north")

        assert failed.value.is_hopeless
        assert "tokenCanary" not in str(failed.value)
        assert failed.value.report["result"] == "failed"
        state = store.get("north")
        assert state
        assert "sms_chats" in state["bookmarks"], "the other vendor was read"

    def test_only_what_the_target_confirmed_is_kept(
        self,
        config: Config,
        programs: Programs,
        store: FolderStates,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(pipe, "STORE_SECONDS", 0)
        config |= {"medchat_page_size": 5, "medchat_window_pages": 2}
        failing = Programs(
            programs.tap, programs.target, {**programs.target_settings, "FAILS_AT": "90"}
        )

        with pytest.raises(RunFailed, match=r"exit code 1 \(ValueError\)") as failed:
            pipe.run(failing, config, store, "north")

        assert "canary" not in str(failed.value)
        assert not failed.value.is_hopeless
        kept = store.get("north")
        assert kept
        assert kept["bookmarks"]
        pipe.run(programs, config, store, "north")
        whole = store.get("north")
        assert whole
        assert sync(config, whole).records("sms_chats") == []

    def test_no_secret_is_on_the_disk(
        self, config: Config, tmp_path: Path, store: FolderStates, sandbox: Sandbox
    ) -> None:
        """Nor among the arguments, which every user of the machine can see."""
        look = (
            "import os, sys, pathlib\n"
            "files = [path.read_text() for path in pathlib.Path().iterdir()]\n"
            "with open(os.environ['TAP_MEDCHAT_SWELL_SEEN'], 'w') as file:\n"
            "    print(sys.argv, files, sorted(os.environ), file=file)\n"
        )
        os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = "canary"
        store.put("north", {"bookmarks": {}})
        tap = Programs([sys.executable, "-c", look], [sys.executable, "-c", ""])
        try:
            pipe.run(tap, {**config, "seen": str(tmp_path / "seen")}, store, "north")
        finally:
            del os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]

        seen = (tmp_path / "seen").read_text()
        assert "TAP_MEDCHAT_SWELL_SWELL_API_TOKEN" in seen
        assert "'--state'" in seen
        for secret in (config["swell_api_token"], config["medchat_access_token"], "AIRFLOW"):
            assert secret not in seen

    def test_told_to_stop_it_keeps_what_the_target_has(
        self,
        sandbox: Sandbox,
        config: Config,
        programs: Programs,
        store: FolderStates,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """As Airflow does: an exception in the main thread."""
        sandbox.latency_ms = 50
        config |= {"medchat_page_size": 5, "medchat_window_pages": 1, "max_concurrency": 1}
        kept = pipe._save_lines
        calls = []

        def interrupted(lines: t.Any, save: t.Any) -> None:
            calls.append(1)
            if len(calls) == 1:
                while not Path(programs.target_settings["RECEIVED"]).exists():
                    time.sleep(0.01)
                raise KeyboardInterrupt
            kept(lines, save)

        monkeypatch.setattr(pipe, "_save_lines", interrupted)

        with pytest.raises(KeyboardInterrupt):
            pipe.run(programs, config, store, "north")

        state = store.get("north")
        assert state
        assert state["bookmarks"]["sms_chats"]["scan_started"] or state["bookmarks"]


class TestParts:
    def test_they_follow_each_other_and_the_last_is_open(self) -> None:
        planned = parts.plan("north", "2024-01-01T10:00:00Z", None, 5)

        dates = [part["dates"] for part in planned]
        assert len(dates) == 5
        assert dates[0]["start_date"] == "2024-01-01T10:00:00Z"
        assert [d["end_date"] for d in dates] == [*(d["start_date"] for d in dates[1:]), ""]
        assert all(d["start_date"].endswith("T00:00:00Z") for d in dates[1:])
        assert len({part["state_name"] for part in planned}) == 5

    @pytest.mark.parametrize(
        ("start", "end", "count"),
        [("2024-01-01", "2024-01-03", 60), ("2024-01-01T05:00:00Z", "2024-01-01T06:00:00Z", 3)],
    )
    def test_never_less_than_a_day(self, start: str, end: str, count: int) -> None:
        planned = parts.plan("north", start, end, count)

        assert planned[-1]["dates"]["end_date"] == end
        assert len(planned) <= 2

    @pytest.mark.parametrize(
        ("minutes", "count"), [([0.0], 1), ([3.0, 46.0], 4), ([None, 15.0], 1), ([1e6], 1024)]
    )
    def test_how_many_by_the_longer_vendor(self, minutes: list[float | None], count: int) -> None:
        vendors = [{"estimate": m and {"first_load": {"minutes": m}}} for m in minutes]

        assert parts.suggested_count({"vendors": vendors}) == count

    def test_how_many_by_a_check(
        self, config: Config, programs: Programs, sandbox: Sandbox
    ) -> None:
        slow = {**config, "requests_per_minute": 6000, "start_date": "2020-01-01"}

        found = pipe.check(programs, slow)

        # Thousands of counts, a request each.
        assert found["vendors"][1]["estimate"]["first_load"]["minutes"] > 0.3
        assert parts.suggested_count(found) == 1

    @pytest.mark.parametrize(
        ("name", "sentence"),
        [
            ("swell_api_token", "Swell rejected the credentials"),
            ("start_date", "Config validation failed: start_date"),
        ],
    )
    def test_a_check_that_fails_says_why(
        self, config: Config, programs: Programs, name: str, sentence: str
    ) -> None:
        with pytest.raises(RunFailed, match=sentence) as failed:
            pipe.check(programs, {**config, name: "wrongCanary"})

        assert failed.value.is_hopeless
        assert "Canary" not in str(failed.value)

    def test_gather(self, config: Config, programs: Programs, store: FolderStates) -> None:
        planned = parts.plan("north", config["start_date"], None, 4)
        for part in planned[::-1]:
            pipe.run(
                programs,
                {**config, "account_name": "north", **part["dates"]},
                store,
                part["state_name"],
            )

        parts.gather(programs.tap, store, planned)

        night = pipe.run(programs, {**config, "account_name": "north"}, store, "north")
        written = {s["stream"]: s["rows_written"] for s in night["streams"]}
        assert written["sms_chats"] == written["sms_messages"] == 0
        parts.gather(programs.tap, store, planned)  # what came since is part of it
        (store.folder / "north.json").unlink()
        with pytest.raises(RuntimeError, match=r"^The states cannot be merged: .* has been read"):
            parts.gather(programs.tap, store, [planned[0], planned[2]])


def test_the_report_names_what_failed_first() -> None:
    good = {
        "result": "complete",
        "seconds": 3.2,
        "verdict": "All in.",
        "streams": [{"rows_written": 1200, "requests": 5}, {"rows_written": 1, "requests": None}],
    }
    bad = {"result": "failed", "streams": [], "verdict": "The token is wrong."}

    lines = report.table({"east": good, "north": bad, "west": None}).splitlines()

    assert [line.split()[0] for line in lines] == ["account", "north", "west", "east"]
    assert "1,201" in lines[3]
    assert lines[1].endswith("The token is wrong.")
    assert "without a report" in lines[2]
