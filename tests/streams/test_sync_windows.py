"""sync_windows: an access record that claims no more than what was written."""

from __future__ import annotations

import json
import typing as t
from collections import Counter
from datetime import datetime

import jsonschema  # type: ignore[import-untyped]
import pytest
from medchat_swell_sandbox import Fault, Quirks, Sandbox
from support.tap_runs import DEFAULT_STREAMS, Record, discover, only, select, sync

if t.TYPE_CHECKING:
    from support.tap_process import Json, Run

Config = dict[str, t.Any]
KEY = ("account_name", "run_id", "stream", "window_start", "window_end")


@pytest.fixture
def catalog(config: Config) -> Json:
    config |= {"medchat_page_size": 5, "medchat_window_pages": 1, "swell_window_days": 2}
    return select(discover(config), only(*DEFAULT_STREAMS, "sync_windows"))


def rows_of(run: Run, stream: str) -> list[Record]:
    return [row for row in run.records("sync_windows") if row["stream"] == stream]


def written(run: Run, stream: str) -> int:
    return sum(row["rows_written"] for row in rows_of(run, stream))


def test_it_is_not_read_by_default(config: Config) -> None:
    assert not sync(config).records("sync_windows")


def test_every_window_has_a_row(sandbox: Sandbox, config: Config, catalog: Json) -> None:
    run = sync(config, catalog=catalog)

    assert run.code == 0, run.log
    rows = run.records("sync_windows")
    assert len({tuple(row[name] for name in KEY) for row in rows}) == len(rows)
    assert {row["stream"] for row in rows} == {*DEFAULT_STREAMS}
    for stream in DEFAULT_STREAMS:
        assert written(run, stream) == len(run.records(stream)), stream
    asked = sum(row["requests"] or 0 for row in rows)
    # Probes, and a refused question, belong to no window.
    assert 0.7 * len(sandbox.requests) <= asked <= len(sandbox.requests)
    chats = rows_of(run, "sms_chats")
    assert len(chats) > 3
    ends = [row["window_end"] for row in chats]
    assert [row["window_start"] for row in chats][1:] == ends[:-1], "without gaps"
    messages = rows_of(run, "sms_messages")
    assert {row["read_with"] for row in messages} == {"sms_chats"}
    assert {row["requests"] for row in messages} == {None}
    assert {row["is_complete"] for row in rows} == {True}
    totals = [row["vendor_total"] for row in rows_of(run, "swell_messages")]
    assert totals == [row["rows_seen"] for row in rows_of(run, "swell_messages")]
    [schema] = [m["schema"] for m in run.of_type("SCHEMA") if m["stream"] == "sync_windows"]
    for row in rows:
        jsonschema.validate(row, {**schema, "additionalProperties": False})
        assert datetime.fromisoformat(row["started_at"]) <= datetime.fromisoformat(
            row["finished_at"]
        )


def test_windows_without_news(config: Config, catalog: Json) -> None:
    first = sync(config, catalog=catalog)

    second = sync(config, first.state, catalog)

    assert written(second, "sms_chats") == 0
    assert sum(row["rows_seen"] for row in rows_of(second, "sms_chats")) == 40
    ids = {row["run_id"] for row in [*first.records("sync_windows")]}
    assert ids.isdisjoint(row["run_id"] for row in second.records("sync_windows"))


def test_wherever_a_run_is_killed_it_claims_no_more_than_it_wrote(
    config: Config, catalog: Json
) -> None:
    run = sync(config, catalog=catalog)

    records: Counter[str] = Counter()
    claimed: Counter[str] = Counter()
    ends: list[str] = []
    for line in run.stdout.splitlines():
        message = json.loads(line)
        if message["type"] == "RECORD" and message["stream"] == "sync_windows":
            row = message["record"]
            claimed[row["stream"]] += row["rows_written"]
            ends += [row["window_end"]] if row["stream"] == "sms_chats" else []
            assert claimed[row["stream"]] <= records[row["stream"]]
        elif message["type"] == "RECORD":
            records[message["stream"]] += 1
        elif message["type"] == "STATE":
            bookmark = message["value"]["bookmarks"].get("sms_chats", {})
            read = [window for window in bookmark.get("windows", []) if window[2]]
            last = max((end for end, *_ in read), default=0)
            reached = max(map(datetime.fromisoformat, ends), default=None)
            assert not last or (reached and reached.timestamp() >= last), "claimed before"
    assert ends


def test_a_window_in_doubt_says_why(sandbox: Sandbox, config: Config, catalog: Json) -> None:
    sandbox.quirks = Quirks(swell_total_shift=1)

    run = sync(config, catalog=catalog)

    doubtful = [row for row in run.records("sync_windows") if not row["is_complete"]]
    assert doubtful
    for row in doubtful:
        total, seen = row["vendor_total"], row["rows_seen"]
        assert row["reason"] == f"Swell counts {total}, but sent {seen}"
        assert row["passes"] > 1


def test_a_failed_scan_claims_only_what_it_finished(
    sandbox: Sandbox, config: Config, catalog: Json
) -> None:
    sandbox.faults.add(Fault("status", status=401, times=None, after=12, where="medchat"))

    run = sync({**config, "max_concurrency": 1}, catalog=catalog)

    assert run.code == 1
    assert 0 < written(run, "sms_chats") <= len(run.records("sms_chats")) < 40


def test_alone_it_has_nothing_to_tell(config: Config) -> None:
    run = sync(config, catalog=select(discover(config), only("sync_windows")))

    assert run.code == 1
    assert "No stream is selected" in run.log
