"""Minimal clients of both APIs, using only the standard library."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from medchat_swell_sandbox import Quirks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from medchat_swell_sandbox import Sandbox


ACCEPT_MEDCHAT = "application/vnd.medchat+json;v=1.0"


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def send(
    origin: str,
    target: str,
    headers: dict[str, str] | None = None,
    method: str = "GET",
    body: bytes | None = None,
) -> Reply:
    connection = http.client.HTTPConnection(urlsplit(origin).netloc, timeout=5)
    try:
        connection.request(method, target, body=body, headers=headers or {})
        answer = connection.getresponse()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, names, answer.read())
    finally:
        connection.close()


@dataclass
class MedChat:
    sandbox: Sandbox

    def headers(self) -> dict[str, str]:
        token = f"Bearer {self.sandbox.medchat_access_token}"
        return {"Accept": ACCEPT_MEDCHAT, "Authorization": token}

    def target(self, query: str = "") -> str:
        org = self.sandbox.medchat_org_id
        return f"/smschatapi/external/orgs/{org}/smsChats?{query}"

    def get(self, **options: object) -> Reply:
        """Send options (named without ``$``), encoded as in the vendor's documentation."""
        pairs = (f"${name}={quote(str(text))}" for name, text in options.items())
        return self.raw("&".join(pairs))

    def raw(self, query: str, **headers: str) -> Reply:
        given = {name.replace("_", "-"): text for name, text in headers.items()}
        return send(self.sandbox.origin, self.target(query), self.headers() | given)

    def rows(self, **options: object) -> list[dict[str, Any]]:
        reply = self.get(**options)
        assert reply.status == 200, reply.body
        rows: list[dict[str, Any]] = reply.json
        return rows

    def pages(self, size: int, **options: object) -> Iterator[list[dict[str, Any]]]:
        skip = 0
        while page := self.rows(top=size, skip=skip, **options):
            yield page
            skip += len(page)


@dataclass
class Swell:
    sandbox: Sandbox

    def get(self, path: str = "/messages", /, **given: object) -> Reply:
        token = self.sandbox.swell_api_token
        query = urlencode({"token": token} | given)
        accept = {"Accept": "application/json"}
        return send(self.sandbox.origin, f"/api/v1{path}?{query}", accept)

    def page(self, **given: object) -> dict[str, Any]:
        reply = self.get(**given)
        assert reply.status == 200, reply.body
        envelope: dict[str, Any] = reply.json
        return envelope

    def page_of(self, number: int) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.get(f"/messages/{number}").json["data"]
        return rows

    def ids(self, **given: object) -> list[int]:
        return [row["id"] for row in self.page(**{"per_page": 100, **given})["data"]]

    def count(self, **given: object) -> dict[str, Any]:
        reply = self.get("/messages/count", **given)
        assert reply.status == 200, reply.body
        counts: dict[str, Any] = reply.json
        return counts


Client = TypeVar("Client", MedChat, Swell)


def with_quirks(client: Client, **quirks: Any) -> Client:
    client.sandbox.quirks = Quirks(**quirks)
    return client
