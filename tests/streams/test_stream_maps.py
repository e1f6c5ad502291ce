from __future__ import annotations

import typing as t

import pytest
from singer_sdk.mapper import CustomStreamMap
from support.tap_runs import sync

from tap_medchat_swell.stream import load_schema
from tap_medchat_swell.stream_maps import FUNCTIONS, map_problems
from tap_medchat_swell.tap import KEYS

if t.TYPE_CHECKING:
    from medchat_swell_sandbox import Sandbox

Config = dict[str, t.Any]
SCHEMAS = {name: load_schema(name) for name in KEYS}
NULL = "__NULL__"


@pytest.mark.parametrize(
    ("maps", "sentence"),
    [
        ({"sms_mesages": {"text": NULL}}, "no stream sms_mesages. Did you mean 'sms_messages'?"),
        ({"SMS_MESSAGES": None}, "no stream SMS_MESSAGES. Did you mean 'sms_messages'?"),
        ({"smms_*": {"text": NULL}}, "there is no stream smms_*."),
        ({"x": {"__source__": "sms_chat"}}, "no stream sms_chat. Did you mean 'sms_chats'?"),
        ({"sms_messages": {"txt": NULL}}, ".txt fits no column. Did you mean 'text'?"),
        ({"sms_messages": {"Text": None}}, ".Text fits no column. Did you mean 'text'?"),
        ({"sms_chats": {"text": None}}, "stream_maps.sms_chats.text fits no column."),
        ({"sms_messages": {"Text": "md5(text)"}}, "second column. Did you mean 'text'?"),
        ({"swell_messages": {"contact.phone": NULL}}, ".contact.phone is a field of contact"),
        ({"swell_messages": {"contact__phone": NULL}}, "or deselect contact.phone in the catalog"),
        ({"swell_messages": {"contact__phone": "md5(text)"}}, "is a field of contact"),
        ({"swell_messages": {"contact": "record", "contact__phone": "'x'"}}, "a field of contact"),
        ({"sms_chats": {"__fliter__": "name"}}, "is unknown. Did you mean '__filter__'?"),
        ({"sms_chats": {"__filter__": "nme != 'x'"}}, "uses nme, which is not known there. Did"),
        ({"sms_chats": {"h": "md5(nme)"}}, "stream_maps.sms_chats.h uses nme, which is not known"),
        ({"sms_chats": {"h": "contact"}}, "uses contact, which is not known there."),
        ({"sms_chats": {"h": "md5("}}, "stream_maps.sms_chats.h is not a valid expression."),
        ({"sms_chats": {"h": ""}}, "stream_maps.sms_chats.h is not a valid expression."),
    ],
)
def test_maps_that_fit_nothing(maps: Config, sentence: str) -> None:
    [problem] = map_problems(maps, SCHEMAS)

    assert sentence in problem


@pytest.mark.parametrize(
    "maps",
    [
        {"__else__": NULL, "sms_*": {"text": None}, "swell_messages": None},
        {"copy": {"__source__": "sms_chats", "id": "id", "__else__": None}},
        {"sms_chats": {"__alias__": "chats", "__filter__": "status == 'Ended'"}},
        {"sms_chats": {"__key_properties__": ["key"], "key": "md5(id)", "id": None}},
        {"sms_chats": {"name_hash": "sha256(config['s'] + _.get('name'))", "name": NULL}},
        {"sms_chats": {"name_pseudonym": None, "pseudonym_key_id": None}},
        {"swell_messages": {"contact__phone": "hmac_phone(contact['phone'])", "contact": None}},
        {"swell_messages": {"contact__phone": "contact['phone']", "__else__": None, "id": "id"}},
        {"swell_messages": {"ids": "','.join([str(tag['name']) for tag in contact['tags']])"}},
    ],
)
def test_maps_that_fit(maps: Config) -> None:
    assert list(map_problems(maps, SCHEMAS)) == []


def test_functions_are_those_of_the_sdk() -> None:
    stream_map = CustomStreamMap("x", {}, {}, {"properties": {}}, [], {}, None)

    assert set(stream_map.functions) == FUNCTIONS


def test_nothing_is_read_with_a_map_that_fits_nothing(sandbox: Sandbox, config: Config) -> None:
    run = sync({**config, "stream_maps": {"sms_messages": {"txt": NULL}}})

    assert run.code == 1
    [error] = run.errors
    assert error.endswith("stream_maps.sms_messages.txt fits no column. Did you mean 'text'?")
    assert not run.stdout
    assert not sandbox.requests


def test_columns_that_the_catalog_adds_can_be_mapped() -> None:
    schemas = {"sms_chats": {"properties": {"unread": {"type": "integer"}}}}

    assert list(map_problems({"sms_chats": {"unread": None}}, schemas)) == []


def test_a_failing_expression_is_named(config: Config) -> None:
    run = sync({**config, "stream_maps": {"sms_messages": {"id": "id", "h": "int('x')"}}})

    assert run.code == 1
    assert run.errors[0].startswith("stream_maps fails on h of sms_messages: ValueError.")


def test_a_failing_filter_is_named(config: Config) -> None:
    run = sync({**config, "stream_maps": {"sms_messages": {"__filter__": "int('x')"}}})

    assert run.code == 1
    assert run.errors[0].startswith("stream_maps fails on __filter__ of sms_messages: ValueError.")
