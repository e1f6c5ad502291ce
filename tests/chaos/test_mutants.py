"""Every mutant still finds its function; `python -m tests.chaos.mutants` tries them."""

from __future__ import annotations

import inspect
import typing as t

import pytest
from medchat_swell_sandbox import Dataset, Sandbox
from support.tap_process import TapServer

from .mutants import MUTANTS, VARIABLE

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


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


def test_a_mutant_reaches_the_process_that_runs_the_tap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "gt_for_ge")
    with Sandbox(Dataset.generate(chats=3, swell_messages=0)) as sandbox, TapServer() as server:
        config = sandbox.tap_config()
        del config["swell_api_token"]
        assert server.run(config).code == 0
        filters = [r.query["$filter"] for r in sandbox.requests if "$filter" in r.query]

    assert filters
    assert all(" gt " in text and " ge " not in text for text in filters)
