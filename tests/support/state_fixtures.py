"""What the states in `tests/fixtures` belong to, and how they were recorded.

    python -m support.state_fixtures    records them again, with the tap as it stands

Every date is absolute. Read them with both clocks at `NIGHT` or later:
`VendorClock(offset_to(NIGHT))` around a sandbox, `clock_offset` for the tap.
"""

from __future__ import annotations

import copy
import json
import random
import signal
import typing as t
from datetime import datetime, timedelta, timezone
from unittest import mock

from medchat_swell_sandbox import Dataset, Fault, Sandbox, generate

from support import TESTS
from support.clocks import VendorClock, offset_to
from support.tap_process import Json, Run, TapServer

if t.TYPE_CHECKING:
    from pathlib import Path

FIXTURES = TESTS / "fixtures"
FIRST_RUN = datetime(2026, 3, 2, 15, tzinfo=timezone.utc)
NIGHT = FIRST_RUN + timedelta(days=20)
SETTINGS: dict[str, t.Any] = {
    "start_date": "2026-01-20T00:00:00Z",
    "medchat_page_size": 5,
    "medchat_window_pages": 2,
    "swell_page_size": 5,
    "swell_window_days": 2,
    "swell_lookback_days": 2,
    "swell_counts_lookback_days": 2,
    "max_concurrency": 2,
}


def dataset_of_first_run() -> Dataset:
    """The rows that both vendors held at `FIRST_RUN`."""
    with mock.patch.object(generate.History, "_thread_length", _thread_length):
        return Dataset.generate(
            seed=15, chats=60, messages_per_chat=3, swell_messages=80, days=40, now=FIRST_RUN
        )


def _thread_length(history: generate.History, number: int, mean: int) -> int:
    """As the sandbox had it when the states were recorded."""
    if number % generate.LONG_THREAD_EVERY == generate.LONG_THREAD_EVERY // 2:
        return mean * generate.LONG_THREAD_FACTOR
    return history._rng.choice((0, mean, mean, mean, 2 * mean))


def add_changes(dataset: Dataset) -> None:
    """Bring the rows to where they were at `NIGHT`. Use the vendors' clock of that night."""
    rng = random.Random("changes")
    chats = dataset.chats_created(None, None)
    for number in range(20):
        created = FIRST_RUN + timedelta(hours=24 * number + 1)
        chat = dataset.add_chat(id=f"new-chat-{number}", created=created)
        dataset.add_message(chat.id, id=f"new-message-{number}", created=created)
        dataset.add_swell_message(
            rng.choice(sorted(dataset.contacts)),
            created=created,
            text=f"new {number}",
            message_type=rng.choice(("to", "from")),
        )
    for number, chat in enumerate(chats[::6]):
        dataset.change_chat(chat.id, status=f"Changed {number}")
        dataset.add_message(
            chat.id, id=f"late-message-{number}", created=NIGHT - timedelta(hours=number + 1)
        )
        member = dataset.add_membership(chat.id, id=f"late-membership-{number}", created=NIGHT)
        member.user_id = f"user-{number}"
        dataset.add_execution(chat.id, id=f"late-execution-{number}", created=NIGHT)


def load_state(name: str) -> Json:
    """A state that was recorded: finished, interrupted or first_run_interrupted."""
    return t.cast("Json", json.loads(_state_path(name).read_text("utf-8")))


def load_received(name: str) -> list[Json]:
    """The records, each with its stream, that this run wrote before that state."""
    return [json.loads(line) for line in _received_path(name).read_text("utf-8").splitlines()]


def _state_path(name: str) -> Path:
    return FIXTURES / f"state_v1_{name}.json"


def _received_path(name: str) -> Path:
    return FIXTURES / f"state_v1_{name}.received.jsonl"


def all_streams(server: TapServer, config: Json) -> Json:
    """A catalog with every stream selected."""
    catalog: Json = json.loads(server.run(config, None, None, "--discover").stdout)
    for entry in catalog["streams"]:
        for metadata in entry["metadata"]:
            if not metadata["breadcrumb"]:
                metadata["metadata"]["selected"] = True
    return catalog


def received_before_last_state(run: Run) -> list[Json]:
    """The records that a target has certainly stored when it returns the last STATE."""
    messages = run.messages
    last = max(n for n, message in enumerate(messages) if message["type"] == "STATE")
    return [
        {"stream": message["stream"], "record": message["record"]}
        for message in messages[:last]
        if message["type"] == "RECORD"
    ]


class Recorder:
    """Runs the tap at a date, to its end or until both vendors are in the middle."""

    def __init__(self, sandbox: Sandbox, server: TapServer) -> None:
        self._sandbox, self._server = sandbox, server
        self._config = sandbox.tap_config(**SETTINGS)
        self._catalog = all_streams(server, self._config)

    def finished(self, moment: datetime, state: Json | None) -> Run:
        """A run that completes."""
        offset = offset_to(moment).total_seconds()
        return self._server.start(self._config, state, self._catalog, clock_offset=offset).finish()

    def interrupted(self, moment: datetime, state: Json | None) -> Run:
        """A run that loses MedChat and the counts on the way, and is told to stop later on."""
        self._sandbox.faults.add(
            Fault("status", status=403, where="medchat", after=10, times=None),
            Fault("status", status=403, where="count", after=13, times=None),
        )
        offset = offset_to(moment).total_seconds()
        process = self._server.start(self._config, state, self._catalog, clock_offset=offset)
        windows: set[str] = set()

        def on_request(_: int, vendor: str, path: str, query: dict[str, str]) -> None:
            if vendor == "swell" and not path.endswith("count"):
                windows.add(query.get("from_date", ""))
                if len(windows) == 7:
                    process.signal(signal.SIGTERM)

        self._sandbox.on_request = on_request
        run = process.finish()
        self._sandbox.on_request = None
        self._sandbox.faults.clear()
        return run


def record() -> None:
    """Write the fixtures."""
    runs: dict[str, Run] = {}
    dataset = dataset_of_first_run()
    with Sandbox(dataset) as sandbox, TapServer() as server:
        recorder = Recorder(sandbox, server)
        with VendorClock(offset_to(FIRST_RUN)):
            runs["first_run_interrupted"] = recorder.interrupted(FIRST_RUN, None)
            runs["finished"] = recorder.finished(FIRST_RUN, None)
        with VendorClock(offset_to(NIGHT)):
            add_changes(dataset)
            state = copy.deepcopy(runs["finished"].state)
            runs["interrupted"] = recorder.interrupted(NIGHT, state)
    for name, run in runs.items():
        _state_path(name).write_text(json.dumps(run.state, indent=1) + "\n", "utf-8")
        lines = (json.dumps(record) + "\n" for record in received_before_last_state(run))
        _received_path(name).write_text("".join(lines), "utf-8")


if __name__ == "__main__":
    record()
