from __future__ import annotations

import itertools
import os
import typing as t

import coverage
import pytest
from medchat_swell_sandbox import Dataset, Sandbox
from support.tap_runs import Cli

from tap_medchat_swell.http import client
from tap_medchat_swell.redaction import REDACTOR, Redactor

if t.TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path


# Here the tap runs as a process that is not measured, and what runs it would take twice as long.
UNMEASURED = {"api_assumptions", "chaos", "e2e"}
# Here it is measured in the test's process only.
UNMEASURED_PROCESSES = UNMEASURED | {"privacy", "security"}
# Sandboxes are on this machine: no proxy of the developer's leads there.
NO_PROXY = ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1")))
os.environ["NO_PROXY"] = os.environ["no_proxy"] = NO_PROXY


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take minutes; in the end, some workers would wait for them."""
    items.sort(key=lambda item: item.path.parent.name != "e2e")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure coverage where that tells something."""
    measuring = coverage.Coverage.current()
    unmeasured = item.path.parent.name in UNMEASURED or item.get_closest_marker("unmeasured")
    if measuring is None or not unmeasured:
        return (yield)
    measuring.stop()
    try:
        return (yield)
    finally:
        measuring.start()


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
def cli(tmp_path: Path, request: pytest.FixtureRequest) -> Cli:
    """The command line, in a folder of its own."""
    return Cli(tmp_path, measured=request.path.parent.name not in UNMEASURED_PROCESSES)


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
