"""uvicorn on 127.0.0.1, in a thread (Python) or in the foreground (command)."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import uvicorn
from typing_extensions import override

from medchat_swell_sandbox.wire import WireProtocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from starlette.types import ASGIApp
    from typing_extensions import Self

BACKLOG = 1024
# A test may pause for minutes; idle connections must stay open.
KEEP_ALIVE_SECONDS = 24 * 3600
DATE_HEADER_SECONDS = 1
LAST_ITERATIONS_SECONDS = 1


class PromptServer(uvicorn.Server):
    """A uvicorn server that stops immediately instead of waiting for its clients."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], object]) -> None:
        super().__init__(config)
        self._ready = ready
        self._wake: Callable[[], object] = lambda: None

    def end(self) -> None:
        """Stop serving; may be called from any thread or signal handler."""
        self.should_exit = True
        self._wake()

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop on a signal (called by uvicorn)."""
        super().handle_exit(sig, frame)
        self._wake()

    @override
    async def main_loop(self) -> None:
        """Serve until stopped (called by uvicorn)."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        self._wake = lambda: loop.call_soon_threadsafe(ended.set)
        # A tick at 0 updates the Date header.
        await self.on_tick(0)
        self._ready()
        while not self.should_exit:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(ended.wait(), DATE_HEADER_SECONDS)
            await self.on_tick(0)

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drop all connections (called by uvicorn)."""
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        # Sockets just accepted become connections in the next loop iteration.
        await asyncio.sleep(0)
        for connection in list(self.server_state.connections):
            cast("WireProtocol", connection).wire.reset()
        # One more iteration, in which the transports close their sockets.
        await asyncio.sleep(0)
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=LAST_ITERATIONS_SECONDS)


class HttpServer:
    """Serves an ASGI application; may be restarted after it stops."""

    def __init__(self, app: ASGIApp, port: int = 0) -> None:
        self._app = app
        self._wanted_port = port
        self.port = 0

    def start(self) -> Self:
        """Bind and serve in a thread; accepts connections once this returns."""
        ready = threading.Event()
        listener = self._listen()
        self._server = self._uvicorn(ready.set)
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="medchat-swell-sandbox", daemon=True
        )
        self._thread.start()
        while not ready.wait(1) and self._thread.is_alive():
            pass
        return self

    def stop(self) -> None:
        """Drop all connections and stop the thread."""
        self._server.end()
        self._thread.join()

    def run(self, ready: Callable[[], object]) -> None:
        """Serve in the main thread until a signal; ``ready`` is called once."""
        listener = self._listen()
        self._uvicorn(ready).run([listener])

    def _uvicorn(self, ready: Callable[[], object]) -> PromptServer:
        config = uvicorn.Config(
            self._app,
            loop="asyncio",
            http=WireProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            workers=1,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            proxy_headers=False,
            server_header=False,
            date_header=False,  # `Response` sends it, by the vendors' clock
            # The host process has its own logging setup.
            log_config=None,
            log_level="error",
            access_log=False,
        )
        return PromptServer(config, ready)

    def _listen(self) -> socket.socket:
        # asyncio disables Nagle's algorithm only if the protocol is set; headers and body
        # are two writes.
        listener = socket.socket(proto=socket.IPPROTO_TCP)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self._wanted_port))
            listener.listen(BACKLOG)
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        return listener
