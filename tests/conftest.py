from __future__ import annotations

import itertools
import os
import typing as t

import pytest
from medchat_swell_sandbox import Dataset, Sandbox
from support.tap_runs import Cli

from tap_medchat_swell.http import client
from tap_medchat_swell.redaction import REDACTOR, Redactor

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# Sandboxes are on this machine: no proxy of the developer's leads there.
NO_PROXY = ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1")))
os.environ["NO_PROXY"] = os.environ["no_proxy"] = NO_PROXY


def small_dataset() -> Dataset:
    """Enough rows for several pages and windows, few enough to read in a moment."""
    return Dataset.generate(seed=7, chats=40, messages_per_chat=3, swell_messages=60, days=20)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with a small history."""
    with Sandbox(small_dataset()) as running:
        yield running


@pytest.fixture
def config(sandbox: Sandbox) -> dict[str, t.Any]:
    """Settings for the sandbox; pages are small, so that there are several."""
    return sandbox.tap_config(medchat_page_size=15, swell_page_size=10)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """The command line, in a folder of its own."""
    return Cli(tmp_path)


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failures are tried again at once. Waits that a vendor asks for stay."""
    monkeypatch.setattr(client, "_pauses", lambda: itertools.repeat(0.005))


@pytest.fixture(autouse=True)
def _nothing_left_protected(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test's tap protects is not redacted in the next test's output."""
    blank = vars(Redactor())
    for name, value in blank.items():
        monkeypatch.setattr(REDACTOR, name, value)
