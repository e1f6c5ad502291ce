"""The tap as a process that can be watched, stopped and killed."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass, field
from functools import cached_property

from support import TESTS

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Json = dict[str, t.Any]
HANGS_AFTER = 60.0
READ_BYTES = 1 << 16


class Hung(AssertionError):
    """A run wrote nothing for too long."""


@dataclass(frozen=True)
class Run:
    """What a run left: its exit code, its standard output, its log.

    `code` is negative for a signal that killed it.
    """

    code: int
    stdout: bytes
    log: str
    metrics: list[Json] = field(default_factory=list)
    peak_mb: int = 0
    seconds_after_signal: float | None = None

    @property
    def rest(self) -> bytes:
        """What came after the last line's end: only a killed tap leaves something."""
        return self.stdout.rpartition(b"\n")[2]

    @cached_property
    def lines(self) -> list[bytes]:
        """The complete lines of standard output."""
        return self.stdout.splitlines()[: self.stdout.count(b"\n")]

    @cached_property
    def messages(self) -> list[Json]:
        """The Singer messages; a line that is no JSON is an error."""
        return [json.loads(line) for line in self.lines]

    def of_type(self, kind: str) -> list[Json]:
        """Messages of one Singer type."""
        return [message for message in self.messages if message["type"] == kind]

    def records(self, stream: str) -> list[Json]:
        """A stream's records in the order of their coming."""
        return [m["record"] for m in self.of_type("RECORD") if m["stream"] == stream]

    @property
    def streams(self) -> set[str]:
        """The streams that were announced or written."""
        return {message["stream"] for message in self.messages if "stream" in message}

    @property
    def states(self) -> list[Json]:
        """The values of all STATE messages."""
        return [message["value"] for message in self.of_type("STATE")]

    @property
    def state(self) -> Json:
        """The last STATE."""
        return self.states[-1]

    def bookmark(self, stream: str) -> Json:
        """A stream's bookmark in the last STATE."""
        return t.cast("Json", self.state["bookmarks"].get(stream, {}))

    @property
    def errors(self) -> list[str]:
        """The log lines of level ERROR, without their prefixes."""
        lines = (line for line in self.log.splitlines() if "| ERROR" in line)
        return [line.rpartition(" | ")[2] for line in lines]


@dataclass
class Running:
    """A run under way. `on_line` is called with the number of each complete line."""

    pid: int
    stdout: int
    log: t.IO[bytes]
    server: ForkServer
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

    def finish(self) -> Run:
        """Read to the end of the output and of the process."""
        try:
            rest = self._read_lines()
        except BaseException:
            self.signal(signal.SIGKILL)
            self.server.wait()
            raise
        finally:
            os.close(self.stdout)
        code, peak = self.server.wait()
        took = time.monotonic() - self.signalled if self.signalled else None
        self.log.seek(0)
        log = self.log.read().decode("utf-8", "replace")
        self.log.close()
        stdout = b"".join([*(line + b"\n" for line in self._lines), rest])
        return Run(code, stdout, log, peak_mb=peak >> 10, seconds_after_signal=took)

    def _read_lines(self) -> bytes:
        rest = b""
        while not self._deaf and (data := self._read()):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._lines.append(line)
                if self.on_line:
                    self.on_line(self, len(self._lines))
                if self._deaf:  # `on_line` may have made it so
                    return b""  # type: ignore[unreachable]
        return rest

    def _read(self) -> bytes:
        output = select.poll()
        output.register(self.stdout, select.POLLIN)
        if not output.poll(HANGS_AFTER * 1000):
            raise Hung(self._lines[-3:])
        return os.read(self.stdout, READ_BYTES)


class ForkServer:
    """Runs the command line in forks of one process that has imported it already."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._socket, theirs = socket.socketpair()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.forkserver", str(theirs.fileno())],
            cwd=TESTS,
            pass_fds=[theirs.fileno()],
            env=environment,
            start_new_session=True,
        )
        theirs.close()
        self._channel = self._socket.makefile("rb")

    def start(self, stdout: int, stderr: int, **job: t.Any) -> int:
        """Start a run that writes to these descriptors; its process id."""
        socket.send_fds(self._socket, [json.dumps(job).encode()], [stdout, stderr])
        return int(self._channel.readline())

    def wait(self) -> tuple[int, int]:
        """Wait for the run's end: its exit code, and the most memory it had (KiB)."""
        code, peak = map(int, self._channel.readline().split())
        return code, peak

    def close(self) -> None:
        """End the process."""
        self._channel.close()
        self._socket.close()
        self._process.wait(timeout=HANGS_AFTER)


@functools.cache
def fork_server(*, measured: bool) -> ForkServer:
    """The fork server of this process, which ends with it; `measured` counts for coverage."""
    kept = {name: text for name, text in os.environ.items() if measured or "COVERAGE" not in name}
    server = ForkServer(kept)
    atexit.register(server.close)
    return server
