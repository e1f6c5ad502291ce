"""The sandbox, as a process of its own on a core of its own."""

from __future__ import annotations

import json
import os
import subprocess
import time
import typing as t
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from harness import environments
from harness.cores import SERVER_CORE, pinned
from harness.places import WORK

READY_SECONDS = 600
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Data:
    """How much the sandbox holds."""

    chats: int
    swell_messages: int
    days: int = 400

    def times(self, factor: int) -> Data:
        """So many times the history, as dense as before."""
        return Data(self.chats * factor, self.swell_messages * factor, self.days * factor)

    def __str__(self) -> str:
        return (
            f"{self.chats:,} chats with about 5 messages each and {self.swell_messages:,} "
            f"Swell messages over {self.days:,} days"
        )


class Server:
    """A running sandbox; a context manager."""

    def __init__(self, data: Data, *, latency_ms: int = 0, quirks: tuple[str, ...] = ()) -> None:
        # Airbyte cannot write a space as %20; the real API's reading of + is unknown.
        quirks = ("medchat_strict_plus=false", *quirks)
        command = [str(environments.python("sandbox")), "-m", "medchat_swell_sandbox"]
        command += ["--port", "0", "--print-config", "--chats", str(data.chats)]
        command += ["--swell-messages", str(data.swell_messages), "--days", str(data.days)]
        command += ["--latency-ms", str(latency_ms)]
        command += [part for quirk in quirks for part in ("--quirk", quirk)]
        if data.chats <= 50_000:  # noqa: PLR2004 - beyond, memory matters more
            command.append("--warm")
        self._command = pinned(command, SERVER_CORE)

    def __enter__(self) -> t.Self:
        """Start, and wait until it serves."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE)  # noqa: S603
        line = t.cast("t.IO[bytes]", self._process.stdout).readline()
        if not line:
            raise SystemExit("The sandbox did not start.")
        self.config: dict[str, t.Any] = json.loads(line)
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()

    def _ask(self, what: str, body: bytes | None = None) -> t.Any:
        origin = self.config["swell_api_url"].removesuffix("/api/v1")
        with urllib.request.urlopen(f"{origin}/_sandbox/{what}", body, READY_SECONDS) as answer:  # noqa: S310
            return json.load(answer)

    def save_truth(self, path: Path) -> None:
        """Write what it holds to a file (the harness stays small)."""
        origin = self.config["swell_api_url"].removesuffix("/api/v1")
        with urllib.request.urlopen(f"{origin}/_sandbox/truth") as answer, path.open("wb") as file:  # noqa: S310
            while chunk := answer.read(1 << 20):
                file.write(chunk)

    def write_config(self, **more: t.Any) -> Path:
        """A tap's settings in a file."""
        path = WORK / "config.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**self.config, **more}))
        return path

    def reset(self) -> None:
        """Forget the requests so far."""
        self._ask("reset", b"")

    def seen(self) -> dict[str, t.Any]:
        """How many requests came for each vendor, and how many were open at once."""
        requests = self._ask("requests")
        vendors = [request["vendor"] for request in requests]
        statuses = {str(request["status"]) for request in requests}
        return {
            "medchat": vendors.count("medchat"),
            "swell": vendors.count("swell"),
            "peak": _peak(requests),
            "refused": sum(request["status"] == 429 for request in requests),  # noqa: PLR2004
            "statuses": sorted(statuses),
        }

    def cpu_seconds(self) -> float:
        """Processor time that it has used; 0 where the system does not tell."""
        try:
            text = Path(f"/proc/{self._process.pid}/stat").read_text()
        except OSError:
            return 0.0
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


def _peak(requests: list[dict[str, t.Any]]) -> int:
    """The most that were open at once."""
    now = time.monotonic()
    steps = [(request["started"], 1) for request in requests]
    steps += [(request["ended"] or now, -1) for request in requests]
    most = open_now = 0
    for _, step in sorted(steps):
        open_now += step
        most = max(most, open_now)
    return most
