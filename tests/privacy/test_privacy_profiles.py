"""Whole runs under each privacy profile, compared record by record with a run without one."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t

import pytest
from medchat_swell_sandbox import Dataset, Quirks, Sandbox
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR
from support.privacy import KEY, SIGNALS, SURROGATES, pseudonymized, safe
from support.tap_runs import STREAMS, discover, only, select, sync

if t.TYPE_CHECKING:
    from support.tap_process import Json, Run

Config = dict[str, t.Any]
PROFILES = ("pseudonymized", "safe_harbor")
PATHS: dict[str, Config] = {
    "lean": {},
    "maps": {"stream_maps": {stream: {"__alias__": stream} for stream in STREAMS}},
    "flat": {"flattening_enabled": True},
}


def run_all(config: Config, state: Json | None = None, **settings: t.Any) -> Run:
    """All six streams."""
    config = {"pseudonym_key": KEY, **config, **settings}
    run = sync(config, state, select(discover(config), only(*STREAMS)))
    assert run.code == 0, run.log
    return run


@pytest.mark.parametrize("path", ["lean", "maps"])
def test_pseudonymized_record_by_record(sandbox: Sandbox, config: Config, path: str) -> None:
    sandbox.quirks = Quirks(swell_tags="objects")
    plain = run_all(config)

    run = run_all(config, privacy_profile="pseudonymized", **PATHS[path])

    for stream in STREAMS:
        expected = [pseudonymized(stream, record) for record in plain.records(stream)]
        assert expected
        assert run.records(stream) == expected, stream


@pytest.mark.parametrize("path", ["lean", "maps"])
def test_safe_harbor_record_by_record(sandbox: Sandbox, config: Config, path: str) -> None:
    sandbox.quirks = Quirks(swell_tags="objects")
    plain = run_all(config)

    run = run_all(config, privacy_profile="safe_harbor", **PATHS[path])

    for stream in STREAMS:
        before, after = plain.records(stream), run.records(stream)
        assert after == [safe(stream, *pair) for pair in zip(before, after, strict=True)], stream


def test_surrogates_join_and_are_as_many_as_the_ids(config: Config) -> None:
    plain, run = run_all(config), run_all(config, privacy_profile="safe_harbor")

    for stream in STREAMS:
        for column in SURROGATES[stream]:
            pairs = {
                (before[column], after[column])
                for before, after in zip(plain.records(stream), run.records(stream), strict=True)
                if column in before
            }
            assert len({old for old, _ in pairs}) == len({new for _, new in pairs}) == len(pairs)
            assert all(re.fullmatch("[0-9a-f]{32}", new) for _, new in pairs)
    chats = {record["id"] for record in run.records("sms_chats")}
    assert {record["sms_chat_id"] for record in run.records("sms_messages")} <= chats


def test_surrogates_depend_on_the_key_its_id_and_the_account(config: Config) -> None:
    changes: list[Config] = [
        {},
        {"pseudonym_key": "another-key-of-the-test"},
        {"pseudonym_key_id": "2"},
        {"account_name": "north"},
    ]
    ids = [
        {r["id"] for r in run_all(config, privacy_profile="safe_harbor", **c).records("sms_chats")}
        for c in changes
    ]

    assert len(set().union(*ids)) == sum(map(len, ids))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("quirks", [Quirks(), Quirks(swell_tags="objects", swell_nulls=True)])
def test_records_fit_their_schema(
    sandbox: Sandbox, config: Config, profile: str, path: str, quirks: Quirks
) -> None:
    sandbox.quirks = quirks

    run = run_all(config, privacy_profile=profile, **PATHS[path])

    assert run.streams == set(STREAMS)
    for message in run.of_type("SCHEMA"):
        columns = message["schema"]["properties"]
        assert set(message["key_properties"]) <= columns.keys()
        validator = DEFAULT_JSONSCHEMA_VALIDATOR(
            {**message["schema"], "additionalProperties": False}
        )
        for record in run.records(message["stream"]):
            assert list(validator.iter_errors(record)) == []
            assert list(record) == list(columns)
            assert None not in [record[key] for key in message["key_properties"]]


@pytest.mark.parametrize("path", PATHS)
def test_safe_harbor_hides_when_a_record_was_read(config: Config, path: str) -> None:
    run = run_all(config, privacy_profile="safe_harbor", **PATHS[path])

    assert not any("time_extracted" in message for message in run.of_type("RECORD"))
    assert not re.search(rb'"RECORD"[^\n]*\d{4}-\d\d', run.stdout)
    assert all("time_extracted" in message for message in run_all(config).of_type("RECORD"))


def test_bookmarks_are_of_raw_values(config: Config) -> None:
    plain, run = run_all(config), run_all(config, privacy_profile="safe_harbor")

    for stream in STREAMS:
        values = [one.bookmark(stream)["replication_key_value"] for one in (plain, run)]
        assert values[0][:10] == values[1][:10]
    again = run_all(config, run.state, privacy_profile="safe_harbor")
    assert again.records("sms_messages") == []


CHANGES: list[Config] = [
    {"privacy_profile": "none"},
    {"privacy_profile": "safe_harbor"},
    {"pseudonym_key_id": "2", "pseudonym_key": "another-key-of-the-test"},
    {"phone_region": "GB"},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change.items())))
def test_a_change_has_everything_written_again(config: Config, change: Config) -> None:
    config |= {"medchat_rescan_days": 30, "swell_lookback_days": 0}
    first = run_all(config, privacy_profile="pseudonymized")
    again = run_all(config, first.state, privacy_profile="pseudonymized")

    changed = run_all(config, again.state, **{"privacy_profile": "pseudonymized", **change})

    for stream in set(STREAMS) - {"swell_message_counts"}:
        assert len(again.records(stream)) < len(first.records(stream))
        assert len(changed.records(stream)) == len(first.records(stream)), stream
    assert "was written with other settings" in changed.log
    settled = {**config, "privacy_profile": "pseudonymized", **change}
    assert run_all(settled, changed.state).records("sms_messages") == []


def test_a_changed_key_is_noticed_by_digests_without_its_id(config: Config) -> None:
    first = run_all(config, privacy_profile="pseudonymized")

    other = "another-key-of-the-test"
    run = run_all(config, first.state, privacy_profile="pseudonymized", pseudonym_key=other)

    assert len(run.records("sms_messages")) == len(first.records("sms_messages"))


@pytest.mark.parametrize("profile", PROFILES)
def test_the_key_is_in_no_state_and_no_log(config: Config, profile: str) -> None:
    run = run_all(config, privacy_profile=profile)

    assert KEY.encode() not in run.stdout
    assert KEY not in run.log
    assert hashlib.sha256(KEY.encode()).hexdigest()[:16].encode() not in run.stdout


@pytest.mark.parametrize("profile", PROFILES)
def test_signals_are_those_of_the_text(config: Config, profile: str) -> None:
    plain, run = run_all(config), run_all(config, privacy_profile=profile)

    for stream in ("sms_messages", "swell_messages"):
        for before, after in zip(plain.records(stream), run.records(stream), strict=True):
            assert before["text_length"] == after["text_length"]
            assert before["text_length"] == (
                None if before["text"] is None else len(before["text"])
            )
            assert {name: before[name] for name in SIGNALS.split()}.items() <= after.items()
            assert "text" not in after


@pytest.mark.parametrize("path", ["lean", "maps"])
def test_signals_without_a_selected_text(sandbox: Sandbox, config: Config, path: str) -> None:
    chat = sandbox.dataset.add_chat()
    sandbox.dataset.add_message(chat.id, text=" Stop. ")
    fields = {"sms_messages.text": False, "sms_messages.has_link": False}
    config |= PATHS[path]

    run = sync(config, catalog=select(discover(config), {}, fields))

    words = {record["opt_out_keyword"] for record in run.records("sms_messages")}
    assert "stop" in words
    for record in run.records("sms_messages"):
        assert "text" not in record
        assert "has_link" not in record


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", PATHS)
def test_what_is_deselected_has_no_pseudonym(config: Config, profile: str, path: str) -> None:
    config |= {"privacy_profile": profile, "pseudonym_key": KEY, **PATHS[path]}
    gone = ("sms_chats.name", "swell_messages.contact.phone", "swell_messages.date_sent")
    catalog = select(discover(config), {}, dict.fromkeys(gone, False))

    run = sync(config, catalog=catalog)

    assert run.code == 0, run.log
    text = json.dumps([*run.records("sms_chats"), *run.records("swell_messages")])
    schemas = json.dumps([m["schema"] for m in run.of_type("SCHEMA") if "chats" in m["stream"]])
    assert '"name_pseudonym' not in json.dumps(run.records("sms_chats")) + schemas
    assert "phone_pseudonym" not in json.dumps(run.records("swell_messages"))
    assert "date_sent_year" not in text
    assert '"date_sent"' not in text


def test_map_functions_make_the_profiles_pseudonyms(config: Config) -> None:
    maps = {
        "sms_chats": {
            "phone": "hmac_phone(user_phone_number)",
            "who": "hmac_name(name)",
            "mail": "hmac_email(None)",
        }
    }
    mapped = run_all(config, stream_maps=maps).records("sms_chats")
    profile = run_all(config, privacy_profile="pseudonymized").records("sms_chats")

    assert [row["phone"] for row in mapped] == [
        row["user_phone_number_pseudonym"] for row in profile
    ]
    assert [row["who"] for row in mapped] == [row["name_pseudonym"] for row in profile]
    assert {row["mail"] for row in mapped} == {None}
    assert any(row["who"] is None for row in mapped) or all(row["name"] for row in mapped)


@pytest.mark.parametrize("profile", PROFILES)
def test_maps_see_what_the_profile_makes(config: Config, profile: str) -> None:
    maps = {"sms_messages": {"seen": "','.join(record.keys())"}}

    run = run_all(config, privacy_profile=profile, stream_maps=maps)

    seen = {name for row in run.records("sms_messages") for name in row["seen"].split(",")}
    assert not seen & {"name", "text", "sender_phone_number", "additional_properties"}
    assert "text_length" in seen


def test_derived_ids_are_keyed_under_pseudonymized() -> None:
    data = Dataset.generate(seed=5, chats=30, swell_messages=5, days=20)
    with Sandbox(
        data, quirks=Quirks(medchat_chat_id_name=None, medchat_message_id_name=None)
    ) as sandbox:
        config = sandbox.tap_config()
        plain, run = (
            sync(config),
            sync({**config, "privacy_profile": "pseudonymized", "pseudonym_key": KEY}),
        )
        refused = sync({**config, "privacy_profile": "safe_harbor", "pseudonym_key": KEY})

    for stream in ("sms_chats", "sms_messages"):
        before, after = ({row["id"] for row in one.records(stream)} for one in (plain, run))
        assert len(before) == len(after)
        assert not before & after
    chats = {row["id"] for row in run.records("sms_chats")}
    assert {row["sms_chat_id"] for row in run.records("sms_messages")} <= chats
    assert refused.code == 1
    assert "permits no key that is derived" in refused.errors[-1]
    assert refused.records("sms_chats") == []
    assert refused.records("swell_messages")


@pytest.mark.parametrize("profile", ["none", *PROFILES])
def test_a_declared_column_named_like_a_signal(config: Config, profile: str) -> None:
    catalog = discover(config)
    for entry in catalog["streams"]:
        entry["schema"]["properties"].setdefault("has_link", {"type": ["string", "null"]})

    run = sync({**config, "privacy_profile": profile, "pseudonym_key": KEY}, catalog=catalog)

    assert run.code == 0, run.log
    assert ("has_link" in run.records("sms_chats")[0]) is (profile == "none")
