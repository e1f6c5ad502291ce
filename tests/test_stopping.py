"""Signals, stuck targets and broken pipes end a run soon, whole and honestly."""

from __future__ import annotations

import json
import signal
import time
import typing as t

import pytest
from medchat_swell_sandbox import Dataset, Fault, Sandbox
from support.tap_process import Run
from tap_runs import Cli, assert_whole

if t.TYPE_CHECKING:
    import subprocess

SOON = 2.0  # seconds, as promised
CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}
SIGNALS = pytest.mark.parametrize("signum", CODES, ids=["SIGTERM", "SIGINT"])


def wait_until(true: t.Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "never came"
        time.sleep(0.01)


def stop(process: subprocess.Popen[bytes], signum: int) -> Run:
    """Send the signal, check that the process ends soon, and take what it left."""
    process.send_signal(signum)
    began = time.monotonic()
    stdout, stderr = process.communicate(timeout=20)
    took = time.monotonic() - began
    assert took < SOON, f"{took:.1f} s"
    return Run(process.returncode, stdout, stderr.decode())


def assert_stopped(run: Run, signum: signal.Signals) -> None:
    assert run.code == CODES[signum], run.log
    assert "Traceback" not in run.log
    assert f"Stopped by signal {int(signum)}." in run.log
    assert run.stdout.endswith(b"\n")
    assert run.messages[-1]["type"] == "STATE"


@SIGNALS
def test_in_the_middle(
    sandbox: Sandbox, config: dict[str, t.Any], cli: Cli, signum: signal.Signals
) -> None:
    sandbox.latency_ms = 60
    config |= {"max_concurrency": 1, "medchat_page_size": 3, "medchat_window_pages": 2}
    process = cli.start(config=config)
    wait_until(lambda: len(sandbox.requests) >= 12)

    run = stop(process, signum)

    assert_stopped(run, signum)
    assert run.bookmark("sms_chats")["sweep"]["windows"], "the frontier"
    assert 0 < len(run.records("sms_chats")) < 40

    sandbox.latency_ms = 0
    sandbox.reset_log()
    rest = cli(config=config, state=run.state)
    assert rest.code == 0
    assert 0 < len(rest.records("sms_chats")) < 40, "it went on where it stopped"
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
    assert run.errors == ["The target has gone: it reads no more."]
    assert "Traceback" not in log
    assert "Exception ignored" not in log
