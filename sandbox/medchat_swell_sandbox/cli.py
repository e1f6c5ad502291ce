"""The command ``medchat-swell-sandbox``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from typing import TYPE_CHECKING

import msgspec

from medchat_swell_sandbox.dataset import Dataset
from medchat_swell_sandbox.quirks import Quirks
from medchat_swell_sandbox.sandbox import Sandbox

if TYPE_CHECKING:
    from types import FrameType

NUMBERS = {
    "port": (8753, "port on 127.0.0.1; 0 for any free one"),
    "seed": (1, "seed of the rows and of the faults' dice"),
    "chats": (200, "MedChat's SMS chats"),
    "messages-per-chat": (5, "mean number of messages in a chat"),
    "swell-messages": (600, "Swell's messages"),
    "days": (400, "length of the history in days, up to now"),
    "locations": (4, "Swell's locations"),
    "latency-ms": (0, "wait before each answer"),
    "jitter-ms": (0, "largest random wait on top of it"),
}


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    options = argparse.ArgumentParser(
        prog="medchat-swell-sandbox",
        description="Serve MedChat's and Swell's message APIs on 127.0.0.1.",
    )
    for name, (default, text) in NUMBERS.items():
        options.add_argument(
            f"--{name}", type=int, default=default, help=f"{text} (default {default})"
        )
    options.add_argument(
        "--quirk",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="switch a quirk; may be repeated",
    )
    options.add_argument(
        "--warm",
        action="store_true",
        help="encode all rows before the start, for even speed in a benchmark",
    )
    options.add_argument(
        "--print-config",
        action="store_true",
        help="print a tap's settings as one line of JSON instead of the ready line",
    )
    return options


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    options = parser()
    given = options.parse_args(arguments)
    try:
        quirks = Quirks.parse(given.quirk)
    except (ValueError, msgspec.ValidationError) as error:
        options.error(str(error))
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    sandbox = _sandbox(given, quirks)
    if given.warm:
        sandbox.warm()
    sandbox.run(lambda: _announce(sandbox, as_config=given.print_config))


def _sandbox(given: argparse.Namespace, quirks: Quirks) -> Sandbox:
    dataset = Dataset.generate(
        seed=given.seed,
        chats=given.chats,
        messages_per_chat=given.messages_per_chat,
        swell_messages=given.swell_messages,
        days=given.days,
        locations=given.locations,
    )
    return Sandbox(
        dataset,
        quirks=quirks,
        port=given.port,
        latency_ms=given.latency_ms,
        jitter_ms=given.jitter_ms,
        seed=given.seed,
    )


def _announce(sandbox: Sandbox, *, as_config: bool) -> None:
    ready = f"ready: {sandbox.medchat_api_url} and {sandbox.swell_api_url}"
    config = json.dumps(sandbox.tap_config())
    sys.stdout.write((config if as_config else ready) + "\n")
    sys.stdout.flush()


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
