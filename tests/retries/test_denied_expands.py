"""A scope that only an optional $expand needs costs its stream alone (M16)."""

from __future__ import annotations

import typing as t

import pytest
from medchat_swell_sandbox import Fault, Sandbox
from support.tap_runs import MEDCHAT_STREAMS, assert_whole, discover, only, select, sync

if t.TYPE_CHECKING:
    from support.tap_process import Json, Run

Config = dict[str, t.Any]
EXPANDS = {"sms_memberships": "Memberships", "sms_text_bot_executions": "TextBotExecutions"}
BOTH = [*EXPANDS]


@pytest.fixture
def medchat(config: Config) -> Config:
    """Small windows, so that there are many; MedChat alone."""
    del config["swell_api_token"]
    return {**config, "medchat_page_size": 5, "medchat_window_pages": 1}


def run_all(config: Config, state: Json | None = None, *streams: str) -> Run:
    catalog = select(discover(config), only(*(streams or MEDCHAT_STREAMS)))
    return sync(config, state, catalog)


def deny(sandbox: Sandbox, *streams: str, **quirks: t.Any) -> None:
    expands = [EXPANDS[stream] for stream in streams]
    sandbox.quirks = sandbox.quirks.replace(medchat_forbidden_expands=expands, **quirks)


def bookmarks(run: Run) -> dict[str, Json]:
    found: dict[str, Json] = run.state["bookmarks"]
    return found


@pytest.mark.parametrize("denied", [BOTH[:1], BOTH[1:], BOTH])
def test_a_first_run(sandbox: Sandbox, medchat: Config, denied: list[str]) -> None:
    deny(sandbox, *denied)

    run = run_all(medchat)

    others = [stream for stream in MEDCHAT_STREAMS if stream not in denied]
    assert run.code == 1
    assert_whole(run, sandbox, *others)
    assert not any(run.records(stream) for stream in denied)
    assert {name for name, found in bookmarks(run).items() if "windows" in found} == set(others)
    assert all(len(bookmarks(run)[stream]["windows"]) > 5 for stream in others)
    assert len(run.errors) == len(denied) + 1
    assert run.errors[-1].startswith(f"Not read completely: {', '.join(denied)}. ")
    assert all(f"MedChat denies $expand={EXPANDS[s]}, and" in run.errors[-1] for s in denied)


@pytest.mark.parametrize("denied", [BOTH[:1], BOTH[1:], BOTH])
def test_the_nights_after(sandbox: Sandbox, medchat: Config, denied: list[str]) -> None:
    """The others stay incremental; once the scope is granted, nothing is missing."""
    first = run_all(medchat)
    deny(sandbox, *denied)
    chat = next(iter(sandbox.dataset.chats))

    message = sandbox.dataset.add_message(chat, text="news")
    night = run_all(medchat, first.state)
    quiet = run_all(medchat, night.state)
    sandbox.quirks = sandbox.quirks.replace(medchat_forbidden_expands=())
    granted = run_all(medchat, quiet.state)

    assert [run.code for run in (first, night, quiet, granted)] == [0, 1, 1, 0]
    assert [row["id"] for row in night.records("sms_messages")] == [message.id]
    assert not night.records("sms_chats")
    # What is as new as the run comes again.
    assert {line["record"]["id"] for line in quiet.of_type("RECORD")} <= {message.id}
    for stream in denied:
        assert bookmarks(quiet)[stream] == bookmarks(first)[stream]
    for stream in set(MEDCHAT_STREAMS) - set(denied):
        assert bookmarks(night)[stream]["windows"] != bookmarks(first)[stream]["windows"]
    for stream in denied:
        assert bookmarks(granted)[stream]["windows"] != bookmarks(first)[stream]["windows"]


def test_rows_of_the_time_without_the_scope_come_later(sandbox: Sandbox, medchat: Config) -> None:
    deny(sandbox, *BOTH)
    first = run_all(medchat)
    deny(sandbox)

    run = run_all(medchat, first.state)

    assert run.code == 0
    assert_whole(run, sandbox, *BOTH)


@pytest.mark.parametrize(
    ("stream", "named", "scope"),
    [
        ("sms_text_bot_executions", "no", "read.text_bot_executions"),
        ("sms_memberships", "header", "It asks for the scope read.memberships."),
        ("sms_memberships", "message", "It asks for the scope read.memberships."),
    ],
)
def test_the_scope_is_named(
    sandbox: Sandbox, medchat: Config, stream: str, named: str, scope: str
) -> None:
    deny(sandbox, stream, medchat_scope_named=named)

    run = run_all(medchat)

    assert scope in run.errors[0]
    assert scope in run.errors[-1]


def test_a_token_without_the_scope(sandbox: Sandbox, medchat: Config) -> None:
    sandbox.quirks = sandbox.quirks.replace(medchat_text_bot_scope_required=True)
    sandbox.credentials.medchat_scopes = frozenset({"read.sms_chats"})

    run = run_all(medchat)

    assert run.errors[-1].startswith("Not read completely: sms_text_bot_executions. ")
    assert_whole(run, sandbox, "sms_chats", "sms_messages", "sms_memberships")


def test_a_denied_stream_that_is_alone(sandbox: Sandbox, medchat: Config) -> None:
    deny(sandbox, "sms_memberships")

    run = run_all(medchat, None, "sms_memberships")

    assert run.code == 1
    assert "MedChat denied access (403 Forbidden)" in run.errors[0]
    assert len(sandbox.requests) == 1


def test_two_denied_streams_that_are_alone(sandbox: Sandbox, medchat: Config) -> None:
    deny(sandbox, *BOTH)

    run = run_all(medchat, None, *BOTH)

    assert run.errors[-1].startswith(f"Not read completely: {', '.join(BOTH)}. ")


def test_a_403_that_all_questions_get_ends_all_streams(sandbox: Sandbox, medchat: Config) -> None:
    sandbox.credentials.medchat_scopes = frozenset()

    run = run_all(medchat)

    assert run.errors[-1].startswith(f"Not read completely: {', '.join(MEDCHAT_STREAMS)}. ")
    assert "The token needs the scope read.sms_chats" in run.errors[0]
    assert not run.of_type("RECORD")
    assert len(sandbox.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 500])
def test_another_failure_of_the_question_is_no_matter_of_scopes(
    sandbox: Sandbox, medchat: Config, status: int
) -> None:
    sandbox.faults.add(Fault("status", status=status, times=None))

    run = run_all({**medchat, "max_retries": 0})

    assert run.errors[-1].startswith(f"Not read completely: {', '.join(MEDCHAT_STREAMS)}. ")


def test_another_failure_that_only_the_expand_causes(sandbox: Sandbox, medchat: Config) -> None:
    """It may be an outage, so nothing is left out."""
    sandbox.faults.add(Fault("status", status=500, where="$expand=Memberships&", times=None))

    run = run_all({**medchat, "max_retries": 0})

    assert run.errors[-1].startswith(f"Not read completely: {', '.join(MEDCHAT_STREAMS)}. ")


def test_by_default_nothing_more_is_asked(sandbox: Sandbox, medchat: Config) -> None:
    run = sync(medchat)

    assert run.code == 0
    expands = {row.query.get("$expand") for row in sandbox.requests if row.query["$top"] == "1"}
    assert expands == {None}
