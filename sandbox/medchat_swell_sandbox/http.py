"""Requests and answers, between ASGI and the vendors' code."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus

import msgspec

from medchat_swell_sandbox.wire import ClientGone

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Receive, Scope, Send

JSON = "application/json"
HTML = "text/html; charset=UTF-8"
STATUSES = range(100, 600)
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
REASONS = {status.value: status.phrase for status in HTTPStatus}

Headers = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Request:
    """One request; ``headers`` have lower-case names, ``query`` is as it was sent."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""

    @classmethod
    async def read(cls, scope: Scope, receive: Receive) -> Request:
        """Take a request from the server, body included."""
        return cls(
            scope["method"],
            scope["path"],
            scope["query_string"].decode("latin-1"),
            {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            # No vendor reads another method's body.
            await _body(receive) if scope["method"] == "POST" else b"",
        )

    @property
    def origin(self) -> str:
        """Scheme and host as the client knows them."""
        return f"http://{self.headers.get('host', '127.0.0.1')}"


@dataclass(slots=True)
class Answer:
    """A whole response."""

    status: int
    body: bytes = b""
    content_type: str | None = JSON
    headers: Headers = field(default=())

    @property
    def lawful(self) -> bool:
        """Tell whether an ASGI server takes the status and the headers."""
        return self.status in STATUSES and all(
            HEADER_NAME.fullmatch(name) and HEADER_VALUE.fullmatch(value)
            for name, value in self.headers
        )

    async def start(self, send: Send, *framing: tuple[bytes, bytes]) -> None:
        """Send the status line and headers, ``framing`` among them."""
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in self.headers
        ]
        if self.content_type:
            headers.append((b"content-type", self.content_type.encode("latin-1")))
        headers += framing
        await send({"type": "http.response.start", "status": self.status, "headers": headers})

    async def send(self, send: Send) -> None:
        """Send the whole response, with its true length."""
        if self.status == HTTPStatus.NO_CONTENT:
            await self.start(send)
            await send({"type": "http.response.body"})
        else:
            await self.start(send, (b"content-length", b"%d" % len(self.body)))
            await send({"type": "http.response.body", "body": self.body})

    def head(self, *framing: tuple[str, str]) -> bytes:
        """Return the status line and headers as bytes, ``framing`` among them."""
        reason = REASONS.get(self.status, "Unknown")
        lines = [f"HTTP/1.1 {self.status} {reason}"]
        if self.content_type:
            lines.append(f"Content-Type: {self.content_type}")
        lines += [f"{name}: {value}" for name, value in (*self.headers, *framing)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def encode(self) -> bytes:
        """Return the response's bytes, with its true length."""
        if self.status == HTTPStatus.NO_CONTENT:
            return self.head()
        return self.head(("Content-Length", str(len(self.body)))) + self.body


def json_answer(status: int, document: object, *headers: tuple[str, str]) -> Answer:
    """Answer with a JSON document."""
    return Answer(status, msgspec.json.encode(document), JSON, headers)


def parameters(query: str, *, plus_is_space: bool) -> list[tuple[str, str]]:
    """Decode a query string into names and values, repeats kept."""
    decode = unquote_plus if plus_is_space else unquote
    return [
        (decode(name), decode(value))
        for name, _, value in (part.partition("=") for part in _parts(query))
    ]


async def _body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _parts(query: str) -> Iterable[str]:
    return (part for part in query.split("&") if part)
