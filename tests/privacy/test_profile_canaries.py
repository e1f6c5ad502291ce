"""Canaries under each privacy profile: in every column, nested, unknown and declared ones too."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import re
import typing as t
from datetime import datetime, timedelta, timezone

import duckdb
import pytest
from medchat_swell_sandbox import Dataset, Sandbox
from support import canaries
from support.canaries import EMAIL, NAME, OTHER_PHONE, PATIENT, PHONE, TEXT, found
from support.tap_process import Run
from support.tap_runs import (
    STREAMS,
    Cli,
    discover,
    log_lines,
    only,
    select,
    signal_handlers_kept,
    sync,
)

from tap_medchat_swell.medchat.chats import ChatRows, key_maker
from tap_medchat_swell.tap import TapMedchatSwell
from tap_medchat_swell.timestamps import now

if t.TYPE_CHECKING:
    from pathlib import Path

    from support.tap_process import Json

Config = dict[str, t.Any]
KEY = "a-key-of-canaries"
PROFILES = ("pseudonymized", "safe_harbor")
PATHS: dict[str, Config] = {
    "lean": {},
    "maps": {"stream_maps": {stream: {"__alias__": stream} for stream in STREAMS}},
    "flat": {"flattening_enabled": True, "flattening_max_depth": 3},
}
PLACE = "Canary Lane Clinic"
UNKNOWN = {"secretNote": TEXT, "nested": {"phones": [PHONE, OTHER_PHONE], NAME: EMAIL}}
# 12 spellings of one number.
SPELLINGS = [
    "2175550199",
    "217-555-0199",
    "(217) 555-0199",
    "217.555.0199",
    "217 555 0199",
    " 2175550199 ",
    "12175550199",
    "1-217-555-0199",
    "+12175550199",
    "+1 (217) 555-0199",
    "tel:+1-217-555-0199",
    "+1 217 555 0199 ext. 7",
]


def column(**definition: t.Any) -> Json:
    return {"type": ["string", "null"], **definition}


# What a user may declare in the catalog, without and with a class.
DECLARED: dict[str, Json] = {
    "secret_note": column(),
    "nested": {"type": ["object", "null"]},
    "organization_phone_number": column(description="The clinic's. PHI: phone."),
    "user_phone_number": column(description="PHI: none."),  # the tap's own class stays
    "unread_message_count": {"type": ["integer", "null"], "description": "PHI: none."},
}
VALUES = (*PATIENT, PLACE)
E164, OTHER_E164 = "+12175550199", "+12175550142"
LEVELS = ("TAP_MEDCHAT_SWELL_LOGLEVEL", "LOGLEVEL")


def medchat_rows() -> list[Json]:
    """Chats with a canary in every place."""
    child = {
        "id": "child-1",
        "createdDateTime": "2026-01-02T03:04:05Z",
        "text": TEXT,
        "name": NAME,
        "userId": "user-1",
        "senderPhoneNumber": PHONE,
        "recipientPhoneNumber": {"unfit": PHONE},
        "direction": "Inbound",
        "status": "Sent",
        "textBotId": "bot-1",
        **UNKNOWN,
    }
    chat = {
        "id": "chat-1",
        "createdDateTime": "2026-01-02T03:04:05Z",
        "status": "Active",
        "name": NAME,
        "userPhoneNumber": PHONE,
        "organizationPhoneNumber": OTHER_PHONE,
        "unreadMessageCount": 5,
        **UNKNOWN,
    }
    collections = ("messages", "memberships", "textBotExecutions")
    return [{**chat, **{name: [child] for name in collections}}]


def swell_rows() -> list[Json]:
    """Messages with a canary in every place; contacts in the forms that Swell may send."""
    tag = {"id": 1, "name": canaries.TAG, "type": "t", "pivot": UNKNOWN, "created_at": PHONE}
    place = {"id": 2, "name": PLACE, "address": TEXT}
    contact = {
        "id": 3,
        "name": NAME,
        "phone": PHONE,
        "email": EMAIL,
        "source": "swell",
        "tags": [tag, canaries.TAG, None],
        "locations": [place, PLACE],
        "country_code": {"short_name": "US", "code": "1", "note": TEXT},
        "birthday": TEXT,
        **UNKNOWN,
    }
    forms: list[t.Any] = [
        contact,
        {**contact, "tags": TEXT, "locations": {"a": PLACE}, "name": {"first": NAME}},
        {**contact, "phone": [PHONE], "email": {"a": EMAIL}, "country_code": PHONE},
        NAME,
        [contact],
    ]
    row = {
        "contact_id": 3,
        "date_sent": TEXT,
        "text": TEXT,
        "read": TEXT,
        "status": "Open",
        "message_type": "from",
        "invite_id": NAME,
        "created_at": "2026-01-02T03:04:05Z",
        **UNKNOWN,
    }
    return [{"id": number, **row, "contact": form} for number, form in enumerate(forms)]


def declared(config: Config) -> Json:
    """A catalog with all streams, and with columns that a user declares in each."""
    catalog = select(discover(config), only(*STREAMS))
    for entry in catalog["streams"]:
        columns = entry["schema"]["properties"]
        columns |= DECLARED
        if "contact" in columns:
            columns["contact"]["properties"] |= {"birthday": column(), **DECLARED}
            tag = columns["contact"]["properties"]["tags"]["items"]["properties"]
            tag["pivot"] = {"type": ["object", "null"], "properties": {"secret_note": column()}}
    return catalog


def written(config: Config, catalog: Json | None = None) -> Run:
    """What a tap writes of these rows."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    with signal_handlers_kept(), contextlib.redirect_stdout(out), log_lines() as log:
        tap = TapMedchatSwell(config=config, catalog=copy.deepcopy(catalog))
        for stream in map(t.cast("t.Any", tap.streams.get), STREAMS):
            stream._write_schema_message()
            stream.write(items_of(stream), now())
        tap.message_writer.flush()
    text = out.buffer.getvalue()
    return Run(0, text, "\n".join(log.lines))


def items_of(stream: t.Any) -> list[t.Any]:
    if stream.name == "swell_messages":
        return t.cast("list[t.Any]", stream.pack_rows(swell_rows()))
    if stream.name == "swell_message_counts":
        key = {"date": "2026-01-02", "location_id": "3,7", "team_id": "all"}
        rows = [{"received": 3, "sent": TEXT, **UNKNOWN}]
        return t.cast("list[t.Any]", stream.pack([stream.rows.record(row) | key for row in rows]))
    chats = ChatRows(key_maker(stream.run.options))
    taken = [chats.take(chats.identify(row), row) for row in medchat_rows()]
    return t.cast(
        "list[t.Any]", stream.pack([r for chat in taken for r in stream.records_of(chat)])
    )


@pytest.fixture
def config() -> Config:
    credentials = ("medchat_org_id", "medchat_access_token", "swell_api_token", "pseudonym_key")
    return {"start_date": "2026-01-01", **dict.fromkeys(credentials, KEY)}


def traces() -> tuple[str, ...]:
    """The values, and hashes that anyone could find by trying."""
    hashes = (hashlib.sha256, hashlib.md5)
    forms = {form for value in VALUES for form in (value, value.strip().lower())} | {
        E164,
        OTHER_E164,
    }
    return (*VALUES, *(make(form.encode()).hexdigest() for make in hashes for form in forms))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("has_catalog", [False, True])
def test_no_canary_is_written(
    config: Config, profile: str, path: str, *, has_catalog: bool
) -> None:
    config |= {"privacy_profile": profile, **PATHS[path]}
    catalog = declared(config) if has_catalog else select(discover(config), only(*STREAMS))

    run = written(config, catalog)

    assert {message["stream"] for message in run.of_type("RECORD")} == set(STREAMS)
    assert found(traces(), stdout=run.stdout.decode(), log=run.log) == []
    assert KEY not in run.stdout.decode()
    if has_catalog:
        assert run.records("sms_chats")[0]["unread_message_count"] == 5
        is_coded = "organization_phone_number_pseudonym" in run.records("sms_chats")[0]
        assert is_coded is (profile == "pseudonymized")


@pytest.mark.parametrize("path", PATHS)
def test_without_a_profile_the_canaries_are_written(config: Config, path: str) -> None:
    """So the test above can fail."""
    catalog = select(discover(config), only(*STREAMS))

    run = written({**config, **PATHS[path]}, catalog)

    values = {value for _, value, _ in found(VALUES, stdout=run.stdout.decode())}
    assert values == set(VALUES)


@pytest.mark.parametrize("path", PATHS)
def test_safe_harbor_writes_no_code_of_a_canary(config: Config, path: str) -> None:
    config |= PATHS[path]
    catalog = declared(config)
    coded = written({**config, "privacy_profile": "pseudonymized"}, catalog)
    codes = set(re.findall("[0-9a-f]{64}", coded.stdout.decode()))
    ids = ("chat-1", "child-1", "user-1", "bot-1", "2026-01", '"3,7"')

    run = written({**config, "privacy_profile": "safe_harbor"}, catalog)

    assert len(codes) == 4
    assert not codes & set(re.findall("[0-9a-f]{64}", run.stdout.decode()))
    records = b"\n".join(line for line in run.stdout.splitlines() if b'"RECORD"' in line[:20])
    assert found(ids, stdout=records.decode()) == []


@pytest.mark.parametrize("profile", PROFILES)
def test_whole_runs(profile: str, cli: Cli) -> None:
    with canaries.sandbox() as sandbox:
        config = sandbox.tap_config(privacy_profile=profile, pseudonym_key=KEY)
        catalog = select(discover(config), only(*STREAMS))

        run = cli(config=config, catalog=catalog, env=dict.fromkeys(LEVELS, "DEBUG"))

    assert run.code == 0, run.log
    assert run.streams == set(STREAMS)
    assert found(traces(), stdout=run.stdout.decode(), log=run.log) == []
    assert found((KEY,), stdout=run.stdout.decode(), log=run.log) == []


def test_spellings_of_one_phone_join_across_vendors(tmp_path: Path) -> None:
    data = Dataset()
    start = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=8)
    for number, spelling in enumerate(SPELLINGS):
        created = start + timedelta(hours=number)
        data.add_message(data.add_chat(created=created, user_phone=spelling).id, created=created)
        contact = data.add_contact()
        contact.phone = spelling
        data.add_swell_message(contact.id, created=created)
    data.add_swell_message(data.add_contact().id, created=start)
    with Sandbox(data) as sandbox:
        run = sync(sandbox.tap_config(privacy_profile="pseudonymized", pseudonym_key=KEY))
    for stream in ("sms_chats", "swell_messages"):
        lines = map(json.dumps, run.records(stream))
        (tmp_path / f"{stream}.json").write_text("\n".join(lines), "utf-8")

    with duckdb.connect() as database:
        row = database.execute(
            f"""
            SELECT count(DISTINCT chat.id), count(DISTINCT message.id),
                   count(DISTINCT chat.user_phone_number_pseudonym)
            FROM '{tmp_path}/sms_chats.json' AS chat
            JOIN '{tmp_path}/swell_messages.json' AS message
            ON chat.user_phone_number_pseudonym = message.contact.phone_pseudonym
            """
        ).fetchone()

    assert len(SPELLINGS) == 12
    assert row == (12, 12, 1)
