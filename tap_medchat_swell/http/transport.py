"""One GET over the wire, within bounds of time and memory.

Prepared requests go through the transport adapter of `requests`, past its session: a
session would add credentials from `.netrc`, follow redirects, keep cookies and
re-encode the query, none of which these APIs want.
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
from dataclasses import dataclass

import requests
import requests.adapters
import urllib3
import urllib3.exceptions

from tap_medchat_swell.errors import PageTooLargeError, VendorError
from tap_medchat_swell.http.responses import Action, ResponseError

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_medchat_swell.http.responses import Vendor
    from tap_medchat_swell.settings import Options

UNTRUSTED = (
    "{vendor} does not show a valid certificate. Behind a company's proxy, set "
    "REQUESTS_CA_BUNDLE to its certificates."
)
UNREACHABLE = (
    "{vendor} cannot be reached or broke the connection off. Check {prefix}_api_url and the "
    "network if this stays so."
)
# The vendors' own addresses have been checked: what cannot be parsed is a proxy's.
NO_ADDRESS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    urllib3.exceptions.LocationParseError,
)
REASONS: tuple[tuple[t.Any, Action, str], ...] = (
    (
        requests.exceptions.SSLError,
        Action.RETRY,
        "{vendor} does not speak TLS as expected. Check {prefix}_api_url.",
    ),
    (
        requests.exceptions.ProxyError,
        Action.RETRY,
        "{vendor} cannot be reached through the proxy of the environment. Check HTTPS_PROXY.",
    ),
    (
        requests.exceptions.ConnectTimeout,
        Action.RETRY,
        "{vendor} did not accept a connection within connect_timeout_seconds.",
    ),
    (
        requests.exceptions.Timeout,
        Action.RETRY,
        "{vendor} did not answer within read_timeout_seconds.",
    ),
    (NO_ADDRESS, Action.FAIL, "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names a proxy of no use."),
)
CHUNK = 1 << 20
LARGE = 4 << 20
ANSWER_TIMEOUTS = 10  # a whole answer may take so many read time-outs
NETWORK_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


@dataclass(frozen=True)
class Answer:
    """What came; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Deadline(io.RawIOBase):
    """What a connection brings, up to a deadline: a time-out alone bounds no trickle."""

    def __init__(self, raw: io.RawIOBase, seconds: float) -> None:
        self._raw = raw
        self._end = time.monotonic() + seconds

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def readinto(self, buffer: t.Any) -> int | None:
        """Read what there is; raises TimeoutError after the deadline."""
        if time.monotonic() > self._end:
            raise TimeoutError
        return t.cast("t.Any", self._raw).readinto(buffer)  # type: ignore[no-any-return]

    def close(self) -> None:
        """Close the connection's own stream, too."""
        self._raw.close()
        super().close()


def _response_within(seconds: float, *args: t.Any, **kwargs: t.Any) -> http.client.HTTPResponse:
    """A response that takes no longer, from its first byte to its last."""
    response = http.client.HTTPResponse(*args, **kwargs)
    response.fp = io.BufferedReader(Deadline(response.fp.detach(), seconds))
    return response


class OneHostAdapter(requests.adapters.HTTPAdapter):
    """Sends all requests to one host, in one way.

    What `requests` finds out anew for every request (proxy, certificates, pool, cookies)
    takes a third of the processor time of a request.
    """

    _pool: t.Any = None

    def __init__(self, answer_seconds: float, connections: int) -> None:
        super().__init__(pool_connections=1, pool_maxsize=connections)
        self._response_class = staticmethod(functools.partial(_response_within, answer_seconds))

    def get_connection_with_tls_context(
        self,
        request: requests.PreparedRequest,
        verify: t.Any,
        proxies: t.Any = None,
        cert: t.Any = None,
    ) -> t.Any:
        """The connections to the host, which from the first on verify its certificate."""
        if self._pool is None:
            pool: t.Any = super().get_connection_with_tls_context(request, verify, proxies, cert)
            super().cert_verify(pool, request.url, verify, cert)  # type: ignore[no-untyped-call]
            bounded = {"response_class": self._response_class}
            pool.ConnectionCls = type("Connection", (pool.ConnectionCls,), bounded)
            self._pool = pool
        return self._pool

    def cert_verify(self, *_: object) -> None:
        """Done, once for all connections."""

    def build_response(  # type: ignore[override]
        self, req: requests.PreparedRequest, resp: urllib3.HTTPResponse
    ) -> urllib3.HTTPResponse:
        """What urllib3 gives: nobody asks for cookies and encodings."""
        del req
        return resp


class Transport:
    """Gets answers from one vendor; shared by all workers.

    What goes wrong on the way raises ResponseError, told by its type alone: the texts of the
    exceptions behind it hold the URL and its token.
    """

    def __init__(self, vendor: Vendor, options: Options, headers: Mapping[str, str]) -> None:
        self._vendor = vendor
        self._options = options
        self._headers = requests.structures.CaseInsensitiveDict(
            {
                "User-Agent": options.user_agent,
                "Accept-Encoding": "gzip, deflate",
                **headers,
            }
        )
        self._adapter = OneHostAdapter(
            ANSWER_TIMEOUTS * options.read_timeout_seconds, options.max_concurrency
        )
        self._environment: dict[str, t.Any] | None = None
        self._one_large = threading.Lock()

    def close(self) -> None:
        """Drop idle connections."""
        self._adapter.close()

    @contextlib.contextmanager
    def get(self, url: str) -> Iterator[Answer]:
        """Get an answer. Large ones are held by one worker at a time, as long as this lasts."""
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
            self._environment = _environment(url)
        options = self._options
        timeout = (options.connect_timeout_seconds, options.read_timeout_seconds)
        try:
            response = self._adapter.send(
                request, stream=True, timeout=timeout, **self._environment
            )
            return t.cast("urllib3.HTTPResponse", response)
        except NETWORK_ERRORS as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> ResponseError:
        action, sentence = _reason(error)
        name = self._vendor.name
        return ResponseError(action, VendorError(sentence.format(vendor=name, prefix=name.lower())))

    def _body(self, response: urllib3.HTTPResponse, stack: contextlib.ExitStack) -> bytes:
        chunks: list[bytes] = []
        size = 0
        try:
            # read1, as read would wait for a full chunk however slowly bytes trickle in
            while chunk := response.read1(CHUNK, decode_content=True):
                if size <= LARGE < size + len(chunk):
                    stack.enter_context(self._one_large)
                chunks.append(chunk)
                size += len(chunk)
                self._check_size(size)
        except NETWORK_ERRORS as error:
            response.close()
            raise self._broken_off(error) from None
        except ResponseError:
            response.close()  # the connection cannot be used again
            raise
        response.release_conn()
        return b"".join(chunks)

    def _check_size(self, size: int) -> None:
        if size > self._options.max_response_mb << 20:
            sentence = (
                f"{self._vendor.name} sent an answer of over "
                f"{self._options.max_response_mb} MiB. Lower the page size, or raise "
                "max_response_mb."
            )
            raise ResponseError(Action.FAIL, PageTooLargeError(sentence))

    def _broken_off(self, error: Exception) -> ResponseError:
        timed_out = (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError)
        what = "took too long" if isinstance(error, timed_out) else "broke off"
        sentence = f"An answer of {self._vendor.name} {what} halfway."
        return ResponseError(Action.RETRY, VendorError(sentence))


def _reason(error: Exception) -> tuple[Action, str]:
    """What helps against a failure to reach a vendor, and how to tell."""
    if _is_untrusted(error):
        return Action.FAIL, UNTRUSTED
    if type(error) is OSError and error.errno is None:  # of `requests`, not of the system
        return Action.FAIL, "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names no file of certificates."
    for kinds, action, sentence in REASONS:
        if isinstance(error, kinds):
            return action, sentence
    return Action.RETRY, UNREACHABLE


def _is_untrusted(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _environment(url: str) -> dict[str, t.Any]:
    """Proxies and certificate bundles that the environment names, as `requests` does."""
    with requests.Session() as session:
        settings = session.merge_environment_settings(url, {}, None, None, None)
    return {key: settings[key] for key in ("proxies", "verify", "cert")}
