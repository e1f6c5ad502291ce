"""What a run has done: a table and a verdict for people, the same as JSON for programs.

docs/run-report.schema.json describes the JSON.
"""

from __future__ import annotations

import json
import os
import tempfile
import typing as t
from pathlib import Path

from tap_medchat_swell.errors import OutputClosedError, ShutdownRequested, TapError
from tap_medchat_swell.redaction import REDACTOR
from tap_medchat_swell.timestamps import format_timestamp, now

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tap_medchat_swell.http.rate_limiter import RateLimiter
    from tap_medchat_swell.scan import VendorScan
    from tap_medchat_swell.stream import VendorStream

Report = dict[str, t.Any]
VERSION = 1
# A column of the table, and its field in the report; numbers are the fields without "text".
COLUMNS = {
    "stream": "stream",
    "read": "rows_read",
    "written": "rows_written",
    "requests": "requests",
    "retries": "retries",
    "waited s": "rate_limit_seconds",
    "from": "from",
    "to": "to",
    "result": "result",
}
TEXTS = {"stream", "from", "to", "result"}


def build(
    scans: Sequence[VendorScan],
    limiters: Mapping[str, RateLimiter],
    failures: Mapping[str, Exception],
    ended_by: BaseException | None,
    head: Mapping[str, t.Any],
) -> Report:
    """The report of a run that ends now, by an exception or by itself.

    Streams that one scan reads share its requests: they are the first stream's, null in the
    others. Scans of one vendor wait together: the first stream's seconds are all the vendor's.
    """
    streams = [
        _stream_report(scan, stream, failures, ended_by)
        for scan in scans
        for stream in scan.all_streams
    ]
    for vendor in {scan.vendor for scan in scans}:
        first = next(entry for entry in streams if entry["vendor"] == vendor)
        first["rate_limit_seconds"] = round(limiters[vendor].seconds_waited, 1)
    started, until = head["started_at"], head["until"]
    report = {
        "version": VERSION,
        **head,
        "started_at": format_timestamp(started),
        "finished_at": format_timestamp(now()),
        "until": format_timestamp(min(started, until or started)),
        "seconds": round((now() - started).total_seconds(), 1),
        "result": _result(ended_by, streams),
        "verdict": "",
        "streams": streams,
    }
    report["verdict"] = REDACTOR.text(" ".join(_verdict(report, ended_by)))
    return report


def _result(ended_by: BaseException | None, streams: Iterable[Report]) -> str:
    if isinstance(ended_by, ShutdownRequested):
        return "stopped"
    is_complete = ended_by is None and all(entry["result"] == "complete" for entry in streams)
    return "complete" if is_complete else "failed"


def _stream_report(
    scan: VendorScan,
    stream: VendorStream,
    failures: Mapping[str, Exception],
    ended_by: BaseException | None,
) -> Report:
    primary = scan.all_streams[0]
    is_primary = stream is primary
    failure = failures.get(stream.name)
    result = "failed" if failure else "complete" if scan.is_complete else "stopped"
    if result == "stopped" and not isinstance(ended_by, ShutdownRequested):
        result = "failed"
    return {
        "stream": stream.name,
        "vendor": scan.vendor,
        "read_with": None if is_primary else primary.name,
        "rows_read": stream.rows_read,
        "rows_written": stream.rows_written,
        "windows": scan.windows,
        "doubtful_windows": scan.doubtful_windows,
        "requests": scan.traffic.requests if is_primary else None,
        "retries": scan.traffic.retries if is_primary else None,
        "rate_limit_seconds": None,
        "from": format_timestamp(scan.begin) if scan.begin else None,
        "to": format_timestamp(scan.reached) if scan.reached else None,
        "result": result,
        "error": REDACTOR.text(_sentence(failure)) if failure else None,
    }


def _sentence(error: BaseException) -> str:
    """The error's own sentence, if it may be shown."""
    if isinstance(error, (TapError, OutputClosedError)):
        return str(error)
    if isinstance(error, ShutdownRequested):
        return f"stopped by signal {error.signum}."
    return f"{type(error).__name__}: see the log."


def _verdict(report: Report, ended_by: BaseException | None) -> Iterator[str]:
    """Whether everything is in, else where which streams stopped and why."""
    streams: list[Report] = report["streams"]
    stopped: dict[tuple[str, str], list[str]] = {}
    for entry in streams:
        if entry["result"] != "complete":
            why = entry["error"] or (_sentence(ended_by) if ended_by else "")
            stopped.setdefault((_short(entry["to"]), why), []).append(entry["stream"])
    for (reached, why), names in stopped.items():
        yield f"{', '.join(names)} stopped at {reached or 'the start'}: {why}"
    if not stopped and ended_by is not None:
        yield f"Failed: {_sentence(ended_by)}"
    elif not stopped:
        yield f"Everything up to {_short(report['until'])} is in."
    doubtful = sum(entry["doubtful_windows"] for entry in streams if not entry["read_with"])
    if doubtful:
        yield f"Windows whose rows disagree with the vendor's own count: {doubtful}; see the log."


def _short(timestamp: str | None) -> str:
    """A time to the minute, or a day."""
    text = (timestamp or "")[:16].replace("T", " ")
    return text.removesuffix(" 00:00")


def table(report: Report) -> str:
    """The streams as a table, and the verdict below it."""
    if not report["streams"]:
        return str(report["verdict"])
    rows = [list(COLUMNS), *([*_cells(entry)] for entry in report["streams"])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if name in TEXTS else cell.rjust(width)
            for name, cell, width in zip(COLUMNS, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, report["verdict"]])


def _cells(entry: Report) -> Iterator[str]:
    for field in COLUMNS.values():
        value = entry[field]
        if field in {"from", "to"}:
            yield _short(value)
        elif field == "result" and entry["read_with"]:
            yield f"{value} (with {entry['read_with']})"
        else:
            yield "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def save(report: Report, path: str) -> None:
    """Write the report; a reader of the file sees the old one or this one.

    Raises OSError, or ValueError for a path that no file can have.
    """
    folder = Path(path).parent
    number, temporary = tempfile.mkstemp(prefix=".run-report-", dir=folder)  # readable by its owner
    try:
        with open(number, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
            json.dump(report, file, indent=2)
            file.write("\n")
        os.replace(temporary, path)  # noqa: PTH105 - both are texts
    except (OSError, ValueError):
        Path(temporary).unlink(missing_ok=True)
        raise
