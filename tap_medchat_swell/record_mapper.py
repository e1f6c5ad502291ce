"""From a vendor's row to a record: keys normalize_key, values typed, the unknown kept.

A stream's JSON schema is the one declaration of its columns. Rows of the same shape
(the same keys in the same order) share a plan made once, which is what makes this
quick. Whatever has no column, or does not fit its column's type, is kept in
`additional_properties` (never dropped unannounced).
"""

from __future__ import annotations

import json
import math
import re
import typing as t
from dataclasses import dataclass

from tap_medchat_swell.errors import TapError
from tap_medchat_swell.timestamps import normalize_timestamp

if t.TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping

Row = dict[str, t.Any]
T = t.TypeVar("T")
EXTRAS = "additional_properties"
MAX_FIELDS = 2000
MAX_DEPTH = 64
MAX_SHAPES = 500
INT64 = 1 << 63
PLAIN = frozenset({str, int, bool})
JSON_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "string": (str,),
    "number": (int, float),
    "null": (type(None),),
}


class PerShape(dict[tuple[str, ...], T]):
    """What is worked out once per shape of rows, their keys in order; raises RowTooLargeError."""

    def __init__(self, work_out: Callable[[tuple[str, ...]], T]) -> None:
        self._work_out = work_out

    def __missing__(self, shape: tuple[str, ...]) -> T:
        if len(shape) > MAX_FIELDS:
            raise RowTooLargeError  # and nothing of its size is remembered
        if len(self) >= MAX_SHAPES:
            self.clear()
        self[shape] = result = self._work_out(shape)
        return result


class ConversionError(Exception):
    """A value that does not fit its column's type."""


class RowTooLargeError(TapError):
    """A row with more fields or levels than any message has."""

    def __init__(self) -> None:
        super().__init__(
            f"A row with over {MAX_FIELDS} fields or {MAX_DEPTH} levels came, which no "
            "message has: nothing after it is read."
        )


def snake_case(key: str) -> str:
    """`user_phone_number` out of `UserPhoneNumber`, `userPhoneNumber` or `user-phone-number`."""
    key = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", key)
    key = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", key)
    return re.sub(r"[\W_]+", "_", key).strip("_").lower() or key


def normalize_key(key: str) -> str:
    """A key without regard to case and separators (M2)."""
    return key.replace("_", "").replace("-", "").lower()


def as_text(value: t.Any) -> str:
    """Numbers and booleans as JSON writes them; raises ConversionError for anything else."""
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    raise ConversionError


def as_integer(value: t.Any) -> int | None:
    """Whole numbers, also as text or with a zero fraction; "" is null; raises ConversionError."""
    if type(value) is int and -INT64 <= value < INT64:  # a bool is none
        return value
    if value == "":
        return None
    if (isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,19}\s*", value)) or (
        isinstance(value, float) and value.is_integer()
    ):
        return as_integer(int(value))
    raise ConversionError


def as_boolean(value: t.Any) -> bool | None:
    """Booleans, also as 0 and 1 or as text; "" is null (W19); raises ConversionError."""
    if value == "":
        return None
    try:
        return {"1": True, "true": True, "0": False, "false": False}[str(value).lower()]
    except KeyError:
        raise ConversionError from None


def as_timestamp(value: t.Any) -> str | None:
    """The fixed-width UTC form; "" is null (W19); raises ConversionError."""
    if value == "":
        return None
    normalized = normalize_timestamp(value)
    if normalized is None:
        raise ConversionError
    return normalized


def clean_json(value: t.Any, depth: int = 0) -> t.Any:
    """A value of unknown shape, keys in snake_case; raises RowTooLargeError."""
    if value is None or type(value) in PLAIN:
        return value
    if depth > MAX_DEPTH:
        raise RowTooLargeError
    if isinstance(value, dict):
        if len(value) > MAX_FIELDS:
            raise RowTooLargeError
        result: Row = {}
        for key, item in value.items():
            result[_free_name(key, result)] = clean_json(item, depth + 1)
        return result
    if isinstance(value, list):
        return [clean_json(item, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@dataclass
class Plan:
    """How rows of one shape become records."""

    blank: Row
    # name, key, the type that needs no work, what to do with other types
    columns: list[tuple[str, str, type, Callable[[t.Any], t.Any]]]
    extras: list[tuple[str, str]]


class NoType:
    """The type of no value: every value goes through the conversion."""


class RowType:
    """Turns rows into records by a JSON schema of type object.

    `aliases` name, per column, other keys that the vendor may use for it. `wanted`
    limits the columns to those that are selected.
    """

    def __init__(
        self,
        schema: Mapping[str, t.Any],
        aliases: Mapping[str, tuple[str, ...]] | None = None,
        wanted: frozenset[str] | None = None,
    ) -> None:
        self._columns = {
            name: _conversion(definition)
            for name, definition in schema["properties"].items()
            if wanted is None or name in wanted
        }
        # A nested type has no such column itself: its parent keeps what it splits off.
        self.keeps_extras = EXTRAS not in schema["properties"] or EXTRAS in self._columns
        self._columns.pop(EXTRAS, None)
        self._known = {
            name: [normalize_key(name), *map(normalize_key, (aliases or {}).get(name, ()))]
            for name in schema["properties"]
            if name != EXTRAS
        }
        self._plans = PerShape(self._plan)

    def record(self, row: Row) -> Row:
        """The record, with what has no place in it under `additional_properties`."""
        record, extras = self.split(row)
        if self.keeps_extras:
            record[EXTRAS] = extras or None
        return record

    def split(self, row: Row) -> tuple[Row, Row]:
        """The typed columns, and everything else; raises RowTooLargeError."""
        plan = self._plans[tuple(row)]
        record = plan.blank.copy()
        extras: Row = {}
        for name, key, ready, convert in plan.columns:
            value = row[key]
            if type(value) is ready:
                record[name] = value
            elif value is not None:
                try:
                    value = convert(value)
                except ConversionError:
                    extras[name] = clean_json(value)
                else:
                    if type(value) is tuple:  # a nested record with extras of its own
                        value, nested = value
                        if nested:
                            extras[name] = nested
                    record[name] = value
        for name, key in plan.extras:
            value = row[key]
            extras[name] = value if type(value) in PLAIN else clean_json(value, 1)
        return record, extras

    def _plan(self, shape: tuple[str, ...]) -> Plan:
        by_folded = {normalize_key(key): key for key in reversed(shape)}
        plan = Plan(dict.fromkeys(self._columns), [], [])
        placed = set()
        for name, candidates in self._known.items():
            key = next((by_folded[c] for c in candidates if c in by_folded), None)
            if key is not None:
                placed.add(key)
                if name in self._columns:
                    plan.columns.append((name, key, *self._columns[name]))
        if self.keeps_extras:
            plan.extras = _named([key for key in shape if key not in placed])
        return plan


def _named(keys: list[str]) -> list[tuple[str, str]]:
    """Names for the keys."""
    names: dict[str, str] = {}
    for key in keys:
        names[_free_name(key, names)] = key
    return list(names.items())


def _free_name(key: str, taken: Container[str]) -> str:
    """A name for the key; one that would come twice stays as the vendor wrote it."""
    name = snake_case(key)
    if name in taken:
        name = key
    while name in taken:
        name += "_"
    return name


class KeyFinder:
    """Finds under which of some names, in whatever case, a row holds a value."""

    def __init__(self, *names: str) -> None:
        self._names = [normalize_key(name) for name in names]
        self._found = PerShape(self._find)

    def value(self, row: Row) -> t.Any:
        """What the row holds there, None if nothing; raises RowTooLargeError."""
        key = self._found[tuple(row)]
        return None if key is None else row[key]

    def _find(self, shape: tuple[str, ...]) -> str | None:
        keys = {normalize_key(key): key for key in reversed(shape)}
        return next((keys[name] for name in self._names if name in keys), None)


def _conversion(
    definition: Mapping[str, t.Any],
) -> tuple[type, Callable[[t.Any], t.Any]]:
    types = definition["type"]
    if "integer" in types:
        # never ready: numbers beyond 64 bits do not fit either
        return NoType, as_integer
    if "boolean" in types:
        return bool, as_boolean
    if definition.get("format") == "date-time":
        return NoType, as_timestamp
    if "array" in types:
        return NoType, _Items(definition["items"])
    if "object" in types:
        return NoType, _Nested(definition)
    return str, as_text


class _Nested:
    def __init__(self, definition: Mapping[str, t.Any]) -> None:
        self._type = RowType(definition)

    def __call__(self, value: t.Any) -> tuple[Row, Row]:
        if not isinstance(value, dict):
            raise ConversionError
        return self._type.split(value)


class _Items:
    def __init__(self, definition: Mapping[str, t.Any]) -> None:
        self._fitting = {kind for name in definition["type"] for kind in JSON_TYPES[name]}
        self._plain = PLAIN & self._fitting
        typed = "object" in definition["type"] and definition.get("properties")
        self._type = RowType(definition) if typed else None

    def __call__(self, value: t.Any) -> list[t.Any]:
        if not isinstance(value, list):
            raise ConversionError
        return [item if type(item) in self._plain else self._item(item) for item in value]

    def _item(self, item: t.Any) -> t.Any:
        if type(item) not in self._fitting:
            raise ConversionError  # one that does not fit takes the list with it
        if self._type is None or not isinstance(item, dict):
            return clean_json(item)
        record, extras = self._type.split(item)
        if not extras.keys().isdisjoint(record):
            raise ConversionError
        return {**extras, **record} if extras else record
