"""Long runs say how far they have come; short ones say nothing of it."""

from __future__ import annotations

import io
import sys
import typing as t
from datetime import datetime, timezone
from types import SimpleNamespace

from medchat_swell_sandbox import Fault, Sandbox
from support.tap_runs import sync

from tap_medchat_swell import progress
from tap_medchat_swell.redaction import CLEAR_REST, RedactedStream

if t.TYPE_CHECKING:
    import pytest


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


DAY = datetime(2026, 5, 1, tzinfo=timezone.utc)


def scan(vendor: str, rows: int, share: float, *, is_complete: bool = False) -> t.Any:
    reached = DAY if share else None
    streams = [SimpleNamespace(rows_read=rows)]
    return SimpleNamespace(
        vendor=vendor,
        all_streams=streams,
        share_read=share,
        reached=reached,
        is_complete=is_complete,
    )


def limiters(**seconds: float) -> t.Any:
    return {
        name: SimpleNamespace(pause_left=seconds.get(name, 0.0)) for name in ("MedChat", "Swell")
    }


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    texts = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return texts


def test_a_line_every_30_seconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    clock = Clock()
    tick = progress.shown([scan("MedChat", 3000, 0.25)], limiters(), clock)

    counts = []
    for _ in range(95):
        tick()
        clock.now += 1
        counts.append(len(logged(caplog)))

    assert [second for second, count in enumerate(counts) if count] == [30, 60, 90]


def test_what_a_line_says() -> None:
    scans = [
        scan("MedChat", 3000, 0.25),
        scan("Swell", 500, 0.5),
        scan("Swell", 60, 0.9),
    ]

    assert [*progress.lines(scans, limiters(Swell=57.2), 60)] == [
        "MedChat: up to 2026-05-01 (25%), 3,000 rows, 50 a second, about 3 min left.",
        (
            "Swell: up to 2026-05-01 (50%), 560 rows, 9 a second, about 1 min left; "
            "Swell has us wait 57 s (rate limit)."
        ),
    ]


def test_a_vendor_that_is_done_is_not_told() -> None:
    scans = [scan("MedChat", 3000, 1.0, is_complete=True), scan("Swell", 0, 0.0)]

    assert [*progress.lines(scans, limiters(), 30)] == ["Swell: begun, 0 rows, 0 a second."]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def screen(text: str) -> list[str]:
    """What a terminal shows of a text with carriage returns and cleared lines."""
    lines = [""]
    column = 0
    for part in text.replace(CLEAR_REST, "\0"):
        if part == "\r":
            column = 0
        elif part == "\n":
            lines.append("")
            column = 0
        elif part == "\0":
            lines[-1] = lines[-1][:column]
        else:
            lines[-1] = lines[-1][:column] + part + lines[-1][column + 1 :]
            column += 1
    return lines


def test_a_terminal_has_one_line_that_rewrites_itself(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", RedactedStream(terminal))
    monkeypatch.setenv("COLUMNS", "200")
    clock = Clock()
    tick = progress.shown([scan("MedChat", 3000, 0.25)], limiters(), clock)
    for _ in range(33):
        tick()
        clock.now += 1

    assert terminal.getvalue().count("MedChat: up to") == 3
    [line] = screen(terminal.getvalue())
    assert line.startswith("MedChat: up to 2026-05-01 (25%)")
    sys.stderr.write("a log line\n")
    assert screen(terminal.getvalue()) == ["a log line", ""]
    assert logged(caplog) == []


def test_a_real_run_that_waits(
    sandbox: Sandbox, config: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "INTERVAL", 0.2)
    sandbox.faults.add(Fault("rate_limited", retry_after=1, times=1, after=4, where="medchat"))

    run = sync(config)

    lines = [line for line in run.log.splitlines() if " a second" in line]
    assert any("MedChat has us wait 1 s (rate limit)." in line for line in lines)


def test_a_short_run_says_nothing_of_it(config: dict[str, t.Any]) -> None:
    assert " a second" not in sync(config).log
