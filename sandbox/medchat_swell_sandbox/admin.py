"""Endpoints under ``/_sandbox/`` to look into a running sandbox and to steer it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

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

    from medchat_swell_sandbox.sandbox import Sandbox

PREFIX = "/_sandbox"
UNREADABLE = (msgspec.MsgspecError, KeyError, TypeError, ValueError)


class Changes(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST changes``; any kind and one of it unless told otherwise."""

    kind: str | None = None
    count: int = 1
    seed: int | None = None


class Admin:
    """Answers GET truth, requests, stats and POST quirks, faults, changes, reset.

    What cannot be read is a 400 with the reason.
    """

    def __init__(self, sandbox: Sandbox) -> None:
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
                Route("/reset", _endpoint(self._reset), methods=["POST"]),
            ],
            exception_handlers={
                HTTPException: _no_such_endpoint,
                **dict.fromkeys(UNREADABLE, _unreadable),
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
        """Add one fault or a list of them; an empty list clears the queue."""
        faults = msgspec.json.decode(body, type=Fault | list[Fault])
        faults = faults if isinstance(faults, list) else [faults]
        if not faults:
            self._sandbox.faults.clear()
        self._sandbox.faults.add(*faults)
        return {"pending": len(self._sandbox.faults.pending())}

    def _change(self, body: bytes) -> object:
        wish = msgspec.json.decode(body or b"{}", type=Changes)
        if wish.seed is not None:
            self._rng.seed(wish.seed)
        dataset = self._sandbox.dataset
        return [dataset.mutate(self._rng, wish.kind) for _ in range(wish.count)]

    def _reset(self, _body: bytes) -> object:
        """Forget the log and the faults; quirks and data stay."""
        self._sandbox.reset_log()
        self._sandbox.faults.clear()
        return {}


def _endpoint(answer: Callable[[bytes], object]) -> Callable[[Request], Awaitable[Response]]:
    # A coroutine, so that it runs in the server's own thread like everything else.
    async def endpoint(request: Request) -> Response:
        return _json(200, answer(await request.body()))

    return endpoint


async def _no_such_endpoint(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return _json(status, {"message": "no such endpoint"})


async def _unreadable(_request: Request, error: Exception) -> Response:
    return _json(400, {"message": f"{type(error).__name__}: {error}"})


def _json(status: int, document: object) -> Response:
    return Response(msgspec.json.encode(document), status, media_type=JSON)
