"""Singer messages to standard output, gathered into large writes.

A write per record costs more than making the record. Lines are held until a STATE, the
end, 64 KiB, or for about a second: a target must see a slow trickle too.
"""

from __future__ import annotations

import sys
import time
import typing as t

from singer_sdk.contrib.msgspec import serialize_jsonl
from singer_sdk.singerlib.encoding.base import GenericSingerWriter
from singer_sdk.singerlib.encoding.simple import Message, RecordMessage
from typing_extensions import override

from tap_medchat_swell.errors import OutputClosedError
from tap_medchat_swell.redaction import REDACTOR

BUFFER_BYTES = 64 * 1024
LONGEST_HOLD = 1.0


class BufferedWriter(GenericSingerWriter[bytearray, Message]):
    """Writes lines to standard output; raises OutputClosedError when that fails."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._since: float | None = None

    @override
    def serialize_message(self, message: Message) -> bytearray:
        """One message as a line of JSON."""
        return serialize_jsonl(message.to_dict())

    @override
    def write_message(self, message: Message) -> None:
        """Hold a record; write anything else through, with all that was held."""
        self.write_lines(self.format_message(message))
        if not isinstance(message, RecordMessage):
            self.flush()

    def write_lines(self, lines: bytes | bytearray) -> None:
        """Hold whole lines that are already encoded."""
        self._buffer += lines
        if self._since is None:
            self._since = time.monotonic()
        if len(self._buffer) >= BUFFER_BYTES:
            self.flush()

    def flush_if_due(self) -> None:
        """Write what has been held for long enough."""
        if self._since is not None and time.monotonic() - self._since >= LONGEST_HOLD:
            self.flush()

    def flush(self) -> None:
        """Write everything that is held."""
        data, self._buffer, self._since = self._buffer, bytearray(), None
        if data:
            try:
                _write_all(REDACTOR.line(data))
            except OSError as error:
                raise OutputClosedError(error) from None


def _write_all(data: bytes | bytearray) -> None:
    """Write to standard output until all of it is written.

    With PYTHONUNBUFFERED, as containers often have it, there is no buffer behind
    `buffer`, and a signal that comes upon a write to a full pipe cuts the write short:
    half a line would stand before the last STATE.
    """
    out = t.cast("t.BinaryIO", sys.stdout.buffer)
    rest = memoryview(data)
    while rest:
        rest = rest[out.write(rest) :]
    out.flush()
