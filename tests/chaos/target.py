"""A small warehouse: upserts by key what it has received, and is strict about the form."""

from __future__ import annotations

import copy
import typing as t

from .bookmarks import merge

if t.TYPE_CHECKING:
    from support.tap_process import Json, Run

Key = tuple[t.Any, ...]


class Target:
    """Holds rows per stream by key, and the STATE that the next run starts from."""

    def __init__(self, *, merges_states: bool = False) -> None:
        self.rows: dict[str, dict[Key, Json]] = {}
        self.state: Json | None = None
        self._merges_states = merges_states

    def receive(self, run: Run, unacknowledged: int = 0) -> None:
        """Take the messages of a run, however it ended.

        The last `unacknowledged` STATEs are lost on the way back to the orchestrator.
        """
        announced: dict[str, list[str]] = {}
        for message in run.messages:
            kind = message["type"]
            if kind == "SCHEMA":
                assert message["stream"] not in announced, "SCHEMA twice"
                announced[message["stream"]] = message["key_properties"]
            elif kind == "RECORD":
                assert message["stream"] in announced, "RECORD before its SCHEMA"
                self._upsert(message["stream"], announced[message["stream"]], message["record"])
            else:
                assert kind == "STATE", kind
        for state in run.states[: len(run.states) - unacknowledged]:
            self._acknowledge(state)

    def _acknowledge(self, state: Json) -> None:
        merges = self._merges_states and self.state is not None
        self.state = merge(copy.deepcopy(self.state), state) if merges else state

    def _upsert(self, stream: str, keys: list[str], record: Json) -> None:
        key = tuple(record.get(name) for name in keys)
        assert key, stream
        assert None not in key, (stream, "null in the key")
        assert "" not in key, (stream, "empty key")
        self.rows.setdefault(stream, {})[key] = record
