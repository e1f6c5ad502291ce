from __future__ import annotations

import json
import os
import typing as t

import pytest
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR
from support import TESTS
from support.tap_runs import (
    DEFAULT_STREAMS,
    MEDCHAT_STREAMS,
    STREAMS,
    SWELL_STREAMS,
    Cli,
    discover,
    only,
    select,
    sync,
)

from tap_medchat_swell.catalog import SELECT_VARIABLE
from tap_medchat_swell.privacy.profiles import CLASSES
from tap_medchat_swell.stream import load_schema

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from medchat_swell_sandbox import Sandbox
    from support.tap_process import Run

SNAPSHOTS = TESTS / "snapshots" / "catalog"
MEDCHAT = {"medchat_org_id": "org", "medchat_access_token": "token"}
SWELL = {"swell_api_token": "token"}


def test_the_catalog_is_as_in_the_snapshots(cli: Cli) -> None:
    """After an intended change, run the tests once with UPDATE_SNAPSHOTS=1."""
    run = cli("--discover")

    assert run.code == 0, run.log
    catalog = json.loads(run.stdout)
    if os.environ.get("UPDATE_SNAPSHOTS"):
        for entry in catalog["streams"]:
            text = json.dumps(entry, indent=2)
            (SNAPSHOTS / f"{of_stream(entry)}.json").write_text(f"{text}\n", "utf-8")
    assert [of_stream(entry) for entry in catalog["streams"]] == [*STREAMS, "sync_windows"]
    assert catalog["streams"] == entries(*STREAMS, "sync_windows")


@pytest.mark.parametrize(
    ("config", "streams"),
    [
        ({}, STREAMS),
        (MEDCHAT, MEDCHAT_STREAMS),
        (SWELL, SWELL_STREAMS),
        (MEDCHAT | SWELL, STREAMS),
        ({"medchat_org_id": "org"}, STREAMS),
        ({"medchat_org_id": "org"} | SWELL, SWELL_STREAMS),
    ],
    ids=["nothing", "MedChat", "Swell", "both", "half", "half and Swell"],
)
def test_a_vendors_streams_need_its_credentials(
    config: dict[str, t.Any], streams: tuple[str, ...]
) -> None:
    found = [entry["tap_stream_id"] for entry in discover(config)["streams"]]

    assert found == [*streams, "sync_windows"]


def entries(*streams: str) -> list[dict[str, t.Any]]:
    files = [SNAPSHOTS / f"{stream}.json" for stream in streams or STREAMS]
    return [json.loads(file.read_text("utf-8")) for file in files if file.exists()]


def of_stream(entry: dict[str, t.Any]) -> str:
    return str(entry["tap_stream_id"])


def test_three_streams_have_to_be_asked_for() -> None:
    unselected = {
        of_stream(entry)
        for entry in entries(*STREAMS, "sync_windows")
        for part in entry["metadata"]
        if not part["breadcrumb"] and not part["metadata"]["selected"]
    }

    assert unselected == {"sms_memberships", "sms_text_bot_executions", "sync_windows"}


@pytest.mark.parametrize("entry", entries(), ids=of_stream)
def test_keys_are_never_null_and_all_else_may_be(entry: dict[str, t.Any]) -> None:
    never_null = {*entry["key_properties"], "account_name", "sms_chat_id"}
    for name, column in entry["schema"]["properties"].items():
        assert ("null" in column["type"]) is (name not in never_null), name


@pytest.mark.parametrize("entry", entries(), ids=of_stream)
def test_schemas_are_valid_and_every_column_is_described(entry: dict[str, t.Any]) -> None:
    DEFAULT_JSONSCHEMA_VALIDATOR.check_schema(entry["schema"])

    columns = entry["schema"]["properties"]
    assert next(iter(columns)) == "account_name"
    assert list(columns)[-1] == "additional_properties"
    assert all(column.get("description") for column in columns.values())


def definitions(schema: dict[str, t.Any]) -> Iterator[dict[str, t.Any]]:
    """A schema and all those in it."""
    yield schema
    for nested in (*schema.get("properties", {}).values(), schema.get("items")):
        if nested is not None:
            yield from definitions(nested)


@pytest.mark.parametrize("stream", STREAMS)
def test_every_column_has_a_class_and_says_so(stream: str) -> None:
    [entry] = [entry for entry in entries() if of_stream(entry) == stream]
    own = load_schema(stream)

    pairs = list(zip(columns_of(own), columns_of(entry["schema"]), strict=True))
    assert len(pairs) >= len(own["properties"])
    for column, told in pairs:
        assert column["x-phi"] in CLASSES
        assert told["description"].endswith(f"PHI: {column['x-phi']}.")


def columns_of(schema: dict[str, t.Any]) -> Iterator[dict[str, t.Any]]:
    """Every property, nested ones too."""
    for definition in definitions(schema):
        yield from definition.get("properties", {}).values()


@pytest.mark.parametrize("entry", entries(), ids=of_stream)
def test_schemas_are_such_that_targets_take_them(entry: dict[str, t.Any]) -> None:
    """One type per value, no empty or closed objects: several targets fail on each of these."""
    for definition in definitions(entry["schema"]):
        assert isinstance(definition["type"], str) or len({*definition["type"]} - {"null"}) == 1
        assert "additionalProperties" not in definition
        assert definition.get("properties") != {}
        assert ("items" in definition) is ("array" in definition["type"])


@pytest.mark.parametrize("entry", entries(), ids=of_stream)
def test_text_keys_have_a_length(entry: dict[str, t.Any]) -> None:
    columns = entry["schema"]["properties"]
    for name in {*entry["key_properties"], "account_name"} - {"date"}:
        assert columns[name].get("maxLength") == (
            255 if "string" in columns[name]["type"] else None
        )


@pytest.mark.parametrize("entry", entries(), ids=of_stream)
def test_every_column_but_the_keys_can_be_deselected(entry: dict[str, t.Any]) -> None:
    inclusion = {
        part["breadcrumb"][1]: part["metadata"]["inclusion"]
        for part in entry["metadata"]
        if len(part["breadcrumb"]) == 2
    }
    keys = {*entry["key_properties"], entry["replication_key"]}

    assert set(inclusion) == set(entry["schema"]["properties"])
    assert {name for name, value in inclusion.items() if value == "automatic"} == keys


def legacy_stream(entry: dict[str, t.Any]) -> None:
    del entry["metadata"]
    entry["schema"]["selected"] = False


def legacy_field(entry: dict[str, t.Any]) -> None:
    entry["schema"]["properties"]["contact"]["properties"]["phone"]["selected"] = False


def legacy_entry(entry: dict[str, t.Any]) -> None:
    entry["selected"] = False


@pytest.mark.parametrize("make_legacy", [legacy_stream, legacy_field, legacy_entry])
def test_a_selection_in_the_old_form_is_refused(
    sandbox: Sandbox,
    config: dict[str, t.Any],
    make_legacy: Callable[[dict[str, t.Any]], None],
) -> None:
    catalog = discover(config)
    [messages] = [e for e in catalog["streams"] if of_stream(e) == "swell_messages"]
    make_legacy(messages)

    run = sync(config, catalog=catalog)

    assert run.code == 1
    assert 'swell_messages has "selected" outside of its metadata' in run.errors[-1]
    assert not sandbox.requests


def test_an_old_form_that_says_the_same_is_no_harm(
    config: dict[str, t.Any],
) -> None:
    """Meltano writes both."""
    catalog = select(discover(config), only("swell_messages"))
    for entry in catalog["streams"]:
        entry["selected"] = entry["tap_stream_id"] == "swell_messages"

    assert sync(config, catalog=catalog).streams == {"swell_messages"}


def test_metadata_that_deselects_no_field_is_refused(config: dict[str, t.Any]) -> None:
    catalog = discover(config)
    part = {"breadcrumb": ["properties", "txt"], "metadata": {"selected": False}}
    [messages] = [e for e in catalog["streams"] if of_stream(e) == "swell_messages"]
    messages["metadata"].append(part)

    run = sync(config, catalog=catalog)

    assert run.code == 1
    assert "deselects txt of swell_messages, but there is no such field. Did" in run.errors[-1]


def test_a_catalog_without_a_vendors_streams(config: dict[str, t.Any]) -> None:
    catalog = discover(MEDCHAT)

    run = sync(config, catalog=catalog)

    assert run.code == 0
    assert (
        "Swell is not read: the catalog has none of its streams (swell_message_counts, "
        "swell_messages). Regenerate it with --discover." in run.log
    )
    assert "MedChat is not read" not in run.log


class TestMeltanosSelect:
    """Meltano hands over its patterns, besides the metadata that it makes of them."""

    def read(
        self, monkeypatch: pytest.MonkeyPatch, config: dict[str, t.Any], *patterns: str
    ) -> Run:
        monkeypatch.setenv(SELECT_VARIABLE, json.dumps(patterns))
        return sync(config, catalog=select(discover(config), only(*STREAMS)))

    def test_a_wildcard_does_not_select_optional_streams(
        self, monkeypatch: pytest.MonkeyPatch, config: dict[str, t.Any]
    ) -> None:
        run = self.read(monkeypatch, config, "*.*", "sms_*.*", "!sms_memberships.name")

        assert run.code == 0, run.log
        assert run.streams == set(DEFAULT_STREAMS)

    def test_their_names_do(
        self, monkeypatch: pytest.MonkeyPatch, config: dict[str, t.Any]
    ) -> None:
        run = self.read(monkeypatch, config, "*.*", "sms_memberships.*", "sms_text_bot_executions")

        assert run.streams == set(STREAMS)

    @pytest.mark.parametrize(
        ("pattern", "meant"),
        [
            ("sms_mesages.*", "sms_messages"),
            ("SMS_MESSAGES.*", "sms_messages"),
            ("!swell_messages.contact__phone", "contact.phone"),
            ("!*.additional_propertys", "additional_properties"),
            ("!sms_chats.Name", "name"),
        ],
    )
    def test_a_pattern_that_matches_nothing(
        self,
        monkeypatch: pytest.MonkeyPatch,
        sandbox: Sandbox,
        config: dict[str, t.Any],
        pattern: str,
        meant: str,
    ) -> None:
        run = self.read(monkeypatch, config, "*.*", pattern)

        assert run.code == 1
        assert run.errors == [
            f"The select pattern '{pattern}' matches nothing. Did you mean '{meant}'?"
        ]
        assert not sandbox.requests

    def test_patterns_that_match(
        self, monkeypatch: pytest.MonkeyPatch, config: dict[str, t.Any]
    ) -> None:
        del config["swell_api_token"]

        run = self.read(monkeypatch, config, "sms_chats", "!swell_messages.contact.phone", "*.na*")

        assert run.code == 0, run.log
