from __future__ import annotations

import base64
import html
import io
import json
import logging
import re
import typing as t
import urllib.parse

import msgspec
import pytest

from tap_medchat_swell import redaction
from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.redaction import MASK, REDACTOR, RedactedStream, Redactor, describe_exception

if t.TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = r's3cr3t/+&"\x token%'
OTHER = "a salt of its own"
FORMS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "URL": urllib.parse.quote,
    "URL, no safe": lambda value: urllib.parse.quote(value, safe=""),
    "URL, lower case": lambda value: re.sub(
        "%..", lambda code: code[0].lower(), urllib.parse.quote(value, safe="")
    ),
    "form": urllib.parse.quote_plus,
    "HTML": html.escape,
    "PHP": lambda value: json.dumps(value)[1:-1].replace("/", "\\/"),
    "JSON": lambda value: json.dumps(value)[1:-1],
    "repr": lambda value: repr(value)[1:-1],
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64, no padding": lambda value: base64.b64encode(value.encode()).decode().rstrip("="),
}


@pytest.fixture
def redactor() -> Redactor:
    redactor = Redactor()
    redactor.protect([TOKEN, OTHER], sent=[TOKEN])
    return redactor


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_taken_out_of_text(redactor: Redactor, form: str) -> None:
    written = FORMS[form](TOKEN)

    assert redactor.text(f"a={written}&b") == f"a={MASK}&b"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_taken_out_of_records(redactor: Redactor, form: str) -> None:
    text = f"a={FORMS[form](TOKEN)}&b"
    record = {"text": text, "nested": [{text: text}], "other": 1}
    lines = line_of(record=record) + line_of(record={"text": "plain"})

    first, second = map(json.loads, redactor.line(lines).splitlines())

    clean = f"a={MASK}&b"
    assert first["record"] == {"text": clean, "nested": [{clean: clean}], "other": 1}
    assert second["record"] == {"text": "plain"}


def line_of(**parts: t.Any) -> bytes:
    """A Singer message."""
    return msgspec.json.encode({"type": "ANY", "stream": "extraneous", **parts}) + b"\n"


def test_what_is_not_sent_stays_in_records(redactor: Redactor) -> None:
    line = line_of(record={"text": OTHER})

    assert redactor.text(OTHER) == MASK
    assert redactor.line(line) == line


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("12345678", line_of(record={"id": 912345678, "text": ""})),
        ("nightly-tok", line_of(record={"text": "a\nightly-tok"})),
        ("extraneous", line_of(record={"extraneous": 1, "n": 2**70})),
        ("extraneous", line_of(schema={"extraneous": "extraneous"})),
        ("extraneous", line_of(value={"bookmarks": {"extraneous": 1}})),
    ],
)
def test_messages_stay_what_they_are(token: str, message: bytes) -> None:
    """Numbers, escapes, and the names of streams and columns are no tokens."""
    redactor = Redactor()
    redactor.protect([], sent=[token])

    assert redactor.line(message) == message


def test_a_token_behind_a_backslash_is_redacted() -> None:
    redactor = Redactor()
    redactor.protect([], sent=["nightly-tok"])

    line = redactor.line(line_of(record={"text": "C:\\nightly-tok"}))

    assert json.loads(line)["record"] == {"text": f"C:\\{MASK}"}


def test_a_key_that_is_a_token_is_redacted(redactor: Redactor) -> None:
    line = redactor.line(line_of(record={"more": {TOKEN: 1}}))

    assert json.loads(line)["record"] == {"more": {MASK: 1}}


def test_tokens_are_taken_out_of_states(redactor: Redactor) -> None:
    state = redactor.line(line_of(value={"bookmarks": {"x": {"y": TOKEN}}}))

    assert json.loads(state)["value"] == {"bookmarks": {"x": {"y": MASK}}}


def test_without_secrets_text_stays() -> None:
    assert Redactor().text("anything") == "anything"
    assert Redactor().line(line_of(record={})) == line_of(record={})


@pytest.mark.parametrize("value", ["token", "messages", "sms_messages", "medchat_access_token"])
def test_the_taps_own_words_stay(value: str) -> None:
    """Else every log line of a trial with such a token would be garbled, and its records."""
    redactor = Redactor()
    redactor.protect([value, TOKEN], sent=[value, TOKEN])
    text = f"sms_messages: check medchat_access_token; the token sent no messages. {value}"
    line = line_of(record={"text": text})

    assert redactor.text(f"{text} {TOKEN}") == f"{text} {MASK}"
    assert redactor.line(line) == line


@pytest.mark.parametrize("values", [[""], ["  "], [], ["a"]])
def test_a_secret_of_next_to_nothing_masks_nothing(values: list[str]) -> None:
    redactor = Redactor()
    redactor.protect(values)

    assert redactor.text("a b") == "a b"


def test_a_secret_within_a_longer_one_leaves_no_rest() -> None:
    redactor = Redactor()
    redactor.protect(["s3cret", "s3cret-token-2"])

    assert redactor.text("x s3cret-token-2 y s3cret") == f"x {MASK} y {MASK}"


def test_secrets_add_up() -> None:
    redactor = Redactor()
    redactor.protect(["first-one"])
    redactor.protect(["second-one"])

    assert redactor.text("first-one second-one") == f"{MASK} {MASK}"


def test_a_redacted_stream_is_else_the_stream_itself() -> None:
    REDACTOR.protect([TOKEN])
    target = io.StringIO()
    stream = t.cast("t.TextIO", RedactedStream(target))

    assert stream.write(TOKEN) == len(TOKEN)
    stream.writelines(["a", TOKEN])
    stream.flush()

    assert target.getvalue() == f"{MASK}a{MASK}"
    assert not stream.closed


def log_record(message: str, *args: object, exc: BaseException | None = None) -> logging.LogRecord:
    info = (type(exc), exc, exc.__traceback__) if exc else None
    return redaction._redacted_record("n", logging.ERROR, "p", 1, message, args, info)


def test_log_records_are_redacted_in_message_and_arguments() -> None:
    REDACTOR.protect([TOKEN])

    assert log_record("x %s y", TOKEN).getMessage() == f"x {MASK} y"
    assert log_record(f"100% {TOKEN}").getMessage() == f"100% {MASK}"


@pytest.mark.parametrize("name", ["urllib3.connection", "singer_sdk.mapper"])
def test_what_others_fill_in_from_answers_is_not_told(name: str) -> None:
    record = redaction._redacted_record(
        name, logging.DEBUG, "p", 1, "got %s", ("Jane Smith",), None
    )

    assert record.getMessage() == "got %s"


def test_a_log_line_with_wrong_arguments_shows_none_of_them() -> None:
    assert "patient" not in log_record("%d", "patient").getMessage()


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """The exception with a traceback."""
    try:
        raise error from cause  # noqa: TRY301
    except BaseException as caught:  # noqa: BLE001
        return caught


def test_exceptions_lose_texts_that_may_tell() -> None:
    error = raised(KeyError("Jane Smith"), raised(ValueError("555-0100")))

    told = describe_exception(error)

    assert "KeyError" in told
    assert "ValueError" in told
    assert "test_redaction.py" in told
    assert "Jane" not in told
    assert "555" not in told


def test_exceptions_of_the_taps_own_keep_their_texts() -> None:
    assert "VendorError: MedChat is down" in describe_exception(VendorError("MedChat is down"))


def test_exceptions_that_cause_each_other_come_to_an_end() -> None:
    one, other = ValueError(), KeyError()
    one.__cause__, other.__cause__ = other, one

    assert len(describe_exception(one).splitlines()) <= 2 * redaction.MAX_TRACEBACK_LINES


def test_exception_texts_never_reach_a_formatter() -> None:
    record = log_record("failed", exc=raised(ValueError("Jane Smith")))

    written = logging.Formatter().format(record)

    assert "ValueError" in written
    assert "Jane" not in written
    assert record.exc_info is None


@pytest.mark.parametrize(
    ("address", "secrets"),
    [
        ("http://user:pr0xy%2Fpass@proxy.example:3128", {"pr0xy%2Fpass", "pr0xy/pass"}),
        ("user:pass@proxy.example", {"pass"}),
        ("http://:pass@proxy.example", {"pass"}),
        ("http://user:pa:s@s@[broken", {"pa:s@s"}),
        ("http://user@proxy.example:3128", set()),
        ("http://proxy.example:3128", set()),
        ("proxy.example:3128", set()),
        ("http://[", set()),
    ],
)
def test_proxy_passwords_are_secrets(
    monkeypatch: pytest.MonkeyPatch, address: str, secrets: set[str]
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", address)

    assert redaction._proxy_passwords() == secrets
