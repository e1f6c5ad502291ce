"""What the scans of both vendors share: streams, client, counts, and how they fail alone."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from typing_extensions import override

from tap_medchat_swell.http.client import Traffic
from tap_medchat_swell.pipeline import Emit, Fetch, Scan
from tap_medchat_swell.redaction import explain
from tap_medchat_swell.timestamps import format_timestamp, now

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from tap_medchat_swell.http.client import Client, Request
    from tap_medchat_swell.pipeline import Reader
    from tap_medchat_swell.stream import RunContext, VendorStream


@dataclass(frozen=True)
class Pages:
    """How many pages a reader has asked for since the last of these, and when it began."""

    count: int
    began: datetime


def counted(reader: Reader) -> Reader:
    """The reader, emitting Pages before what it emits itself."""
    pages, began = 0, now()
    resume: Callable[[t.Any], Fetch | Emit] = reader.send
    answer: t.Any = None
    while True:
        try:
            step = resume(answer)
        except StopIteration:
            return
        if isinstance(step, Fetch):
            pages += 1
        elif pages:
            yield Emit(Pages(pages, began))
            pages = 0
        try:
            resume, answer = reader.send, (yield step)
        except Exception as error:  # noqa: BLE001 - the reader's to handle
            resume, answer = reader.throw, error


class VendorScan(Scan):
    """Reads some streams of one vendor together: see `pipeline.Scan`.

    A scan that fails leaves the others alone. `begin` and `end` are what it is going to read,
    `reached` is how far it has come; windows are doubtful whose rows the vendor counts otherwise.
    """

    def __init__(self, run: RunContext, streams: Sequence[VendorStream], client: Client) -> None:
        self._run = run
        self.all_streams = [*streams]
        self.vendor = streams[0].vendor
        self.client = client
        self.options = run.options
        self.logger: logging.Logger = streams[0].logger
        self.begin: datetime | None = None
        self.end: datetime | None = None
        self.reached: datetime | None = None
        self.windows = self.doubtful_windows = 0
        self.is_complete = False
        self.traffic = Traffic()
        self._pages = 0
        self._began: datetime | None = None

    @property
    def share_read(self) -> float:
        """How much has been read of all, from 0 to 1: by time, where sizes are not known."""
        if not (self.begin and self.end and self.reached and self.begin < self.end):
            return 0.0
        return max(0.0, min(1.0, (self.reached - self.begin) / (self.end - self.begin)))

    @override
    def fetch(self, request: Request) -> t.Any:
        """Get a page; runs in a worker. Raises VendorError."""
        return self.client.fetch(request, self.traffic)

    @override
    def accept(self, value: t.Any) -> bool:
        if not isinstance(value, Pages):
            return self.take(value)
        self._pages += value.count
        self._began = self._began or value.began
        return False

    def take(self, value: t.Any) -> bool:
        """Use what a reader emitted; returns whether the scan has enough."""
        raise NotImplementedError(value)

    def end_window(
        self,
        start: datetime,
        end: datetime,
        rows: Iterable[tuple[VendorStream, int]],
        doubt: str | None = None,
        details: Mapping[str, int | None] | None = None,
    ) -> None:
        """Count a window from which so many rows came, and have it noted.

        Call it before the window's STATE. `details` are further columns of sync_windows.
        """
        self.windows += 1
        self.doubtful_windows += doubt is not None
        self.reached = max(min(end, now()), self.reached or start)
        row = {
            "window_start": format_timestamp(start),
            "window_end": format_timestamp(end),
            "read_with": None,
            "requests": self._pages,
            **(details or {}),
            "is_complete": doubt is None,
            "reason": doubt,
            "started_at": format_timestamp(self._began or now()),
            "finished_at": format_timestamp(now()),
        }
        for stream, seen in rows:
            counts = {"rows_seen": seen, "rows_written": stream.end_window(seen)}
            self._run.note_window({**row, "stream": stream.name, **counts})
            row |= {"read_with": row["read_with"] or stream.name, "requests": None}
        self._pages, self._began = 0, None

    @override
    def finish(self) -> None:
        self.is_complete = True

    @override
    def fail(self, error: Exception) -> None:
        """Log the error, and make the run fail at its end."""
        self.logger.error("%s", explain(error))
        self._run.note_failure(self.all_streams, error)

    def write_state(self) -> None:
        """Write STATE, if it has changed, after all records before it."""
        self._run.write_state()
