"""Every mutant is noticed by its regression: no rule is broken without a test that fails."""

from __future__ import annotations

import functools
import inspect
import typing as t

import pytest
from medchat_swell_sandbox import Dataset, Sandbox
from support.tap_runs import Cli

from . import test_regressions
from .mutants import MUTANTS, VARIABLE
from .runner import Runner

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner() as running:
        yield running


def accepts(function: t.Callable[..., t.Any], count: int) -> bool:
    """Whether a function takes this many arguments by position."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    return True


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_replaces_a_function_of_the_tap(name: str) -> None:
    mutant = MUTANTS[name]
    original = mutant.original()
    replacement = mutant.broken(original)

    assert inspect.isfunction(original)
    assert replacement is not original
    parameters = inspect.signature(original).parameters.values()
    assert accepts(replacement, sum(p.kind in POSITIONAL for p in parameters))


def test_a_mutant_reaches_the_process_that_runs_the_tap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "gt_for_ge")
    with Sandbox(Dataset.generate(chats=3, swell_messages=0)) as sandbox:
        config = sandbox.tap_config()
        del config["swell_api_token"]
        assert Cli(tmp_path, measured=False)(config=config).code == 0
        filters = [r.query["$filter"] for r in sandbox.requests if "$filter" in r.query]

    assert filters
    assert all(" gt " in text and " ge " not in text for text in filters)


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_noticed(name: str, runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, name)
    scenario = functools.partial(test_regressions.test_found, MUTANTS[name].noticed_by)
    regression = getattr(test_regressions, MUTANTS[name].noticed_by, scenario)

    with pytest.raises(AssertionError) as noticed:
        regression(runner)

    # It broke a promise, not the tap.
    assert "Traceback" not in str(noticed.value)
    assert "please report" not in str(noticed.value)
