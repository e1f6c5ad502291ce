"""Checks both vendors at once."""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tap_medchat_swell.check import fields, medchat, swell
from tap_medchat_swell.check.page import Report
from tap_medchat_swell.timestamps import now

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_medchat_swell.check.findings import VendorCheck
    from tap_medchat_swell.http.rate_limiter import RateLimiter
    from tap_medchat_swell.settings import Options

CHECKS = {"MedChat": medchat.check, "Swell": swell.check}
RETRIES, SECONDS = 2, 90  # per request: somebody is waiting


class Known(t.NamedTuple):
    """What the tap knows of a stream; `schema` has the columns that the user declares."""

    vendor: str
    schema: Mapping[str, t.Any]
    ids: tuple[str, ...]
    selected: bool


def run(
    options: Options,
    limiters: Mapping[str, RateLimiter],
    streams: Mapping[str, Known],
    version: str,
) -> Report:
    """Ask the vendors of these streams. Writes nothing."""
    started = now()
    selected = {name for name, stream in streams.items() if stream.selected}
    vendors = dict.fromkeys(stream.vendor for stream in streams.values())
    hasty = replace(
        options,
        max_retries=min(RETRIES, options.max_retries),
        retry_seconds=min(SECONDS, options.retry_seconds),
    )

    def check(vendor: str) -> VendorCheck:
        return CHECKS[vendor](hasty, limiters[vendor], selected)

    with ThreadPoolExecutor(len(vendors)) as workers:
        checks: Sequence[VendorCheck] = [*workers.map(check, vendors)]
    rows = {name: found for check in checks for name, found in check.rows.items()}
    seen = [
        fields.compare(name, stream.schema, stream.ids, rows[name])
        for name, stream in streams.items()
        if rows.get(name)
    ]
    schemas = {name: stream.schema for name, stream in streams.items()}
    checked_at = f"{started:%Y-%m-%d %H:%M:%S} UTC"
    return Report(version, checked_at, checks, seen, fields.declared(seen, schemas))
