"""HTTP requests and responses, between ASGI and the vendor code."""

from __future__ import annotations

import email.utils
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus

import msgspec

from medchat_swell_sandbox.clock import utc_now
from medchat_swell_sandbox.wire import ClientDisconnected

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
    """An HTTP request. Header names are lowercase; ``query`` is the raw string."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""

    @classmethod
    async def read(cls, scope: Scope, receive: Receive) -> Request:
        """Read a request from the server, including its body."""
        return cls(
            scope["method"],
            scope["path"],
            scope["query_string"].decode("latin-1"),
            {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
            # Neither vendor reads the body of other methods.
            await _body(receive) if scope["method"] == "POST" else b"",
        )

    @property
    def origin(self) -> str:
        """Scheme and host that the client used."""
        return f"http://{self.headers.get('host', '127.0.0.1')}"


def http_date() -> str:
    """The time by the vendors' clock, as the Date header has it."""
    return email.utils.format_datetime(utc_now(), usegmt=True)


@dataclass(slots=True)
class Response:
    """An HTTP response."""

    status: int
    body: bytes = b""
    content_type: str | None = JSON
    headers: Headers = field(default=())
    has_length: bool = True
    """Whether to send Content-Length; otherwise the body is chunked."""

    @property
    def is_valid(self) -> bool:
        """Whether an ASGI server accepts the status and headers."""
        return self.status in STATUSES and all(
            HEADER_NAME.fullmatch(name) and HEADER_VALUE.fullmatch(value)
            for name, value in self.headers
        )

    async def start(self, send: Send, *framing: tuple[bytes, bytes]) -> None:
        """Send the status line and headers, including ``framing``."""
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in self.headers
        ]
        if self.content_type:
            headers.append((b"content-type", self.content_type.encode("latin-1")))
        if not any(name == b"date" for name, _ in headers):
            headers.append((b"date", http_date().encode("latin-1")))
        headers += framing
        await send({"type": "http.response.start", "status": self.status, "headers": headers})

    async def send(self, send: Send) -> None:
        """Send the whole response."""
        if self.status == HTTPStatus.NO_CONTENT:
            await self.start(send)
            await send({"type": "http.response.body"})
            return
        length = (b"content-length", b"%d" % len(self.body))
        await self.start(send, *((length,) if self.has_length else ()))
        await send({"type": "http.response.body", "body": self.body})

    def head(self, *framing: tuple[str, str]) -> bytes:
        """Return the status line and headers as bytes, including ``framing``."""
        reason = REASONS.get(self.status, "Unknown")
        lines = [f"HTTP/1.1 {self.status} {reason}"]
        if self.content_type:
            lines.append(f"Content-Type: {self.content_type}")
        lines += [f"{name}: {value}" for name, value in (*self.headers, *framing)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def encode(self) -> bytes:
        """Return the response as bytes, with the correct Content-Length."""
        if self.status == HTTPStatus.NO_CONTENT:
            return self.head()
        return self.head(("Content-Length", str(len(self.body)))) + self.body


def json_response(status: int, document: object, *headers: tuple[str, str]) -> Response:
    """Return a JSON response."""
    return Response(status, msgspec.json.encode(document), JSON, headers)


def parameters(query: str, *, plus_is_space: bool) -> list[tuple[str, str]]:
    """Decode a query string into names and values, keeping duplicates."""
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
            raise ClientDisconnected
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _parts(query: str) -> Iterable[str]:
    return (part for part in query.split("&") if part)
