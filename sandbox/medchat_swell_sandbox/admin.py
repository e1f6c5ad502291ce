"""Endpoints under ``/_sandbox/`` to inspect and control a running sandbox."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import asdict
from datetime import datetime  # noqa: TC003 - msgspec reads the annotation
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from medchat_swell_sandbox.faults import Fault
from medchat_swell_sandbox.http import JSON

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from medchat_swell_sandbox.dataset import Dataset
    from medchat_swell_sandbox.faults import FaultQueue
    from medchat_swell_sandbox.quirks import Quirks
    from medchat_swell_sandbox.request_log import RequestRecord
    from medchat_swell_sandbox.truth import Truth

PREFIX = "/_sandbox"
INVALID_BODY = (msgspec.MsgspecError, KeyError, TypeError, ValueError)


class Changes(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST changes``; by default one change of a random kind."""

    kind: str | None = None
    count: int = 1
    seed: int | None = None


class Campaign(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST campaigns``; ``created`` defaults to now."""

    size: int
    created: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Controls(Protocol):
    """The parts of a running sandbox that the endpoints use."""

    quirks: Quirks
    faults: FaultQueue
    dataset: Dataset

    @property
    def requests(self) -> list[RequestRecord]:
        """Requests since the last reset."""

    @property
    def peak_concurrency(self) -> dict[str, int]:
        """Maximum concurrent requests since the last reset, per vendor."""

    def truth(self) -> Truth:
        """Return the current rows of each stream."""

    def reset_log(self) -> None:
        """Clear the request log."""


class Admin:
    """Handles GET truth, requests, stats; POST quirks, faults, changes, campaigns, reset.

    An invalid body returns a 400 with the reason.
    """

    def __init__(self, sandbox: Controls) -> None:
        self._sandbox = sandbox
        self._rng = random.Random(0)
        self.app = Starlette(
            routes=[
                Route("/truth", _endpoint(self._truth)),
                Route("/requests", _endpoint(self._requests)),
                Route("/stats", _endpoint(self._stats)),
                Route("/quirks", _endpoint(self._set_quirks), methods=["POST"]),
                Route("/faults", _endpoint(self._add_faults), methods=["POST"]),
                Route("/changes", _endpoint(self._change), methods=["POST"]),
                Route("/campaigns", _endpoint(self._add_campaign), methods=["POST"]),
                Route("/reset", _endpoint(self._reset), methods=["POST"]),
            ],
            exception_handlers={
                HTTPException: _unknown_endpoint,
                **dict.fromkeys(INVALID_BODY, _invalid_body),
            },
        )

    def _truth(self, _body: bytes) -> object:
        return self._sandbox.truth()

    def _requests(self, _body: bytes) -> object:
        return [asdict(record) for record in self._sandbox.requests]

    def _stats(self, _body: bytes) -> object:
        records = self._sandbox.requests
        return {
            "requests": Counter(record.vendor for record in records),
            "statuses": Counter(str(record.status) for record in records),
            "faults": Counter(record.fault for record in records if record.fault),
            "peak_concurrency": self._sandbox.peak_concurrency,
            "rows": {name: len(rows) for name, rows in self._sandbox.truth().items()},
        }

    def _set_quirks(self, body: bytes) -> object:
        changes = msgspec.json.decode(body, type=dict[str, Any])
        unknown = changes.keys() - self._sandbox.quirks.as_dict().keys()
        if unknown:
            raise KeyError(*sorted(unknown))
        self._sandbox.quirks = self._sandbox.quirks.replace(**changes)
        return self._sandbox.quirks.as_dict()

    def _add_faults(self, body: bytes) -> object:
        """Add one fault or a list; an empty list removes all faults."""
        faults = msgspec.json.decode(body, type=Fault | list[Fault])
        faults = faults if isinstance(faults, list) else [faults]
        if not faults:
            self._sandbox.faults.clear()
        self._sandbox.faults.add(*faults)
        return {"pending": len(self._sandbox.faults.pending())}

    def _change(self, body: bytes) -> object:
        wanted = msgspec.json.decode(body or b"{}", type=Changes)
        if wanted.seed is not None:
            self._rng.seed(wanted.seed)
        dataset = self._sandbox.dataset
        return [dataset.mutate(self._rng, wanted.kind) for _ in range(wanted.count)]

    def _add_campaign(self, body: bytes) -> object:
        wanted = msgspec.json.decode(body, type=Campaign)
        rows = self._sandbox.dataset.add_campaign(wanted.size, created=wanted.created)
        return {"swell_message_ids": [row.id for row in rows]}

    def _reset(self, _body: bytes) -> object:
        """Clear the request log and the faults; keep quirks and data."""
        self._sandbox.reset_log()
        self._sandbox.faults.clear()
        return {}


def _endpoint(handle: Callable[[bytes], object]) -> Callable[[Request], Awaitable[Response]]:
    # Starlette runs plain functions in other threads; a coroutine stays in the server's.
    async def endpoint(request: Request) -> Response:
        return _json(200, handle(await request.body()))

    return endpoint


async def _unknown_endpoint(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return _json(status, {"message": "unknown endpoint"})


async def _invalid_body(_request: Request, error: Exception) -> Response:
    return _json(400, {"message": f"{type(error).__name__}: {error}"})


def _json(status: int, document: object) -> Response:
    return Response(msgspec.json.encode(document), status, media_type=JSON)
