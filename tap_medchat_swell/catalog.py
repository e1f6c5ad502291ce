"""The catalog that a run is given, and the `select` patterns of Meltano that shaped it.

Meltano turns `select` into metadata, in which `*.*` and a stream's name look the same, and a
pattern that matched nothing has left no trace. It also hands over the patterns in a variable.
"""

from __future__ import annotations

import fnmatch
import json
import os
import typing as t

from singer_sdk.singerlib import Catalog

from tap_medchat_swell.errors import TapError, did_you_mean
from tap_medchat_swell.record_mapper import merge_schemas, property_paths

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

Json = dict[str, t.Any]

BAD_CATALOG = "Invalid catalog; regenerate it with --discover."
SELECT_VARIABLE = "MELTANO_EXTRACT__SELECT"


def checked_schemas(catalog: Json | None, own: Mapping[str, Json]) -> dict[str, Json]:
    """The schema of every stream, with the columns that a catalog adds.

    Raises TapError unless the SDK can use the catalog as it is meant: with other streams only,
    or with its selection in the old form, the SDK would read nothing or everything.
    """
    schemas = dict(own)
    if catalog is None:
        return schemas
    try:
        entries = Catalog.from_dict(catalog)
        for given in catalog["streams"]:
            name = given["tap_stream_id"]
            schema = entries[name].schema.to_dict()
            _check_selection(name, given, entries[name].metadata.resolve_selection())
            if name in own:
                schemas[name] = merge_schemas(own[name], schema)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise TapError(BAD_CATALOG) from None
    if not entries.keys() & own.keys():
        raise TapError(BAD_CATALOG)
    return schemas


def _check_selection(name: str, entry: Json, mask: Mapping[tuple[str, ...], bool]) -> None:
    schema, metadata = entry["schema"], entry.get("metadata") or ()
    legacy = _selected_in(schema)
    if "selected" in entry:  # Meltano writes it as well
        legacy[()] = entry["selected"]
    if any(not metadata or (mask[path] and not legacy[path]) for path in legacy):
        raise TapError(
            f'Invalid catalog: {name} has "selected" outside of its metadata, which is not '
            "supported. Set it in the metadata, as --discover writes it."
        )
    fields = {*property_paths(schema)}
    for part in metadata:
        path = ".".join(part["breadcrumb"][1::2])
        if path and part["metadata"].get("selected") is False and path not in fields:
            raise TapError(
                f"Invalid catalog: its metadata deselects {path} of {name}, but there is no such "
                f"field.{did_you_mean(path, fields)}"
            )


def _selected_in(schema: Json, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], bool]:
    """What a schema and those in it say of their selection, by breadcrumb."""
    found = {path: schema["selected"]} if "selected" in schema else {}
    for name, definition in schema.get("properties", {}).items():
        found |= _selected_in(definition, (*path, "properties", name))
    return found


def as_selected(catalog: Json, schemas: Mapping[str, Json], optional: Collection[str]) -> Json:
    """The catalog as Meltano's `select` means it; unchanged if it is not Meltano that runs the tap.

    Those of the `optional` streams are deselected that no pattern names. A wildcard does not
    name a stream: Meltano's default, `*.*`, would select them all. Raises TapError for patterns
    that match nothing.
    """
    text = os.environ.get(SELECT_VARIABLE)
    if text is None:
        return catalog
    patterns = [str(pattern) for pattern in json.loads(text)]
    if found := [*_pattern_problems(patterns, schemas)]:
        raise TapError(" ".join(found))
    unnamed = {*optional} - {pattern.partition(".")[0] for pattern in patterns}
    deselected = {"metadata": [{"breadcrumb": [], "metadata": {"selected": False}}]}
    streams = [
        entry | deselected if entry["tap_stream_id"] in unnamed else entry
        for entry in catalog["streams"]
    ]
    return catalog | {"streams": streams}


def _pattern_problems(patterns: Collection[str], schemas: Mapping[str, Json]) -> Iterator[str]:
    """A sentence for each pattern, positive or negative, that matches no stream or no field."""
    for pattern in patterns:
        stream, _, field = pattern.removeprefix("!").partition(".")
        names = fnmatch.filter(schemas, stream)
        fields = {path for name in names for path in property_paths(schemas[name])}
        if not names or (field and not fnmatch.filter(fields, field)):
            hint = did_you_mean(field, fields) if names else did_you_mean(stream, schemas)
            yield f"The select pattern '{pattern}' matches nothing.{hint}"
