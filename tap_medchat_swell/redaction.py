"""Secrets and patient data kept out of every output.

Secrets are taken out by their known values wherever they stand. Patient data cannot be
known by value, so nothing that comes out of an answer is ever put into a log line, and
the texts of exceptions that this tap did not raise itself are left out of tracebacks.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import os
import re
import sys
import typing as t
import urllib.parse
import urllib.request
from pathlib import Path

import msgspec
from singer_sdk.exceptions import (
    ConfigValidationError,
    MapExpressionError,
    StreamMapConfigError,
)

from tap_medchat_swell.errors import TapError

if t.TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

MASK = "[redacted]"
# Below these lengths a value is no secret, and taking it out would only spoil the text.
SHORTEST = 4
SHORTEST_IN_RECORDS = 8
MOST_LINES = 100  # of a traceback
# What these loggers fill in comes out of answers: addresses in links, headers, records.
TELLTALES = re.compile(r"urllib3\b|singer_sdk\.mapper\b")
SAFE_TEXTS = (TapError, ConfigValidationError, MapExpressionError, StreamMapConfigError)


class Redactor:
    """Takes known values, in every form in which they may be written, out of text."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._sent: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._in_lines: list[bytes] = []
        self._in_records: re.Pattern[str] | None = None

    def protect(self, values: Iterable[str], sent: Iterable[str] = ()) -> None:
        """Take these values out of all logs from now on, and those `sent` out of records.

        A vendor may echo what it was sent. Nothing else is taken out of records: what a
        stream map puts there is meant to stand there.
        """
        self._sent.update(_at_least(SHORTEST_IN_RECORDS, sent))
        self._values.update(_at_least(SHORTEST, values))
        self._pattern = _any_of(self._values)
        self._in_records = _any_of(self._sent)
        forms = {msgspec.json.encode(form)[1:-1] for value in self._sent for form in _forms(value)}
        # What holds another one needs no search of its own.
        self._in_lines = [f for f in forms if not any(o in f for o in forms if o != f)]

    def text(self, text: str) -> str:
        """The text without any protected value."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def line(self, data: bytes | bytearray) -> bytes | bytearray:
        """Singer messages, as whole lines, without what was sent."""
        if not any(form in data for form in self._in_lines):
            return data
        return b"".join(map(self._redacted, data.splitlines()))

    def _redacted(self, line: bytes | bytearray) -> bytes:
        """A line with its texts redacted: numbers, and names of streams and columns, stay."""
        message = msgspec.json.decode(line)
        if "record" in message:
            record = message["record"]
            message["record"] = {name: self._without(record[name]) for name in record}
        elif "value" in message:
            message["value"] = self._without(message["value"], and_keys=False)
        return msgspec.json.encode(message) + b"\n"

    def _without(self, value: t.Any, *, and_keys: bool = True) -> t.Any:
        if isinstance(value, str) and self._in_records:
            return self._in_records.sub(MASK, value)
        if isinstance(value, list):
            return [self._without(item, and_keys=and_keys) for item in value]
        if isinstance(value, dict):
            return {
                self._without(key) if and_keys else key: self._without(item, and_keys=and_keys)
                for key, item in value.items()
            }
        return value


def _at_least(length: int, values: Iterable[str]) -> Iterable[str]:
    return (value for value in map(str.strip, values) if len(value) >= length)


def _any_of(values: Iterable[str]) -> re.Pattern[str] | None:
    """Matches any form of any value, the longest first."""
    forms = {form for value in values for form in _forms(value)}
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if forms else None


def _forms(value: str) -> set[str]:
    encoded = base64.b64encode(value.encode()).decode()
    quoted = urllib.parse.quote(value, safe="")
    return {
        value,
        urllib.parse.quote(value),
        quoted,
        re.sub("%..", lambda code: code[0].lower(), quoted),
        urllib.parse.quote_plus(value),
        html.escape(value),
        json.dumps(value)[1:-1],
        json.dumps(value)[1:-1].replace("/", "\\/"),
        repr(value)[1:-1],
        encoded,
        encoded.rstrip("="),
    }


REDACTOR = Redactor()


class RedactedStream:
    """A text stream that writes nothing protected; all else is the stream's own."""

    def __init__(self, stream: t.TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the redacted text; the count is that of the text that was given."""
        self._stream.write(REDACTOR.text(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write the redacted lines."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._stream, name)


def install() -> None:
    """Guard the standard streams, every log record and every traceback."""
    REDACTOR.protect(_environment_secrets())
    if not isinstance(sys.stderr, RedactedStream):
        sys.stdout = t.cast("t.TextIO", RedactedStream(sys.stdout))
        errors = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
        sys.stderr = t.cast("t.TextIO", RedactedStream(errors))
    logging.setLogRecordFactory(_redacted_record)


def _environment_secrets() -> set[str]:
    """Passwords in proxy addresses, which end up in the texts of connection errors.

    Taken out by hand: an address may be too broken to be parsed.
    """
    addresses = urllib.request.getproxies().values()
    found = (re.match(r"(?:\w+://)?[^:@/]*:([^/].*)@", address) for address in addresses)
    passwords = {match[1] for match in found if match}
    return passwords | set(map(urllib.parse.unquote, passwords))


def _redacted_record(*args: t.Any, **kwargs: t.Any) -> logging.LogRecord:
    record = logging.LogRecord(*args, **kwargs)
    if record.exc_info and record.exc_info[1] is not None:
        record.exc_text = REDACTOR.text(describe_exception(record.exc_info[1]))
        record.exc_info = None
    if record.msg == "METRIC: %s":
        return record  # the SDK's formatter needs its argument as it is
    try:
        message = str(record.msg) if TELLTALES.match(record.name) else record.getMessage()
    except (TypeError, ValueError):
        message = "(a log line whose arguments do not fit it)"
    record.msg, record.args = REDACTOR.text(message), None
    return record


def explain(error: Exception) -> str:
    """What to tell the user: the exception's own sentence, or that this is a mistake."""
    if isinstance(error, SAFE_TEXTS):
        return str(error)
    lines = describe_exception(error)
    return f"A mistake in tap-medchat-swell; please report these lines.\n{lines}"


def describe_exception(error: BaseException) -> str:
    """Types and places of an exception and its causes, without texts that may tell.

    The text of a KeyError or ValueError quotes the value that it met, which may be a
    patient's; only exceptions known to quote nothing keep theirs.
    """
    lines: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(lines) < MOST_LINES:
        text = f": {seen}" if isinstance(seen, SAFE_TEXTS) else ""
        lines.append(f"{type(seen).__name__}{text}")
        lines.extend(_frames(seen.__traceback__))
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return "\n".join(lines)


def _frames(traceback: TracebackType | None) -> Iterable[str]:
    while traceback is not None:
        code = traceback.tb_frame.f_code
        path = "/".join(Path(code.co_filename).parts[-2:])
        yield f"  at {path}:{traceback.tb_lineno} in {code.co_name}"
        traceback = traceback.tb_next
