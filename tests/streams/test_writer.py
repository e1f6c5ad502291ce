from __future__ import annotations

import io
import json
import time
import typing as t
from types import SimpleNamespace

import pytest
from singer_sdk.singerlib.encoding.simple import RecordMessage, SchemaMessage, StateMessage

from tap_medchat_swell import writer
from tap_medchat_swell.errors import OutputClosedError
from tap_medchat_swell.redaction import MASK, REDACTOR
from tap_medchat_swell.writer import BUFFER_BYTES, LONGEST_HOLD, BufferedWriter

SCHEMA = SchemaMessage(stream="s", schema={"type": "object", "properties": {}}, key_properties=[])
STATE = StateMessage({"bookmarks": {}})


def record(text: str = "x") -> RecordMessage:
    return RecordMessage(stream="s", record={"text": text})


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    target = io.BytesIO()
    monkeypatch.setattr(writer, "sys", SimpleNamespace(stdout=SimpleNamespace(buffer=target)))
    return target


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    return clock


def test_records_are_held(out: io.BytesIO) -> None:
    BufferedWriter().write_message(record())

    assert out.getvalue() == b""


@pytest.mark.parametrize("message", [STATE, SCHEMA], ids=["STATE", "SCHEMA"])
def test_other_messages_go_out_behind_all_that_was_held(
    out: io.BytesIO, message: SchemaMessage | StateMessage
) -> None:
    lines = BufferedWriter()
    lines.write_message(record())
    lines.write_message(message)

    types = [json.loads(line)["type"] for line in out.getvalue().splitlines()]

    assert types == ["RECORD", message.type]
    assert out.getvalue().endswith(b"\n")


def test_a_full_buffer_goes_out(out: io.BytesIO) -> None:
    lines = BufferedWriter()
    lines.write_lines(b"x" * (BUFFER_BYTES - 1))
    assert out.getvalue() == b""

    lines.write_lines(b"\n")

    assert len(out.getvalue()) == BUFFER_BYTES


def test_what_is_held_for_long_enough_goes_out(out: io.BytesIO, now: list[float]) -> None:
    lines = BufferedWriter()
    lines.write_lines(b"a\n")
    now[0] += LONGEST_HOLD / 2
    lines.write_lines(b"b\n")
    lines.flush_if_due()
    assert out.getvalue() == b""

    now[0] += LONGEST_HOLD / 2
    lines.flush_if_due()

    assert out.getvalue() == b"a\nb\n"
    now[0] += 10 * LONGEST_HOLD
    lines.flush_if_due()
    assert out.getvalue() == b"a\nb\n"


def test_flush_writes_nothing_twice(out: io.BytesIO) -> None:
    lines = BufferedWriter()
    lines.write_lines(b"a\n")
    lines.flush()
    lines.flush()

    assert out.getvalue() == b"a\n"


@pytest.mark.parametrize("token", ["s3cr3t-token", r's3cr3t/+&"\x', "s3cr3t token%"])
def test_an_echoed_token_is_taken_out_and_lines_stay_json(out: io.BytesIO, token: str) -> None:
    REDACTOR.protect([token], sent=[token])
    lines = BufferedWriter()

    lines.write_message(record(f"before {token} after"))
    lines.flush()

    assert json.loads(out.getvalue())["record"] == {"text": f"before {MASK} after"}


def test_short_secrets_do_not_spoil_records(out: io.BytesIO) -> None:
    REDACTOR.protect(["abc"], sent=["abc"])
    lines = BufferedWriter()

    lines.write_message(record("abcdef"))
    lines.flush()

    assert json.loads(out.getvalue())["record"] == {"text": "abcdef"}


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (BrokenPipeError(), "The target closed the pipe; nothing more can be written."),
        (OSError(28, "No space left"), "The output cannot be written: No space left."),
    ],
)
def test_what_cannot_be_written_is_told(
    monkeypatch: pytest.MonkeyPatch, error: OSError, sentence: str
) -> None:
    class Broken(io.BytesIO):
        def write(self, _: object) -> int:
            raise error

    stdout = SimpleNamespace(buffer=Broken())
    monkeypatch.setattr(writer, "sys", SimpleNamespace(stdout=stdout))
    lines = BufferedWriter()
    lines.write_lines(b"a\n")

    with pytest.raises(OutputClosedError, match=sentence):
        lines.flush()


def test_short_writes_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unbuffered standard output may write less than it is given."""

    class Raw(io.BytesIO):
        def write(self, data: t.Any) -> int:
            return super().write(bytes(data[:3]))

    raw = Raw()
    monkeypatch.setattr(writer, "sys", SimpleNamespace(stdout=SimpleNamespace(buffer=raw)))
    lines = BufferedWriter()
    lines.write_lines(b"0123456789\n")
    lines.flush()

    assert raw.getvalue() == b"0123456789\n"
