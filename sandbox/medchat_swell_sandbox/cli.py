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
    "seed": (1, "seed of rows and random faults"),
    "chats": (200, "number of MedChat SMS chats"),
    "messages-per-chat": (5, "mean number of messages per chat"),
    "swell-messages": (600, "number of Swell messages"),
    "days": (400, "days of history, up to now"),
    "locations": (4, "number of Swell locations"),
    "campaigns": (0, "number of Swell campaigns (messages with the same created_at)"),
    "campaign-size": (200, "messages per campaign"),
    "latency-ms": (0, "delay before each response"),
    "jitter-ms": (0, "maximum random delay on top of it"),
}


def parser() -> argparse.ArgumentParser:
    """Return the command-line parser."""
    options = argparse.ArgumentParser(
        prog="medchat-swell-sandbox",
        description="Simulate the MedChat and Swell message APIs on 127.0.0.1.",
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
        help="set a quirk; may be repeated",
    )
    options.add_argument(
        "--warm",
        action="store_true",
        help="encode all rows at startup, for consistent speed in benchmarks",
    )
    options.add_argument(
        "--print-config",
        action="store_true",
        help="print tap settings as one line of JSON instead of the ready line",
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
        campaigns=given.campaigns,
        campaign_size=given.campaign_size,
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
