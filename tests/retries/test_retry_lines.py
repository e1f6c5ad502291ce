"""What a run logs about retries: one line per cause and minute, the cause first."""

from __future__ import annotations

import re
import typing as t

import pytest
from medchat_swell_sandbox import Fault, Sandbox
from support.tap_runs import sync

from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.http import client
from tap_medchat_swell.http.responses import Action, ResponseError

if t.TYPE_CHECKING:
    from support.tap_process import Run

Config = dict[str, t.Any]
REQUEST_ID = (("X-Request-Id", "0123456789abcdef-0123456789abcdef"),)


@pytest.fixture
def many(config: Config, no_pauses: None) -> Config:
    """Enough requests for all workers."""
    small = {"medchat_page_size": 4, "medchat_window_pages": 1, "swell_page_size": 3}
    return {**config, **small, "max_concurrency": 8, "max_retries": 100}


def retry_lines(run: Run) -> list[str]:
    return [line for line in run.log.splitlines() if "Retrying" in line]


def test_one_line_per_cause(sandbox: Sandbox, many: Config) -> None:
    sandbox.faults.add(
        Fault("status", status=503, where="medchat", times=20, headers=REQUEST_ID),
        Fault("status", status=500, where="medchat", after=20, times=5),
        Fault("rate_limited", where="swell", retry_after=0.1, times=12),
    )

    run = sync(many)

    assert run.code == 0, run.log
    lines = sorted(retry_lines(run))
    assert len(lines) == 3
    assert lines[0].startswith("| INFO | MedChat returned 500 Internal Server Error. Retrying in ")
    assert lines[1].startswith("| INFO | MedChat returned 503 Service Unavailable (request 0123")
    assert lines[2].startswith("| INFO | Swell rate-limited the request (429 Too Many Requests). ")
    assert all(re.search(r" \[[^\[]*(chats|messages|counts|time) [^\[]*\]$", x) for x in lines)
    assert re.search(r"sms_chats +40 +40 +\d+ +25 ", run.log)


def test_what_was_not_told_is_counted(
    sandbox: Sandbox, many: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "LINE_SECONDS", 0.02)
    sandbox.faults.add(Fault("status", where="medchat", times=40))

    run = sync({**many, "max_concurrency": 2})

    lines = retry_lines(run)
    told = [int(n) for line in lines for n in re.findall(r" (\d+) more retries", line)]
    assert 1 < len(lines) < 40
    assert len(lines) + sum(told) <= 40
    assert told


def test_a_failure_names_its_cause_first(sandbox: Sandbox, many: Config) -> None:
    sandbox.faults.add(Fault("status", status=400, where="medchat", times=None))

    [error, summary] = sync(many).errors

    assert re.fullmatch(r"MedChat returned 400 Bad Request\..* \[chats of .*\]", error)
    assert error in summary


def test_kinds_of_failures() -> None:
    def kind(sentence: str) -> str:
        return ResponseError(Action.RETRY, VendorError(sentence)).kind

    one = kind("Swell returned 503 (request 0123456789abcdef0).")
    assert one == kind("Swell returned 503 (request FEDCBA98-76543210-abc).")
    assert one != kind("Swell rate-limited the request (429).")
