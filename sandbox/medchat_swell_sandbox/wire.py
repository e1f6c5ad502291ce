"""The way past ASGI, for faults that HTTP forbids.

An ASGI server refuses or mends what a broken vendor sends: a wrong Content-Length, a
reset in mid-body. Each request's scope therefore holds its connection, under
``scope["extensions"][EXTENSION]["wire"]``. Whoever writes there also ends it; the server
then sees a client that has gone, and sends nothing of its own.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from starlette.types import Scope

EXTENSION = "medchat_swell_sandbox"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class ClientGone(Exception):
    """The connection ended before the answer did."""


class Wire:
    """One client's connection, below HTTP."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def closing(self) -> bool:
        """Tell whether nothing more can be written."""
        return self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Close once all is sent."""
        self._transport.close()

    def reset(self) -> None:
        """Close at once with a TCP reset, whatever is unsent."""
        raw: socket.socket = self._transport.get_extra_info("socket")
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self._transport.abort()

    async def pause(self, seconds: float) -> None:
        """Wait; raise ``ClientGone`` as soon as there is nobody to wait for."""
        gone, _ = await asyncio.wait({self._gone}, timeout=seconds)
        if gone:
            raise ClientGone

    async def ended(self) -> None:
        """Wait until the connection is no more."""
        # Not bare: cancelling a task also cancels the future that it awaits.
        await asyncio.wait({self._gone})

    def lost(self) -> None:
        """Note that the connection is no more (called by the protocol)."""
        self._gone.set_result(None)


class WireProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which hands its connection to the application."""

    wire: Wire

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Open the wire (called by asyncio)."""
        super().connection_made(transport)
        self.wire = Wire(transport)
        self._extensions = {EXTENSION: {"wire": self.wire}}

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits on the wire (called by asyncio)."""
        super().connection_lost(exc)
        self.wire.lost()

    def on_message_begin(self) -> None:
        """Put the wire into a new request's scope (called by httptools)."""
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)["extensions"] = self._extensions


def wire_of(scope: Scope) -> Wire:
    """Return the connection that a request came on."""
    wire: Wire = scope["extensions"][EXTENSION]["wire"]
    return wire
