"""The tap as a process that can be watched, stopped and killed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
import typing as t
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from typing_extensions import Self

Json = dict[str, t.Any]
FORKSERVER = Path(__file__).with_name("forkserver.py")
SMALL_PIPE = 4096
HANGS_AFTER = 60.0
READ_BYTES = 1 << 16


class Hung(AssertionError):
    """A run wrote nothing for too long."""


@dataclass
class Finished:
    """What a target received of a run: complete lines, and how the run ended.

    `rest` is what came after the last line's end: only a killed tap leaves something.
    `code` is negative for a signal that killed it.
    """

    code: int
    lines: list[bytes]
    rest: bytes
    log: str
    seconds_after_signal: float | None = None

    @cached_property
    def messages(self) -> list[Json]:
        """The Singer messages; a line that is no JSON is an error."""
        return [json.loads(line) for line in self.lines]

    def records(self, stream: str) -> list[Json]:
        """A stream's records in the order of their coming."""
        return [
            message["record"]
            for message in self.messages
            if message["type"] == "RECORD" and message["stream"] == stream
        ]

    @property
    def states(self) -> list[Json]:
        """The values of all STATE messages."""
        return [message["value"] for message in self.messages if message["type"] == "STATE"]

    @property
    def state(self) -> Json:
        """The last STATE."""
        return self.states[-1]

    @property
    def errors(self) -> list[str]:
        """The log's lines of level ERROR."""
        return [line for line in self.log.splitlines() if "ERROR" in line]


@dataclass
class Running:
    """A run under way. `on_line` is called with the number of each complete line."""

    pid: int
    stdout: int
    log: t.IO[bytes]
    channel: t.IO[bytes]
    on_line: Callable[[Running, int], None] | None = None
    signalled: float | None = None
    _lines: list[bytes] = field(default_factory=list)
    _deaf: bool = False

    def signal(self, number: int) -> None:
        """Send a signal; the process may have ended."""
        self.signalled = self.signalled or time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def stop_reading(self) -> None:
        """Be a target that has died: what is in the pipe is lost, and the pipe is broken."""
        self._deaf = True

    def finish(self) -> Finished:
        """Read to the end of the output and of the process."""
        rest = b""
        while not self._deaf and (data := self._read()):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._lines.append(line)
                if self.on_line:
                    self.on_line(self, len(self._lines))
                if self._deaf:  # `on_line` may have made it so
                    break  # type: ignore[unreachable]
        os.close(self.stdout)
        code = int(self.channel.readline())
        took = time.monotonic() - self.signalled if self.signalled else None
        self.log.seek(0)
        log = self.log.read().decode("utf-8", "replace")
        self.log.close()
        return Finished(code, self._lines, b"" if self._deaf else rest, log, took)

    def _read(self) -> bytes:
        ready, _, _ = select.select([self.stdout], [], [], HANGS_AFTER)
        if not ready:
            self.signal(signal.SIGKILL)
            self.channel.readline()
            raise Hung(self._lines[-3:])
        return os.read(self.stdout, READ_BYTES)


class TapServer:
    """Runs the tap by way of a fork server; a context manager."""

    def __init__(self, package_root: Path | None = None) -> None:
        self._package_root = package_root
        self._folder = tempfile.TemporaryDirectory(prefix="tap-runs-")

    def __enter__(self) -> Self:
        ours, theirs = socket.socketpair()
        environment = {**os.environ, "TAP_MEDCHAT_SWELL_LOGLEVEL": "INFO"}
        if self._package_root:
            paths = [str(self._package_root), os.environ.get("PYTHONPATH", "")]
            environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        self._process = subprocess.Popen(
            [sys.executable, str(FORKSERVER), str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=environment,
            start_new_session=True,
        )
        theirs.close()
        self._socket = ours
        self._channel = ours.makefile("rb")
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        self._socket.close()
        self._process.wait(timeout=HANGS_AFTER)
        self._folder.cleanup()

    def start(
        self,
        config: Mapping[str, t.Any],
        state: Json | None = None,
        catalog: Json | None = None,
        *arguments: str,
        hurry: bool = True,
        small_pipe: bool = False,
    ) -> Running:
        """Start a run. With `hurry`, pauses before retries are short."""
        documents = {"config": dict(config), "state": state, "catalog": catalog}
        options = [*self._files(documents), *arguments]
        reading, writing = os.pipe()
        if small_pipe:
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, SMALL_PIPE)
        log = tempfile.TemporaryFile()  # noqa: SIM115 - read when the run has ended
        request = json.dumps({"arguments": options, "hurry": hurry})
        socket.send_fds(self._socket, [request.encode()], [writing, log.fileno()])
        os.close(writing)
        pid = int(self._channel.readline())
        return Running(pid, reading, log, self._channel)

    def run(
        self,
        config: Mapping[str, t.Any],
        state: Json | None = None,
        catalog: Json | None = None,
        *arguments: str,
        hurry: bool = True,
    ) -> Finished:
        """Run to the end."""
        return self.start(config, state, catalog, *arguments, hurry=hurry).finish()

    def _files(self, documents: Mapping[str, Json | None]) -> Iterator[str]:
        for name, document in documents.items():
            if document is not None:
                path = Path(self._folder.name) / f"{name}.json"
                path.write_text(json.dumps(document), "utf-8")
                yield from (f"--{name}", str(path))
