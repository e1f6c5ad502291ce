"""A process that forks itself to run the tap's command line.

Python's start and the imports are most of a short run's time, and tests need hundreds
of runs. Here they are paid for once. A child is a process like any other: it has its own
folder, environment, standard streams, signals and exit code.

It reads a job per line, as JSON, and answers with the exit code and
the most memory that the child ever had (KiB).
"""

from __future__ import annotations

import json
import os
import sys

import singer_sdk.contrib.msgspec
import singer_sdk.typing

from tap_medchat_swell.__main__ import main
from tap_medchat_swell.settings import CONFIG_JSONSCHEMA

# What the tap would import only when it runs.
PRELOADED = (singer_sdk.contrib.msgspec, singer_sdk.typing, CONFIG_JSONSCHEMA)


def serve() -> list[str] | None:
    """Fork for each job; returns its arguments in the child, None at the end."""
    for line in iter(sys.stdin.readline, ""):
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            os.environ.clear()
            os.environ.update(job["env"])
            os.chdir(job["cwd"])
            for number, path in enumerate(("/dev/null", job["stdout"], job["stderr"])):
                flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
                os.dup2(os.open(path, flags), number)
            return [str(argument) for argument in job["arguments"]]
        _, status, usage = os.wait4(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)} {usage.ru_maxrss}\n")
        sys.stdout.flush()
    return None


if __name__ == "__main__":
    arguments = serve()
    if arguments is not None:
        sys.argv[1:] = arguments
        main()
