"""States that version 1 wrote go on, with nothing lost and little read again."""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime, timedelta

import pytest
from medchat_swell_sandbox import Sandbox
from support import state_fixtures
from support.clocks import VendorClock, offset_to
from support.state_fixtures import FIRST_RUN, NIGHT, run_at
from support.tap_runs import STREAMS, Cli, Record, assert_counts, assert_row

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from support.tap_process import Json, Run

Rows = dict[str, dict[t.Any, Record]]
CASES = [
    ("first_run_interrupted", FIRST_RUN),
    ("finished", FIRST_RUN),
    ("finished", NIGHT),
    ("interrupted", NIGHT),
]


@contextlib.contextmanager
def sandbox_at(moment: datetime) -> Iterator[Sandbox]:
    dataset = state_fixtures.dataset_of_first_run()
    with VendorClock(offset_to(moment)), Sandbox(dataset) as sandbox:
        if moment >= NIGHT:
            state_fixtures.add_changes(dataset)
        yield sandbox


def upsert(rows: Rows, records: Iterable[Json]) -> None:
    for message in records:
        record = message["record"]
        if message["stream"] not in STREAMS:
            continue
        key = record["date"] if message["stream"] == "swell_message_counts" else record["id"]
        rows.setdefault(message["stream"], {})[key] = record


def rows_received(name: str) -> Rows:
    rows: Rows = {}
    if name == "interrupted":
        upsert(rows, state_fixtures.load_received("finished"))
    upsert(rows, state_fixtures.load_received(name))
    for message in rows["swell_messages"].values():  # version 1 held tags as they came
        message["contact"]["tags"] = [{"name": tag} for tag in message["contact"]["tags"]]
    return rows


def assert_target_is_whole(rows: Rows, sandbox: Sandbox) -> None:
    truth = sandbox.truth()
    for stream in STREAMS:
        if stream == "swell_message_counts":
            assert_counts(list(rows[stream].values()), truth[stream])
            continue
        assert set(rows[stream]) == {row["id"] for row in truth[stream]}, stream
        for row in truth[stream]:
            assert_row(rows[stream][row["id"]], row)


@pytest.mark.parametrize(("name", "moment"), CASES)
def test_nothing_is_lost(cli: Cli, name: str, moment: datetime) -> None:
    rows = rows_received(name)
    with sandbox_at(moment) as sandbox:
        run = run_at(moment, sandbox, cli, state_fixtures.load_state(name))

        assert run.code == 0, run.log
        upsert(rows, run.of_type("RECORD"))
        assert_target_is_whole(rows, sandbox)


def test_a_finished_state_repeats_chats_once_and_swells_overlap(cli: Cli) -> None:
    """Digests of version 1 are unknown, so all chats are written once more."""
    state = state_fixtures.load_state("finished")
    with sandbox_at(FIRST_RUN) as sandbox:
        sandbox.reset_log()
        run = run_at(FIRST_RUN, sandbox, cli, state)
        days = [r.query["from_date"] for r in sandbox.requests if "from_date" in r.query]
        counted = [r.query["date"] for r in sandbox.requests if "date" in r.query]
        again = run_at(FIRST_RUN, sandbox, cli, run.state)

    assert len(run.records("sms_chats")) == 60
    assert again.records("sms_chats") == again.records("sms_messages") == []
    assert "reading everything from start_date again" not in run.log
    assert len(run.records("swell_messages")) < 20
    lookback = timedelta(days=2)
    for stream, asked in (("swell_messages", days), ("swell_message_counts", counted)):
        value = state["bookmarks"][stream]["replication_key_value"]
        assert min(asked) == str((datetime.fromisoformat(value[:10]) - lookback).date()), stream


@pytest.mark.parametrize(("name", "moment"), [CASES[0], CASES[3]])
def test_an_interrupted_run_resumes_where_it_stopped(cli: Cli, name: str, moment: datetime) -> None:
    state = state_fixtures.load_state(name)
    with sandbox_at(moment) as sandbox:
        sandbox.reset_log()
        run = run_at(moment, sandbox, cli, state)
        requests = sandbox.requests

    assert run.code == 0, run.log
    bookmarks = state["bookmarks"]
    frontier = bookmarks["sms_chats"]["replication_key_value"][:19]
    windows = [
        r.query["$filter"].split()
        for r in requests
        if "$filter" in r.query and r.query["$top"] != "1"  # a question about scopes
    ]
    assert windows
    assert min(words[2] for words in windows) >= frontier
    days = [r.query["from_date"] for r in requests if "from_date" in r.query]
    assert min(days) >= _a_day_before(bookmarks["swell_messages"]["at"])
    counted = [r.query["date"] for r in requests if r.path.endswith("count")]
    assert min(counted) >= bookmarks["swell_message_counts"]["at"]


def _a_day_before(day: str) -> str:
    return str((datetime.fromisoformat(day) - timedelta(days=1)).date())


def test_the_run_after_that_sees_what_changed_meanwhile(cli: Cli) -> None:
    rows = rows_received("first_run_interrupted")
    state = state_fixtures.load_state("first_run_interrupted")
    with sandbox_at(NIGHT) as sandbox:
        runs: list[Run] = []
        for _ in range(2):
            runs.append(run_at(NIGHT, sandbox, cli, state))
            assert runs[-1].code == 0, runs[-1].log
            state = runs[-1].state
            upsert(rows, runs[-1].of_type("RECORD"))
        assert_target_is_whole(rows, sandbox)
