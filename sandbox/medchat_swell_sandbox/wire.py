"""Direct access to the connection, for faults that break HTTP.

An ASGI server rejects or fixes what a broken vendor would send, such as a wrong
Content-Length or a reset in the middle of the body. Each request's scope therefore
contains its connection, in ``scope["extensions"][EXTENSION]["wire"]``. Code that writes
to it must also close it; the server then treats the client as disconnected.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from starlette.types import Scope

EXTENSION = "medchat_swell_sandbox"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ClientDisconnected(Exception):
    """The client disconnected before the response was sent."""


class Wire:
    """A client connection below HTTP."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def closing(self) -> bool:
        """Whether the connection is closing; further writes are ignored."""
        return self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send raw bytes."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Close after everything has been sent."""
        self._transport.close()

    def reset(self) -> None:
        """Close immediately with a TCP reset and discard unsent data."""
        raw: socket.socket = self._transport.get_extra_info("socket")
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._transport.abort()

    async def pause(self, seconds: float) -> None:
        """Sleep; raises ``ClientDisconnected`` as soon as the client disconnects."""
        gone, _ = await asyncio.wait({self._gone}, timeout=seconds)
        if gone:
            raise ClientDisconnected

    async def ended(self) -> None:
        """Wait until the connection is closed."""
        # Not awaited directly: canceling the task would cancel the future too.
        await asyncio.wait({self._gone})

    def lost(self) -> None:
        """Mark the connection as closed (called by the protocol)."""
        self._gone.set_result(None)


class WireProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which passes its connection to the application."""

    wire: Wire

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Create the wire (called by asyncio)."""
        super().connection_made(transport)
        self.wire = Wire(transport)
        self._extensions = {EXTENSION: {"wire": self.wire}}

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Wake up whoever waits on the wire (called by asyncio)."""
        super().connection_lost(exc)
        self.wire.lost()

    @override
    def on_message_begin(self) -> None:
        """Add the wire to the scope of a new request (called by httptools)."""
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)["extensions"] = self._extensions


def wire_of(scope: Scope) -> Wire:
    """Return the connection of a request."""
    wire: Wire = scope["extensions"][EXTENSION]["wire"]
    return wire
