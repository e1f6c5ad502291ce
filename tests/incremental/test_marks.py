from __future__ import annotations

import random
import tracemalloc

import pytest

from tap_medchat_swell.swell import marks
from tap_medchat_swell.swell.marks import Marks

EDGES = [0, 1, -1, (1 << 63) - 1, -(1 << 63)]


def test_it_is_a_set() -> None:
    rng = random.Random(1)
    numbers = [*EDGES[1:], *(rng.getrandbits(63) - (1 << 62) for _ in range(5000))]
    kept = Marks(8)

    assert all(kept.add(number) for number in numbers)
    assert not any(kept.add(number) for number in numbers)


def test_hashes_in_a_row() -> None:
    """They fall on neighboring slots, and beyond the last one."""
    kept = Marks(8)

    assert [kept.add(number) for number in (7, 15, 23, 31)] == [True] * 4
    assert [kept.add(number) for number in (31, 7, 23, 15, 39)] == [False] * 4 + [True]


def test_zero_stands_for_one() -> None:
    kept = Marks(8)

    assert [kept.add(0), kept.add(0), kept.add(1)] == [True, False, False]


def test_a_full_one_starts_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marks, "MAX_SLOTS", 16)
    kept = Marks(8)

    new = [kept.add(number) for number in range(1, 12)]

    assert all(new)
    assert kept.add(5)


@pytest.mark.unmeasured
def test_it_is_small() -> None:
    tracemalloc.start()
    kept = Marks()
    for number in range(1, 100_001):
        kept.add(number * 7919)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 40 * 100_000
