"""Who takes part, how each is called, and how its output is counted."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from harness import environments
from harness.places import CANDIDATES

if t.TYPE_CHECKING:
    from pathlib import Path

STREAMS = ("sms_chats", "sms_messages", "swell_messages")


@dataclass(frozen=True)
class Candidate:
    """One way to do the work; `form` is what its output looks like."""

    key: str
    title: str
    environment: str
    script: str
    arguments: tuple[str, ...]
    form: str

    def command(self, config: Path, work: Path) -> list[str]:
        """What to run."""
        start = [str(environments.python(self.environment))]
        start += self.script.split() if self.script[0] == "-" else [str(CANDIDATES / self.script)]
        filled = [part.format(work=work) for part in self.arguments]
        return [*start, "--config", str(config), *filled]


TAP = Candidate(
    "tap",
    "this tap",
    "tap",
    "-m tap_medchat_swell",
    ("--catalog", "{work}/../catalog.json"),
    "singer",
)
PLAIN = Candidate("plain", "plain SDK tap", "plain", "plain_tap.py", (), "singer")
FLOOR = Candidate("floor", "floor: threads, no checks", "floor", "floor.py", (), "singer")
RAW = Candidate("raw", "fetching only", "floor", "floor.py", ("--raw",), "none")
CANDIDATES_ALL = (
    TAP,
    PLAIN,
    Candidate(
        "plain-msgspec",
        "plain SDK tap, msgspec writer",
        "plain",
        "plain_tap.py",
        ("--msgspec",),
        "singer",
    ),
    Candidate(
        "dlt-extract",
        "dlt rest_api, extract only",
        "dlt",
        "dlt_source.py",
        ("--work", "{work}", "--steps", "extract"),
        "dlt-extract",
    ),
    Candidate(
        "dlt",
        "dlt rest_api, loaded into files",
        "dlt",
        "dlt_source.py",
        ("--work", "{work}", "--steps", "all"),
        "dlt-load",
    ),
    Candidate(
        "airbyte",
        "airbyte-cdk, concurrent declarative",
        "airbyte",
        "airbyte_source.py",
        ("--work", "{work}"),
        "airbyte",
    ),
    FLOOR,
)
