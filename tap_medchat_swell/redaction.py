"""Keeps secrets and patient data out of every output.

Secrets are known, and are removed wherever their values occur. Patient data is not known, so
nothing from a response is ever put into a log line, and tracebacks leave out the texts of
exceptions that this tap did not raise itself.
"""

from __future__ import annotations

import base64
import functools
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

from singer_sdk.exceptions import MapExpressionError, StreamMapConfigError

from tap_medchat_swell import settings
from tap_medchat_swell.errors import TapError

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

MASK = "[redacted]"
# Shorter values are not secrets; removing them would only garble the text.
MIN_LENGTH = 4
MIN_LENGTH_IN_RECORDS = 8
MAX_TRACEBACK_LINES = 100
CLEAR_REST = "\x1b[K"  # of the terminal's line
# The arguments of these loggers come from responses: links, headers, records.
LEAKY_LOGGERS = re.compile(r"urllib3\b|singer_sdk\.mapper\b")
SAFE_TEXTS = (TapError, MapExpressionError, StreamMapConfigError)
_PAYLOAD = re.compile(rb'"(record|value)":')
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"(:?)')
_NAME = re.compile(rb'"[a-z_]+":')


class Redactor:
    """Removes known values, in every form in which they may be written."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._sent: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._in_lines: list[bytes] = []
        self._in_strings = re.compile(rb"(?!)")

    def protect(self, values: Iterable[str], sent: Iterable[str] = ()) -> None:
        """Remove these values from all logs from now on, and those `sent` from records.

        A vendor may echo what it was sent. Nothing else is removed from records: what a stream
        map puts there belongs there.
        """
        self._sent.update(_at_least(MIN_LENGTH_IN_RECORDS, sent))
        self._values.update(_at_least(MIN_LENGTH, values))
        self._pattern = re.compile(_any_of(_forms(self._values))) if self._values else None
        encoded = {json.dumps(f, ensure_ascii=False)[1:-1] for f in _forms(self._sent)}
        # A form that contains another one needs no search of its own.
        self._in_lines = [
            form.encode() for form in encoded if not any(o in form for o in encoded - {form})
        ]
        # Escape sequences are matched too, so that a value is never found inside one.
        self._in_strings = re.compile(rf"({_any_of(encoded)})|\\.".encode())

    def text(self, text: str) -> str:
        """The text without any protected value."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def line(self, data: bytes | bytearray) -> bytes | bytearray:
        """Singer messages, as whole lines, without the values that were sent."""
        if not any(form in data for form in self._in_lines):
            return data
        return b"".join(map(self._redacted, data.splitlines(keepends=True)))

    def _redacted(self, line: bytes | bytearray) -> bytes:
        """A line with its strings redacted; numbers, and names of streams and columns, stay."""
        payload = _PAYLOAD.search(line)
        start = payload.end() if payload else len(line)
        return bytes(line[:start]) + _STRING.sub(self._redacted_string, line[start:])

    def _redacted_string(self, string: re.Match[bytes]) -> bytes:
        if _NAME.fullmatch(string[0]):
            return string[0]
        return self._in_strings.sub(lambda m: MASK.encode() if m[1] else m[0], string[0])


def _at_least(length: int, values: Iterable[str]) -> Iterable[str]:
    stripped = map(str.strip, values)
    return (value for value in stripped if len(value) >= length and value not in _own_words())


@functools.cache
def _own_words() -> frozenset[str]:
    """The words in this package's source, as in log lines and names of settings.

    A value that is one of them tells nothing, and removing it would garble every line.
    """
    paths = Path(__file__).parent.rglob("*.py")
    words = {word for path in paths for word in re.findall(r"\w+", path.read_text("utf-8"))}
    return frozenset(part for word in words for part in (word, *word.split("_")))


def _any_of(forms: Iterable[str]) -> str:
    """A regular expression for any of the forms, the longest first."""
    return "|".join(map(re.escape, sorted(forms, key=len, reverse=True)))


def _forms(values: Iterable[str]) -> set[str]:
    forms: set[str] = set()
    for value in values:
        encoded = base64.b64encode(value.encode()).decode()
        quoted = urllib.parse.quote(value, safe="")
        in_json = json.dumps(value)[1:-1]
        forms |= {value, html.escape(value), repr(value)[1:-1], encoded, encoded.rstrip("=")}
        forms |= {quoted, urllib.parse.quote(value), urllib.parse.quote_plus(value)}
        forms |= {re.sub("%..", lambda code: code[0].lower(), quoted)}
        forms |= {in_json, in_json.replace("/", "\\/")}
    return forms


REDACTOR = Redactor()


def protect_config(config: Mapping[str, t.Any]) -> None:
    """Remove the configuration's secrets from all output from now on."""
    REDACTOR.protect(settings.secret_values(config), settings.tokens(config))


class RedactedStream:
    """A text stream that redacts what is written to it."""

    def __init__(self, stream: t.TextIO) -> None:
        self._stream = stream
        self._clear = ""

    def write(self, text: str) -> int:
        """Write the redacted text; returns the length of the given text."""
        self._stream.write(self._clear + REDACTOR.text(text))
        self._clear = ""
        return len(text)

    def write_status(self, text: str) -> None:
        """Show a line on a terminal until something else is written."""
        self.write(f"{text}{CLEAR_REST}\r")
        self._clear = CLEAR_REST
        self._stream.flush()

    def writelines(self, lines: Iterable[str]) -> None:
        """Write the redacted lines."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> t.Any:
        return getattr(self._stream, name)


def install() -> None:
    """Redact standard error, every log record and every traceback.

    Standard output is left alone: the writer redacts records, and nothing else is printed.
    """
    protect_environment()
    if not isinstance(sys.stderr, RedactedStream):
        errors = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
        sys.stderr = t.cast("t.TextIO", RedactedStream(errors))
    logging.setLogRecordFactory(_redacted_record)


def protect_environment() -> None:
    """Remove passwords in proxy URLs, which connection errors quote."""
    REDACTOR.protect(_proxy_passwords())


def _proxy_passwords() -> set[str]:
    # Not by urlsplit, because a URL may be too malformed for it.
    urls = urllib.request.getproxies().values()
    found = (re.match(r"(?:\w+://)?[^:@/]*:([^/].*)@", url) for url in urls)
    passwords = {match[1] for match in found if match}
    return passwords | set(map(urllib.parse.unquote, passwords))


def _redacted_record(*args: t.Any, **kwargs: t.Any) -> logging.LogRecord:
    record = logging.LogRecord(*args, **kwargs)
    if record.exc_info and record.exc_info[1] is not None:
        record.exc_text = REDACTOR.text(describe_exception(record.exc_info[1]))
        record.exc_info = None
    if record.msg == "METRIC: %s":
        return record  # the SDK's formatter needs the argument itself
    try:
        message = str(record.msg) if LEAKY_LOGGERS.match(record.name) else record.getMessage()
    except (TypeError, ValueError):
        message = "(a log line whose arguments do not match it)"
    record.msg, record.args = REDACTOR.text(message), None
    return record


def explain(error: Exception) -> str:
    """What to show the user: the exception's own sentence, or its traceback without texts."""
    if isinstance(error, SAFE_TEXTS):
        return str(error)
    return f"Internal error (please report):\n{describe_exception(error)}"


def describe_exception(error: BaseException) -> str:
    """Types and places of an exception and its causes.

    Only exceptions that are known to quote nothing keep their texts: that of a KeyError or
    ValueError quotes a value, which may be patient data.
    """
    lines: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(lines) < MAX_TRACEBACK_LINES:
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
