"""What the states in `tests/fixtures` belong to.

Every date is absolute. Read them with both clocks at `NIGHT` or later:
`VendorClock(offset_to(NIGHT))` around a sandbox, `clock_offset` for the tap.
"""

from __future__ import annotations

import json
import random
import typing as t
from datetime import datetime, timedelta, timezone
from unittest import mock

from medchat_swell_sandbox import Dataset, generate

from support import TESTS
from support.clocks import offset_to
from support.tap_runs import STREAMS, discover, only, select

if t.TYPE_CHECKING:
    from pathlib import Path

    from medchat_swell_sandbox import Sandbox

    from support.tap_process import Json, Run
    from support.tap_runs import Cli

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


def run_at(moment: datetime, sandbox: Sandbox, cli: Cli, state: Json) -> Run:
    """A run at a date, of every stream."""
    config = sandbox.tap_config(**SETTINGS)
    offset = offset_to(moment).total_seconds()
    catalog = select(discover(config), only(*STREAMS))
    return cli(config=config, state=state, catalog=catalog, clock_offset=offset)
