"""Checks both vendors at once, and makes a document of it (docs/check.schema.json)."""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tap_medchat_swell.check import connection, fields, medchat, swell
from tap_medchat_swell.check.questions import Seen, answers, finding
from tap_medchat_swell.errors import TapError
from tap_medchat_swell.timestamps import now

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from tap_medchat_swell.http.rate_limiter import RateLimiter
    from tap_medchat_swell.settings import Options
    from tap_medchat_swell.stream import VendorStream

Document = dict[str, t.Any]
VENDORS: dict[str, t.Any] = {
    "MedChat": (medchat.Chats, medchat.QUESTIONS),
    "Swell": (swell.Messages, swell.QUESTIONS),
}
RETRIES, SECONDS = 2, 90  # per request: somebody is waiting


def run(
    options: Options,
    limiters: Mapping[str, RateLimiter],
    streams: Mapping[str, VendorStream],
    version: str,
) -> Document:
    """Ask the vendors of these streams. Writes nothing."""
    started = now()
    selected = {name for name, stream in streams.items() if stream.selected}
    vendors = dict.fromkeys(stream.vendor for stream in streams.values())

    def check(vendor: str) -> tuple[Document, Mapping[str, t.Any]]:
        return check_vendor(vendor, options, limiters[vendor], selected)

    with ThreadPoolExecutor(len(vendors)) as workers:
        checks = [*workers.map(check, vendors)]
    rows = {name: found for _, by_stream in checks for name, found in by_stream.items()}
    schemas = {name: stream.full_schema for name, stream in streams.items()}
    seen = [
        fields.compare(name, schemas[name], stream.ids, rows[name])
        for name, stream in streams.items()
        if rows.get(name)
    ]
    return {
        "version": version,
        "checked_at": f"{started:%Y-%m-%d %H:%M:%S} UTC",
        "works": all(vendor["works"] for vendor, _ in checks),
        "vendors": [vendor for vendor, _ in checks],
        "streams": seen,
        "schema": fields.declared(seen, schemas),
    }


def check_vendor(
    vendor: str, options: Options, limiter: RateLimiter, selected: Collection[str]
) -> tuple[Document, Mapping[str, t.Any]]:
    """What one vendor's answers prove, and the rows that came by stream."""
    hasty = replace(
        options,
        max_retries=min(RETRIES, options.max_retries),
        retry_seconds=min(SECONDS, options.retry_seconds),
    )
    kind, questions = VENDORS[vendor]
    subject: t.Any = kind(hasty, limiter, selected)
    findings = [*_findings(subject, questions)]
    subject.client.close()
    document = {
        "vendor": vendor,
        "url": subject.url,
        "works": all(line["verdict"] != "problem" for line in findings),
        "requests": subject.requests,
        "findings": findings,
        "estimate": subject.estimate(),
    }
    return document, subject.rows_by_stream()


def _findings(subject: t.Any, questions: t.Any) -> Iterator[dict[str, str]]:
    try:
        subject.access()
    except TapError as error:
        why = str(error)
        yield finding(subject, "access", "a first request", Seen(why, "no", why, "problem"))
    else:
        yield from answers(subject, [*connection.BEFORE, *questions])
    yield from answers(subject, connection.AFTER)
