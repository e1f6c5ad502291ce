"""What the tap writes, in every form in which targets are tried, and what they should then hold.

A full read of the sandbox is compared with its truth, field by field. Every other form is
derived from those rows here, without the tap's own code.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import typing as t
from dataclasses import dataclass, field

from medchat_swell_sandbox import Dataset, Sandbox
from support.privacy import KEY, pseudonymized
from support.tap_runs import STREAMS, Record, assert_whole, discover, select, sync

from .tools import plain_environment, programs

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from support.tap_process import Json, Run

STAGES = ("full", "incremental")
Rows = dict[str, list[Record]]
Tables = dict[str, dict[str, Record]]
# A column is dropped, two are new, one stream gets another name, rows are left out.
MAPS: Json = {
    "sms_messages": {
        "is_inbound": "bool(_.get('direction') == 'Inbound')",
        "text": "__NULL__",
        "__alias__": "texts",
    },
    "swell_messages": {
        "contact_phone_md5": "md5(contact['phone']) if contact['phone'] else None",
        "__filter__": "_.get('message_type') == 'to'",
    },
}


def plain(stream: str, row: Record) -> tuple[str, Record]:
    """As the tap writes it by default."""
    return stream, row


def flattened(stream: str, row: Record) -> tuple[str, Record]:
    """With a column for every field of an object."""
    return stream, dict(_leaves(row))


def _leaves(row: Record, prefix: str = "") -> Iterable[tuple[str, t.Any]]:
    for name, value in row.items():
        if isinstance(value, dict) and name != "additional_properties":
            yield from _leaves(value, f"{prefix}{name}__")
        elif isinstance(value, dict | list):
            yield prefix + name, Text(value)
        else:
            yield prefix + name, value


@dataclass(frozen=True)
class Text:
    """A list or object that is written as text, in any layout: JSON, if not said otherwise."""

    value: t.Any
    parse: t.Callable[[str], t.Any] = json.loads


def mapped(stream: str, row: Record) -> tuple[str, Record] | None:
    """As MAPS say."""
    if stream == "sms_messages":
        kept = {name: value for name, value in row.items() if name != "text"}
        return "texts", kept | {"is_inbound": row["direction"] == "Inbound"}
    if stream == "swell_messages":
        phone = row["contact"]["phone"]
        md5 = hashlib.md5(phone.encode()).hexdigest() if phone else None
        return (stream, row | {"contact_phone_md5": md5}) if row["message_type"] == "to" else None
    return stream, row


@dataclass(frozen=True)
class Form:
    """A form of the rows: settings of the tap, a mapper or the target, and what they lead to."""

    expect: t.Callable[[str, Record], tuple[str, Record] | None]
    tap: Mapping[str, t.Any] = field(default_factory=dict)
    mapper: Mapping[str, t.Any] | None = None
    target: Mapping[str, t.Any] = field(default_factory=dict)


FLATTENING = {"flattening_enabled": True, "flattening_max_depth": 2}
FORMS = {
    "plain": Form(plain),
    "flattened": Form(flattened, tap={"flattening_enabled": True}),
    "flattened by the target": Form(flattened, target=FLATTENING),
    "mapped": Form(mapped, tap={"stream_maps": MAPS}),
    "mapped by meltano-map-transform": Form(mapped, mapper={"stream_maps": MAPS}),
    "pseudonymized": Form(
        lambda stream, row: (stream, pseudonymized(stream, row)),
        tap={"privacy_profile": "pseudonymized", "pseudonym_key": KEY},
    ),
}


def history() -> Dataset:
    return Dataset.generate(seed=11, chats=120, swell_messages=300, days=60)


def let_things_happen(dataset: Dataset) -> None:
    """Everything that a tap can see. Deletions it cannot."""
    chats = dataset.chats_created(None, None)
    for chat in chats[::30]:
        dataset.add_message(chat.id, text="years later \u2713\nand more", direction="Inbound")
        dataset.change_chat(chat.id, status="Ended", name="Someone Else")
    busy = max(chats, key=lambda chat: len(chat.messages))
    dataset.change_message(busy.id, busy.messages[0].id, status="Failed")
    dataset.add_message(dataset.add_chat(name=None).id, text="first words")
    old = dataset.messages_created(None, None)
    for contact in list(dataset.contacts)[:3]:
        dataset.add_swell_message(contact, text="a new one")
    dataset.change_swell_message(old[3].id, read=not old[3].read, status="Close")
    dataset.change_swell_message(old[-1].id, text="corrected")


def read(sandbox: Sandbox, state: Json | None = None, **settings: t.Any) -> Run:
    """All six streams, read in small windows: incremental runs write little again."""
    config = sandbox.tap_config(medchat_page_size=10, medchat_window_pages=1, **settings)
    run = sync(config, state, select(discover(config), dict.fromkeys(STREAMS, True)))
    assert run.code == 0, run.log
    return run


def rows_held(sandbox: Sandbox) -> Rows:
    """Every row of the sandbox in the tap's form, compared with the sandbox's truth."""
    run = read(sandbox)
    assert_whole(run, sandbox, *STREAMS)
    return {stream: run.records(stream) for stream in STREAMS}


def key(row: Record) -> str:
    """What identifies a row in its table."""
    return str(row["id"]) if "id" in row else str(row["date"])[: len("YYYY-MM-DD")]


def expected(rows: Rows, form: Form) -> Tables:
    """The rows in a form, by table and key."""
    tables: Tables = {}
    for stream in rows:
        for row in rows[stream]:
            if result := form.expect(stream, row):
                tables.setdefault(result[0], {})[key(row)] = result[1]
    return tables


def make_loads(folder: Path) -> None:
    """Write what the tap writes, and the rows that the sandbox holds, after each stage."""
    dataset = history()
    states: dict[str, Json | None] = dict.fromkeys(FORMS)
    with Sandbox(dataset) as sandbox:
        for stage in STAGES:
            rows = rows_held(sandbox)
            (folder / f"{stage}.json").write_text(json.dumps(rows), "utf-8")
            for name, form in FORMS.items():
                if form.target:
                    continue
                run = read(sandbox, states[name], **form.tap)
                states[name] = run.state
                written = map_transform(run.stdout, form, folder) if form.mapper else run.stdout
                messages_file(folder, name, stage).write_bytes(written)
            let_things_happen(dataset)


def messages_file(folder: Path, form: str, stage: str) -> Path:
    """The messages of one run in one form."""
    return folder / f"{'plain' if FORMS[form].target else form}.{stage}.jsonl"


def map_transform(messages: bytes, form: Form, folder: Path) -> bytes:
    """Messages as meltano-map-transform passes them on."""
    return piped("map-transform", "meltano-map-transform", form.mapper or {}, messages, folder)


def piped(
    environment: str, program: str, config: Mapping[str, t.Any], messages: bytes, folder: Path
) -> bytes:
    """What a Singer program writes to its standard output for these messages."""
    file = folder / "config.json"
    file.write_text(json.dumps(config), "utf-8")
    done = subprocess.run(
        [programs(environment) / program, "--config", file],
        input=messages,
        capture_output=True,
        cwd=folder,
        env=plain_environment(),
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")
    return done.stdout
