"""The HTTP client of one vendor: asks until there is an answer that can be used.

It sends prepared requests through the transport adapter of `requests`, past the
session: a session would add credentials from `.netrc`, follow redirects, keep cookies
and re-encode the query, none of which these APIs want.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
import typing as t
from dataclasses import dataclass

import backoff
import requests
import requests.adapters
import urllib3.exceptions

from tap_medchat_swell.answers import (
    Action,
    Unusable,
    Vendor,
    check_status,
    decode_json,
    wrong_shape,
)
from tap_medchat_swell.errors import Cancelled, PageTooLarge, VendorError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_medchat_swell.gate import Gate
    from tap_medchat_swell.settings import Options

T = t.TypeVar("T")

BRIEF_RETRIES = 2
LONGEST_BACKOFF = 60.0
CHUNK = 1 << 20
ANSWER_TIMEOUTS = 10  # a whole answer may take so many read time-outs


@dataclass(frozen=True)
class Ask:
    """One GET. `url` holds no secret; `label` names the request in log lines."""

    url: str
    label: str


class Client:
    """Asks one vendor. `fetch` is called from workers; everything in it is shared."""

    def __init__(
        self,
        vendor: Vendor,
        options: Options,
        gate: Gate,
        headers: Mapping[str, str],
        secret_query: str = "",
    ) -> None:
        self.vendor = vendor
        self._options = options
        self._secret_query = secret_query
        self._gate = gate
        self._closed = False
        gate.reopen()
        self._headers = requests.structures.CaseInsensitiveDict(
            {
                "User-Agent": options.user_agent,
                "Accept-Encoding": "gzip, deflate",
                **headers,
            }
        )
        self._adapter = requests.adapters.HTTPAdapter(
            pool_connections=1, pool_maxsize=options.max_concurrency
        )
        self._environment: dict[str, t.Any] | None = None
        self._lock = threading.Lock()
        self._log = logging.getLogger(f"tap-medchat-swell.{vendor.name.lower()}")
        self.requests_sent = 0

    def close(self) -> None:
        """Cancel what waits and drop idle connections."""
        self._closed = True
        self._gate.close()
        self._adapter.close()

    def fetch(self, ask: Ask, read: Callable[[t.Any], T]) -> T:
        """Ask until `read` accepts the document, within the retry budget.

        `read` gets None for a 204 or an empty body that stays so.
        Raises VendorError when no answer can be used, Cancelled when the client has been
        closed.
        """
        started = time.monotonic()
        pauses = _pauses()
        patience = min(BRIEF_RETRIES, self._options.max_retries)
        failures = odd = 0
        for attempt in itertools.count(1):
            try:
                return read(self._attempt(ask, lenient=odd >= patience))
            except Unusable as unusable:  # noqa: PERF203 - it is what the loop is for
                unusable.__traceback__ = None  # its frames would keep the answer
                failures += unusable.action is not Action.WAIT
                odd += unusable.action is Action.RETRY_BRIEFLY
                unusable.error.where = ask.label
                pause = self._pause(unusable, failures, next(pauses))
                if time.monotonic() - started + pause > self._options.retry_seconds:
                    raise self._gave_up(unusable, ask, attempt) from None
                self._log.info(
                    "%s Again in %.1f s (try %d).",
                    unusable.error,
                    pause,
                    attempt + 1,
                )
                self._sleep(unusable, pause)
        raise AssertionError  # the count never ends

    def _pause(self, unusable: Unusable, failures: int, backoff_pause: float) -> float:
        """Seconds to wait before the next try; raises what ends the tries."""
        allowed = {
            Action.FAIL: 0,
            Action.RETRY_BRIEFLY: min(BRIEF_RETRIES, self._options.max_retries),
            Action.RETRY: self._options.max_retries,
            Action.WAIT: failures,
        }[unusable.action]
        if failures > allowed:
            raise unusable.error from None
        if unusable.wait is None:
            return backoff_pause
        return max(unusable.wait, backoff_pause if unusable.wait == 0 else 0.0)

    def _sleep(self, unusable: Unusable, pause: float) -> None:
        if unusable.action is Action.WAIT or unusable.wait is not None:
            self._gate.hold(pause)
        else:
            time.sleep(pause)

    def _gave_up(self, unusable: Unusable, ask: Ask, tries: int) -> VendorError:
        return VendorError(
            f"{unusable} Gave up on {ask.label} after {tries} tries, as retry_seconds "
            f"allows {self._options.retry_seconds} s."
        )

    def _attempt(self, ask: Ask, *, lenient: bool) -> t.Any:
        headers = None
        self._gate.enter()
        try:
            if self._closed:  # while it waited, the next stream has reopened the gate
                raise Cancelled
            response = self._send(ask)
            headers = {name.lower(): value for name, value in response.headers.items()}
            body = self._body(response)
        finally:
            self._gate.leave(headers)
        check_status(self.vendor, response.status_code, headers, body)
        if body.strip():
            return decode_json(self.vendor, body, lenient=lenient)
        if lenient:  # asked again and again, it is how the vendor says "none"
            return None
        raise wrong_shape(self.vendor, "an empty answer")

    def _send(self, ask: Ask) -> requests.Response:
        request = requests.PreparedRequest()
        request.method = "GET"
        request.url = ask.url + self._secret_query
        request.headers = self._headers.copy()
        with self._lock:
            self.requests_sent += 1
            if self._environment is None:
                self._environment = _environment(request.url)
        timeout = (
            self._options.connect_timeout_seconds,
            self._options.read_timeout_seconds,
        )
        try:
            return self._adapter.send(request, stream=True, timeout=timeout, **self._environment)
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
        ) as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: Exception) -> Unusable:
        """Told by type alone: the texts of these exceptions hold the URL and its token."""
        name = self.vendor.name
        advice = ""
        if isinstance(error, requests.exceptions.SSLError):
            what = "does not show a valid certificate"
        elif isinstance(error, requests.exceptions.ProxyError):
            what = "cannot be reached through the proxy of the environment"
        elif isinstance(error, requests.exceptions.ConnectTimeout):
            what = "did not accept a connection within connect_timeout_seconds"
        elif isinstance(error, requests.exceptions.Timeout):
            what = "did not answer within read_timeout_seconds"
        else:
            what = "cannot be reached or broke the connection off"
            advice = f" Check {name.lower()}_api_url and the network if this stays so."
        return Unusable(Action.RETRY, VendorError(f"{name} {what}.{advice}"))

    def _body(self, response: requests.Response) -> bytes:
        deadline = time.monotonic() + ANSWER_TIMEOUTS * self._options.read_timeout_seconds
        chunks: list[bytes] = []
        size = 0
        try:
            # read1, as read would wait for a full chunk however slowly bytes trickle in
            while chunk := response.raw.read1(CHUNK, decode_content=True):
                chunks.append(chunk)
                size += len(chunk)
                self._check_bounds(size, deadline)
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
        ) as error:
            response.raw.close()
            raise self._broken_off(error) from None
        except Unusable:
            response.raw.close()  # the connection cannot be used again
            raise
        response.raw.release_conn()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _check_bounds(self, size: int, deadline: float) -> None:
        if size > self._options.max_response_mb << 20:
            sentence = (
                f"{self.vendor.name} sent an answer of over "
                f"{self._options.max_response_mb} MiB. Lower the page size, or raise "
                "max_response_mb."
            )
            raise Unusable(Action.FAIL, PageTooLarge(sentence))
        if time.monotonic() > deadline:
            raise requests.exceptions.ReadTimeout

    def _broken_off(self, error: Exception) -> Unusable:
        timed_out = (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError)
        what = "took too long" if isinstance(error, timed_out) else "broke off"
        return Unusable(
            Action.RETRY,
            VendorError(f"An answer of {self.vendor.name} {what} halfway."),
        )


def _environment(url: str) -> dict[str, t.Any]:
    """Proxies and certificate bundles that the environment names, as `requests` does."""
    with requests.Session() as session:
        settings = session.merge_environment_settings(url, {}, None, None, None)
    return {key: settings[key] for key in ("proxies", "verify", "cert")}


def _pauses() -> t.Iterator[float]:
    waits = backoff.expo(factor=1, max_value=LONGEST_BACKOFF)
    next(waits)
    return (wait / 2 + backoff.full_jitter(wait / 2) for wait in waits)
