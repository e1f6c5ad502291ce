"""Where things are."""

from __future__ import annotations

from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent.parent
ROOT = BENCHMARKS.parent
CACHE = BENCHMARKS / ".cache"
WORK = CACHE / "work"
CANDIDATES = BENCHMARKS / "candidates"
REQUIREMENTS = BENCHMARKS / "requirements"
RESULTS = BENCHMARKS / "RESULTS.md"
PICTURE = BENCHMARKS / "results.svg"
NUMBERS = CACHE / "numbers.json"
