"""Generates documentation and plugin definitions from the tap's settings and schemas.

`python scripts/generate.py` rewrites the settings in meltano.yml and .env.example, the Meltano Hub
entry, CODEOWNERS, and what is between markers in docs/ and mkdocs.yml. With `--check` it writes
nothing, lists the files that are out of date and exits with 1 if there are any.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import typing as t
from pathlib import Path

import yaml
from click.testing import CliRunner
from stream_docs import HEADINGS, diagram, sources_yml, staging_yml, stream_columns
from typing_extensions import override

from tap_medchat_swell.privacy.profiles import PROFILES, compile_profile, fields_of
from tap_medchat_swell.settings import CREDENTIALS, SETTINGS, Options, Setting
from tap_medchat_swell.stream import load_schema
from tap_medchat_swell.tap import KEYS, TapMedchatSwell

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "scripts/generate.py: begin"
END = "generated: end"
NO_OWNER = "OWNER"
MELTANO_KINDS = {
    "string": "string",
    "integer": "string",  # Meltano crashes on a blank integer, such as NAME= in .env
    "date": "date_iso8601",
    "ids": "string",  # Meltano rejects one ID, or IDs with commas, as an array
    "choice": "options",
    "url": "string",
    "timezone": "string",
    "filter": "string",
    "region": "string",
    "path": "string",
}
KINDS = {
    "string": "text",
    "integer": "whole number",
    "date": "date or date-time",
    "ids": "IDs",
    "url": "URL",
    "timezone": "time zone",
    "filter": "OData filter",
    "region": "country",
    "path": "file",
}
JSON_KINDS = {"string": "text", "integer": "whole number", "array": "list"}
ACRONYMS = {"Api": "API", "Id": "ID", "Ids": "IDs", "Mb": "MB", "Url": "URL"}
VENDORS = {"Medchat": "MedChat"}

# 45 CFR 164.514(b)(2)(i), (A) to (R), and the classes of columns that hold them.
IDENTIFIERS = (
    ("Names", "name"),
    ("Geographic subdivisions smaller than a state", "geography"),
    ("All elements of dates but the year", "date"),
    ("Telephone numbers", "phone"),
    ("Fax numbers", ""),
    ("Email addresses", "email"),
    ("Social security numbers", ""),
    ("Medical record numbers", ""),
    ("Health plan beneficiary numbers", ""),
    ("Account numbers", ""),
    ("Certificate and license numbers", ""),
    ("Vehicle identifiers and license plates", ""),
    ("Device identifiers and serial numbers", ""),
    ("Web addresses (URLs)", ""),
    ("IP addresses", ""),
    ("Biometric identifiers", ""),
    ("Full-face photographs and the like", ""),
    ("Any other unique identifying number, characteristic or code", "record_id"),
)

# What singer-sdk adds to every tap and this tap supports.
SDK_SETTINGS: list[dict[str, t.Any]] = [
    {
        "name": "stream_maps",
        "kind": "object",
        "label": "Stream Maps",
        "description": "singer-sdk's inline stream maps: transform records before writing.",
    },
    {
        "name": "stream_map_config",
        "kind": "object",
        "label": "Stream Map Config",
        "description": "Values that stream maps can use as config['name'].",
    },
    {
        "name": "flattening_enabled",
        "kind": "boolean",
        "label": "Flattening Enabled",
        "description": "Flatten nested objects into columns.",
    },
    {
        "name": "flattening_max_depth",
        "kind": "string",  # as for other integers
        "label": "Flattening Max Depth",
        "description": "Levels to flatten; 2 by default.",
    },
]


def label(setting: Setting) -> str:
    """`swell_api_url` as `Swell API URL`."""
    words = setting.name.replace("_", " ").title().split()
    return " ".join(VENDORS.get(word) or ACRONYMS.get(word) or word for word in words)


def meltano_setting(setting: Setting) -> dict[str, t.Any]:
    """One setting as Meltano and its Hub declare it."""
    entry: dict[str, t.Any] = {"name": setting.name, "kind": MELTANO_KINDS[setting.kind]}
    if setting.default is not None:
        entry["value"] = setting.default
    entry |= {"label": label(setting), "description": setting.description}
    if setting.choices:
        # Meltano crashes on a blank value that is no option.
        choices = [("unset", ""), *zip(setting.choices, setting.choices, strict=True)]
        entry["options"] = [{"label": name, "value": choice} for name, choice in choices]
    if setting.example:
        entry["placeholder"] = setting.example
    if setting.secret:
        entry["sensitive"] = True
    return entry


def setting_groups() -> list[list[str]]:
    """Groups of settings; at least one group must be complete."""
    required = [setting.name for setting in SETTINGS if setting.required]
    return [[*required, *names] for names in CREDENTIALS.values()]


class MeltanosDumper(yaml.SafeDumper):
    """Quotes as Meltano does."""

    @override
    def choose_scalar_style(self) -> str:
        style: str = super().choose_scalar_style()
        text = getattr(self.event, "value", "")
        return '"' if style == "'" and "'" in text else style


def as_yaml(document: object) -> str:
    """YAML in the order given and in Meltano's own form, which it writes after every change."""
    text: str = yaml.dump(
        document, Dumper=MeltanosDumper, sort_keys=False, allow_unicode=True, width=math.inf
    )
    return text


def meltano_lines() -> str:
    """The extractor's settings in meltano.yml."""
    declared = {
        "settings_group_validation": setting_groups(),
        "settings": [*map(meltano_setting, SETTINGS), *SDK_SETTINGS],
    }
    return "".join(f"    {line}\n" for line in as_yaml(declared).splitlines())


def settings_lines() -> str:
    """The settings, general ones first, then by vendor."""
    groups: dict[str, list[str]] = {"General": [], "MedChat": [], "Swell": []}
    for setting in SETTINGS:
        vendor = label(setting).partition(" ")[0]
        groups[vendor if vendor in groups else "General"] += setting_lines(setting)
    lines = (line for group, lines in groups.items() for line in (f"## {group}", "", *lines))
    return "\n" + "".join(f"{line}\n" for line in lines)


def setting_lines(setting: Setting) -> list[str]:
    """One setting as a section."""
    kind = KINDS.get(setting.kind) or " or ".join(f"`{choice}`" for choice in setting.choices)
    if setting.maximum is not None:
        kind += f", {setting.minimum} to {setting.maximum}"
    facts = ["secret " + kind if setting.secret else kind]
    facts += ["**required**"] if setting.required else []
    facts += [f"default `{setting.default}`"] if setting.default is not None else []
    facts += [f"example `{setting.example}`"] if setting.example else []
    kind = "; ".join(facts)
    return [
        f"### `{setting.name}`",
        "",
        setting.description,
        "",
        f"{kind[0].upper()}{kind[1:]}.",
        "",
    ]


def stream_lines() -> str:
    """How the streams relate, and the columns of each."""
    lines = [*diagram(), ""]
    for stream in KEYS:
        columns = stream_columns(load_schema(stream)["properties"])
        lines += [f"## `{stream}`", "", *_table(*HEADINGS)]
        lines += [*(_row(*column) for column in columns), ""]
    return "\n" + "".join(f"{line}\n" for line in lines)


def json_lines(name: str) -> str:
    """The fields that a JSON schema in docs/ describes."""
    whole = json.loads((ROOT / "docs" / name).read_text(encoding="utf-8"))
    lines = [*_table("field", "type", "what")]
    lines += [_row(*field) for field in json_fields(whole, whole.get("$defs", {}))]
    return "\n" + "\n".join(lines) + "\n\n"


def json_fields(
    schema: dict[str, t.Any], defs: dict[str, t.Any], path: str = ""
) -> Iterator[tuple[str, str, str]]:
    """Path, type and description of every field, nested ones too."""
    for name, definition in schema.get("properties", {}).items():
        field = _resolved(definition, defs)
        is_list = "items" in field
        inner = _resolved(field["items"], defs) if is_list else field
        values = field.get("enum") or ([field["const"]] if "const" in field else [])
        kinds = field.get("type", "object")
        named = [f"`{value}`" for value in values if value != ""] or [
            JSON_KINDS.get(kind, kind)
            for kind in ([kinds] if isinstance(kinds, str) else kinds)
            if kind != "null"
        ]
        yield (
            f"`{path}{name}`",
            field.get("format", " or ".join(named)),
            definition.get("description", ""),
        )
        yield from json_fields(inner, defs, f"{path}{name}{'[]' * is_list}.")


def _resolved(definition: dict[str, t.Any], defs: dict[str, t.Any]) -> dict[str, t.Any]:
    first: dict[str, t.Any] = definition.get("anyOf", [definition])[0]
    name = first.get("$ref", "").rpartition("/")[2]
    return {**defs[name], **first} if name else first


def command_lines() -> str:
    """What --help prints."""
    text = CliRunner().invoke(TapMedchatSwell.cli, ["--help"], prog_name="tap-medchat-swell").output
    return f"\n```\n{text}```\n\n"


def env_example() -> str:
    """Every setting as an environment variable."""
    return "".join(_env_lines())


def _env_lines() -> Iterator[str]:
    yield (
        "# Copy this file to .env, readable by you alone (never commit it), and fill it in:\n"
        "#     (umask 077; cp .env.example .env)\n"
        "# The credentials of one vendor are enough. Commented lines show the defaults, or\n"
        "# examples. Blank variables count as unset.\n"
    )
    needed = {name for names in CREDENTIALS.values() for name in names}
    for setting in SETTINGS:
        yield f"\n# {setting.description}\n"
        line = f"TAP_MEDCHAT_SWELL_{setting.name.upper()}="
        if setting.required or setting.name in needed:
            yield f"{line}{setting.example if setting.required else ''}\n"
        else:
            value = setting.default if setting.default is not None else setting.example
            yield f"# {line}{value}\n"


def owner() -> str:
    """The account that publishes the tap: pyproject.toml names it, `make owner` sets it."""
    (name,) = set(re.findall(r"github\.com/([^/]+)/", (ROOT / "pyproject.toml").read_text("utf-8")))
    return str(name)


def codeowners() -> str:
    """Who reviews changes."""
    return f"# Generated by scripts/generate.py.\n* @{owner()}\n"


def hub_entry() -> str:
    """The plugin definition for Meltano Hub."""
    entry: dict[str, t.Any] = {
        "name": "tap-medchat-swell",
        "namespace": "tap_medchat_swell",
        "variant": "original" if owner() == NO_OWNER else owner(),
        "label": "MedChat and Swell CX",
        "description": "Patient text messages: MedChat SMS chats and Swell CX messages",
        "domain_url": "https://medchatapp.com",
        "pip_url": "tap-medchat-swell",
        "executable": "tap-medchat-swell",
        "logo_url": "/assets/logos/extractors/medchat-swell.png",
        "maintenance_status": "active",
        "quality": "unknown",
        "keywords": ["api", "meltano_sdk", "sms", "healthcare"],
        "capabilities": [
            "about",
            "catalog",
            "discover",
            "schema-flattening",
            "state",
            "stream-maps",
            "structured-logging",
        ],
        "settings_group_validation": setting_groups(),
        "settings": [*map(meltano_setting, SETTINGS), *SDK_SETTINGS],
        "settings_preamble": "",
        "next_steps": "",
        "usage": "",
        "prereq": "",
    }
    if owner() != NO_OWNER:
        entry["repo"] = f"https://github.com/{owner()}/tap-medchat-swell"
    head = (
        "# Generated by scripts/generate.py. For meltano/hub it goes to\n"
        "# _data/meltano/extractors/tap-medchat-swell/; without the Hub, add it with\n"
        "#     meltano add tap-medchat-swell --from-ref tap-medchat-swell.yml\n"
    )
    return head + as_yaml(entry)


Columns = dict[str, str]  # a column's path, and what becomes of it


def outcomes(stream: str, profile: str) -> Columns:
    """What a profile makes of each column of a stream, nested ones too."""
    settings = {"privacy_profile": profile, "pseudonym_key": "of no account"}
    own = load_schema(stream)
    compiled = compile_profile(Options.from_config(settings), stream, own, own, KEYS[stream])
    return dict(_outcomes(own["properties"], compiled.schema["properties"], f"{stream}."))


def _outcomes(
    own: dict[str, t.Any], written: dict[str, t.Any], path: str
) -> Iterator[tuple[str, str]]:
    for name, definition in own.items():
        if inner := fields_of(definition):
            yield from _outcomes(inner, fields_of(written.get(name, {})), f"{path}{name}.")
            continue
        found = [kind for kind in ("pseudonym", "year") if f"{name}_{kind}" in written]
        if name in written:
            is_code = "surrogate" in written[name]["description"]
            found.insert(0, "surrogate" if is_code else "stays")
        yield f"{path}{name}", " and ".join(found) or "absent"


def classes(properties: dict[str, t.Any], path: str) -> Iterator[tuple[str, str]]:
    """Each column's path and class; objects and lists of them by their fields."""
    for name, definition in properties.items():
        if inner := fields_of(definition):
            yield from classes(inner, f"{path}{name}.")
        else:
            yield f"{path}{name}", definition["x-phi"]


def privacy_lines() -> str:
    """What each profile does: by identifier, and by column."""
    profiles = [name for name in PROFILES if name != "none"]
    by_profile: list[Columns] = [{}, {}]
    by_class: dict[str, list[str]] = {}
    rows = []
    for stream in KEYS:
        for found, profile in zip(by_profile, profiles, strict=True):
            found.update(outcomes(stream, profile))
        for column, phi in classes(load_schema(stream)["properties"], f"{stream}."):
            by_class.setdefault(phi, []).append(column)
            rows.append((f"`{column}`", phi, *(columns[column] for columns in by_profile)))
    lines = [*_table("identifier", "columns", *profiles)]
    for letter, (text, phi) in zip("ABCDEFGHIJKLMNOPQR", IDENTIFIERS, strict=True):
        held = [*by_class[phi or "free_text"]]
        if phi == "geography":  # codes of places, too
            held += [column for column in by_class["record_id"] if "location" in column]
        cells = [_all_of(columns[column] for column in held) for columns in by_profile]
        where = ", ".join(f"`{column}`" for column in held) if phi else "free text only"
        lines.append(_row(f"({letter}) {text}", where, *cells))
    lines += ["", *_table("column", "class", *profiles), *(_row(*row) for row in rows)]
    return "\n" + "\n".join(lines) + "\n\n"


def _all_of(found: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(found))


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _table(*heads: str) -> tuple[str, str]:
    return _row(*heads), _row(*("--" for _ in heads))


def between_markers(name: str, text: str) -> str:
    """A file's text with the part between its markers replaced."""
    before, begin, rest = (ROOT / name).read_text(encoding="utf-8").partition(BEGIN)
    old, end, after = rest.partition(END)
    if not (begin and end):
        sys.exit(f"{name} lacks its markers:\n    {BEGIN}\n    {END}")
    first_line_end = old.index("\n") + 1
    last_line_start = old.rindex("\n") + 1
    return before + begin + old[:first_line_end] + text + old[last_line_start:] + end + after


def generated() -> dict[str, str]:
    """Every generated file, as it should be."""
    parts = {
        "mkdocs.yml": f"repo_url: https://github.com/{owner()}/tap-medchat-swell\n",
        "meltano.yml": meltano_lines(),
        "docs/settings.md": settings_lines(),
        "docs/streams.md": stream_lines(),
        "docs/command-line.md": command_lines(),
        "docs/check.md": json_lines("check.schema.json"),
        "docs/report.md": json_lines("run-report.schema.json"),
        "docs/privacy.md": privacy_lines(),
    }
    return {name: between_markers(name, text) for name, text in parts.items()} | {
        ".env.example": env_example(),
        "hub/tap-medchat-swell.yml": hub_entry(),
        "dbt/models/staging/_sources.yml": sources_yml(),
        "dbt/models/staging/_staging.yml": staging_yml(),
        ".github/CODEOWNERS": codeowners(),
    }


def main() -> None:
    """Write the files, or check them."""
    parser = argparse.ArgumentParser(description="Regenerate files from the settings.")
    parser.add_argument("--check", action="store_true", help="write nothing; list stale files")
    check = parser.parse_args().check
    stale = []
    for name, text in generated().items():
        path = ROOT / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    if stale:
        print("out of date (run make generate):" if check else "written:", ", ".join(stale))
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
