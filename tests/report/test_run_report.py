"""Every run says what it did: to people as a table, to programs as JSON."""

from __future__ import annotations

import json
import math
import signal
import stat
import time
import typing as t
from collections import Counter

import jsonschema  # type: ignore[import-untyped]
import pytest
from medchat_swell_sandbox import Dataset, Fault, Quirks, Sandbox
from support import ROOT
from support.tap_process import Run
from support.tap_runs import DEFAULT_STREAMS, Cli, sync

if t.TYPE_CHECKING:
    from pathlib import Path

SCHEMA = json.loads((ROOT / "docs" / "run-report.schema.json").read_text("utf-8"))
Report = dict[str, t.Any]


@pytest.fixture
def path(tmp_path: Path, config: dict[str, t.Any]) -> Path:
    report = tmp_path / "report.json"
    config["report_path"] = str(report)
    return report


def load(path: Path) -> Report:
    report: Report = json.loads(path.read_text("utf-8"))
    jsonschema.validate(report, SCHEMA)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.glob(".run-report*")] == []
    return report


def by_stream(report: Report) -> dict[str, Report]:
    return {entry["stream"]: entry for entry in report["streams"]}


def written(run: Run) -> Counter[str]:
    return Counter(message["stream"] for message in run.of_type("RECORD"))


def assert_true(report: Report, run: Run) -> None:
    """Check that the report claims what the target got."""
    counts = written(run)
    assert {name: entry["rows_written"] for name, entry in by_stream(report).items()} == {
        name: counts[name] for name in DEFAULT_STREAMS
    }


def test_a_complete_run(sandbox: Sandbox, config: dict[str, t.Any], path: Path) -> None:
    run = sync(config)

    report = load(path)
    assert_true(report, run)
    assert report["result"] == "complete"
    assert {entry["result"] for entry in report["streams"]} == {"complete"}
    assert sum(entry["requests"] or 0 for entry in report["streams"]) == len(sandbox.requests)
    assert by_stream(report)["sms_messages"]["read_with"] == "sms_chats"
    assert by_stream(report)["sms_messages"]["requests"] is None
    assert report["verdict"] == f"Everything up to {report['until'][:16].replace('T', ' ')} is in."
    lines = run.log.splitlines()
    assert lines[-1] == report["verdict"]
    assert [line.split()[0] for line in lines[-5:-1]] == [*by_stream(report)]


def test_a_run_without_news_has_read_and_not_written(config: dict[str, t.Any], path: Path) -> None:
    first = sync(config)

    second = sync(config, first.state)

    report = load(path)
    assert_true(report, second)
    chats = by_stream(report)["sms_chats"]
    assert (chats["rows_read"], chats["rows_written"]) == (40, 0)
    messages = by_stream(report)["sms_messages"]["rows_read"]
    assert messages == len(first.records("sms_messages"))


def test_it_ends_at_end_date(config: dict[str, t.Any], path: Path) -> None:
    config["start_date"] = config["start_date"][:4] + "-01-01"
    config["end_date"] = config["start_date"][:4] + "-02-01"

    sync(config)

    report = load(path)
    assert report["until"][5:] == "02-01T00:00:00.000000Z"
    assert report["verdict"].endswith("-02-01 is in.")


def test_a_failed_scan(sandbox: Sandbox, config: dict[str, t.Any], path: Path) -> None:
    sandbox.faults.add(Fault("status", status=401, times=None, after=2, where="swell"))

    run = sync(config)

    assert run.code == 1
    report = load(path)
    assert_true(report, run)
    streams = by_stream(report)
    assert report["result"] == "failed"
    assert streams["sms_chats"]["result"] == "complete"
    assert streams["swell_messages"]["result"] == "failed"
    assert streams["swell_messages"]["error"]
    assert "swell_messages" in report["verdict"]
    assert "stopped at" in report["verdict"]
    assert "sms_chats" not in report["verdict"]


def test_a_run_that_reads_nothing(config: dict[str, t.Any], path: Path) -> None:
    config |= {"swell_api_token": "", "medchat_org_id": "org"}

    run = sync(config, catalog=_nothing_selected(config))

    assert run.code == 1
    report = load(path)
    assert (report["result"], report["streams"]) == ("failed", [])
    assert report["verdict"].startswith("Failed: No stream is selected")


@pytest.mark.parametrize(
    ("setting", "documents"),
    [
        ({"start_date": "soon"}, {}),
        ({"privacy_profile": "pseudonymized"}, {}),
        ({}, {"state": "no JSON"}),
        ({}, {"catalog": {"streams": 7}}),
    ],
)
def test_a_run_that_is_refused(
    config: dict[str, t.Any],
    path: Path,
    cli: Cli,
    setting: dict[str, str],
    documents: dict[str, t.Any],
) -> None:
    run = cli(config={**config, **setting, "account_name": "north"}, **documents)

    assert run.code == 1
    report = load(path)
    assert (report["result"], report["streams"]) == ("failed", [])
    assert report["account_name"] == "north"
    assert report["verdict"] == f"Failed: {run.errors[-1]}"
    assert report["verdict"] in run.log.splitlines()


def test_a_variable_that_cannot_be_read_hides_no_report_path(cli: Cli, path: Path) -> None:
    env = {"TAP_MEDCHAT_SWELL_MAX_RETRIES": "many", "TAP_MEDCHAT_SWELL_REPORT_PATH": str(path)}

    assert cli("--config", "ENV", env=env).code == 1

    assert load(path)["verdict"] == "Failed: TAP_MEDCHAT_SWELL_MAX_RETRIES must be a whole number."


@pytest.mark.parametrize("option", ["--check", "--check=json", "--discover", "--test", "--about"])
def test_what_is_no_run_has_no_report(
    config: dict[str, t.Any], path: Path, cli: Cli, option: str
) -> None:
    env = {"TAP_MEDCHAT_SWELL_MAX_RETRIES": "many"}
    config["start_date"] = "soon"

    runs = [cli(option, config=config), cli(option, "--config", "ENV", env=env, config=config)]

    assert not path.exists()
    assert "Run report" not in runs[0].log + runs[1].log


def test_a_report_path_that_no_file_can_have(config: dict[str, t.Any], cli: Cli) -> None:
    config |= {"start_date": "soon", "report_path": "a\0b"}

    run = cli(config=config)

    assert run.code == 1
    assert "cannot be written to report_path: not a valid path." in run.log
    assert list(cli.folder.glob(".run-report*")) == []


def _nothing_selected(config: dict[str, t.Any]) -> dict[str, t.Any]:
    from support.tap_runs import discover, select  # noqa: PLC0415

    catalog = discover(config)
    return select(catalog, {entry["tap_stream_id"]: False for entry in catalog["streams"]})


def test_a_throttled_run(sandbox: Sandbox, config: dict[str, t.Any], path: Path) -> None:
    sandbox.faults.add(Fault("rate_limited", retry_after=1, times=1, after=2, where="swell"))

    run = sync(config)

    assert run.code == 0
    report = load(path)
    swell = [entry for entry in report["streams"] if entry["vendor"] == "Swell"]
    assert [entry["rate_limit_seconds"] for entry in swell] == [pytest.approx(1, abs=0.5), None]
    assert sum(entry["retries"] for entry in swell) == 1
    assert sum(entry["requests"] or 0 for entry in report["streams"]) == len(sandbox.requests)
    assert by_stream(report)["sms_chats"]["rate_limit_seconds"] == 0


def test_windows_in_doubt(sandbox: Sandbox, config: dict[str, t.Any], path: Path) -> None:
    sandbox.quirks = Quirks(swell_total_shift=1)

    sync(config)

    report = load(path)
    entry = by_stream(report)["swell_messages"]
    assert 0 < entry["doubtful_windows"] < entry["windows"]
    assert report["result"] == "complete"
    doubtful = entry["doubtful_windows"]
    assert f"own count: {doubtful}; see the log." in report["verdict"]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal(
    sandbox: Sandbox, config: dict[str, t.Any], path: Path, cli: Cli, signum: signal.Signals
) -> None:
    sandbox.latency_ms = 60
    config |= {"max_concurrency": 1, "medchat_page_size": 3, "medchat_window_pages": 2}
    process = cli.start(config=config)
    while len(sandbox.requests) < 30:
        time.sleep(0.01)
    process.send_signal(signum)
    stdout, stderr = process.communicate(timeout=60)

    report = load(path)
    run = Run(process.returncode, stdout, stderr.decode())
    assert_true(report, run)
    assert report["result"] == "stopped"
    assert 0 < by_stream(report)["sms_chats"]["rows_written"] < 40
    assert f"stopped by signal {int(signum)}." in report["verdict"]
    assert report["verdict"] in run.log


def test_a_target_that_reads_nothing(cli: Cli, tmp_path: Path) -> None:
    with Sandbox(Dataset.generate(chats=300, swell_messages=0, days=30)) as sandbox:
        path = tmp_path / "report.json"
        process = cli.start(config=sandbox.tap_config(swell_api_token="", report_path=str(path)))
        while not sandbox.requests:
            time.sleep(0.01)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        process.wait(5)
        process.communicate()

    report = load(path)
    assert (report["result"], process.returncode) == ("stopped", 143)


def test_a_broken_pipe(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with Sandbox(Dataset.generate(chats=300, swell_messages=50, days=30)) as sandbox:
        process = cli.start(config=sandbox.tap_config(report_path=str(path)))
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == 1
        assert process.stderr is not None
        process.stderr.close()

    report = load(path)
    assert report["result"] == "failed"
    assert "The target closed the pipe" in report["verdict"]


def test_a_folder_that_does_not_exist(config: dict[str, t.Any], path: Path) -> None:
    config["report_path"] = str(path / "nowhere" / "report.json")

    run = sync(config)

    assert run.code == 1
    assert "report_path must be a file in a folder that exists" in run.log


def test_a_report_that_cannot_be_written(
    config: dict[str, t.Any], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is in, so the run succeeds."""
    path.write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tap_medchat_swell.run_report.json.dump", full)
    run = sync(config)

    assert run.code == 0
    assert "The report cannot be written to report_path: No space left on device." in run.log
    assert path.read_text() == "old"
    assert [file.name for file in path.parent.glob(".run-report*")] == []


def test_metrics_end_with_the_totals(
    config: dict[str, t.Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "singer_sdk.metrics.Counter._ready_to_log", lambda counter: counter.log_interval < math.inf
    )

    run = sync(config)

    counted = {
        point["tags"]["stream"]: point["value"]
        for point in run.metrics
        if point["metric"] == "record_count"
    }
    assert counted == written(run)


def test_a_healthy_night_is_quiet(config: dict[str, t.Any], cli: Cli) -> None:
    first = cli(config=config)

    second = cli(config=config, state=first.state)

    lines = [line for line in second.log.splitlines() if "METRIC" not in line]
    begun = [line for line in lines if "Beginning sync" in line]
    assert len(begun) == len(DEFAULT_STREAMS)
    assert sum("read along with 'sms_chats'" in line for line in begun) == len(begun) - 1
    assert len(lines) == len(begun) + 3 + 7  # version, two scans, the report
