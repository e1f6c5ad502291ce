"""Signals, stuck targets and broken pipes end a run soon, whole and honestly."""

from __future__ import annotations

import json
import signal
import time
import typing as t

import pytest
from medchat_swell_sandbox import Dataset, Fault, Sandbox
from support.tap_process import Run
from support.tap_runs import Cli, assert_whole, signal_handlers_kept

from tap_medchat_swell import sync_run
from tap_medchat_swell.errors import ShutdownRequested
from tap_medchat_swell.tap import TapMedchatSwell

if t.TYPE_CHECKING:
    import subprocess

PROMISED = 2.0  # seconds
SOON = 15.0  # on a machine that is busy
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}
SIGNALS = pytest.mark.parametrize("signum", CODES, ids=["SIGTERM", "SIGINT"])


def wait_until(true: t.Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "never came"
        time.sleep(0.01)


def stop(process: subprocess.Popen[bytes], signum: int) -> Run:
    """Send the signal, check that the process ends soon, and take what it left."""
    process.send_signal(signum)
    began = time.monotonic()
    stdout, stderr = process.communicate(timeout=60)
    took = time.monotonic() - began
    assert took < SOON, f"{took:.1f} s"
    return Run(process.returncode, stdout, stderr.decode())


def assert_stopped(run: Run, signum: signal.Signals) -> None:
    assert run.code == CODES[signum], run.log
    assert "Traceback" not in run.log
    assert f"Stopped by signal {int(signum)}." in run.log
    assert run.stdout.endswith(b"\n")
    assert run.messages[-1]["type"] == "STATE"


def test_the_tap_ends_itself_within_the_time_that_is_promised() -> None:
    assert sync_run.STOP_SECONDS < PROMISED


@SIGNALS
def test_in_the_middle(
    sandbox: Sandbox, config: dict[str, t.Any], cli: Cli, signum: signal.Signals
) -> None:
    sandbox.latency_ms = 60
    config |= {"max_concurrency": 1, "medchat_page_size": 3, "medchat_window_pages": 2}
    process = cli.start(config=config)
    wait_until(lambda: sum(r.vendor == "medchat" for r in sandbox.requests) >= 16)

    run = stop(process, signum)

    assert_stopped(run, signum)
    bookmark = run.bookmark("sms_chats")
    assert bookmark["scan_started"]
    assert any(read for _, _, read, *_ in bookmark["windows"]), "some windows have been read"
    assert 0 < len(run.records("sms_chats")) < 40

    sandbox.latency_ms = 0
    sandbox.reset_log()
    rest = cli(config=config, state=run.state)
    assert rest.code == 0
    assert 0 < len(rest.records("sms_chats")) < 40, "it resumed where it stopped"
    both = Run(0, run.stdout + rest.stdout, "")
    assert_whole(both, sandbox)


@SIGNALS
@pytest.mark.parametrize(
    "fault",
    [
        Fault("slow", delay_ms=60_000, times=None, after=3),
        Fault("never_ending", delay_ms=50, times=None, after=3),
        Fault("rate_limited", retry_after=600, times=None, after=3),
    ],
    ids=lambda fault: fault.kind,
)
def test_while_waiting(
    sandbox: Sandbox, config: dict[str, t.Any], cli: Cli, signum: signal.Signals, fault: Fault
) -> None:
    sandbox.faults.add(fault)
    process = cli.start(config=config)
    wait_until(lambda: any(request.fault for request in sandbox.requests))
    time.sleep(0.1)

    assert_stopped(stop(process, signum), signum)


@SIGNALS
def test_with_a_target_that_reads_nothing(cli: Cli, signum: signal.Signals) -> None:
    with Sandbox(Dataset.generate(chats=300, swell_messages=0, days=30)) as sandbox:
        process = cli.start(config=sandbox.tap_config(swell_api_token=""))
        wait_until(lambda: sandbox.requests)
        time.sleep(1.0)
        assert process.poll() is None, "the pipe is not full"
        process.send_signal(signum)

        assert process.wait(SOON) == CODES[signum]
        process.communicate()


def test_a_signal_that_comes_before_anything_is_read(
    sandbox: Sandbox, config: dict[str, t.Any], cli: Cli
) -> None:
    sandbox.faults.add(Fault("slow", delay_ms=60_000, times=None))
    process = cli.start(config=config)
    wait_until(lambda: sandbox.requests)

    run = stop(process, signal.SIGTERM)

    assert_stopped(run, signal.SIGTERM)
    assert run.of_type("RECORD") == []


def test_a_signal_while_the_tap_is_being_set_up(
    config: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At that time the SDK's handler would end the process with 0."""
    set_up = TapMedchatSwell.setup_mapper

    def interrupted(tap: TapMedchatSwell) -> None:
        signal.raise_signal(signal.SIGTERM)
        set_up(tap)

    monkeypatch.setattr(TapMedchatSwell, "setup_mapper", interrupted)
    monkeypatch.setattr(sync_run, "STOP_SECONDS", 3600)
    with signal_handlers_kept():
        tap = TapMedchatSwell(config=config)

        with pytest.raises(ShutdownRequested):
            tap.sync_run.check_stop()


def test_a_broken_pipe(cli: Cli) -> None:
    with Sandbox(Dataset.generate(chats=300, swell_messages=50, days=30)) as sandbox:
        process = cli.start(config=sandbox.tap_config())
        assert process.stdout is not None
        assert process.stderr is not None
        first = json.loads(process.stdout.readline())
        process.stdout.close()
        log = process.stderr.read().decode()
        process.stderr.close()

    assert process.wait(20) == 1
    assert first["type"] == "SCHEMA"
    run = Run(1, b"", log)
    assert run.errors == ["The target closed the pipe; nothing more can be written."]
    assert "Traceback" not in log
    assert "Exception ignored" not in log
