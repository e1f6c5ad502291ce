"""Where states are kept, so that a worker on another machine finds them.

A store has `get` and `put`. Both stores replace a state at once: a reader finds the old one or
the new one.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import typing as t
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

State = dict[str, t.Any]
MELTANO = "meltano:"


class StateStore(t.Protocol):
    """Keeps one state per name."""

    def get(self, name: str) -> State | None:
        """The state of that name, if there is one."""

    def put(self, name: str, state: State) -> None:
        """Keep a state in place of an older one."""


def open_store(place: str) -> StateStore:
    """The store at a folder, an address such as s3://bucket/folder, or `meltano:PROJECT_FOLDER`."""
    if place.startswith(MELTANO):
        return MeltanoStates(Path(place.removeprefix(MELTANO)))
    if "://" in place:
        return ObjectStates(place)
    return FolderStates(Path(place))


def _file_name(name: str) -> str:
    return f"{urllib.parse.quote(name, safe='')}.json"


@dataclass(frozen=True)
class FolderStates:
    """A file per state, in a folder that all workers share."""

    folder: Path

    def get(self, name: str) -> State | None:
        """The state of that name, if there is one."""
        try:
            return t.cast("State", json.loads((self.folder / _file_name(name)).read_text("utf-8")))
        except FileNotFoundError:
            return None

    def put(self, name: str, state: State) -> None:
        """Keep a state in place of an older one, also if the machine stops now."""
        text = json.dumps(state)
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self.folder, delete=False) as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(self.folder / _file_name(name))


@dataclass(frozen=True)
class ObjectStates:
    """An object per state, wherever fsspec leads: s3://, gs://, abfs:// ..."""

    url: str

    def _object(self, name: str) -> tuple[t.Any, str]:
        import fsspec.core  # noqa: PLC0415 - only these stores need it

        files, root = fsspec.core.url_to_fs(self.url)
        files.invalidate_cache()
        return files, f"{root.rstrip('/')}/{_file_name(name)}"

    def get(self, name: str) -> State | None:
        """The state of that name, if there is one."""
        files, path = self._object(name)
        try:
            return t.cast("State", json.loads(files.cat_file(path)))
        except FileNotFoundError:
            return None

    def put(self, name: str, state: State) -> None:
        """Keep a state in place of an older one: an object appears when it is complete."""
        files, path = self._object(name)
        files.pipe_file(path, json.dumps(state).encode())


@dataclass(frozen=True)
class MeltanoStates:
    """The state backend of a Meltano project, which may be a database or a bucket."""

    project: Path
    meltano: str = "meltano"

    def get(self, name: str) -> State | None:
        """The state of that name, if there is one."""
        document = json.loads(self._run("get", name) or "{}")
        return t.cast("State", document.get("singer_state")) or None

    def put(self, name: str, state: State) -> None:
        """Keep a state in place of an older one."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"singer_state": state}, file)
            file.flush()
            self._run("set", "--force", "--input-file", file.name, name)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603 - no shell
            [self.meltano, "state", *arguments],
            cwd=self.project,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise RuntimeError(f"meltano state {arguments[0]} failed: {last}")
        return done.stdout
