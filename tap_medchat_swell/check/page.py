"""The page that --check prints, as text and as JSON (docs/check.schema.json)."""

from __future__ import annotations

import dataclasses
import textwrap
import typing as t
from dataclasses import dataclass

from tap_medchat_swell.check import fields
from tap_medchat_swell.check.findings import UNKNOWN

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tap_medchat_swell.check.estimate import Estimate, Load
    from tap_medchat_swell.check.findings import Finding, VendorCheck

WIDTH, INDENT = 96, " " * 9
MARKS = {"ok": "ok", "warning": "WARN", "problem": "FAIL", UNKNOWN: "?"}
LEGEND = "ok: fine. WARN: works, but read it. FAIL: a sync would fail. ?: could not tell."


@dataclass(frozen=True)
class Report:
    """All that was found; `schema` are the columns to declare."""

    version: str
    checked_at: str
    vendors: Sequence[VendorCheck]
    streams: Sequence[fields.Stream]
    schema: dict[str, t.Any]

    @property
    def works(self) -> bool:
        """Whether a sync would work."""
        return all(vendor.works for vendor in self.vendors)

    def document(self) -> dict[str, t.Any]:
        """The report for machines."""
        return {
            "version": self.version,
            "checked_at": self.checked_at,
            "works": self.works,
            "vendors": [_vendor(vendor) for vendor in self.vendors],
            "streams": [dataclasses.asdict(stream) for stream in self.streams],
            "schema": self.schema,
        }

    def text(self) -> str:
        """The report for people."""
        lines = [f"tap-medchat-swell {self.version}: check of {self.checked_at}", ""]
        lines += [*_verdict(self.vendors), "", LEGEND, ""]
        for vendor in self.vendors:
            lines += [*_section(vendor), ""]
        lines += [*_fields(self.streams), ""]
        if self.schema:
            lines += ["To make them columns, add to the extractor in meltano.yml:", ""]
            lines += [f"    {line}" for line in fields.block(self.schema)]
            lines += [""]
        return "\n".join(lines).rstrip()


def _vendor(vendor: VendorCheck) -> dict[str, t.Any]:
    found = {name: value for name, value in vars(vendor).items() if name != "rows"}
    return {
        **found,
        "works": vendor.works,
        "findings": [dataclasses.asdict(finding) for finding in vendor.findings],
        "estimate": dataclasses.asdict(vendor.estimate) if vendor.estimate else None,
    }


def _section(vendor: VendorCheck) -> Iterator[str]:
    title = f"{vendor.vendor}: {vendor.requests} requests to {vendor.url}"
    yield from (title, "-" * len(title))
    for finding in vendor.findings:
        yield from _finding(finding)
    if vendor.estimate:
        yield from _estimate(vendor.estimate)


def _finding(finding: Finding) -> Iterator[str]:
    yield f"  {MARKS[finding.verdict]:<6} {finding.question}: {finding.reading}"
    seen = "" if finding.meaning == finding.seen else f" Seen: {finding.seen.rstrip('.')}."
    yield from _wrapped(f"Asked: {finding.asked}.{seen} {finding.meaning}")


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)


def _estimate(estimate: Estimate) -> Iterator[str]:
    rows = " and ".join(f"{number:,} {what}" for what, number in estimate.rows.items())
    yield f"  About {rows}; {estimate.seconds_per_request:.2f} s per request."
    yield f"  First load: {_load(estimate.first_load)}. Each night: {_load(estimate.nightly_run)}."
    for advice in estimate.advice:
        yield from _wrapped(f"Worth changing: {advice}")


def _load(load: Load) -> str:
    minutes = "under a minute" if load.minutes < 1 else f"{load.minutes:,.0f} minutes"
    return f"about {load.requests:,} requests, {minutes}"


def _fields(streams: Sequence[fields.Stream]) -> Iterator[str]:
    yield from ("Fields", "------")
    for stream in streams:
        yield f"  {stream.name}: {stream.rows} rows seen"
        for field in stream.fields:
            share = f"in {field.share:.0%} of rows"
            yield f"         without a column: {field.name}, {field.type or 'always null'}, {share}"
        if stream.hidden:
            yield f"         {stream.hidden} more, not shown: in one row only, or unlike a name"
        if stream.missing:
            yield from _wrapped(f"columns that never came: {', '.join(stream.missing)}")


def _verdict(vendors: Sequence[VendorCheck]) -> Iterator[str]:
    for vendor in vendors:
        problems = [finding for finding in vendor.findings if finding.verdict == "problem"]
        if not problems:
            yield f"{vendor.vendor}: a sync would work."
        for finding in problems:
            yield f"{vendor.vendor}: a sync would fail. {finding.question}: {finding.meaning}"
