"""A small HTTP/1.1 server that can also break every rule of HTTP when told to.

An ASGI server mends or refuses what a broken vendor sends (a wrong Content-Length, a
reset in mid-body); here the handler owns the connection and writes bytes.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

import httptools

from medchat_swell_sandbox.http import Answer, Request

if TYPE_CHECKING:
    from typing_extensions import Self

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
BACKLOG = 1024

Handler = Callable[[Request, "Connection"], Awaitable[None]]


class Connection(asyncio.Protocol):
    """One client's connection; requests on it are answered one after the other."""

    def __init__(self, handler: Handler, open_connections: set[Connection]) -> None:
        self._handler = handler
        self._open = open_connections
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start to parse (called by asyncio)."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Give up what is being answered (called by asyncio)."""
        self._open.discard(self)
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """Note that the client reads too slowly (called by asyncio)."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Note that the client has caught up (called by asyncio)."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Parse what the client sent (called by asyncio)."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.write(Answer(400, b"", None, (("Connection", "close"),)).encode())
            self.close()

    def on_message_begin(self) -> None:
        """Start a request (called by httptools)."""
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = b""

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target (called by httptools)."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header (called by httptools)."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body (called by httptools)."""
        self._body += body

    def on_message_complete(self) -> None:
        """Queue the request that is now whole (called by httptools)."""
        path, _, query = self._url.decode("latin-1").partition("?")
        method = self._parser.get_method().decode("ascii")
        request = Request(method, unquote(path), query, self._headers, self._body)
        self._waiting.append((request, self._parser.should_keep_alive()))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._answer_all())

    async def _answer_all(self) -> None:
        try:
            while self._waiting:
                request, keep_alive = self._waiting.popleft()
                await self._handler(request, self)
                if not keep_alive:
                    self.close()
        finally:
            self._task = None

    @property
    def closed(self) -> bool:
        """Tell whether nothing more can be written."""
        return self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        if not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the client has read most of what was sent."""
        await self._writable.wait()

    def close(self) -> None:
        """Close once all is sent."""
        self._transport.close()

    def reset(self) -> None:
        """Close at once with a TCP reset, whatever is unsent."""
        raw: socket.socket = self._transport.get_extra_info("socket")
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._transport.abort()


class HttpServer:
    """Serves a handler on 127.0.0.1 in a thread of its own."""

    def __init__(self, handler: Handler, port: int = 0) -> None:
        self._handler = handler
        self._wanted_port = port
        self._connections: set[Connection] = set()
        self.port = 0

    def start(self) -> Self:
        """Bind and listen; connections are accepted when this returns."""
        listener = socket.socket()
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self._wanted_port))
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._loop = asyncio.new_event_loop()
        self._serving = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="medchat-swell-sandbox", daemon=True
        )
        self._thread.start()
        self._serving.wait()
        return self

    def stop(self) -> None:
        """Drop every connection and end the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        server = loop.run_until_complete(
            loop.create_server(
                lambda: Connection(self._handler, self._connections),
                sock=self._listener,
                backlog=BACKLOG,
            )
        )
        loop.call_soon(self._serving.set)
        try:
            loop.run_forever()
        finally:
            server.close()
            loop.run_until_complete(self._drop_connections())
            loop.close()

    async def _drop_connections(self) -> None:
        for connection in list(self._connections):
            connection.reset()
        here = asyncio.current_task()
        tasks = [task for task in asyncio.all_tasks() if task is not here]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # One more turn, in which the transports close their sockets.
        await asyncio.sleep(0)
