"""What tests share: running the tap, fakes, clocks, planted values."""

from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
