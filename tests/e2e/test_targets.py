"""Full and incremental runs into real targets, compared field by field.

`make test` tries those that matter most, `make targets` all of them.
"""

from __future__ import annotations

import json
import os
import re
import typing as t

import pytest

from .comparison import assert_table
from .loads import FORMS, STAGES, expected, key, messages_file, piped
from .targets import TARGETS, Place, Target, documented
from .tools import ROOT

if t.TYPE_CHECKING:
    from pathlib import Path

    from support.tap_process import Json
    from support.tap_runs import Record


CASES = [
    pytest.param(target, form, id=f"{target.name}: {form}")
    for target in TARGETS
    if target.in_make_test or os.environ.get("TARGETS") == "all"
    for form in target.forms
]

DOCUMENT = ROOT / "docs" / "targets.md"
BEGIN = "<!-- from tests/e2e/targets.py: begin -->"
END = "<!-- end -->"


@pytest.mark.parametrize(("target", "form"), CASES)
def test_load(
    target: Target, form: str, loads: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    name = re.sub(r"\W+", "", f"{target.name}{form}").lower()
    places = [Place(tmp_path, name, stage, request.getfixturevalue) for stage in STAGES]
    if failure := target.fails.get(form):
        with pytest.raises(AssertionError, match=failure.error):
            load_and_compare(target, form, loads, places)
    else:
        load_and_compare(target, form, loads, places)


def load_and_compare(target: Target, form: str, loads: Path, places: list[Place]) -> None:
    written: list[tuple[str, str]] = []
    for place in places:
        messages = messages_file(loads, form, place.stage).read_bytes()
        config = {**target.config(place), **FORMS[form].target}
        output = piped(target.environment, target.program, config, messages, place.folder)
        assert json.loads(output.splitlines()[-1]) == of_type(messages, "STATE")[-1]["value"]
        keys = [(m["stream"], key(m["record"])) for m in of_type(messages, "RECORD")]
        written = keys if target.writes == "overwrites" else written + keys
        rows = json.loads((loads / f"{place.stage}.json").read_text("utf-8"))
        for table, wanted in expected(rows, FORMS[form]).items():
            assert_stored(target, place, table, wanted, [k for name, k in written if name == table])


def of_type(messages: bytes, kind: str) -> list[Json]:
    """The messages of a type."""
    return [m for m in map(json.loads, messages.split(b"\n")[:-1]) if m["type"] == kind]


def assert_stored(
    target: Target, place: Place, table: str, wanted: dict[str, Record], written: list[str]
) -> None:
    """A table holds the rows that were written, each as it should be by now."""
    rows = target.rows(place, table)
    if target.writes == "overwrites":
        wanted = {name: wanted[name] for name in written}
    if target.writes == "appends":
        assert len(rows) == len(written), table
        rows = list({key(row): row for row in rows}.values())
    assert_table(table, rows, wanted, target.losses)


def test_the_data_show_each_loss(loads: Path) -> None:
    rows = json.loads((loads / "full.json").read_text("utf-8"))
    values = [value for table in rows.values() for row in table for value in row.values()]

    for target in TARGETS:
        for loss in target.losses:
            assert any(loss.change(value) != value for value in values), loss.note


def test_the_documented_table() -> None:
    """After an intended change, run it once with UPDATE_SNAPSHOTS=1."""
    text = DOCUMENT.read_text("utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    wanted = f"{before}{begin}\n\n{documented()}\n{end}{after}"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        DOCUMENT.write_text(wanted, "utf-8")

    assert begin
    assert end
    assert DOCUMENT.read_text("utf-8") == wanted
