"""Which core runs what, where the system can pin processes."""

from __future__ import annotations

import os
import shutil

SERVER_CORE = 0
CANDIDATE_CORE = 1


def can_pin() -> bool:
    """Whether there are two cores to pin to."""
    return shutil.which("taskset") is not None and (os.cpu_count() or 1) > 1


def pinned(command: list[str], core: int | None) -> list[str]:
    """The command on one core, if it can be pinned and shall be."""
    if core is None or not can_pin():
        return command
    return ["taskset", "-c", str(core), *command]
