"""What the scans of both vendors share: their streams, the client, and how they fail alone."""

from __future__ import annotations

import typing as t

from tap_medchat_swell.pipeline import Scan
from tap_medchat_swell.redaction import explain

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from tap_medchat_swell.http.client import Client, Request
    from tap_medchat_swell.stream import RunContext, VendorStream


class VendorScan(Scan):
    """Reads some streams of one vendor together: see `pipeline.Scan`.

    A scan that fails leaves the others alone.
    """

    def __init__(self, run: RunContext, streams: Sequence[VendorStream], client: Client) -> None:
        self._run = run
        self._all_streams = streams
        self.vendor = streams[0].vendor
        self.client = client
        self.options = run.options
        self.logger: logging.Logger = streams[0].logger

    def fetch(self, request: Request) -> t.Any:
        """Get a page; runs in a worker. Raises VendorError."""
        return self.client.fetch(request)

    def fail(self, error: Exception) -> None:
        """Log the error, and make the run fail at its end."""
        self.logger.error("%s", explain(error))
        self._run.note_failure(self._all_streams, error)

    def write_state(self) -> None:
        """Write STATE, if it has changed, after all records before it."""
        self._run.write_state()
