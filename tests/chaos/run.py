"""`python -m tests.chaos.run 5000`: a long run, on all processors, from the root."""

from __future__ import annotations

import os
import sys

import pytest

WORKERS = os.environ.get("CHAOS_WORKERS", "2")


def main() -> int:
    """Run so many schedules; CHAOS_SEED is the first batch's seed."""
    os.environ["CHAOS_SCHEDULES"] = sys.argv[1] if len(sys.argv) > 1 else "1000"
    return pytest.main(["-q", "-n", WORKERS, "tests/chaos/test_chaos.py"])


if __name__ == "__main__":
    sys.exit(main())
