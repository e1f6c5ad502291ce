"""The running sandbox: a dataset, its quirks and faults, and an ASGI application."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Mount, Route, Router

from medchat_swell_sandbox import medchat, swell
from medchat_swell_sandbox.admin import PREFIX, Admin
from medchat_swell_sandbox.credentials import Credentials
from medchat_swell_sandbox.dataset import Dataset
from medchat_swell_sandbox.fault_answers import changed, play
from medchat_swell_sandbox.faults import FaultQueue
from medchat_swell_sandbox.http import HTML, Answer, Request, json_answer, parameters
from medchat_swell_sandbox.laravel import LOGIN_PAGE
from medchat_swell_sandbox.quirks import Quirks
from medchat_swell_sandbox.request_log import RequestLog, RequestRecord
from medchat_swell_sandbox.server import HttpServer
from medchat_swell_sandbox.wire import ClientGone, wire_of

if TYPE_CHECKING:
    from starlette import requests
    from starlette.types import Receive, Scope, Send
    from typing_extensions import Self

    from medchat_swell_sandbox.truth import Truth
    from medchat_swell_sandbox.wire import Wire

OnRequest = Callable[[int, str, str, dict[str, str]], None]


class Sandbox:
    """Serves a dataset on 127.0.0.1 while used as a context manager.

    ``quirks``, ``on_request``, ``latency_ms`` and ``jitter_ms`` may be set any time.
    ``on_request(n, vendor, path, query)`` is called in the server's thread before the
    n-th request is answered, and nothing else is served until it returns: what it
    changes in the dataset shows in that very answer. ``query`` is decoded and holds no
    token.
    """

    def __init__(  # noqa: PLR0913 - one keyword per setting
        self,
        dataset: Dataset | None = None,
        *,
        quirks: Quirks | None = None,
        port: int = 0,
        latency_ms: float = 0,
        jitter_ms: float = 0,
        seed: int = 0,
        credentials: Credentials | None = None,
    ) -> None:
        self.quirks = quirks or Quirks()
        self.credentials = credentials or Credentials()
        self.faults = FaultQueue(seed)
        self.latency_ms = latency_ms
        self.jitter_ms = jitter_ms
        self.on_request: OnRequest | None = None
        self._log = RequestLog()
        self._dice = random.Random(seed)
        # All paths but a few are a vendor's, so that is the way with the fewest steps.
        routes = [Mount(PREFIX, Admin(self).app), Route("/login", _login)]
        router = Router(routes, default=self._serve, redirect_slashes=False)
        self._server = HttpServer(router, port)
        self.reload(Dataset.generate() if dataset is None else dataset)

    def __enter__(self) -> Self:
        """Start to serve."""
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop at once, dropping what is under way."""
        self._server.stop()

    def run(self, ready: Callable[[], object]) -> None:
        """Serve in the main thread until SIGTERM or Ctrl-C, whose handlers are then called.

        ``ready`` is called once, when connections are accepted.
        """
        self._server.run(ready)

    def reload(self, dataset: Dataset) -> None:
        """Serve other data from now on; throttles start afresh, the log stays."""
        # One assignment each: the server's thread sees the old pair or the new.
        apis = (
            medchat.MedChatApi(dataset, self.credentials),
            swell.SwellApi(dataset, self.credentials),
        )
        self.dataset = dataset
        self._apis = apis

    def warm(self) -> None:
        """Encode every row beforehand: first pages become as fast as later ones."""
        for api in self._apis:
            api.warm(self.quirks)

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def medchat_api_url(self) -> str:
        """Base address of MedChat's API."""
        return self.origin + medchat.BASE

    @property
    def swell_api_url(self) -> str:
        """Base address of Swell's API."""
        return self.origin + swell.BASE

    @property
    def medchat_org_id(self) -> str:
        """The one organization that exists."""
        return self.credentials.medchat_org_id

    @property
    def medchat_access_token(self) -> str:
        """The one token that MedChat knows."""
        return self.credentials.medchat_access_token

    @property
    def swell_api_token(self) -> str:
        """The one token that Swell knows."""
        return self.credentials.swell_api_token

    @property
    def requests(self) -> list[RequestRecord]:
        """Vendor requests since the last ``reset_log()``, in order of arrival."""
        return self._log.records()

    @property
    def peak_concurrency(self) -> dict[str, int]:
        """Most requests open at once since the last ``reset_log()``, per vendor."""
        return self._log.peak()

    def reset_log(self) -> None:
        """Forget the requests so far."""
        self._log.reset()

    def truth(self) -> Truth:
        """Return the rows held now; see ``Dataset.truth``."""
        return self.dataset.truth()

    def tap_config(self, **overrides: object) -> dict[str, object]:
        """Return settings for a tap, from just before the oldest row on."""
        start = (self.dataset.oldest() - timedelta(seconds=1)).replace(microsecond=0)
        return {
            "medchat_org_id": self.medchat_org_id,
            "medchat_access_token": self.medchat_access_token,
            "medchat_api_url": self.medchat_api_url,
            "swell_api_token": self.swell_api_token,
            "swell_api_url": self.swell_api_url,
            "start_date": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
            **overrides,
        }

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request to a vendor, as an ASGI application."""
        wire = wire_of(scope)
        with suppress(ClientGone):
            request = await Request.read(scope, receive)
            answer = await self._answer_logged(request, send, wire)
            if answer is not None:
                await answer.send(send)
        if wire.closing:
            await wire.ended()

    async def _answer_logged(self, request: Request, send: Send, wire: Wire) -> Answer | None:
        vendor = "swell" if request.path.startswith(swell.BASE) else "medchat"
        query = dict(parameters(request.query, plus_is_space=True))
        query.pop("token", None)
        record = self._log.begin(vendor, request.method, request.path, query)
        # What a client has seen the end of is complete in the log.
        try:
            return await self._prepare(request, record, send, wire)
        finally:
            self._log.end(record)

    async def _prepare(
        self, request: Request, record: RequestRecord, send: Send, wire: Wire
    ) -> Answer | None:
        """Return the answer to send; None if a fault has sent it in its own way."""
        answer = self._answer(request, record)
        delay = self.latency_ms + self._dice.random() * self.jitter_ms
        if delay:
            await wire.pause(delay / 1000)
        fault = self.faults.draw(record.vendor, record.path)
        if fault is None:
            record.status = answer.status
            return answer
        record.fault = fault.kind
        other = changed(fault, answer, request)
        if other is None:
            record.status = None if fault.kind == "reset" else answer.status
            await play(fault, answer, send, wire)
            return None
        record.status = other.status
        if other.lawful:
            return other
        wire.write(other.encode())
        wire.close()
        return None

    def _answer(self, request: Request, record: RequestRecord) -> Answer:
        try:
            if self.on_request is not None:
                query = dict(record.query)
                self.on_request(record.number, record.vendor, record.path, query)
            api = self._apis[record.vendor == "swell"]
            return api.answer(request, self.quirks, record.number)
        except Exception as error:  # noqa: BLE001 - a broken hook must not hang a client
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            return json_answer(status, {"message": f"sandbox: {error!r}"})


async def _login(_request: requests.Request) -> Response:
    return Response(LOGIN_PAGE, media_type=HTML)
