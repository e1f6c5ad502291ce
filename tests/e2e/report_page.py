"""What `make report` writes, compared with marts computed in plain Python."""

from __future__ import annotations

import re
import typing as t
from collections import Counter, defaultdict
from html.parser import HTMLParser

import pytest
from typing_extensions import override

from .marts import percentile
from .tools import ROOT, plain_environment, programs, run_program

if t.TYPE_CHECKING:
    from pathlib import Path
    from subprocess import CompletedProcess

    from .marts import Marts, Row

VENDORS = {"medchat": "MedChat", "swell": "Swell"}
AGES = {"under 1 h": 60, "1 to 4 h": 240, "4 to 24 h": 1440, "1 to 3 days": 4320}
AGES |= {"3 to 7 days": 10080, "7 to 30 days": 43200, "over 30 days": 10**9}


class Page(HTMLParser):
    """A page's tables by section, its key numbers, and its SVGs' labels."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.labels, self.terms = text, list[str](), list[str]()
        self.tables: dict[str, list[list[str]]] = defaultdict(list)
        self._section, self._into, self._value = "", "", False
        self.feed(text)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "section":
            self._section = given["id"] or ""
        elif tag == "tr":
            self.tables[self._section].append([])
        elif tag in {"td", "dd"}:
            self._into = tag
            (self.terms if tag == "dd" else self.tables[self._section][-1]).append("")
        elif tag == "data":
            self.tables[self._section][-1][-1], self._into = given["value"] or "", ""
        elif tag == "svg":
            assert given["role"] == "img"
            self.labels.append(given["aria-label"] or "")

    @override
    def handle_endtag(self, tag: str) -> None:
        self._into = "" if tag == self._into else self._into

    @override
    def handle_data(self, data: str) -> None:
        if self._into:
            (self.terms if self._into == "dd" else self.tables[self._section][-1])[-1] += data

    def rows(self, section: str) -> dict[str, list[str]]:
        """A table's rows by their first cell, without the head."""
        return {row[0]: row[1:] for row in self.tables[section] if row}


def make_page(database: object, schema: str, file: Path) -> CompletedProcess[str]:
    command = [programs("report") / "python", ROOT / "scripts" / "report.py"]
    options = ("--database", database, "--schema", schema, "--output", file)
    return run_program([*command, *options], file.parent, plain_environment(), seconds=60)


def page_of(database: object, schema: str, folder: Path) -> Page:
    file = folder / "page.html"
    done = make_page(database, schema, file)
    assert done.returncode == 0, done.stdout
    page = Page(file.read_text("utf-8"))
    assert_self_contained(page.text)
    return page


def assert_self_contained(text: str) -> None:
    assert "<script" not in text.lower()
    assert not re.search(r"https?:|//\w|@import|\bon\w+=|javascript:|<link|<img|<iframe", text)
    assert set(re.findall(r"url\((#?).", text)) <= {"#"}
    ids = re.findall(r'\bid="([^"]*)"', text)
    assert len(ids) == len(set(ids)), "charts share no names"


def assert_page(page: Page, marts: Marts) -> None:
    """Each table's numbers; the labels of the charts."""
    sent = [row for row in marts.messages if not row["is_scheduled"]]
    for vendor, name in VENDORS.items():
        own = [row for row in sent if row["vendor"] == vendor]
        ways = Counter(row["direction"] for row in own)
        automated = sum(bool(row["is_automated"]) for row in own)
        counts = [ways["inbound"], ways["outbound"], automated]
        assert page.rows("messages-per-day")[name] == [str(count) for count in counts]
        [label] = [text for text in page.labels if text.startswith(f"{name}: messages per day")]
        assert f"{counts[0]} received and {counts[1]} sent in all" in label
        events = [e for e in marts.consent_events if e["vendor"] == vendor]
        kinds = Counter(event["event"] for event in events)
        out = {e["contact_key"] for e in events if e["current_state_at_vendor"] == "opted_out"}
        counts = [kinds["opt_out"], kinds["opt_in"], len(out)]
        assert page.rows("opt-outs")[name] == [str(count) for count in counts]
    assert_weekdays(page, [row for row in sent if row["direction"] == "inbound"])
    assert_ages(page, [row for row in marts.conversations if row["state"] == "open"])
    assert_locations(page, marts.response_times)
    assert len(page.labels) == 6
    waiting = sum(row["state"] == "open" for row in marts.conversations)
    assert page.terms[3] == str(waiting)


def assert_weekdays(page: Page, inbound: list[Row]) -> None:
    hours = Counter((f"{r['sent_at_local']:%a}", r["sent_at_local"].hour) for r in inbound)
    for day, (received, working, busiest) in page.rows("when-patients-write").items():
        own = {hour: count for (weekday, hour), count in hours.items() if weekday == day}
        assert int(received) == sum(own.values())
        assert int(working) == sum(count for hour, count in own.items() if 8 <= hour < 17)
        assert own[int(busiest.partition(":")[0])] == max(own.values())


def assert_ages(page: Page, waiting: list[Row]) -> None:
    ages = Counter(
        (row["vendor"], next(a for a, end in AGES.items() if row["waiting_minutes"] < end))
        for row in waiting
    )
    expected = {age: [str(ages[vendor, age]) for vendor in VENDORS] for age in AGES}
    assert page.rows("threads-that-wait-for-a-reply") == expected


def assert_locations(page: Page, waits: list[Row]) -> None:
    groups = defaultdict(list)
    for row in waits:
        groups[row["vendor"], row["location_id"]].append(row)
    rows = [row for row in page.tables["response-time-by-location"] if row]
    assert len(rows) == len(groups)
    for (vendor, _), own in groups.items():
        name = own[0]["location_name"] or "no location"
        [shown] = [row for row in rows if row[:2] == [name, VENDORS[vendor]]]
        answers = [r["response_minutes"] for r in own if r["outcome"] == "answered"]
        business = [r["response_business_minutes"] for r in own if r["outcome"] == "answered"]
        numbers = percentile(answers, 0.5), percentile(answers, 0.9), percentile(business, 0.5)
        assert [int(cell) for cell in shown[2:4]] == [
            len(own),
            sum(row["outcome"] == "open" for row in own),
        ]
        found = [float(cell) if cell else None for cell in shown[4:]]
        assert found == pytest.approx(list(numbers), abs=1e-3)
