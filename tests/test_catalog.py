from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR
from tap_runs import MEDCHAT_STREAMS, STREAMS, SWELL_STREAMS, Cli, discover

SNAPSHOT = Path(__file__).parent / "snapshots" / "catalog.json"
MEDCHAT = {"medchat_org_id": "org", "medchat_access_token": "token"}
SWELL = {"swell_api_token": "token"}


def test_the_catalog_is_the_one_in_the_snapshot(cli: Cli) -> None:
    """After a wanted change: tap-medchat-swell --discover > tests/snapshots/catalog.json."""
    run = cli("--discover")

    assert run.code == 0, run.log
    assert json.loads(run.stdout) == json.loads(SNAPSHOT.read_text("utf-8"))


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

    assert found == list(streams)


def entries() -> list[dict[str, t.Any]]:
    catalog = json.loads(SNAPSHOT.read_text("utf-8"))
    return t.cast("list[dict[str, t.Any]]", catalog["streams"])


def of_stream(entry: dict[str, t.Any]) -> str:
    return str(entry["tap_stream_id"])


def test_two_streams_have_to_be_asked_for() -> None:
    unselected = {
        of_stream(entry)
        for entry in entries()
        for part in entry["metadata"]
        if not part["breadcrumb"] and not part["metadata"]["selected"]
    }

    assert unselected == {"sms_memberships", "sms_text_bot_executions"}


@pytest.mark.parametrize("entry", entries(), ids=of_stream)
def test_keys_are_never_null_and_all_else_may_be(entry: dict[str, t.Any]) -> None:
    never_null = {*entry["key_properties"], "sms_chat_id"}
    for name, column in entry["schema"]["properties"].items():
        assert ("null" in column["type"]) is (name not in never_null), name


@pytest.mark.parametrize("entry", entries(), ids=of_stream)
def test_schemas_are_valid_and_closed(entry: dict[str, t.Any]) -> None:
    DEFAULT_JSONSCHEMA_VALIDATOR.check_schema(entry["schema"])

    assert entry["schema"]["additionalProperties"] is False
    assert "additional_properties" in entry["schema"]["properties"]
    assert all(column.get("description") for column in entry["schema"]["properties"].values())


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
