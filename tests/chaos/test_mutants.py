"""The mutants' texts are those of the tap; `python -m tests.chaos.mutants` tries them."""

from __future__ import annotations

import pytest

from .mutants import MUTANTS, PACKAGE, ROOT, Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_the_tap(mutant: Mutant) -> None:
    text = (ROOT / PACKAGE / mutant.file).read_text("utf-8")

    assert mutant.old in text
    assert mutant.new not in text or mutant.new in mutant.old
