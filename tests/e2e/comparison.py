"""Compares what a target holds with what it should hold, field by field."""

from __future__ import annotations

import json
import re
import typing as t
from datetime import date, datetime

from .loads import Text, key

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from support.tap_runs import Record

    from .targets import Loss

INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]00(:?00)?)?")


def assert_table(
    table: str, rows: list[Record], wanted: Mapping[str, Record], losses: Iterable[Loss] = ()
) -> None:
    """A table holds the wanted rows, once each, and no others."""
    held = {key(row): row for row in rows}
    assert held.keys() == wanted.keys(), table
    assert len(rows) == len(held), table
    for name, row in held.items():
        assert_row(f"{table} {name}", row, wanted[name], losses)


def assert_row(place: str, row: Record, wanted: Record, losses: Iterable[Loss]) -> None:
    """Every column has its value. What targets add of their own begins with _sdc."""
    for column in sorted(row.keys() | wanted.keys()):
        if not column.startswith("_sdc_"):
            value = wanted.get(column)
            for loss in losses:
                value = loss.change(value)
            assert in_one_form(row.get(column), value) == in_one_form(value, value), (
                f"{place} {column}"
            )


def in_one_form(value: t.Any, wanted: t.Any) -> t.Any:
    """A value as one of the wanted one's kind: text is parsed, instants are written alike."""
    if isinstance(value, Text):
        return value.value
    if isinstance(value, str) and isinstance(wanted, Text):
        return wanted.parse(value)
    if isinstance(value, str) and isinstance(wanted, dict | list):
        return json.loads(value)
    if isinstance(value, str) and INSTANT.fullmatch(value):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat("T", "microseconds")
    return value.isoformat() if isinstance(value, date) else value
