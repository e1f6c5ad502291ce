"""Privacy profiles: what becomes of a column, by its class.

Every column of every schema has a class, `x-phi`. A profile gives each class an action; both
are compiled once per stream into steps that make the written record out of the mapped one.
"""

from __future__ import annotations

import functools
import re
import typing as t

from tap_medchat_swell.privacy.pseudonyms import pseudonymizers, surrogate
from tap_medchat_swell.privacy.signals import SIGNALS
from tap_medchat_swell.record_mapper import is_object, resolved

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tap_medchat_swell.record_mapper import Row
    from tap_medchat_swell.settings import Options

Json = dict[str, t.Any]
Change = t.Callable[[t.Any], t.Any]
# Column of the mapped record, column that is written, and what the value becomes; None: as it is.
Step = tuple[str, str, Change | None]
Action = t.Literal["keep", "pseudonym", "year", "drop"]

CLASSES = ("none", "name", "phone", "email", "date", "geography", "record_id", "free_text")
KINDS = ("name", "phone", "email")
# Classes that are not named are dropped.
PROFILES: dict[str, dict[str, Action]] = {
    "none": dict.fromkeys(CLASSES, "keep"),
    "pseudonymized": {
        **dict.fromkeys(("none", "date", "record_id"), "keep"),
        **dict.fromkeys(KINDS, "pseudonym"),
    },
    "safe_harbor": {"none": "keep", "date": "year"},
}
# Under safe_harbor, these classes in a stream's key become surrogates: a key must not be null.
SURROGATES = ("record_id", "date")
# Columns that hold another stream's key.
REFERENCES = {"sms_chat_id": "sms_chats.id"}
KEY_ID = {
    "pseudonym_key_id": {
        "type": ["string"],
        "x-phi": "none",
        "description": "The setting pseudonym_key_id: which key the record's codes were made with.",
    }
}
_DATE = re.compile(r"\d{4}-\d\d?-\d\d?[\d\s:.TZ+-]{0,30}", re.ASCII)
_DECLARED = re.compile(r"\bPHI: (\w+)\.?\s*$")
_TEXT = ["string", "null"]


class Profile(t.NamedTuple):
    """A profile, compiled for one stream.

    `sources` are the columns that are needed of the mapped record; `finish` makes the written
    one of it, None if they are the same; `schema` is that of the written record.
    """

    sources: frozenset[str]
    finish: Callable[[Row], Row] | None
    schema: Json


def _finisher(steps: Sequence[Step], *, only_adds: bool = False) -> Callable[[Row], Row]:
    """Makes the written record of a mapped one: what is kept, then what is changed.

    `only_adds`: the mapped record has nothing but what is kept, so that it need not be copied.
    """
    kept = [target for _, target, change in steps if change is None]
    changed = [(source, target, change) for source, target, change in steps if change is not None]

    def finish(record: Row) -> Row:
        finished = record if only_adds else {name: record[name] for name in kept}
        for source, target, change in changed:
            value = record[source]
            finished[target] = None if value is None else change(value)
        return finished

    return finish


def describe_classes(properties: Mapping[str, Json]) -> None:
    """End each column's description with its class: the SDK drops `x-phi` from the catalog."""
    for definition in properties.values():
        text = f"{definition.get('description', '')} PHI: {definition['x-phi']}."
        definition["description"] = text.strip()
        describe_classes(fields_of(definition))


def fields_of(definition: Mapping[str, t.Any]) -> dict[str, Json]:
    """The fields of an object, or of a list's objects; empty for anything else."""
    definition = resolved(definition)
    inner = resolved(definition.get("items", definition))
    return dict(inner["properties"]) if is_object(inner) else {}


def class_of(own: Mapping[str, t.Any] | None, declared: Mapping[str, t.Any]) -> str:
    """A column's class: the tap's own, else the one that a declared description ends with."""
    if own:
        return str(own["x-phi"])
    match = _DECLARED.search(str(declared.get("description", "")))
    return match[1] if match and match[1] in CLASSES else "free_text"


def compile_profile(
    options: Options, stream: str, own: Json, selected: Json, keys: Sequence[str]
) -> Profile:
    """The profile of the settings, for the selected part of a stream's schema.

    `own` is the stream's schema without what the user's catalog adds.
    """
    compiler = _Compiler(options, stream, keys)
    columns = sorted(compiler.columns(own["properties"], selected["properties"]), key=_is_changed)
    schema = {**selected, "properties": {step[1]: definition for step, definition in columns}}
    steps = [step for step, _ in columns]
    is_same = all(change is None for _, _, change in steps)
    sources = frozenset(source for source, _, _ in steps)
    kept = {target for _, target, change in steps if change is None}
    only_adds = options.privacy_profile == "none" and sources == kept
    finish = None if is_same else _finisher(steps, only_adds=only_adds)
    return Profile(sources, finish, schema)


def _is_changed(column: tuple[Step, Json]) -> bool:
    return column[0][2] is not None


class _Compiler:
    def __init__(self, options: Options, stream: str, keys: Sequence[str]) -> None:
        self._name = options.privacy_profile
        self._actions = PROFILES[self._name]
        self._key = options.pseudonym_key
        self._scope = (options.pseudonym_key_id, options.account_name)
        self._codes = pseudonymizers(self._key, options.phone_region)
        self._stream = stream
        self._replaced = {*keys, *REFERENCES} if self._name == "safe_harbor" else set()

    def columns(
        self, own: Mapping[str, Json], properties: Mapping[str, Json], *, nested: bool = False
    ) -> Iterator[tuple[Step, Json]]:
        """The steps and definitions of the columns that are written."""
        for name, definition in properties.items():
            phi = class_of(own.get(name), definition)
            if not nested and name in self._replaced and phi in SURROGATES:
                yield self._surrogate(name)
            if name in SIGNALS and name in own:
                yield ("text", name, SIGNALS[name]), definition
            elif self._name != "none" and fields_of(definition):
                yield from self._object(name, fields_of(own.get(name, {})), definition)
            else:
                yield from self._column(name, phi, definition)

    def _surrogate(self, name: str) -> tuple[Step, Json]:
        scope = REFERENCES.get(name, f"{self._stream}.{name}")
        text = "A surrogate of the vendor's value."
        definition = {"type": ["string"], "maxLength": 255, "description": text}
        return (name, name, surrogate(self._key, *self._scope, scope)), definition

    def _object(
        self, name: str, own: Mapping[str, Json], definition: Json
    ) -> Iterator[tuple[Step, Json]]:
        """An object's column, or a list's, with what is left of its fields, if anything is."""
        columns = sorted(self.columns(own, fields_of(definition), nested=True), key=_is_changed)
        if not columns:
            return
        properties = {step[1]: written for step, written in columns}
        finish = _finisher([step for step, _ in columns])
        if "items" in resolved(definition):
            items = {"type": ["object"], "properties": properties}
            step = (name, name, lambda records: [finish(record) for record in records])
            yield step, {"type": ["array", "null"], "items": items}
        else:
            yield (name, name, finish), {"type": ["object", "null"], "properties": properties}

    def _column(self, name: str, phi: str, definition: Json) -> Iterator[tuple[Step, Json]]:
        action = self._actions.get(phi, "drop")
        if action == "keep":
            is_free = phi == "date" and self._name != "none" and "format" not in definition
            yield (name, name, as_date if is_free else None), definition
        elif action == "pseudonym":
            text = {"type": _TEXT, "description": f"Pseudonym of {name}."}
            yield (name, f"{name}_pseudonym", self._codes[phi]), text
        elif action == "year":
            number = {"type": ["integer", "null"], "description": f"Year of {name}."}
            yield (name, f"{name}_year", year), number


def as_date(value: t.Any) -> str | None:
    """The text if it is nothing but a date, which a column without a format need not be."""
    is_date = isinstance(value, str) and _DATE.fullmatch(value)
    return value if is_date else None


def year(value: t.Any) -> int | None:
    """The year that a date begins with; None where it does not begin with one."""
    return _year(value[:5]) if isinstance(value, str) else None


@functools.lru_cache(1000)
def _year(start: str) -> int | None:
    match = re.match(r"(\d{4})\b", start, re.ASCII)
    return int(match[1]) if match else None
