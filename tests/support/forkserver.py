"""A process that has imported the tap and forks a child for every run.

Run as a script by `tap_process.TapServer`. Starting Python and importing the SDK takes
most of a second; a fork takes milliseconds and is a process like any other: its own pid,
session, pipes and exit code, and it can be killed.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import os
import signal
import socket
import sys
import typing as t

STDOUT, STDERR = 1, 2
MESSAGE_BYTES = 1 << 16
BROKEN_AT_EXIT = 120  # what Python exits with when standard output cannot be flushed


def serve(channel: socket.socket) -> None:
    """Run one child after the other until the other end goes away."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, MESSAGE_BYTES, 2)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            channel.close()
            os._exit(_child(json.loads(message), descriptors))
        for descriptor in descriptors:
            os.close(descriptor)
        channel.sendall(b"%d\n" % pid)
        _, status = os.waitpid(pid, 0)
        channel.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def _child(request: dict[str, t.Any], descriptors: list[int]) -> int:
    """Run the tap's command line; the exit code."""
    os.setsid()
    for place, descriptor in zip((STDOUT, STDERR), descriptors, strict=True):
        os.dup2(descriptor, place)
        os.close(descriptor)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["tap-medchat-swell", *request["arguments"]]
    if request["hurry"]:
        hurry()
    return _exit_code()


def _exit_code() -> int:
    from tap_medchat_swell.tap import TapMedchatSwell  # noqa: PLC0415 - imported already

    code: object = 0
    try:
        TapMedchatSwell.cli()
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - as the interpreter does at the top
        sys.excepthook(*t.cast("t.Any", sys.exc_info()))
        code = 1
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = BROKEN_AT_EXIT
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


def hurry() -> None:
    """Make the pauses before a retry short. How often is retried stays as it is."""
    from tap_medchat_swell import client  # noqa: PLC0415
    from tap_medchat_swell.gate import Gate  # noqa: PLC0415

    longest = 0.02
    hold = Gate.hold

    def held_briefly(gate: Gate, seconds: float) -> None:
        hold(gate, min(seconds, longest))

    Gate.hold = held_briefly  # type: ignore[assignment,method-assign]
    client._pauses = lambda: itertools.repeat(0.002)


def main() -> None:
    """Import what a run needs, then serve."""
    import medchat_swell_sandbox  # noqa: F401, PLC0415 - proves the path

    import tap_medchat_swell.tap  # noqa: F401, PLC0415

    with open(os.devnull, "rb") as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        serve(channel)


if __name__ == "__main__":
    main()
