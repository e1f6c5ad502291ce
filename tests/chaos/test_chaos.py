"""Scenarios at random. The seed and a failing scenario are printed; see `chaos/__init__`."""

from __future__ import annotations

import os
import typing as t

import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings

from .runner import Runner
from .spec import ScenarioSpec, describe, specs

if t.TYPE_CHECKING:
    from collections.abc import Iterator

SCHEDULES = int(os.environ.get("CHAOS_SCHEDULES", "40"))
SEED = int(os.environ.get("CHAOS_SEED", "0"))
PER_BATCH = 10
PHASES = (Phase.generate, Phase.shrink) if os.environ.get("CHAOS_SHRINK") else (Phase.generate,)


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner() as running:
        yield running


@pytest.mark.parametrize("batch", range(-(-SCHEDULES // PER_BATCH)))
def test_nothing_is_lost(batch: int, runner: Runner) -> None:
    number = SEED + batch

    @seed(number)
    @settings(
        max_examples=PER_BATCH,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=PHASES,
        suppress_health_check=list(HealthCheck),
    )
    @given(specs())
    def play(spec: ScenarioSpec) -> None:
        note(f"CHAOS_SEED={number} CHAOS_SCHEDULES={PER_BATCH}")
        note(f"    {describe(spec)},")
        runner.play(spec)

    play()
