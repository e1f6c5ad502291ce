"""One GET over the network, with bounded time and memory.

Prepared requests go to the transport adapter of `requests` without a session, which would add
credentials from `.netrc`, follow redirects, keep cookies and re-encode the query.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import io
import ssl
import threading
import time
import typing as t

import requests
import requests.adapters
import urllib3
import urllib3.exceptions
from requests.exceptions import ConnectTimeout, ProxyError, SSLError, Timeout
from requests.structures import CaseInsensitiveDict
from typing_extensions import override

from tap_medchat_swell.errors import PageTooLargeError, VendorError
from tap_medchat_swell.http.responses import Action, ResponseError

if t.TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from tap_medchat_swell.http.responses import Vendor
    from tap_medchat_swell.settings import Options

UNTRUSTED = (
    "{vendor} did not present a valid certificate. Behind a company's proxy, set "
    "REQUESTS_CA_BUNDLE to its certificates."
)
BAD_BUNDLE = "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE is not a file of certificates."
# The vendors' URLs have been validated: one that cannot be parsed is a proxy's.
BAD_PROXY_URL = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    urllib3.exceptions.LocationParseError,
)
TRANSIENT = {
    SSLError: "{vendor}: the TLS handshake failed. Check {prefix}_api_url.",
    ProxyError: "{vendor} cannot be reached through the configured proxy. Check HTTPS_PROXY.",
    ConnectTimeout: "{vendor} did not accept a connection within connect_timeout_seconds.",
    Timeout: "{vendor} did not answer within read_timeout_seconds.",
    Exception: "{vendor} cannot be reached, or closed the connection. If this persists, check "
    "{prefix}_api_url and the network.",
}
CHUNK = 1 << 20
LARGE = 4 << 20
ANSWER_TIMEOUTS = 10  # a whole response may take this many read timeouts
NETWORK_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


class Answer(t.NamedTuple):
    """A complete response; header names are lowercase."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Deadline(io.RawIOBase):
    """Reads a connection until a deadline; a timeout alone does not bound a slow trickle."""

    def __init__(self, raw: io.RawIOBase, seconds: float) -> None:
        self._raw = raw
        self._end = time.monotonic() + seconds

    @override
    def readable(self) -> bool:
        """Return True."""
        return True

    @override
    def readinto(self, buffer: t.Any) -> int | None:
        """Read what has arrived; raises TimeoutError after the deadline."""
        if time.monotonic() > self._end:
            raise TimeoutError
        return t.cast("t.Any", self._raw).readinto(buffer)  # type: ignore[no-any-return]

    @override
    def close(self) -> None:
        """Close the connection's own stream as well."""
        self._raw.close()
        super().close()


def _response_within(seconds: float, *args: t.Any, **kwargs: t.Any) -> http.client.HTTPResponse:
    """A response that takes at most this long, headers and body."""
    response = http.client.HTTPResponse(*args, **kwargs)
    response.fp = io.BufferedReader(Deadline(response.fp.detach(), seconds))
    return response


class OneHostAdapter(requests.adapters.HTTPAdapter):
    """Sends all requests to one host, through one connection pool.

    `requests` looks up proxy, certificates, pool and cookies for every request, which takes a
    third of a request's CPU time.
    """

    _pool: t.Any = None

    def __init__(self, answer_seconds: float, connections: int) -> None:
        super().__init__(pool_connections=1, pool_maxsize=connections)
        self._response_class = staticmethod(functools.partial(_response_within, answer_seconds))

    @override
    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: t.Any,
        proxies: t.Any = None,
        cert: t.Any = None,
    ) -> t.Any:
        """The connection pool, which verifies the host's certificate from the start."""
        if self._pool is None:
            pool: t.Any = super().get_connection_with_tls_context(request, verify, proxies, cert)
            super().cert_verify(pool, request.url, verify, cert)  # type: ignore[no-untyped-call]
            kind = pool.ConnectionCls

            def connect(connection: t.Any) -> None:
                kind.connect(connection)
                version = getattr(connection.sock, "version", None)  # no socket without TLS has it
                # Not in the adapter: urllib3 would then keep it, and its sockets, for good.
                type(connection).tls_version = (version and version()) or ""

            own = {"response_class": self._response_class, "connect": connect, "tls_version": ""}
            pool.ConnectionCls = type("Connection", (kind,), own)
            self._pool = pool
        return self._pool

    @property
    def tls_version(self) -> str:
        """That of the last connection; empty without TLS."""
        return str(self._pool.ConnectionCls.tls_version) if self._pool else ""

    @override
    def cert_verify(self, conn: object, url: object, verify: object, cert: object) -> None:
        """Do nothing: the pool is set up to verify."""

    @override
    def build_response(  # type: ignore[override]  # ty: ignore[incompatible-method-override]
        self, req: requests.PreparedRequest, resp: urllib3.HTTPResponse
    ) -> urllib3.HTTPResponse:
        """Return urllib3's response; cookies and encodings are not needed."""
        del req
        return resp


class Transport:
    """Gets responses from one vendor; shared by all workers.

    Network failures raise ResponseError, whose sentence depends only on their type: their own
    texts contain the URL and its token.
    """

    def __init__(self, vendor: Vendor, options: Options, headers: Mapping[str, str]) -> None:
        self._vendor = vendor
        self._options = options
        self._headers = CaseInsensitiveDict(
            {"User-Agent": options.user_agent, "Accept-Encoding": "gzip, deflate", **headers}
        )
        self._adapter = OneHostAdapter(
            ANSWER_TIMEOUTS * options.read_timeout_seconds, options.max_concurrency
        )
        self._environment: dict[str, t.Any] | None = None
        self._one_large = threading.Lock()

    @property
    def tls_version(self) -> str:
        """The version of the last connection, such as TLSv1.3; empty without TLS."""
        return self._adapter.tls_version

    def close(self) -> None:
        """Drop idle connections."""
        self._adapter.close()

    @contextlib.contextmanager
    def get(self, url: str) -> Generator[Answer]:
        """Get a response; only one large one at a time is in memory while this context lasts."""
        with contextlib.ExitStack() as stack:
            response = self._send(url)
            body = self._body(response, stack)
            headers = {name.lower(): value for name, value in response.headers.items()}
            yield Answer(response.status, headers, body)

    def _send(self, url: str) -> urllib3.HTTPResponse:
        request = requests.PreparedRequest()
        request.method = "GET"
        request.url = url
        request.headers = self._headers
        if self._environment is None:
            self._environment = environment(url)
        options = self._options
        timeout = (options.connect_timeout_seconds, options.read_timeout_seconds)
        try:
            response = self._adapter.send(
                request, stream=True, timeout=timeout, **self._environment
            )
            return t.cast("urllib3.HTTPResponse", response)
        except NETWORK_ERRORS as error:
            action, sentence = _reason(error)
            name = self._vendor.name
            sentence = sentence.format(vendor=name, prefix=name.lower())
            raise ResponseError(action, VendorError(sentence)) from None

    def _body(self, response: urllib3.HTTPResponse, stack: contextlib.ExitStack) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            # Not read, which waits for a full chunk however slowly the bytes arrive.
            while chunk := response.read1(CHUNK, decode_content=True):
                if size <= LARGE < size + len(chunk):
                    stack.enter_context(self._one_large)
                chunks.append(chunk)
                size += len(chunk)
                self._check_size(size)
        except NETWORK_ERRORS as error:
            response.close()
            timed_out = isinstance(error, (Timeout, urllib3.exceptions.TimeoutError))
            what = "took too long" if timed_out else "was interrupted"
            sentence = f"A response from {self._vendor.name} {what}."
            raise ResponseError(Action.RETRY, VendorError(sentence)) from None
        except ResponseError:
            response.close()  # the connection cannot be used again
            raise
        response.release_conn()
        return b"".join(chunks)

    def _check_size(self, size: int) -> None:
        limit = self._options.max_response_mb
        if size > limit << 20:
            sentence = (
                f"{self._vendor.name} sent a response of over {limit} MiB. Reduce the page size "
                "or increase max_response_mb."
            )
            raise ResponseError(Action.FAIL, PageTooLargeError(sentence))


def _reason(error: Exception) -> tuple[Action, str]:
    """What helps against a failure to reach a vendor, and the sentence for it."""
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return Action.FAIL, UNTRUSTED
    if any(isinstance(cause, ssl.SSLError) and cause.library == "X509" for cause in causes):
        return Action.FAIL, BAD_BUNDLE  # a file without certificates
    if type(error) is OSError and error.errno is None:  # raised by `requests`: no such file
        return Action.FAIL, BAD_BUNDLE
    if isinstance(error, BAD_PROXY_URL):
        return Action.FAIL, "HTTPS_PROXY or ALL_PROXY is not a valid proxy URL."
    return Action.RETRY, next(TRANSIENT[kind] for kind in TRANSIENT if isinstance(error, kind))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def environment(url: str) -> dict[str, t.Any]:
    """The environment's proxies and certificate bundles, as `requests` reads them.

    Plain http, which is allowed to this machine only, never goes through a proxy.
    """
    with requests.Session() as session:
        settings = session.merge_environment_settings(url, {}, None, None, None)
    proxies = {} if url.lower().startswith("http://") else settings["proxies"]
    return {"proxies": proxies, "verify": settings["verify"], "cert": settings["cert"]}
