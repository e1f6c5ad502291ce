"""A small warehouse: upserts by key what it has received, and is strict about the form."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from support.tap_process import Json, Run

Key = tuple[t.Any, ...]


class Target:
    """Holds rows per stream by key, and the STATE that it received last."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[Key, Json]] = {}
        self.state: Json | None = None

    def receive(self, run: Run) -> None:
        """Take the messages of a run, however it ended."""
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
                self.state = message["value"]

    def _upsert(self, stream: str, keys: list[str], record: Json) -> None:
        key = tuple(record.get(name) for name in keys)
        assert key, stream
        assert None not in key, (stream, "null in the key")
        assert "" not in key, (stream, "empty key")
        self.rows.setdefault(stream, {})[key] = record
