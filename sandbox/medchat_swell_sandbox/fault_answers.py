"""Each kind of fault as an answer, or as bytes on the wire."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from medchat_swell_sandbox.http import HTML, Answer, Headers, json_answer
from medchat_swell_sandbox.laravel import LOGIN_PAGE, login_redirect

if TYPE_CHECKING:
    from starlette.types import Send

    from medchat_swell_sandbox.faults import Fault
    from medchat_swell_sandbox.http import Request
    from medchat_swell_sandbox.wire import Wire

MEGABYTE = 1_000_000
DEFAULT_NESTING = 10_000
DEFAULT_KEYS = 1_000_000
DEFAULT_MEGABYTES = 100
CLOSE = ("Connection", "close")
CHUNKED = ("Transfer-Encoding", "chunked")
TEXT_VALUE = re.compile(rb'"(?:text|name)":"', re.IGNORECASE)
ANY_VALUE = re.compile(rb'":"|"')
WRAPPERS = ("data", "value", "items", "results")

Play = Callable[["Fault", Answer, "Send", "Wire"], Awaitable[None]]
Change = Callable[["Fault", Answer, "Request"], Answer]


def changed(fault: Fault, answer: Answer, request: Request) -> Answer | None:
    """Return the answer that the fault makes of the true one; None if it is played."""
    change = CHANGES.get(fault.kind)
    if change is None:
        return None
    other = change(fault, answer, request)
    other.headers += fault.headers
    return other


async def play(fault: Fault, answer: Answer, send: Send, wire: Wire) -> None:
    """Send the true answer in the way of a fault that is no answer of its own."""
    answer.headers += fault.headers
    await PLAYS[fault.kind](fault, answer, send, wire)


def _status(fault: Fault, _answer: Answer, _request: Request) -> Answer:
    headers = _wait_headers(fault)
    if fault.body is None:
        return json_answer(fault.status, {"message": "Server Error"}, *headers)
    return Answer(fault.status, fault.body.encode(), "application/json", headers)


def _rate_limited(fault: Fault, _answer: Answer, _request: Request) -> Answer:
    return json_answer(429, {"message": "Too Many Attempts."}, *_wait_headers(fault))


def _wait_headers(fault: Fault) -> Headers:
    if fault.retry_after is None:
        return ()
    until = time.time() + fault.retry_after
    match fault.retry_after_form:
        case "date":
            return (("Retry-After", formatdate(until, usegmt=True)),)
        case "reset":
            return (("X-RateLimit-Reset", str(int(until + 0.999))),)
        case _:
            return (("Retry-After", f"{fault.retry_after:g}"),)


def _empty(_fault: Fault, _answer: Answer, _request: Request) -> Answer:
    return Answer(200)


def _no_content(_fault: Fault, _answer: Answer, _request: Request) -> Answer:
    return Answer(204, b"", None)


def _html(fault: Fault, _answer: Answer, _request: Request) -> Answer:
    return Answer(200, fault.body.encode() if fault.body else LOGIN_PAGE, HTML)


def _login_redirect(_fault: Fault, _answer: Answer, request: Request) -> Answer:
    return login_redirect(request)


def _truncated_json(_fault: Fault, answer: Answer, _request: Request) -> Answer:
    answer.body = answer.body[: len(answer.body) // 2]
    return answer


def _data_null(_fault: Fault, answer: Answer, _request: Request) -> Answer:
    document = msgspec.json.decode(answer.body or b"null")
    if isinstance(document, dict):
        changed = {key: None if key in WRAPPERS else document[key] for key in document}
        if changed != document:
            return json_answer(200, changed)
    return json_answer(200, {"data": None})


def _wrong_envelope(_fault: Fault, answer: Answer, _request: Request) -> Answer:
    wrapped = {"payload": {"content": msgspec.Raw(answer.body or b"null")}}
    return json_answer(200, wrapped)


def _rows_not_objects(_fault: Fault, answer: Answer, _request: Request) -> Answer:
    return _with_rows(answer, lambda _row: ["neither", 1, None])


def _wrong_types(_fault: Fault, answer: Answer, _request: Request) -> Answer:
    return _with_rows(answer, _wrong_row)


def _wrong_row(row: Any) -> object:
    if not isinstance(row, dict):
        return {"unexpected": row}
    return {key: _wrong_value(value) for key, value in row.items()}


def _wrong_value(value: object) -> object:
    if isinstance(value, list):
        return "not a list"
    return [value] if isinstance(value, str | dict) else {"value": value}


def _with_rows(answer: Answer, change: Callable[[Any], object]) -> Answer:
    document = msgspec.json.decode(answer.body or b"null")
    if isinstance(document, list):
        return json_answer(200, [change(row) for row in document])
    if not isinstance(document, dict):
        return json_answer(200, [change({"id": 1})])
    for key, value in document.items():
        if isinstance(value, list):
            document[key] = [change(row) for row in value]
            return json_answer(200, document)
    return json_answer(200, change(document))


def _invalid_utf8(_fault: Fault, answer: Answer, _request: Request) -> Answer:
    answer.body = _into_text(answer.body, b"\xff\xc3\x28")
    return answer


def _lone_surrogates(_fault: Fault, answer: Answer, _request: Request) -> Answer:
    answer.body = _into_text(answer.body, b"\\ud83d lone \\udc00")
    return answer


def _into_text(body: bytes, piece: bytes) -> bytes:
    match = TEXT_VALUE.search(body) or ANY_VALUE.search(body)
    if match is None:
        return b'["' + piece + b'"]'
    return body[: match.end()] + piece + body[match.end() :]


def _deep_nesting(fault: Fault, _answer: Answer, _request: Request) -> Answer:
    levels = fault.size or DEFAULT_NESTING
    return Answer(200, b'{"data":' + b"[" * levels + b"]" * levels + b"}")


def _million_keys(fault: Fault, _answer: Answer, _request: Request) -> Answer:
    return Answer(200, _many_keys(fault.size or DEFAULT_KEYS))


@lru_cache(maxsize=4)
def _many_keys(count: int) -> bytes:
    keys = ",".join(f'"k{number}":{number}' for number in range(count))
    return f'{{"data":[{{{keys}}}]}}'.encode()


def _gzip_bomb(fault: Fault, _answer: Answer, _request: Request) -> Answer:
    body = _bomb(fault.size or DEFAULT_MEGABYTES)
    return Answer(200, body, "application/json", (("Content-Encoding", "gzip"),))


@lru_cache(maxsize=4)
def _bomb(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = [packer.compress(b'{"data":[{"id":1,"text":"')]
    packed += [packer.compress(b"a" * MEGABYTE) for _ in range(megabytes)]
    return b"".join([*packed, packer.compress(b'"}]}'), packer.flush()])


async def _reset(_fault: Fault, _answer: Answer, _send: Send, wire: Wire) -> None:
    wire.reset()


async def _reset_mid_body(_fault: Fault, answer: Answer, _send: Send, wire: Wire) -> None:
    wire.write(_half(answer))
    # Let the half reach the client before the reset overtakes it.
    await wire.pause(0.01)
    wire.reset()


async def _cut_body(_fault: Fault, answer: Answer, _send: Send, wire: Wire) -> None:
    wire.write(_half(answer))
    wire.close()


async def _length_too_long(_fault: Fault, answer: Answer, _send: Send, wire: Wire) -> None:
    wire.write(_with_length(answer, len(answer.body) + 100))
    wire.close()


async def _length_too_short(_fault: Fault, answer: Answer, _send: Send, wire: Wire) -> None:
    wire.write(_with_length(answer, len(answer.body) // 2))
    wire.close()


async def _cut_chunked(_fault: Fault, answer: Answer, _send: Send, wire: Wire) -> None:
    half = answer.body[: len(answer.body) // 2] or b" "
    wire.write(answer.head(CHUNKED) + f"{len(half):x}\r\n".encode() + half + b"\r\n")
    wire.close()


async def _trickle(fault: Fault, answer: Answer, _send: Send, wire: Wire) -> None:
    # Past ASGI, so that the head trickles too.
    answer.headers += (CLOSE,)
    whole = answer.encode()
    step = max(1, -(-len(whole) // fault.pieces))
    for start in range(0, len(whole), step):
        wire.write(whole[start : start + step])
        await wire.pause(fault.delay_ms / 1000)
    wire.close()


async def _slow(fault: Fault, answer: Answer, send: Send, wire: Wire) -> None:
    await wire.pause(fault.delay_ms / 1000)
    await answer.send(send)


async def _never_ending(fault: Fault, answer: Answer, send: Send, wire: Wire) -> None:
    await answer.start(send)
    while True:
        await _piece(send, b" ")
        await wire.pause(fault.delay_ms / 1000)


async def _huge_body(fault: Fault, answer: Answer, send: Send, _wire: Wire) -> None:
    await answer.start(send)
    await _piece(send, b'{"data":[{"id":1,"text":"')
    megabyte = b"a" * MEGABYTE
    for _ in range(fault.size or DEFAULT_MEGABYTES):
        await _piece(send, megabyte)
    await _piece(send, b'"}]}', more=False)


async def _piece(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


def _half(answer: Answer) -> bytes:
    whole = _with_length(answer, len(answer.body))
    return whole[: len(whole) - (len(answer.body) + 1) // 2]


def _with_length(answer: Answer, length: int) -> bytes:
    return answer.head(("Content-Length", str(length))) + answer.body


CHANGES: dict[str, Change] = {
    "status": _status,
    "rate_limited": _rate_limited,
    "empty": _empty,
    "no_content": _no_content,
    "html": _html,
    "login_redirect": _login_redirect,
    "truncated_json": _truncated_json,
    "data_null": _data_null,
    "wrong_envelope": _wrong_envelope,
    "rows_not_objects": _rows_not_objects,
    "wrong_types": _wrong_types,
    "invalid_utf8": _invalid_utf8,
    "lone_surrogates": _lone_surrogates,
    "deep_nesting": _deep_nesting,
    "million_keys": _million_keys,
    "gzip_bomb": _gzip_bomb,
}
PLAYS: dict[str, Play] = {
    "reset": _reset,
    "reset_mid_body": _reset_mid_body,
    "slow": _slow,
    "trickle": _trickle,
    "never_ending": _never_ending,
    "cut_body": _cut_body,
    "length_too_long": _length_too_long,
    "length_too_short": _length_too_short,
    "cut_chunked": _cut_chunked,
    "huge_body": _huge_body,
}
