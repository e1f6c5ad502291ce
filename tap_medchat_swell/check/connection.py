"""What is the same for both vendors: the address, TLS, proxy, clock and rate limits."""

from __future__ import annotations

import functools
import re
import typing as t
from urllib.parse import urlsplit

import requests.utils

from tap_medchat_swell.check.findings import Finding
from tap_medchat_swell.http.transport import environment

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_medchat_swell.http.client import Client

AGREES = 5  # seconds: headers have whole ones, and answers take time
TOO_FAR = 300
LIMIT = re.compile(r"(x-)?rate-?limit\b.*|retry-after")


def reached(vendor: str, url: str, client: Client) -> Iterator[Finding]:
    """How the address was reached; only after an answer has come."""
    proxy = requests.utils.select_proxy(url, environment(url)["proxies"])
    place = urlsplit(proxy if "//" in proxy else f"//{proxy}") if proxy else None
    way = f"through the proxy {place.hostname}:{place.port or 80}" if place else "without a proxy"
    yield Finding(vendor, "address", url, "an answer", f"reached {way}")
    tls = functools.partial(Finding, vendor, "TLS", f"the connection, {way}")
    if client.tls_version:
        yield tls("a valid certificate", client.tls_version.replace("v", " "))
    else:
        yield tls("plain http", "none", "Plain http is for this machine only.")


def clock(vendor: str, client: Client) -> Finding:
    """How far the vendor's clock is from this one."""
    found = functools.partial(Finding, vendor, "clock", "the header Date")
    if "date" not in client.headers_seen:
        return found("no such header")
    ahead = round(client.clock_offset.total_seconds())
    seen = f"{abs(ahead)} s {'ahead of' if ahead >= 0 else 'behind'} this machine"
    if abs(ahead) <= AGREES:
        return found(seen, "agrees with this machine")
    meaning = "Set this machine's clock (NTP)." if abs(ahead) > TOO_FAR else "Near enough."
    return found(seen, seen, meaning, "warning" if abs(ahead) > TOO_FAR else "ok")


def rate_limits(vendor: str, client: Client) -> Finding:
    """The headers about rate limits; their values only where they are numbers."""
    headers = {name: client.headers_seen[name] for name in sorted(client.headers_seen)}
    limits = [
        f"{name}: {value}" if value.isdecimal() and len(value) < 12 else name  # noqa: PLR2004
        for name, value in headers.items()
        if LIMIT.fullmatch(name)
    ]
    seen = ", ".join(limits) or "none"
    meaning = "The tap obeys them." if limits else f"If {vendor} refuses, the tap waits."
    reading = "announced" if limits else "not announced"
    return Finding(vendor, "rate limit", "all response headers", seen, reading, meaning)


def announced_limit(client: Client) -> int | None:
    """Requests per minute, as Laravel's throttle announces them."""
    value = client.headers_seen.get("x-ratelimit-limit", "")
    return int(value) if value.isdecimal() and int(value) > 0 else None


def ending(vendor: str, client: Client) -> Iterator[Finding]:
    """What is known once all has been asked."""
    yield clock(vendor, client)
    yield rate_limits(vendor, client)
