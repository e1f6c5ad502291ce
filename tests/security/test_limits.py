"""Untrusted input ends with a sentence, within bounded memory and time."""

from __future__ import annotations

import gc
import json
import time
import typing as t
from datetime import datetime, timezone

import pytest
from medchat_swell_sandbox import Fault, Quirks
from support.tap_runs import discover, only, select, sync
from urllib3 import HTTPConnectionPool

if t.TYPE_CHECKING:
    from medchat_swell_sandbox import Sandbox
    from support.tap_runs import Cli

Config = dict[str, t.Any]
MOST_MB = 400
BOMBS = [
    (Fault("gzip_bomb", size=150), "of over 32 MiB"),
    (Fault("huge_body", size=150), "of over 32 MiB"),
    (Fault("deep_nesting"), "nested too deeply"),
    (Fault("deep_nesting", size=5_000_000), "nested too deeply"),
    (Fault("million_keys"), "A row has more than 2000 fields or 64 levels"),
]


def row_with(**more: object) -> str:
    return json.dumps({"data": [{"id": 1, "created_at": "2026-01-01T00:00:00Z", **more}]})


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(("fault", "sentence"), BOMBS, ids=lambda v: getattr(v, "kind", None))
def test_bombs(sandbox: Sandbox, config: Config, cli: Cli, fault: Fault, sentence: str) -> None:
    config |= {"max_retries": 0, "max_concurrency": 1}
    sandbox.faults.add(Fault(**{**vars(fault), "where": "swell", "times": None}))
    began = time.monotonic()

    run = cli(config=config)

    assert run.code == 1
    assert sentence in run.log
    assert "please report" not in run.log
    assert run.peak_mb < MOST_MB
    assert time.monotonic() - began < 120
    assert len(run.records("sms_chats")) == 40, "the other vendor's streams"
    assert run.records("swell_messages") == []


ROWS = [
    row_with(**{f"k{number}": number for number in range(3000)}),
    row_with(contact={f"k{number}": number for number in range(3000)}),
    row_with(tags=nested(70)),
    row_with(contact={"more": nested(70)}),
    row_with(contact={"tags": [nested(70)]}),
]


@pytest.mark.parametrize("body", ROWS, ids=range(len(ROWS)))
def test_rows_that_no_message_has(sandbox: Sandbox, config: Config, cli: Cli, body: str) -> None:
    config |= {"max_retries": 0, "start_date": "2026-01-01", "end_date": "2026-01-02"}
    sandbox.faults.add(Fault("status", status=200, body=body, where="/messages", times=None))

    run = cli(config=config)

    assert run.code == 1
    assert "A row has more than 2000 fields or 64 levels" in run.log
    assert "please report" not in run.log
    assert "sms_chats" in run.streams


def test_rows_just_within_bounds_are_read(sandbox: Sandbox, config: Config, cli: Cli) -> None:
    config |= {"start_date": "2026-01-01", "end_date": "2026-01-02"}
    row = {"id": 1} | {f"k{number}": nested(60) for number in range(1900)}
    body = json.dumps({"data": [row], "meta": {"total": 1, "last_page": 1}})
    sandbox.faults.add(Fault("status", status=200, body=body, where="/messages", times=None))

    run = cli(config=config, catalog=select(discover(config), only("swell_messages")))

    assert run.code == 0, run.log
    assert len(run.records("swell_messages")[0]["additional_properties"]) == 1900


@pytest.mark.parametrize("envelope", ["value", "items"])
def test_a_next_link_that_never_ends(
    sandbox: Sandbox, config: Config, cli: Cli, envelope: str
) -> None:
    sandbox.quirks = Quirks(medchat_envelope=envelope, medchat_next_link="always")

    run = cli(config=config)

    assert run.code == 0, run.log
    assert len(sandbox.requests) < 60


@pytest.mark.parametrize(
    ("quirks", "sentence"),
    [
        (Quirks(medchat_skip_ignored=True), "it ignores $skip"),
        (Quirks(medchat_filter_ignored=True), "it ignores the $filter"),
    ],
)
def test_pages_that_never_end(
    sandbox: Sandbox, config: Config, cli: Cli, quirks: Quirks, sentence: str
) -> None:
    sandbox.quirks = quirks
    if quirks.medchat_filter_ignored:
        config["start_date"] = str(datetime.now(timezone.utc).date())
    config["swell_api_token"] = ""

    run = cli(config=config)

    assert run.code == 1
    assert sentence in run.log
    assert len(sandbox.requests) < 1000


def test_headers_without_end(config: Config, cli: Cli, sandbox: Sandbox) -> None:
    many = tuple((f"X-{number}", "x" * 1000) for number in range(500))
    sandbox.faults.add(Fault("status", status=200, body="{}", headers=many, times=None))

    run = cli(config={**config, "max_retries": 0})

    assert run.code == 1
    assert "closed the connection" in run.log
    assert "Traceback" not in run.log


def test_a_finished_run_leaves_no_connection(config: Config) -> None:
    before = pools()
    sync(config)

    deadline = time.monotonic() + 30  # a worker may still be ending
    while pools() > before and time.monotonic() < deadline:
        time.sleep(0.05)

    assert pools() <= before


def pools() -> int:
    gc.collect()
    return sum(isinstance(known, HTTPConnectionPool) for known in gc.get_objects())
