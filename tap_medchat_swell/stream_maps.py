"""Checks of `stream_maps`. The SDK ignores a map that fits nothing: the field stays as it is."""

from __future__ import annotations

import ast
import fnmatch
import typing as t

from tap_medchat_swell.errors import did_you_mean
from tap_medchat_swell.privacy.profiles import KEY_ID
from tap_medchat_swell.record_mapper import property_paths

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Json = dict[str, t.Any]

FILTER = "__filter__"
OPTIONS = {"__alias__", "__else__", FILTER, "__key_properties__", "__source__"}
REMOVED = (None, "__NULL__")
# What expressions know besides columns; the SDK's are checked by a test.
FUNCTIONS = {"bool", "datetime", "float", "int", "json", "md5", "rand", "randint", "sha256", "str"}
OWN_FUNCTIONS = {"hmac_email", "hmac_name", "hmac_phone"}
NAMES = {"_", "record", "config", "self", "fake", "__stream_name__", "__original_stream_name__"}
# Privacy profiles give columns these endings.
ENDINGS = ("", "_pseudonym", "_year")


def map_problems(maps: Mapping[str, t.Any], schemas: Mapping[str, Json]) -> Iterator[str]:
    """A sentence for each map that fits no stream or column, or cannot work; none quotes a value.

    `schemas` are those of all streams. What is no map at all is left to the SDK.
    """
    for key, columns in maps.items():
        is_map = isinstance(columns, dict)
        source = str(columns.get("__source__", key) if is_map else key)
        names = fnmatch.filter(schemas, source)
        if not names and key != "__else__":
            yield f"stream_maps: there is no stream {source}.{did_you_mean(source, schemas)}"
        elif is_map:
            fields = {path for name in names for path in property_paths(schemas[name])}
            fields = {f"{path}{ending}" for path in fields for ending in ENDINGS} | {*KEY_ID}
            for column in columns:
                problem = _column_problem(column, columns, fields)
                if problem:
                    yield f"stream_maps.{key}.{column} {problem}"


def _column_problem(column: str, columns: Json, fields: set[str]) -> str | None:
    value, is_option = columns[column], column.startswith("__")
    if is_option and column not in OPTIONS:
        return f"is unknown.{did_you_mean(column, OPTIONS)}"
    if not is_option and (column not in fields or "." in column):
        misfit = _misfit(column, columns, fields)
        if misfit:
            return misfit
    if isinstance(value, str) and value not in REMOVED and (not is_option or column == FILTER):
        return _expression_problem(value, {field for field in fields if "." not in field})
    return None


def _misfit(column: str, columns: Json, fields: set[str]) -> str | None:
    """What is wrong with a name that is no column. An expression may well add a new one."""
    nested = {form: field for field in fields for form in (field, field.replace(".", "__"))}
    root, dot, _ = nested.get(column, "").partition(".")
    if dot and _is_written(root, columns):
        return (
            f"is a field of {root}, and stream maps know only whole columns. Remove {root}, or "
            f"deselect {nested[column]} in the catalog."
        )
    if columns[column] in REMOVED or "." in column:
        return f"fits no column.{did_you_mean(column, fields)}"
    if column.lower() in fields:
        return f"would be a second column.{did_you_mean(column, fields)}"
    return None


def _is_written(root: str, columns: Json) -> bool:
    return columns.get(root, "") not in REMOVED and ("__else__" not in columns or root in columns)


def _expression_problem(expression: str, known: set[str]) -> str | None:
    try:
        nodes = [*ast.walk(ast.parse(expression, mode="eval"))]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "is not a valid expression."
    names = [node for node in nodes if isinstance(node, ast.Name)]
    bound = {name.id for name in names if isinstance(name.ctx, ast.Store)}
    known = known | bound | FUNCTIONS | OWN_FUNCTIONS | NAMES
    unknown = {name.id for name in names} - known
    if unknown:
        name = min(unknown)
        return f"uses {name}, which is not known there.{did_you_mean(name, known)}"
    return None
