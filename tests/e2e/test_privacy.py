"""The variants of meltano.yml with a privacy profile: nothing personal is in what they write."""

from __future__ import annotations

import hashlib
import json
import typing as t
from base64 import b64encode

import pytest
from medchat_swell_sandbox import Dataset, Sandbox
from support.privacy import KEY
from support.tap_runs import STREAMS

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .tools import MeltanoProject

# Shorter texts ("C", "STOP", "null") turn up by chance; they are looked for as whole values.
SHORTEST = 6
NAME_OF_OLD = "tap-medchat-swell-deidentified"
VARIANTS = ("tap-medchat-swell-pseudonymized", "tap-medchat-swell-safe-harbor", NAME_OF_OLD)


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


@pytest.mark.parametrize("name", VARIANTS)
def test_meltano_writes_nothing_personal(
    project: MeltanoProject, tmp_path: Path, name: str
) -> None:
    dataset = Dataset.generate(seed=5, chats=80, swell_messages=200, days=40)
    output = tmp_path / "output"
    output.mkdir()
    project.variables["TARGET_JSONL_DESTINATION_PATH"] = str(output)
    secret = "hash_salt" if name == NAME_OF_OLD else "pseudonym_key"
    with Sandbox(dataset) as sandbox:
        project.point_at(sandbox, name, **{secret: KEY})
        if name == NAME_OF_OLD:  # what the sandbox's environment sets besides
            project.variables[f"{name.upper().replace('-', '_')}_PSEUDONYM_KEY"] = ""
        log = project.meltano("run", name, "target-jsonl")
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
    assert KEY not in log
    assert KEY.encode() not in b"".join(written.values())
    assert ("is now called pseudonymized" in log) is (name == NAME_OF_OLD)
    is_safe = name.endswith("safe-harbor")
    assert ("user_phone_number_pseudonym" in rows["sms_chats"][0]) is not is_safe
    assert ("created_date_time_year" in rows["sms_chats"][0]) is is_safe
