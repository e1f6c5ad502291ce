"""Fields that came without a column, columns that never came, and columns to declare.

Of a row's contents only names and types are used, and only names that cannot be a patient's
text or number: they come in two rows at least and look like a field's.
"""

from __future__ import annotations

import json
import re
import typing as t

from tap_medchat_swell.conversions import normalize_key
from tap_medchat_swell.privacy.signals import SIGNALS
from tap_medchat_swell.record_mapper import EXTRAS, RowMapper
from tap_medchat_swell.timestamps import parse_timestamp

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tap_medchat_swell.record_mapper import Row

Schema = t.Mapping[str, t.Any]
NAME = re.compile(r"(?!.*\d{4})[a-z][a-z0-9]*(_[a-z0-9]+){0,5}", re.ASCII)
LONGEST = 40
COMPUTED = {"account_name", "sms_chat_id", "date_sent_utc", EXTRAS, *SIGNALS}
JSON_NAMES = {bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}
FROM_MIXED = {frozenset({"integer", "number"}): "number", frozenset({"date-time"}): "date-time"}


def compare(name: str, schema: Schema, ids: tuple[str, ...], rows: Sequence[Row]) -> Row:
    """A stream's rows against its columns, nested ones too; names that may be data are hidden."""
    mapper = RowMapper(schema, {"id": ids})
    values: dict[str, list[t.Any]] = {}
    for row in rows:
        for path, value in _paths(mapper.split(row)[1], schema):
            values.setdefault(path, []).append(value)
    shown = {path: found for path, found in values.items() if len(found) > 1 and _is_name(path)}
    return {
        "name": name,
        "rows": len(rows),
        "fields": [
            {"stream": name, "name": path, "type": _type(found), "share": len(found) / len(rows)}
            for path, found in sorted(shown.items())
        ],
        "missing": [*_missing(schema, ids, rows)],
        "hidden": len(values) - len(shown),
    }


def _paths(extras: Row, schema: Schema, before: str = "") -> Iterator[tuple[str, t.Any]]:
    """Fields with dots between levels; of columns whose value does not fit, none."""
    for name, value in extras.items():
        column = schema["properties"].get(name)
        if column is None:
            yield before + name, value
        elif "properties" in column and isinstance(value, dict):
            yield from _paths(value, column, f"{before}{name}.")


def _is_name(path: str) -> bool:
    return all(NAME.fullmatch(part) and len(part) <= LONGEST for part in path.split("."))


def _missing(schema: Schema, ids: tuple[str, ...], rows: Sequence[Row]) -> Iterator[str]:
    keys = {normalize_key(key) for row in rows for key in row}
    keys |= {"id"} if keys & {*map(normalize_key, ids)} else set()
    for column in schema["properties"]:
        if column not in COMPUTED and normalize_key(column) not in keys:
            yield column


def _type(values: Sequence[t.Any]) -> str:
    """The one type that all values have; text where they differ."""
    kinds = frozenset(_kind(value) for value in values if value is not None)
    if len(kinds) == 1:
        return min(kinds)
    return FROM_MIXED.get(kinds, "string") if kinds else ""


def _kind(value: t.Any) -> str:
    if isinstance(value, str):
        is_time = len(value) > len("2022-12-01") and parse_timestamp(value) is not None
        return "date-time" if is_time else "string"
    return JSON_NAMES[type(value)]


def declared(streams: Sequence[Row], schemas: Mapping[str, Schema]) -> dict[str, Row]:
    """The columns to declare: a JSON schema per stream and column."""
    columns: dict[str, Row] = {}
    for field in (field for stream in streams for field in stream["fields"] if field["type"]):
        top, _, nested = field["name"].partition(".")
        own = columns.setdefault(field["stream"], {})
        if not nested:
            own[top] = _definition(field["type"])
        elif "." not in nested:
            whole = own.setdefault(top, _plain(schemas[field["stream"]]["properties"][top]))
            whole["properties"][nested] = _definition(field["type"])
    return columns


def _definition(kind: str) -> Row:
    if kind == "date-time":
        return {"type": ["string", "null"], "format": "date-time"}
    return {"type": [kind, "null"]}


def _plain(definition: t.Any) -> t.Any:
    """A copy with no more than types: an object's columns must all be declared again."""
    if isinstance(definition, dict):
        return {
            key: _plain(value)
            for key, value in definition.items()
            if isinstance(value, dict) or (key != "description" and not key.startswith("x-"))
        }
    return definition


def block(columns: Mapping[str, Row]) -> list[str]:
    """The lines for meltano.yml; JSON is YAML, too."""
    lines = ["schema:"] if columns else []
    for stream, own in columns.items():
        lines += [f"  {stream}:", *(f"    {name}: {json.dumps(own[name])}" for name in own)]
    return lines
