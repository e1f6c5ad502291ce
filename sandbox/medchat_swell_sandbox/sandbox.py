"""The running sandbox: an ASGI application with a dataset, quirks and faults."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route, Router

from medchat_swell_sandbox import medchat, swell
from medchat_swell_sandbox.admin import PREFIX, Admin
from medchat_swell_sandbox.credentials import Credentials
from medchat_swell_sandbox.dataset import Dataset
from medchat_swell_sandbox.fault_responses import changed, play
from medchat_swell_sandbox.faults import FaultQueue
from medchat_swell_sandbox.http import Request, Response, json_response, parameters
from medchat_swell_sandbox.laravel import LOGIN_PAGE
from medchat_swell_sandbox.quirks import Quirks
from medchat_swell_sandbox.request_log import RequestLog, RequestRecord
from medchat_swell_sandbox.server import HttpServer
from medchat_swell_sandbox.wire import ClientDisconnected, wire_of

if TYPE_CHECKING:
    from starlette import requests
    from starlette.types import Receive, Scope, Send
    from typing_extensions import Self

    from medchat_swell_sandbox.truth import Truth
    from medchat_swell_sandbox.wire import Wire

OnRequest = Callable[[int, str, str, dict[str, str]], None]


class Sandbox:
    """Serves a dataset on 127.0.0.1 while open as a context manager.

    ``quirks``, ``on_request``, ``latency_ms`` and ``jitter_ms`` may change at any time.
    ``on_request(n, vendor, path, query)`` is called in the server thread before the
    n-th request is handled and blocks the server, so its changes to the dataset appear in
    that response. ``query`` is decoded and does not contain the token.
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
        self._rng = random.Random(seed)
        # Vendor paths are the default route because they are the fastest that way.
        routes = [Mount(PREFIX, Admin(self).app), Route("/login", _login)]
        router = Router(routes, default=self._serve, redirect_slashes=False)
        self._server = HttpServer(router, port)
        self.reload(Dataset.generate() if dataset is None else dataset)

    def __enter__(self) -> Self:
        """Start the server."""
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop immediately and drop open requests."""
        self._server.stop()

    def run(self, ready: Callable[[], object]) -> None:
        """Serve in the main thread until SIGTERM or Ctrl-C, then call their handlers.

        ``ready`` is called once the server accepts connections.
        """
        self._server.run(ready)

    def reload(self, dataset: Dataset) -> None:
        """Serve other data; resets the throttles and keeps the request log."""
        # Assigned at once, so the server thread never sees APIs of two datasets.
        apis = (
            medchat.MedChatApi(dataset, self.credentials),
            swell.SwellApi(dataset, self.credentials),
        )
        self.dataset = dataset
        self._apis = apis

    def warm(self) -> None:
        """Encode all rows in advance, so that first requests are as fast as later ones."""
        for api in self._apis:
            api.warm(self.quirks)

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def medchat_api_url(self) -> str:
        """Base URL of the MedChat API."""
        return self.origin + medchat.BASE

    @property
    def swell_api_url(self) -> str:
        """Base URL of the Swell API."""
        return self.origin + swell.BASE

    @property
    def medchat_org_id(self) -> str:
        """The valid organization id."""
        return self.credentials.medchat_org_id

    @property
    def medchat_access_token(self) -> str:
        """The valid MedChat token."""
        return self.credentials.medchat_access_token

    @property
    def swell_api_token(self) -> str:
        """The valid Swell token."""
        return self.credentials.swell_api_token

    @property
    def requests(self) -> list[RequestRecord]:
        """Vendor requests since the last ``reset_log()``, in order."""
        return self._log.records()

    @property
    def peak_concurrency(self) -> dict[str, int]:
        """Maximum concurrent requests since the last ``reset_log()``, per vendor."""
        return self._log.peak()

    def reset_log(self) -> None:
        """Clear the request log."""
        self._log.reset()

    def truth(self) -> Truth:
        """Return the current rows of each stream; see ``Dataset.truth``."""
        return self.dataset.truth()

    def tap_config(self, **overrides: object) -> dict[str, object]:
        """Return tap settings, with a start date just before the oldest row."""
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
        """Handle a vendor request (ASGI application)."""
        wire = wire_of(scope)
        with suppress(ClientDisconnected):
            request = await Request.read(scope, receive)
            response = await self._respond_logged(request, send, wire)
            if response is not None:
                await response.send(send)
        if wire.closing:
            await wire.ended()

    async def _respond_logged(self, request: Request, send: Send, wire: Wire) -> Response | None:
        vendor = "swell" if request.path.startswith(swell.BASE) else "medchat"
        query = dict(parameters(request.query, plus_is_space=True))
        query.pop("token", None)
        record = self._log.begin(vendor, request.method, request.path, query)
        # The log entry must be complete before the client sees the end of the response.
        try:
            return await self._prepare(request, record, send, wire)
        finally:
            self._log.end(record)

    async def _prepare(
        self, request: Request, record: RequestRecord, send: Send, wire: Wire
    ) -> Response | None:
        """Return the response to send; None if a fault has already sent it."""
        response = self._respond(request, record)
        delay = self.latency_ms + self._rng.random() * self.jitter_ms
        if delay:
            await wire.pause(delay / 1000)
        url = f"{request.path}?{request.query}"
        fault = self.faults.draw(record.vendor, url, _page(record.query))
        if fault is None:
            record.status = response.status
            return response
        record.fault = fault.kind
        other = changed(fault, response, request)
        if other is None:
            record.status = None if fault.kind == "reset" else response.status
            await play(fault, response, send, wire)
            return None
        record.status = other.status
        if other.is_valid:
            return other
        wire.write(other.encode())
        wire.close()
        return None

    def _respond(self, request: Request, record: RequestRecord) -> Response:
        try:
            if self.on_request is not None:
                query = dict(record.query)
                self.on_request(record.number, record.vendor, record.path, query)
            api = self._apis[record.vendor == "swell"]
            return api.respond(request, self.quirks, record.number)
        except Exception as error:  # noqa: BLE001 - a failing hook must not hang the client
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            return json_response(status, {"message": f"sandbox: {error!r}"})


def _page(query: dict[str, str]) -> int:
    text = query.get("page", "1")
    return int(text) if text.isascii() and text.isdigit() else 1


async def _login(_request: requests.Request) -> HTMLResponse:
    return HTMLResponse(LOGIN_PAGE)
