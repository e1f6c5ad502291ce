"""From a vendor's row to a record: keys renamed, values typed, unknown fields kept.

A stream's JSON schema, with the columns that the user's catalog adds, is the one
declaration of its columns. Rows of the same shape (the same keys in the same order)
share a plan, made once. A value that has no column, or does not fit its column's type,
is kept in `additional_properties`: never dropped silently.
"""

from __future__ import annotations

import typing as t
from functools import lru_cache

import msgspec

from tap_medchat_swell.conversions import (
    INT64,
    MAX_FIELDS,
    PLAIN,
    ConversionError,
    RowTooLargeError,
    as_boolean,
    as_integer,
    as_number,
    as_text,
    as_timestamp,
    clean_json,
    free_name,
    normalize_key,
    snake_case,
)

if t.TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping

Row = dict[str, t.Any]
Convert = t.Callable[[t.Any], t.Any]
T = t.TypeVar("T")
EXTRAS = "additional_properties"
MAX_SHAPES = 500
PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
NoneType: t.Any = type(None)
LIST: t.Any = list
EXACT_TYPES: dict[str, t.Any] = {
    "string": str,
    "boolean": bool,
    "integer": t.Annotated[int, msgspec.Meta(ge=-INT64, le=INT64 - 1)],
}


def per_shape(compute: Callable[[tuple[str, ...]], T]) -> Callable[[tuple[str, ...]], T]:
    """Cache what is computed of a row's shape, its keys in order; raises RowTooLargeError."""

    @lru_cache(maxsize=MAX_SHAPES)
    def cached(shape: tuple[str, ...]) -> T:
        if len(shape) > MAX_FIELDS:
            raise RowTooLargeError  # which is not cached
        return compute(shape)

    return cached


def key_finder(*names: str) -> Callable[[Row], t.Any]:
    """A function for what a row holds under the first of some names, in whatever case.

    It returns None if there is nothing, and raises RowTooLargeError.
    """
    normalized = [normalize_key(name) for name in names]

    @per_shape
    def find(shape: tuple[str, ...]) -> str | None:
        keys = {normalize_key(key): key for key in reversed(shape)}
        return next((keys[name] for name in normalized if name in keys), None)

    def value(row: Row) -> t.Any:
        key = find(tuple(row))
        return None if key is None else row[key]

    return value


def merge_schemas(own: Mapping[str, t.Any], given: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """A schema with the properties of both, nested ones too; `given` wins."""
    properties = {**own.get("properties", {}), **given.get("properties", {})}
    for name in own.get("properties", {}).keys() & given.get("properties", {}).keys():
        if "properties" in own["properties"][name]:
            properties[name] = merge_schemas(own["properties"][name], given["properties"][name])
    return {**own, **given, "properties": properties}


def property_paths(schema: Mapping[str, t.Any]) -> Iterator[str]:
    """Every column and nested field of a schema, as `contact.phone`."""
    for name, definition in schema.get("properties", {}).items():
        yield name
        yield from (f"{name}.{path}" for path in property_paths(definition))


SCALARS: dict[str, tuple[type | None, Convert]] = {
    "string": (str, as_text),
    "boolean": (bool, as_boolean),
    "integer": (None, as_integer),  # an int may have more than 64 bits
    "number": (None, as_number),
}
# Column, key, the type that needs no conversion (None: all do), and the conversion.
Column = tuple[str, str, type | None, Convert]
# How rows of one shape become records: columns, and the names and keys of unknown fields.
Plan = tuple[list[Column], list[tuple[str, str]]]


class RowMapper:
    """Turns rows into records by a JSON schema of type object.

    `aliases` are other keys, per column, that the vendor may use for it. `wanted` limits
    the columns to the selected ones. `constants` are columns with the same value in every
    record, whatever the vendor sends.
    """

    def __init__(
        self,
        schema: Mapping[str, t.Any],
        aliases: Mapping[str, tuple[str, ...]] | None = None,
        wanted: frozenset[str] | None = None,
        constants: Mapping[str, t.Any] | None = None,
    ) -> None:
        properties = schema["properties"]
        constants = constants or {}
        self._blank = {
            name: constants.get(name) for name in properties if wanted is None or name in wanted
        }
        self._aliases = {
            name: [normalize_key(name), *map(normalize_key, (aliases or {}).get(name, ()))]
            for name in properties
            if name != EXTRAS and name not in constants
        }
        self._types = {name: _column_type(properties[name]) for name in self._aliases}
        self._name_type = self._types["name"][0] if "name" in self._types else None
        # A nested record without such a column leaves its unknown fields to its parent.
        self._drops_extras = EXTRAS in properties and EXTRAS not in self._blank
        self._extras_as_text = "string" in _types(properties.get(EXTRAS, {}))
        self._lists = {  # of objects
            name: RowMapper(items).item
            for name, definition in properties.items()
            if is_object(items := definition.get("items", {}))
        }
        self._exact = _exact_object(properties, self._lists)
        self._plans = per_shape(self._plan)

    def record(self, row: Row) -> Row:
        """The record, with what has no column under `additional_properties`."""
        record, extras = self.split(row)
        if extras and EXTRAS in record:
            text = self._extras_as_text
            record[EXTRAS] = msgspec.json.encode(extras).decode() if text else extras
        return record

    def split(self, row: Row) -> tuple[Row, Row]:
        """The typed columns, and everything else; raises RowTooLargeError."""
        columns, unknown = self._plans(tuple(row))
        record = self._blank.copy()
        extras: Row = {}
        for name, key in unknown:
            value = row[key]
            extras[name] = value if type(value) in PLAIN else clean_json(value, 1)
        for name, key, ready, convert in columns:
            value = row[key]
            if type(value) is ready:
                record[name] = value
            elif value is not None:
                try:
                    value = convert(value)
                except ConversionError:
                    extras[free_name(name, extras)] = clean_json(value)
                    continue
                if type(value) is tuple:  # a nested record and its extras
                    value, nested = value
                    if nested:
                        extras[free_name(name, extras)] = nested
                record[name] = value
        return record, extras

    def nested(self, value: t.Any) -> Row | tuple[Row, Row]:
        """The record of an object in a column; raises ConversionError.

        Its extras come along for the parent, unless it has a column for them.
        """
        if type(value) is not dict:
            raise ConversionError
        try:
            return self._exact_record(value)
        except (msgspec.ValidationError, ConversionError):
            return self.record(value) if EXTRAS in self._blank else self.split(value)

    def _exact_record(self, value: Row) -> Row:
        """The record of an object that needs no conversion and has no unknown keys, as most.

        msgspec does that several times as fast. Raises ValidationError for other objects.
        """
        record: Row = msgspec.to_builtins(msgspec.convert(value, self._exact))
        for name, item in self._lists.items():
            if record[name]:
                record[name] = [x if type(x) is dict else item(x) for x in record[name]]
        return record

    def item(self, value: t.Any) -> Row:
        """The record of a list's item: plain values are its `name`. Raises ConversionError."""
        if type(value) is self._name_type:
            return {**self._blank, "name": value}
        if type(value) is not dict:
            if value is None:
                return self._blank.copy()
            if "name" not in self._blank:
                raise ConversionError
            value = {"name": value}
        if EXTRAS in self._blank:
            return self.record(value)
        record, extras = self.split(value)
        if extras.keys() & record.keys():
            raise ConversionError
        return record | extras

    def _plan(self, shape: tuple[str, ...]) -> Plan:
        keys = {normalize_key(snake_case(key)): key for key in reversed(shape)}
        keys |= {normalize_key(key): key for key in reversed(shape)}
        columns: list[Column] = []
        placed = set()
        for name, aliases in self._aliases.items():
            key = next((keys[alias] for alias in aliases if alias in keys), None)
            if key is not None:
                placed.add(key)
                if name in self._blank:
                    columns.append((name, key, *self._types[name]))
        names: dict[str, str] = {}
        for key in shape:
            if key not in placed and not self._drops_extras:
                names[free_name(key, names)] = key
        return columns, list(names.items())


def _types(definition: Mapping[str, t.Any]) -> set[str]:
    """The types that a definition allows, besides null; empty where it names none."""
    types = definition.get("type", ())
    return ({types} if isinstance(types, str) else {*types}) - {"null"}


def resolved(definition: Mapping[str, t.Any]) -> Mapping[str, t.Any]:
    """The first alternative that is not null, or the definition itself."""
    alternatives = definition.get("anyOf") or definition.get("oneOf") or ()
    return next((other for other in alternatives if _types(other)), definition)


def is_object(definition: Mapping[str, t.Any]) -> bool:
    """Whether values are objects whose fields are known."""
    return _types(definition) == {"object"} and bool(definition.get("properties"))


def _column_type(definition: Mapping[str, t.Any]) -> tuple[type | None, Convert]:
    """The type that needs no conversion, and the conversion of other values."""
    definition = resolved(definition)
    types = _types(definition)
    if types == {"string"} and definition.get("format") == "date-time":
        return None, as_timestamp
    if len(types) == 1 and types <= SCALARS.keys():
        return SCALARS[min(types)]
    if is_object(definition):
        return None, RowMapper(definition).nested
    if types == {"array"} and definition.get("items"):
        return None, _list_of(resolved(definition["items"]))
    return None, _any_of(types)


def _list_of(definition: Mapping[str, t.Any]) -> Convert:
    """Converts each item; one that does not fit takes the whole list with it."""
    of_objects = is_object(definition)
    convert = RowMapper(definition).item if of_objects else _column_type(definition)[1]

    def as_list(value: t.Any) -> list[t.Any]:
        if type(value) is not list:
            raise ConversionError
        return [item if item is None and not of_objects else convert(item) for item in value]

    return as_list


def _any_of(types: set[str]) -> Convert:
    """Takes values of these JSON types as they are; of all types where none is named."""
    fitting = {kind for name in types for kind in PYTHON_TYPES.get(name, ())}

    def as_is(value: t.Any) -> t.Any:
        if fitting and type(value) not in fitting:
            raise ConversionError
        return clean_json(value)

    return as_is


def _exact_object(properties: Mapping[str, t.Any], lists: Container[str] = ()) -> t.Any:
    """A msgspec type of objects with only these columns, values as they are or null.

    Items of the `lists` may also be text.
    """
    names = {f"column_{number}": name for number, name in enumerate(properties)}
    types = {field: _exact(properties[name], name, lists) for field, name in names.items()}
    fields = [(field, kind | None, None) for field, kind in types.items()]
    return msgspec.defstruct("Exact", fields, rename=names, forbid_unknown_fields=True, gc=False)


def _exact(definition: Mapping[str, t.Any], name: str, lists: Container[str]) -> t.Any:
    """A column's msgspec type; the type of null where values need conversion."""
    if name in lists:
        return LIST[_exact_object(definition["items"]["properties"]) | str]
    if is_object(definition) and EXTRAS not in definition["properties"]:
        return _exact_object(definition["properties"])
    if name == EXTRAS or definition.get("format") == "date-time":
        return NoneType
    types = _types(definition)
    return EXACT_TYPES.get(min(types, default=""), NoneType) if len(types) == 1 else NoneType
