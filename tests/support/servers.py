"""Servers that note what reaches them."""

from __future__ import annotations

import contextlib
import http.server
import socket
import threading
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator

Headers = dict[str, str]


class Recorder(http.server.ThreadingHTTPServer):
    """Answers every GET with `answer(path)`, and keeps paths and headers."""

    daemon_threads = True

    def __init__(self) -> None:
        self.seen: list[tuple[str, Headers]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, path: str, headers: Headers) -> tuple[int, Headers, bytes]:
        """Empty histories of both vendors."""
        del headers
        if "/count" in path:
            return 200, {}, b'{"received": 0, "sent": 0}'
        return 200, {}, b"[]" if "smsChats" in path else b'{"data": [], "meta": {"total": 0}}'

    @contextlib.contextmanager
    def serving(self) -> Iterator[Recorder]:
        """Serve until the end of the block."""
        thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.shutdown()
            self.server_close()
            thread.join()


class Proxy(Recorder):
    """A proxy that notes every request and opens no tunnel."""


class Handler(http.server.BaseHTTPRequestHandler):
    """Hands requests to the server object."""

    protocol_version = "HTTP/1.1"
    server: Recorder

    def do_GET(self) -> None:
        """Note the request and answer it."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.path, headers))
        status, more, body = self.server.answer(self.path, headers)
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_CONNECT(self) -> None:
        """Note the request and refuse it."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.path, headers))
        self.send_error(502)

    def log_message(self, *_: t.Any) -> None:
        """Say nothing."""


class Connections:
    """Notes every host that is looked up and every address that is connected to."""

    def __init__(self, patch: t.Any) -> None:
        self.hosts: set[str] = set()
        self.addresses: set[t.Any] = set()
        lookup, connect = socket.getaddrinfo, socket.socket.connect

        def noting_lookup(host: str, *args: t.Any, **kwargs: t.Any) -> t.Any:
            self.hosts.add(host)
            return lookup(host, *args, **kwargs)

        def noting_connect(own: socket.socket, address: t.Any) -> None:
            self.addresses.add(address)
            connect(own, address)

        patch.setattr(socket, "getaddrinfo", noting_lookup)
        patch.setattr(socket.socket, "connect", noting_connect)
