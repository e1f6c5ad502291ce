"""The de-identified variant of meltano.yml: nothing of a patient is left in what it writes."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from base64 import b64encode

from medchat_swell_sandbox import Dataset, Quirks, Sandbox
from tap_runs import STREAMS, discover, select, sync

from .loads import SALT
from .tools import DEIDENTIFIED, MeltanoProject, stream_maps

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Shorter texts ("C", "STOP", "null") turn up by chance; they are looked for as whole values.
SHORTEST = 6
KEPT = {
    "sms_chats": "account_name id created_date_time status",
    "sms_messages": "account_name id sms_chat_id created_date_time direction status",
    "sms_memberships": "account_name id sms_chat_id created_date_time user_id",
    "sms_text_bot_executions": "account_name id sms_chat_id created_date_time text_bot_id status",
    "swell_messages": "account_name id contact_id date_sent date_sent_utc read status origin "
    "message_type invite_id created_at",
    "swell_message_counts": "account_name date location_id team_id received sent",
}
ADDED = {
    "sms_chats": "name_hash user_phone_number_hash",
    "sms_messages": "name_hash sender_phone_number_hash recipient_phone_number_hash",
    "sms_memberships": "name_hash",
    "sms_text_bot_executions": "name_hash sender_phone_number_hash recipient_phone_number_hash",
    "swell_messages": "contact_name_hash contact_phone_hash contact_email_hash "
    "contact_location_ids",
    "swell_message_counts": "",
}


def personal_values(sandbox: Sandbox) -> set[str]:
    """Every name, number, address and text that the sandbox holds."""
    wanted = ["name", "text", "phone", "email", "user_phone_number", "organization_phone_number"]
    wanted += ["sender_phone_number", "recipient_phone_number"]
    rows = [row for rows in sandbox.truth().values() for row in rows]
    rows += [row["contact"] for row in rows if "contact" in row]
    values = {row[column] for row in rows for column in wanted if row.get(column)}
    values |= {tag for row in rows for tag in row.get("tags", ())}
    return values | {place["name"] for row in rows for place in row.get("locations", ())}


def written_forms(value: str) -> Iterator[bytes]:
    yield value.encode()
    yield json.dumps(value)[1:-1].encode()
    yield b64encode(value.encode()).rstrip(b"=")
    yield hashlib.sha256(value.encode()).hexdigest().encode()
    yield hashlib.md5(value.encode()).hexdigest().encode()


def texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)


def assert_nothing_personal(output: bytes, records: list[t.Any], values: set[str]) -> None:
    found = [
        value
        for value in values
        if len(value) >= SHORTEST and any(form in output for form in written_forms(value))
    ]
    assert not found
    assert not values & set(texts_in(records))


def test_meltano_writes_nothing_personal(project: MeltanoProject, tmp_path: Path) -> None:
    dataset = Dataset.generate(seed=5, chats=80, swell_messages=200, days=40)
    output = tmp_path / "output"
    output.mkdir()
    project.variables["TARGET_JSONL_DESTINATION_PATH"] = str(output)
    with Sandbox(dataset) as sandbox:
        project.point_at(sandbox, DEIDENTIFIED, hash_salt=SALT)
        log = project.meltano("run", DEIDENTIFIED, "target-jsonl")
        truth = sandbox.truth()
        values = personal_values(sandbox)

    written = {file.stem: file.read_bytes() for file in output.iterdir()}
    rows = {name: list(map(json.loads, text.splitlines())) for name, text in written.items()}
    assert written.keys() == set(STREAMS)
    assert {name: len(rows[name]) for name in STREAMS if name != "swell_message_counts"} == {
        name: len(truth[name]) for name in STREAMS if name != "swell_message_counts"
    }
    everything = b"".join([*written.values(), log.encode(), project.database.read_bytes()])
    assert len(values) > 100
    assert_nothing_personal(everything, list(rows.values()), values)
    assert SALT not in log
    assert SALT.encode() not in b"".join(written.values())


def deidentified(sandbox: Sandbox, salt: str = SALT, **overrides: object) -> t.Any:
    """All six streams, read in this process."""
    config = sandbox.tap_config(hash_salt=salt, stream_maps=stream_maps(), **overrides)
    catalog = select(discover(config), dict.fromkeys(STREAMS, True))
    run = sync(config, catalog=catalog)
    assert run.code == 0, run.log
    return run


def test_every_column_is_accounted_for(sandbox: Sandbox) -> None:
    run = deidentified(sandbox)

    for message in run.of_type("SCHEMA"):
        stream, properties = message["stream"], message["schema"]["properties"]
        added = ADDED[stream].split()
        assert properties.keys() == {*KEPT[stream].split(), *added}, stream
        for column in added:
            assert set(properties[column]["type"]) == {"string", "null"}
        for record in run.records(stream):
            assert record.keys() <= properties.keys()
            for column in added:
                value = record[column]
                if column.endswith("_hash"):
                    assert value is None or re.fullmatch("[0-9a-f]{64}", value)


def test_hashes_join_and_need_the_salt(sandbox: Sandbox) -> None:
    run, other = deidentified(sandbox), deidentified(sandbox, "another-salt")

    phones = {row["id"]: row["user_phone_number"] for row in sandbox.truth()["sms_chats"]}
    for chat in run.records("sms_chats"):
        wanted = hashlib.sha256(f"{SALT}{phones[chat['id']]}".encode()).hexdigest()
        assert chat["user_phone_number_hash"] == wanted
    hashes = {row["user_phone_number_hash"] for row in run.records("sms_chats")}
    assert {row["sender_phone_number_hash"] for row in run.records("sms_messages")} & hashes
    assert not hashes & {row["user_phone_number_hash"] for row in other.records("sms_chats")}


def test_derived_ids_are_hashed_with_the_salt() -> None:
    dataset = Dataset.generate(seed=5, chats=30, swell_messages=5, days=20)
    quirks = Quirks(medchat_chat_id_name=None, medchat_message_id_name=None)
    with Sandbox(dataset, quirks=quirks) as sandbox:
        config = sandbox.tap_config()
        plain = sync(config)
        run = deidentified(sandbox)

    for stream in ("sms_chats", "sms_messages"):
        derived = {row["id"] for row in plain.records(stream)}
        hashed = {row["id"] for row in run.records(stream)}
        assert hashed == {hashlib.sha256(f"{SALT}{key}".encode()).hexdigest() for key in derived}
    chats = {row["id"] for row in run.records("sms_chats")}
    assert {row["sms_chat_id"] for row in run.records("sms_messages")} <= chats


def test_deselected_fields_stay_away(sandbox: Sandbox) -> None:
    config = sandbox.tap_config(hash_salt=SALT, stream_maps=stream_maps())
    fields = {"sms_chats.name": False, "swell_messages.contact": False, "sms_chats.status": False}
    catalog = select(discover(config), dict.fromkeys(STREAMS, True), fields)

    run = sync(config, catalog=catalog)

    assert run.code == 0, run.log
    assert {row["name_hash"] for row in run.records("sms_chats")} == {None}
    assert {row["contact_phone_hash"] for row in run.records("swell_messages")} == {None}
    assert not any("status" in row for row in run.records("sms_chats"))
