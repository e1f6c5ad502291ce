"""What docs/tutorial.md shows is what `make demo` prints."""

from __future__ import annotations

import re
import runpy
import sys
import textwrap
import typing as t
from datetime import datetime, timezone

import pytest

from .tools import ROOT

if t.TYPE_CHECKING:
    from medchat_swell_sandbox import Dataset

TABLE = re.compile(r"^ +stream +rows.*?\n\n", re.MULTILINE | re.DOTALL)


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox's clock stands still."""
    moment = datetime(2026, 3, 4, 12, tzinfo=timezone.utc)
    for name, module in list(sys.modules.items()):
        if name.startswith("medchat_swell_sandbox") and hasattr(module, "utc_now"):
            monkeypatch.setattr(module, "utc_now", lambda: moment)


def test_the_second_run(noon: None, capsys: pytest.CaptureFixture[str]) -> None:
    """How many rows are written again depends on the time, so those are the tutorial's."""
    tutorial = (ROOT / "docs" / "tutorial.md").read_text("utf-8")
    [found] = TABLE.findall(tutorial)
    shown = textwrap.dedent(found.replace("    ```", "")).strip()
    written = {line.split()[0]: int(line.split()[2]) for line in shown.splitlines()[1:]}
    demo = runpy.run_path(str(ROOT / "scripts" / "demo.py"))
    dataset = demo["simulated"]()
    first = held(dataset, demo["KEYS"])
    demo["let_things_happen"](dataset)
    capsys.readouterr()

    demo["show_news"](first, held(dataset, demo["KEYS"]), written)

    printed = capsys.readouterr().out.strip().splitlines()
    assert printed[: len(shown.splitlines())] == shown.splitlines()


def held(dataset: Dataset, keys: dict[str, tuple[str, ...]]) -> dict[str, t.Any]:
    truth = dataset.truth()
    return {
        name: {tuple(row[column] for column in columns): row for row in truth[name]}
        for name, columns in keys.items()
    }
