"""What --check prints: a document (docs/check.schema.json) as a page for people."""

from __future__ import annotations

import textwrap
import typing as t

from tap_medchat_swell.check import fields
from tap_medchat_swell.check.questions import UNKNOWN

if t.TYPE_CHECKING:
    from collections.abc import Iterator

Document = dict[str, t.Any]
WIDTH, INDENT = 96, " " * 9
MARKS = {"ok": "ok", "warning": "WARN", "problem": "FAIL", UNKNOWN: "?"}
LEGEND = "ok: fine. WARN: works, but read it. FAIL: a sync would fail. ?: could not tell."


def text(document: Document) -> str:
    """The page."""
    return "\n".join(_lines(document)).rstrip()


def _lines(document: Document) -> Iterator[str]:
    yield f"tap-medchat-swell {document['version']}: check of {document['checked_at']}"
    yield ""
    for vendor in document["vendors"]:
        yield from _verdict(vendor)
    yield from ("", LEGEND, "")
    for vendor in document["vendors"]:
        yield from (*_section(vendor), "")
    yield from ("Fields", "------")
    for stream in document["streams"]:
        yield from _fields(stream)
    if document["schema"]:
        yield from ("", "To make them columns, add to the extractor in meltano.yml:", "")
        yield from (f"    {line}" for line in fields.block(document["schema"]))


def _verdict(vendor: Document) -> Iterator[str]:
    if vendor["works"]:
        yield f"{vendor['vendor']}: a sync would work."
    for finding in vendor["findings"]:
        if finding["verdict"] == "problem":
            why = f"{finding['question']}: {finding['meaning']}"
            yield f"{vendor['vendor']}: a sync would fail. {why}"


def _section(vendor: Document) -> Iterator[str]:
    title = f"{vendor['vendor']}: {vendor['requests']} requests to {vendor['url']}"
    yield from (title, "-" * len(title))
    for finding in vendor["findings"]:
        seen, meaning = finding["seen"], finding["meaning"]
        yield f"  {MARKS[finding['verdict']]:<6} {finding['question']}: {finding['reading']}"
        told = "" if seen == meaning else f" Seen: {seen.rstrip('.')}."
        yield from _wrapped(f"Asked: {finding['asked']}.{told} {meaning}")
    if estimate := vendor["estimate"]:
        rows = " and ".join(f"{number:,} {what}" for what, number in estimate["rows"].items())
        yield f"  About {rows}; {estimate['seconds_per_request']:.2f} s per request."
        first, nightly = _load(estimate["first_load"]), _load(estimate["nightly_run"])
        yield f"  First load: {first}. Each night: {nightly}."
        for advice in estimate["advice"]:
            yield from _wrapped(f"Worth changing: {advice}")


def _load(load: Document) -> str:
    minutes = "under a minute" if load["minutes"] < 1 else f"{load['minutes']:,.0f} minutes"
    return f"about {load['requests']:,} requests, {minutes}"


def _fields(stream: Document) -> Iterator[str]:
    yield f"  {stream['name']}: {stream['rows']} rows seen"
    for field in stream["fields"]:
        kind, share = field["type"] or "always null", f"in {field['share']:.0%} of rows"
        yield f"{INDENT}without a column: {field['name']}, {kind}, {share}"
    if stream["hidden"]:
        yield f"{INDENT}{stream['hidden']} more, not shown: in one row only, or unlike a name"
    if stream["missing"]:
        yield from _wrapped(f"columns that never came: {', '.join(stream['missing'])}")


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)
