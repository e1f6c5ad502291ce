"""Running the tap, inside this process or as a process of its own."""

from __future__ import annotations

import contextlib
import copy
import fcntl
import io
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import typing as t
from dataclasses import dataclass

from support.tap_process import Json, Run, Running, fork_server
from tap_medchat_swell.errors import TapError
from tap_medchat_swell.tap import TapMedchatSwell

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from medchat_swell_sandbox import Sandbox

Record = dict[str, t.Any]
SMALL_PIPE = 4096
COVERAGE = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
COMMAND = (sys.executable, "-m", "tap_medchat_swell")
MEDCHAT_STREAMS = ("sms_chats", "sms_memberships", "sms_messages", "sms_text_bot_executions")
SWELL_STREAMS = ("swell_message_counts", "swell_messages")
STREAMS = (*MEDCHAT_STREAMS, *SWELL_STREAMS)
DEFAULT_STREAMS = ("sms_chats", "sms_messages", *SWELL_STREAMS)


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.metrics: list[Json] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("singer_sdk.metrics"):
            self.metrics.append(t.cast("t.Any", record.args)[0].to_dict())
        self.lines.append(f"| {record.levelname} | {record.getMessage()}")


@contextlib.contextmanager
def log_lines() -> Iterator[_Lines]:
    """Collect all log lines of at least INFO."""
    root, handler = logging.getLogger(), _Lines()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield handler
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


@contextlib.contextmanager
def signal_handlers_kept() -> Iterator[None]:
    """Put the handlers of SIGINT and SIGTERM back, which every tap replaces."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def sync(
    config: Mapping[str, t.Any], state: Json | None = None, catalog: Json | None = None
) -> Run:
    """Run the tap in this process. Whatever is no TapError is a test's failure."""
    out = io.BytesIO()
    text = io.TextIOWrapper(out, encoding="utf-8", write_through=True)
    with log_lines() as log, signal_handlers_kept(), contextlib.redirect_stdout(text):
        code = 0
        try:
            TapMedchatSwell(
                config=dict(config),
                state=copy.deepcopy(state),
                catalog=copy.deepcopy(catalog),
                parse_env_config=False,
            ).sync_run.start()
        except TapError as error:
            log.lines.append(f"| ERROR | {error}")
            code = 1
    return Run(code, out.getvalue(), "\n".join(log.lines), log.metrics)


def discover(config: Mapping[str, t.Any]) -> Json:
    """The catalog for a configuration, as --discover writes it."""
    with signal_handlers_kept():
        tap = TapMedchatSwell(
            config=dict(config), parse_env_config=False, validate_config=False, setup_mapper=False
        )
    return copy.deepcopy(t.cast("Json", tap.catalog_dict))


def select(
    catalog: Json, streams: Mapping[str, bool], fields: Mapping[str, bool] | None = None
) -> Json:
    """A catalog with some streams, and fields as `stream.field.field`, (de)selected."""
    catalog = copy.deepcopy(catalog)
    wanted = {
        (stream, *_breadcrumb(path)): value
        for name, value in (fields or {}).items()
        for stream, _, path in [name.partition(".")]
    }
    for entry in catalog["streams"]:
        stream = entry["tap_stream_id"]
        for metadata in entry["metadata"]:
            place = (stream, *metadata["breadcrumb"])
            if not metadata["breadcrumb"] and stream in streams:
                metadata["metadata"]["selected"] = streams[stream]
            if place in wanted:
                metadata["metadata"]["selected"] = wanted.pop(place)
    if wanted:
        raise KeyError(sorted(wanted))
    return catalog


def _breadcrumb(path: str) -> tuple[str, ...]:
    return tuple(part for name in path.split(".") for part in ("properties", name))


def only(*streams: str) -> dict[str, bool]:
    """A selection of these streams and no other."""
    return {stream: stream in streams for stream in (*STREAMS, "sync_windows")}


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """An environment in which nothing of the developer's own is left."""
    kept = ("PATH", "PYTHONPATH", "SYSTEMROOT", "TAP_MUTANT", *COVERAGE)
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "HOME": str(folder),
        "PYTHONUTF8": "1",
        "TAP_MEDCHAT_SWELL_LOGLEVEL": "INFO",
        **variables,
    }


@dataclass(frozen=True)
class Cli:
    """Runs the command line in a folder of its own.

    As a process forked off one that has imported the tap; where Python's start or end matters,
    or a real pipe, as a `fresh` one.
    """

    folder: Path
    measured: bool = True

    def file(self, name: str, content: object) -> str:
        """Write a file: text as it is, anything else as JSON."""
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return str(path)

    def arguments(self, **documents: object) -> list[str]:
        """The options for these documents, each put into a file."""
        return [
            argument
            for name, document in documents.items()
            if document is not None
            for argument in (f"--{name}", self.file(f"{name}.json", document))
        ]

    def __call__(self, *arguments: str, **options: t.Any) -> Run:
        """Run to the end; options and documents are those of `begin`."""
        return self.begin(*arguments, **options).finish()

    def begin(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        hurry: bool = False,
        small_pipe: bool = False,
        clock_offset: float = 0,
        **documents: object,
    ) -> Running:
        """Begin a run whose output is read by `finish`, and whose clock is so many seconds ahead.

        With `hurry`, pauses before retries are short.
        """
        forks = fork_server(measured=self.measured)
        log = tempfile.TemporaryFile()  # noqa: SIM115 - read when the run has ended
        reading, writing = os.pipe()
        if small_pipe:
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SMALL_PIPE)
        pid = forks.start(
            writing,
            log.fileno(),
            arguments=[*self.arguments(**documents), *map(str, arguments)],
            cwd=str(self.folder),
            env=environment(self.folder, **(env or {})),
            hurry=hurry,
            clock_offset=clock_offset,
        )
        os.close(writing)
        return Running(pid, reading, log, forks)

    def fresh(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        command: tuple[str, ...] = COMMAND,
        **documents: object,
    ) -> Run:
        """Run to the end, as a process of its own from Python's start on."""
        process = self.start(*arguments, env=env, command=command, **documents)
        stdout, stderr = process.communicate(timeout=60)
        return Run(process.returncode, stdout, stderr.decode("utf-8"))

    def start(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        command: tuple[str, ...] = COMMAND,
        **documents: object,
    ) -> subprocess.Popen[bytes]:
        """Start a process of its own, with pipes at its standard output and error."""
        return subprocess.Popen(
            [*command, *self.arguments(**documents), *arguments],
            cwd=self.folder,
            env=environment(self.folder, **(env or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


def without_times(stdout: bytes) -> list[Json]:
    """RECORD messages in order, without time_extracted."""
    messages = (json.loads(line) for line in stdout.splitlines())
    return [
        {key: message[key] for key in message if key != "time_extracted"}
        for message in messages
        if message["type"] == "RECORD"
    ]


def assert_whole(run: Run, sandbox: Sandbox, *streams: str) -> None:
    """Check that the streams hold what the sandbox holds, row by row and field by field."""
    truth = sandbox.truth()
    for stream in streams or DEFAULT_STREAMS:
        if stream == "swell_message_counts":
            assert_counts(run.records(stream), truth[stream])
            continue
        records = {record["id"]: record for record in run.records(stream)}
        assert set(records) == {row["id"] for row in truth[stream]}, stream
        for row in truth[stream]:
            assert_row(records[row["id"]], row)


def contact_held(contact: Record) -> Record:
    """A contact in the sandbox's form: tags by name, locations by id and name."""
    locations = [{name: place[name] for name in ("id", "name")} for place in contact["locations"]]
    return {**contact, "tags": [tag["name"] for tag in contact["tags"]], "locations": locations}


def assert_row(record: Record, row: Record) -> None:
    """Check one record, as far as the vendors show what the sandbox holds."""
    everything = {**(record["additional_properties"] or {}), **record}
    hidden = {"updated_at", "team_id", "date_sent", "contact"}
    for name in row.keys() - hidden:
        assert everything[name] == row[name], name
    if "date_sent" in row:
        assert record["date_sent_utc"] == row["date_sent"]
        contact = contact_held(record["contact"])
        for name in row["contact"]:
            assert contact[name] == row["contact"][name], name


def assert_counts(records: list[Record], truth: list[Record]) -> None:
    """Check counts by day; days without a message are zero."""
    counts = {record["date"]: (record["received"], record["sent"]) for record in records}
    for row in truth:
        assert counts.pop(row["date"]) == (row["received"], row["sent"]), row["date"]
    assert set(counts.values()) <= {(0, 0)}
