"""How each kind of fault changes the response, or what it sends instead."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from medchat_swell_sandbox.http import HTML, Headers, Response, json_response
from medchat_swell_sandbox.laravel import LOGIN_PAGE, login_redirect, maintenance

if TYPE_CHECKING:
    from starlette.types import Send

    from medchat_swell_sandbox.faults import Fault
    from medchat_swell_sandbox.http import Request
    from medchat_swell_sandbox.wire import Wire

Fields = dict[str, Any]

MEGABYTE = 1_000_000
DEFAULT_NESTING = 10_000
DEFAULT_KEYS = 1_000_000
DEFAULT_MEGABYTES = 100
CLOSE = ("Connection", "close")
CHUNKED = ("Transfer-Encoding", "chunked")
TEXT_VALUE = re.compile(rb'"(?:text|name)":"', re.IGNORECASE)
ANY_VALUE = re.compile(rb'":"|"')
OUTAGES: dict[str, Fields] = {
    "empty_status_error": {"status": "error", "message": "Service temporarily unavailable."},
    "empty_message": {"message": "Service temporarily unavailable."},
    "empty_code": {"code": 500},
    "empty_data": {},
}
WRAPPERS = ("data", "value", "items", "results")

Play = Callable[["Fault", Response, "Send", "Wire"], Awaitable[None]]
Change = Callable[["Fault", Response, "Request"], Response]


def changed(fault: Fault, response: Response, request: Request) -> Response | None:
    """Return the changed response; None if ``play`` must send the fault."""
    change = CHANGES.get(fault.kind)
    if change is None:
        return None
    other = change(fault, response, request)
    other.headers += fault.headers
    return other


async def play(fault: Fault, response: Response, send: Send, wire: Wire) -> None:
    """Send the response in a way that HTTP servers do not (slow, cut off, reset)."""
    response.headers += fault.headers
    await PLAYS[fault.kind](fault, response, send, wire)


def _status(fault: Fault, _response: Response, _request: Request) -> Response:
    headers = _wait_headers(fault)
    if fault.body is None:
        return json_response(fault.status, {"message": "Server Error"}, *headers)
    return Response(fault.status, fault.body.encode(), "application/json", headers)


def _rate_limited(fault: Fault, _response: Response, _request: Request) -> Response:
    return json_response(429, {"message": "Too Many Attempts."}, *_wait_headers(fault))


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


def _empty(_fault: Fault, _response: Response, _request: Request) -> Response:
    return Response(200)


def _no_content(_fault: Fault, _response: Response, _request: Request) -> Response:
    return Response(204, b"", None)


def _json_null(_fault: Fault, _response: Response, _request: Request) -> Response:
    return json_response(200, None)


def _empty_data(fault: Fault, _response: Response, _request: Request) -> Response:
    return json_response(200, {**OUTAGES[fault.kind], "data": []})


def _empty_page(_fault: Fault, response: Response, _request: Request) -> Response:
    return _without_rows(response, meta={}, links={})


def _empty_list(_fault: Fault, response: Response, _request: Request) -> Response:
    return _without_rows(response, meta={"total": 0, "last_page": 1}, links={"next": None})


def _without_rows(response: Response, *, meta: Fields, links: Fields) -> Response:
    document = msgspec.json.decode(response.body or b"null")
    if not isinstance(document, dict):
        return json_response(200, [])
    wrapper = next((key for key in WRAPPERS if key in document), "data")
    changes: Fields = {wrapper: []}
    if "meta" in document:
        changes["meta"] = {**document["meta"], "from": None, "to": None, **meta}
    if "links" in document:
        changes["links"] = {**document["links"], **links}
    return json_response(200, document | changes)


def _html(fault: Fault, _response: Response, _request: Request) -> Response:
    return Response(200, fault.body.encode() if fault.body else LOGIN_PAGE, HTML)


def _maintenance(fault: Fault, _response: Response, _request: Request) -> Response:
    return maintenance(fault.retry_after)


def _login_redirect(_fault: Fault, _response: Response, request: Request) -> Response:
    return login_redirect(request)


def _truncated_json(_fault: Fault, response: Response, _request: Request) -> Response:
    response.body = response.body[: len(response.body) // 2]
    return response


def _data_null(_fault: Fault, response: Response, _request: Request) -> Response:
    document = msgspec.json.decode(response.body or b"null")
    if isinstance(document, dict):
        changed = {key: None if key in WRAPPERS else document[key] for key in document}
        if changed != document:
            return json_response(200, changed)
    return json_response(200, {"data": None})


def _wrong_envelope(_fault: Fault, response: Response, _request: Request) -> Response:
    wrapped = {"payload": {"content": msgspec.Raw(response.body or b"null")}}
    return json_response(200, wrapped)


def _rows_not_objects(_fault: Fault, response: Response, _request: Request) -> Response:
    return _with_rows(response, lambda _row: ["neither", 1, None])


def _wrong_types(_fault: Fault, response: Response, _request: Request) -> Response:
    return _with_rows(response, _wrong_row)


def _wrong_row(row: Any) -> object:
    if not isinstance(row, dict):
        return {"unexpected": row}
    return {key: _wrong_value(value) for key, value in row.items()}


def _wrong_value(value: object) -> object:
    if isinstance(value, list):
        return "not a list"
    return [value] if isinstance(value, str | dict) else {"value": value}


def _with_rows(response: Response, change: Callable[[Any], object]) -> Response:
    document = msgspec.json.decode(response.body or b"null")
    if isinstance(document, list):
        return json_response(200, [change(row) for row in document])
    if not isinstance(document, dict):
        return json_response(200, [change({"id": 1})])
    for key, value in document.items():
        if isinstance(value, list):
            document[key] = [change(row) for row in value]
            return json_response(200, document)
    return json_response(200, change(document))


def _invalid_utf8(_fault: Fault, response: Response, _request: Request) -> Response:
    response.body = _into_text(response.body, b"\xff\xc3\x28")
    return response


def _lone_surrogates(_fault: Fault, response: Response, _request: Request) -> Response:
    response.body = _into_text(response.body, b"\\ud83d lone \\udc00")
    return response


def _into_text(body: bytes, piece: bytes) -> bytes:
    match = TEXT_VALUE.search(body) or ANY_VALUE.search(body)
    if match is None:
        return body  # an empty list has no text
    return body[: match.end()] + piece + body[match.end() :]


def _deep_nesting(fault: Fault, _response: Response, _request: Request) -> Response:
    levels = fault.size or DEFAULT_NESTING
    return Response(200, b'{"data":' + b"[" * levels + b"]" * levels + b"}")


def _million_keys(fault: Fault, _response: Response, _request: Request) -> Response:
    return Response(200, _many_keys(fault.size or DEFAULT_KEYS))


@lru_cache(maxsize=4)
def _many_keys(count: int) -> bytes:
    keys = ",".join(f'"k{number}":{number}' for number in range(count))
    return f'{{"data":[{{{keys}}}]}}'.encode()


def _gzip_bomb(fault: Fault, _response: Response, _request: Request) -> Response:
    body = _bomb(fault.size or DEFAULT_MEGABYTES)
    return Response(200, body, "application/json", (("Content-Encoding", "gzip"),))


@lru_cache(maxsize=4)
def _bomb(megabytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = [packer.compress(b'{"data":[{"id":1,"text":"')]
    packed += [packer.compress(b"a" * MEGABYTE) for _ in range(megabytes)]
    return b"".join([*packed, packer.compress(b'"}]}'), packer.flush()])


async def _reset(_fault: Fault, _response: Response, _send: Send, wire: Wire) -> None:
    wire.reset()


async def _reset_mid_body(_fault: Fault, response: Response, _send: Send, wire: Wire) -> None:
    wire.write(_half(response))
    # Give the client time to receive the half before the reset.
    await wire.pause(0.01)
    wire.reset()


async def _cut_body(_fault: Fault, response: Response, _send: Send, wire: Wire) -> None:
    wire.write(_half(response))
    wire.close()


async def _length_too_long(_fault: Fault, response: Response, _send: Send, wire: Wire) -> None:
    wire.write(_with_length(response, len(response.body) + 100))
    wire.close()


async def _length_too_short(_fault: Fault, response: Response, _send: Send, wire: Wire) -> None:
    wire.write(_with_length(response, len(response.body) // 2))
    wire.close()


async def _cut_chunked(_fault: Fault, response: Response, _send: Send, wire: Wire) -> None:
    half = response.body[: len(response.body) // 2] or b" "
    wire.write(response.head(CHUNKED) + f"{len(half):x}\r\n".encode() + half + b"\r\n")
    wire.close()


async def _trickle(fault: Fault, response: Response, _send: Send, wire: Wire) -> None:
    # Bypasses ASGI so that the headers trickle too.
    response.headers += (CLOSE,)
    whole = response.encode()
    step = max(1, -(-len(whole) // fault.pieces))
    for start in range(0, len(whole), step):
        wire.write(whole[start : start + step])
        await wire.pause(fault.delay_ms / 1000)
    wire.close()


async def _slow(fault: Fault, response: Response, send: Send, wire: Wire) -> None:
    await wire.pause(fault.delay_ms / 1000)
    await response.send(send)


async def _never_ending(fault: Fault, response: Response, send: Send, wire: Wire) -> None:
    await response.start(send)
    while True:
        await _piece(send, b" ")
        await wire.pause(fault.delay_ms / 1000)


async def _huge_body(fault: Fault, response: Response, send: Send, _wire: Wire) -> None:
    await response.start(send)
    await _piece(send, b'{"data":[{"id":1,"text":"')
    megabyte = b"a" * MEGABYTE
    for _ in range(fault.size or DEFAULT_MEGABYTES):
        await _piece(send, megabyte)
    await _piece(send, b'"}]}', more=False)


async def _piece(send: Send, body: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


def _half(response: Response) -> bytes:
    whole = _with_length(response, len(response.body))
    return whole[: len(whole) - (len(response.body) + 1) // 2]


def _with_length(response: Response, length: int) -> bytes:
    return response.head(("Content-Length", str(length))) + response.body


CHANGES: dict[str, Change] = {
    "status": _status,
    "rate_limited": _rate_limited,
    "empty": _empty,
    "no_content": _no_content,
    "json_null": _json_null,
    **dict.fromkeys(OUTAGES, _empty_data),
    "empty_page": _empty_page,
    "empty_list": _empty_list,
    "html": _html,
    "maintenance": _maintenance,
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
