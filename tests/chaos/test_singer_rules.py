"""In place of two of the SDK's standard tests, which cannot fail with this tap."""

from __future__ import annotations

import typing as t
from collections import Counter

import pytest

from . import bookmarks
from .runner import Runner
from .spec import Pairs, RunPlan, ScenarioSpec

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.tap_process import Run

SETTINGS: Pairs = (
    ("medchat_page_size", 5),
    ("medchat_window_pages", 2),
    ("swell_page_size", 4),
    ("swell_window_days", 2),
    ("swell_lookback_days", 2),
    ("swell_counts_lookback_days", 2),
)
KEYS = {"swell_message_counts": ("account_name", "date", "location_id", "team_id")}
CHANGES = RunPlan(before=("add_message", "change_chat", "add_swell_message", "add_backdated_chat"))


@pytest.fixture(scope="module")
def runs() -> Iterator[list[Run]]:
    """A first run, and one after some changes."""
    with Runner() as runner:
        scenario = runner.prepare(
            ScenarioSpec(chats=60, swell_messages=90, days=20, all_streams=True, settings=SETTINGS)
        )
        scenario.run(RunPlan())
        scenario.run(CHANGES)
        yield scenario.runs


def repeated(run: Run, stream: str) -> list[tuple[t.Any, ...]]:
    names = KEYS.get(stream, ("id",))
    keys = Counter(tuple(row[name] for name in names) for row in run.records(stream))
    return [key for key, times in keys.items() if times > 1]


def test_keys_are_unique_within_a_run(runs: list[Run]) -> None:
    first = runs[0]
    streams = {message["stream"] for message in first.messages if "stream" in message}
    assert len(streams) == 6
    for stream in streams:
        assert first.records(stream), stream
        assert repeated(first, stream) == [], stream


def test_keys_are_unique_in_a_later_run(runs: list[Run]) -> None:
    # Swell's pass for late changes may bring a message of the last days once more.
    for stream in ("sms_chats", "sms_messages", "sms_memberships", "swell_message_counts"):
        assert repeated(runs[1], stream) == [], stream


@pytest.mark.parametrize("number", [0, 1])
def test_final_state_has_no_leftovers(runs: list[Run], number: int) -> None:
    last = runs[number].messages[-1]
    assert last["type"] == "STATE"
    assert last["value"].keys() == {"bookmarks"}
    found = last["value"]["bookmarks"]
    assert len(found) == 6
    for stream, bookmark in found.items():
        assert bookmark["replication_key_value"], stream
        assert bookmarks.finished(bookmark), stream
        assert not bookmarks.unfinished(bookmark), stream
        assert not bookmark.keys() & {"partitions", "progress_markers"}
