"""A process that forks itself to run the tap's command line.

Run as a module by `tap_process.ForkServer`. Python's start and end and the imports are most of a
short run's time, and tests need thousands of runs. Here they are paid for once. A child is
a process like any other: it has its own folder, environment, session, standard streams and
exit code, and it can be killed.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import itertools
import json
import os
import signal
import socket
import sys
import threading
import typing as t
from datetime import timedelta

import singer_sdk.contrib.msgspec
import singer_sdk.typing

from support.clocks import move_tap_clock
from tap_medchat_swell import redaction
from tap_medchat_swell.__main__ import main
from tap_medchat_swell.http import client
from tap_medchat_swell.http.rate_limiter import RateLimiter
from tap_medchat_swell.settings import CONFIG_JSONSCHEMA
from tap_medchat_swell.tap import TapMedchatSwell

# What would otherwise be imported and computed in each run.
PRELOADED = (singer_sdk.contrib.msgspec, singer_sdk.typing, CONFIG_JSONSCHEMA)
COMPUTED = (redaction._own_words(), TapMedchatSwell.plugin_version)
MESSAGE_BYTES = 1 << 16
LONGEST_HOLD = 0.02

Job = dict[str, t.Any]


def serve(channel: socket.socket) -> Job | None:
    """Fork for each job; returns it in the child, None when the other end has gone."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, 2)
        if not message:
            return None
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(descriptors[0], 1)
            os.dup2(descriptors[1], 2)
        for descriptor in descriptors:
            os.close(descriptor)
        if child == 0:
            return t.cast("Job", json.loads(message))
        channel.sendall(b"%d\n" % child)
        _, status, usage = os.wait4(child, 0)
        channel.sendall(b"%d %d\n" % (os.waitstatus_to_exitcode(status), usage.ru_maxrss))


def become(job: Job) -> None:
    """Make this process the one that the job asks for."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Past the tap's own end, a signal would kill the interpreter while it takes itself down.
    for number in (signal.SIGINT, signal.SIGTERM):  # a mask would hold for this thread only
        atexit.register(signal.signal, number, signal.SIG_IGN)
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["env"])
    sys.argv[1:] = job["arguments"]
    if mutant := os.environ.get("TAP_MUTANT"):
        importlib.import_module("chaos.mutants").apply(mutant)
    if job["hurry"]:
        hurry()
    if job.get("clock_offset"):
        move_tap_clock(timedelta(seconds=job["clock_offset"]))


def hurry() -> None:
    """Make the pauses before a retry short. How often is retried stays as it is."""
    hold = RateLimiter.pause

    def held_briefly(rate_limiter: RateLimiter, seconds: float) -> None:
        hold(rate_limiter, min(seconds, LONGEST_HOLD))

    RateLimiter.pause = held_briefly  # type: ignore[assignment,method-assign]
    client._pauses = lambda: itertools.repeat(0.002)


def run() -> None:
    """Run, and end as Python does, but for what touches all memory that is shared with the parent.

    With an output that cannot be written, or without an exit code, Python's own end is taken.
    """
    try:
        main()
    except SystemExit as end:
        if not isinstance(end.code, int):
            raise
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code)
        raise


if __name__ == "__main__":
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        job = serve(channel)
    if job is not None:
        become(job)
        run()
