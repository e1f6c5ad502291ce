"""Requests as parsed and answers before they are put on the wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

JSON = "application/json"
HTML = "text/html; charset=UTF-8"
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

    def head(self, *framing: tuple[str, str]) -> bytes:
        """Return the status line and headers, ``framing`` among them."""
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


def _parts(query: str) -> Iterable[str]:
    return (part for part in query.split("&") if part)
