"""Endpoints under ``/_sandbox/`` to look into a running sandbox and to steer it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import msgspec

from medchat_swell_sandbox.faults import Fault
from medchat_swell_sandbox.http import Answer, Request, json_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from medchat_swell_sandbox.sandbox import Sandbox

PREFIX = "/_sandbox/"


class Changes(msgspec.Struct, forbid_unknown_fields=True):
    """Body of ``POST changes``; any kind and one of it unless told otherwise."""

    kind: str | None = None
    count: int = 1
    seed: int | None = None


class Admin:
    """Answers GET truth, requests, stats and POST quirks, faults, changes, reset."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._rng = random.Random(0)  # noqa: S311 - reproducible dice, no secret
        self._routes: dict[tuple[str, str], Callable[[bytes], object]] = {
            ("GET", "truth"): self._truth,
            ("GET", "requests"): self._requests,
            ("GET", "stats"): self._stats,
            ("POST", "quirks"): self._set_quirks,
            ("POST", "faults"): self._add_faults,
            ("POST", "changes"): self._change,
            ("POST", "reset"): self._reset,
        }

    def answer(self, request: Request) -> Answer:
        """Answer with JSON; what cannot be read is a 400 with the reason."""
        route = self._routes.get((request.method, request.path.removeprefix(PREFIX)))
        if route is None:
            return json_answer(404, {"message": "no such endpoint"})
        try:
            return json_answer(200, route(request.body))
        except (msgspec.MsgspecError, KeyError, TypeError, ValueError) as error:
            return json_answer(400, {"message": f"{type(error).__name__}: {error}"})

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
