"""The lean way of writing records and the SDK's own write the same."""

from __future__ import annotations

import copy
import json
import typing as t

import pytest
from medchat_swell_sandbox import Quirks
from singer_sdk.helpers._flattening import flatten_record, flatten_schema
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR
from support.tap_runs import DEFAULT_STREAMS, STREAMS, discover, only, select, sync, without_times

if t.TYPE_CHECKING:
    from medchat_swell_sandbox import Sandbox
    from support.tap_process import Json, Run

Config = dict[str, t.Any]
QUIRKS = [
    Quirks(),
    Quirks(medchat_casing="pascal", swell_nulls=True, swell_ids_as_strings=True),
    Quirks(swell_tags="objects", swell_empty_dates="empty_string", swell_read_as_int=True),
]


def by_stream(run: Run) -> dict[str, list[Json]]:
    assert run.code == 0, run.log
    return {stream: run.records(stream) for stream in STREAMS}


def lines_by_stream(run: Run) -> dict[str, list[Json]]:
    """The messages of each stream in their order; streams are read side by side."""
    lines = without_times(run.stdout)
    return {stream: [m for m in lines if m.get("stream") == stream] for stream in STREAMS}


def properties(run: Run, stream: str) -> Json:
    schema = next(m for m in run.of_type("SCHEMA") if m["stream"] == stream)
    return t.cast("Json", schema["schema"]["properties"])


@pytest.fixture
def everything(config: Config) -> Json:
    """A catalog with every stream selected."""
    return select(discover(config), only(*STREAMS))


@pytest.mark.parametrize("quirks", QUIRKS, ids=range(len(QUIRKS)))
def test_a_map_that_changes_nothing(
    sandbox: Sandbox, config: Config, everything: Json, quirks: Quirks
) -> None:
    sandbox.quirks = quirks
    lean = sync(config, catalog=everything)

    keys = dict.fromkeys(STREAMS, "id") | {"swell_message_counts": "date"}
    unchanged = {stream: {key: key} for stream, key in keys.items()}
    full = sync({**config, "stream_maps": unchanged}, catalog=everything)

    assert by_stream(lean) == by_stream(full)
    assert lines_by_stream(lean) == lines_by_stream(full)


def test_a_map_takes_the_sdks_path(config: Config) -> None:
    """What the other tests compare are really two ways."""
    run = sync({**config, "stream_maps": {"sms_messages": {"text": "md5(text or '')"}}})

    texts = {record["text"] for record in run.records("sms_messages")}
    assert all(len(text) == 32 for text in texts)


@pytest.mark.parametrize("nulls", [False, True])
def test_flattening(sandbox: Sandbox, config: Config, *, nulls: bool) -> None:
    sandbox.quirks = Quirks(swell_nulls=nulls)
    lean = sync(config)

    full = sync({**config, "flattening_enabled": True, "flattening_max_depth": 2})

    for stream, records in by_stream(lean).items():
        if records:
            schema = {"properties": properties(lean, stream)}
            flat = flatten_schema(copy.deepcopy(schema), max_level=2)
            expected = [
                flatten_record(record, flattened_schema=flat, max_level=2) for record in records
            ]
            assert list(map(filled, full.records(stream))) == list(map(filled, expected))
            for record in full.records(stream):
                assert record.keys() == properties(full, stream).keys()


def filled(record: Json) -> Json:
    return {name: value for name, value in record.items() if value is not None}


def test_flattened_contacts_have_columns_of_their_own(config: Config) -> None:
    run = sync({**config, "flattening_enabled": True, "flattening_max_depth": 2})

    assert run.code == 0
    assert {"contact__name", "contact__phone", "contact__country_code__code"} <= set(
        run.records("swell_messages")[0]
    )


def test_a_map_on_a_flattened_object_that_is_null(sandbox: Sandbox, config: Config) -> None:
    sandbox.quirks = Quirks(swell_nulls=True)
    country = "contact['country_code']['code'] if contact['country_code'] else None"
    config |= {
        "flattening_enabled": True,
        "flattening_max_depth": 2,
        "stream_maps": {"swell_messages": {"country": country}},
    }

    run = sync(config)

    assert run.code == 0, run.log
    assert any(record["country"] is None for record in run.records("swell_messages"))


def test_a_map_on_a_deselected_stream(config: Config) -> None:
    maps = {"sms_memberships": {"name": None}, "swell_*": {"text": None}}

    run = sync({**config, "stream_maps": maps})

    assert run.code == 0, run.log
    assert run.streams == set(DEFAULT_STREAMS)
    assert "text" not in properties(run, "swell_messages")


def test_what_a_map_puts_into_records_stays_there(config: Config) -> None:
    told = {"clinic": "North Valley", "unlucky": "sms_messages"}
    maps = {"sms_messages": {"clinic": "config['clinic']"}}

    run = sync({**config, "stream_maps": maps, "stream_map_config": told})

    assert {record["clinic"] for record in run.records("sms_messages")} == {"North Valley"}
    assert run.bookmark("sms_messages")


def test_a_map_that_fails_on_a_record(config: Config) -> None:
    run = sync({**config, "stream_maps": {"sms_messages": {"h": "int('x')"}}})

    assert run.code == 1
    assert run.errors[0].startswith("stream_maps fails on h of sms_messages: ValueError.")
    assert "mistake" not in run.log


def test_columns_that_the_catalog_lacks(config: Config) -> None:
    catalog = discover(config)
    for entry in catalog["streams"]:
        columns = entry["schema"]["properties"]
        columns.pop("name", None)
        if "contact" in columns:
            del columns["contact"]["properties"]["phone"]

    run = sync(config, catalog=catalog)

    assert run.code == 0
    assert "Not in the catalog, so not written: contact.phone." in run.log
    assert all("name" not in record for record in run.records("sms_chats"))
    for record in run.records("swell_messages"):
        assert "phone" not in record["contact"]
        assert "phone" not in (record["additional_properties"] or {}).get("contact", {})


def test_a_catalog_that_lacks_a_key(config: Config) -> None:
    catalog = discover(config)
    for entry in catalog["streams"]:
        entry["schema"]["properties"].pop("id", None)

    run = sync(config, catalog=catalog)

    assert run.code == 1
    assert run.errors == ["Invalid catalog: sms_chats has no id. Regenerate it with --discover."]


def test_flattening_beside_a_stream_of_another_tap(config: Config) -> None:
    catalog = discover(config)
    catalog["streams"].append({"tap_stream_id": "another", "schema": {}, "metadata": []})

    run = sync({**config, "flattening_enabled": True, "flattening_max_depth": 1}, catalog=catalog)

    assert run.code == 0


@pytest.mark.parametrize("given", [["id"], None])
def test_keys_that_the_catalog_lacks(config: Config, given: list[str] | None) -> None:
    catalog = discover(config)
    for entry in catalog["streams"]:
        for name in ("key_properties", "replication_key", "replication_method"):
            entry.pop(name, None)
        if given is None:
            entry["metadata"] = []

    run = sync(config, catalog=catalog)

    keys = {message["stream"]: message["key_properties"] for message in run.of_type("SCHEMA")}
    assert keys["sms_chats"] == ["id"]
    assert keys["swell_message_counts"] == ["account_name", "date", "location_id", "team_id"]
    assert run.state["bookmarks"]["swell_messages"]["replication_key"] == "created_at"
    assert sync(config, run.state, catalog).records("sms_chats") == []


@pytest.mark.parametrize("stream", ["sms_messages", "sms_memberships"])
def test_a_chat_id_that_is_deselected(config: Config, stream: str) -> None:
    catalog = select(discover(config), {stream: True}, {f"{stream}.sms_chat_id": False})

    records = sync(config, catalog=catalog).records(stream)

    assert records
    assert not any("sms_chat_id" in record for record in records)


def test_a_deselected_field(config: Config) -> None:
    fields = {"sms_messages.text": False, "sms_chats.additional_properties": False}
    catalog = select(discover(config), {}, fields)
    unchanged = {"sms_messages": {"id": "id"}, "sms_chats": {"id": "id"}}

    lean = sync(config, catalog=catalog)
    full = sync({**config, "stream_maps": unchanged}, catalog=catalog)

    assert by_stream(lean) == by_stream(full)
    assert all("text" not in record for record in lean.records("sms_messages"))
    assert all("additional_properties" not in record for record in lean.records("sms_chats"))
    assert "text" not in properties(lean, "sms_messages")


def test_a_deselected_object(config: Config) -> None:
    """All of contact away needs no look into records; it is the lean path still."""
    nested = ("id", "name", "phone", "email", "source", "tags", "locations", "country_code")
    fields = {"swell_messages.contact": False}
    fields |= {f"swell_messages.contact.{name}": False for name in nested}
    catalog = select(discover(config), {}, fields)

    lean = sync(config, catalog=catalog)
    full = sync({**config, "stream_maps": {"swell_messages": {"id": "id"}}}, catalog=catalog)

    assert by_stream(lean) == by_stream(full)
    assert all("contact" not in record for record in lean.records("swell_messages"))


def test_a_deselected_nested_field(config: Config) -> None:
    catalog = select(discover(config), {}, {"swell_messages.contact.phone": False})
    whole = sync(config).records("swell_messages")

    run = sync(config, catalog=catalog)

    for record in whole:
        if record["contact"]:
            del record["contact"]["phone"]
    assert run.records("swell_messages") == whole
    assert "phone" not in properties(run, "swell_messages")["contact"]["properties"]


@pytest.mark.parametrize("full", [False, True], ids=["lean", "full"])
def test_metrics_count_every_record(config: Config, everything: Json, *, full: bool) -> None:
    """MedChat's followers are counted too, though another stream reads them."""
    if full:
        config["stream_maps"] = {stream: {"extra": "'x'"} for stream in STREAMS}

    run = sync(config, catalog=everything)

    counts = dict.fromkeys(STREAMS, 0)
    for point in run.metrics:
        if point["metric"] == "record_count":
            counts[point["tags"]["stream"]] += point["value"]
    assert counts == {stream: len(run.records(stream)) for stream in STREAMS}
    assert min(counts.values()) > 0
    timed = {p["tags"]["stream"] for p in run.metrics if p["metric"] == "sync_duration"}
    assert timed == set(STREAMS)


@pytest.mark.parametrize("latency", [0, 3])
def test_concurrency_changes_no_record(
    sandbox: Sandbox, config: Config, everything: Json, latency: float
) -> None:
    sandbox.latency_ms = latency
    sandbox.jitter_ms = latency
    lines = {}
    peaks = {}
    for width in (1, 8):
        sandbox.reset_log()
        run = sync({**config, "max_concurrency": width}, catalog=everything)
        assert run.code == 0
        lines[width] = json.dumps(lines_by_stream(run))  # the order of columns, too
        peaks[width] = max(sandbox.peak_concurrency.values())

    assert lines[1] == lines[8]
    assert peaks[1] == 1
    assert peaks[8] > 1 or not latency


def test_lines_are_as_the_sdk_writes_them(config: Config) -> None:
    full = {stream: {"__alias__": stream} for stream in DEFAULT_STREAMS}

    lean_lines = sync(config).stdout.splitlines()
    full_lines = sync({**config, "stream_maps": full}).stdout.splitlines()

    def keys(lines: list[bytes]) -> list[list[str]]:
        return [list(json.loads(line)) for line in lines if b'"RECORD"' in line[:20]]

    assert {tuple(sorted(line)) for line in keys(lean_lines)} == {
        tuple(sorted(line)) for line in keys(full_lines)
    }


def test_a_column_that_the_catalog_adds_is_filled(config: Config) -> None:
    catalog = discover(config)
    for entry in catalog["streams"]:
        columns = entry["schema"]["properties"]
        if entry["tap_stream_id"] == "sms_chats":
            columns["unread_message_count"] = {"type": ["integer", "null"]}
        if entry["tap_stream_id"] == "swell_messages":
            locations = columns["contact"]["properties"]["locations"]
            locations["items"]["properties"] = {"name": {"type": "string"}}
    before = sync(config)

    lean = sync(config, before.state, catalog)
    full = sync({**config, "stream_maps": {"sms_chats": {"id": "id"}}}, catalog=catalog)

    chats = {chat["id"]: chat["additional_properties"] for chat in before.records("sms_chats")}
    assert lean.records("sms_chats") == full.records("sms_chats")
    assert len(lean.records("sms_chats")) == len(chats), "digests notice: all are written again"
    for chat in lean.records("sms_chats"):
        extras = chats[chat["id"]]
        assert chat["unread_message_count"] == extras.pop("unread_message_count")
        assert chat["additional_properties"] == (extras or None)
    assert {type(chat["unread_message_count"]) for chat in lean.records("sms_chats")} == {int}


def test_flattening_has_a_default_depth(config: Config) -> None:
    run = sync({**config, "flattening_enabled": True})

    assert run.code == 0, run.log
    assert "contact__country_code__code" in properties(run, "swell_messages")


def test_every_flattened_record_has_every_column(config: Config) -> None:
    maps = {"sms_messages": {"text": None, "clinic": "'North'"}}

    run = sync({**config, "flattening_enabled": True, "stream_maps": maps})

    for stream in DEFAULT_STREAMS:
        columns = set(properties(run, stream))
        assert run.records(stream)
        assert {frozenset(record) for record in run.records(stream)} == {frozenset(columns)}


@pytest.mark.parametrize("from_catalog", [False, True])
def test_a_separator_that_makes_columns_collide(config: Config, *, from_catalog: bool) -> None:
    """`contact` and its `id` become `contact_id`, which there is already."""
    catalog = discover(config) if from_catalog else None

    run = sync({**config, "flattening_enabled": True, "flattening_separator": "_"}, None, catalog)

    assert run.code == 1
    [error] = run.errors
    assert error == (
        "flattening_separator or flattening_max_key_length gives two columns of swell_messages "
        "the name contact_id. Choose another."
    )


def test_plain_and_mapped_records_have_the_account_name(config: Config) -> None:
    for maps in ({}, {"sms_chats": {"id": "id"}}):
        run = sync({**config, "stream_maps": maps})
        for stream in DEFAULT_STREAMS:
            assert {record["account_name"] for record in run.records(stream)} == {"default"}
            assert next(iter(properties(run, stream))) == "account_name"


@pytest.mark.parametrize("quirks", QUIRKS, ids=range(len(QUIRKS)))
@pytest.mark.parametrize("flat", [False, True])
def test_records_fit_their_schema(
    sandbox: Sandbox, config: Config, quirks: Quirks, *, flat: bool
) -> None:
    sandbox.quirks = quirks

    run = sync({**config, "flattening_enabled": flat})

    assert run.code == 0, run.log
    for message in run.of_type("SCHEMA"):
        validator = DEFAULT_JSONSCHEMA_VALIDATOR(
            {**message["schema"], "additionalProperties": False}
        )
        for record in run.records(message["stream"]):
            assert list(validator.iter_errors(record)) == []
