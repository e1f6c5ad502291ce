"""What is asked about both vendors: address, TLS, proxy, clock and rate limits."""

from __future__ import annotations

import re
import typing as t
from urllib.parse import urlsplit

import requests.utils

from tap_medchat_swell.check.questions import Question, Seen, Unclear
from tap_medchat_swell.http.transport import environment

if t.TYPE_CHECKING:
    from tap_medchat_swell.check.questions import Subject
    from tap_medchat_swell.http.client import Client

AGREES = 5  # seconds: headers have whole ones, and answers take time
TOO_FAR = 300
LIMIT = re.compile(r"(x-)?rate-?limit\b.*|retry-after")
NUMBER = re.compile(r"\d{1,11}", re.ASCII)


def address(subject: Subject) -> Seen:
    """The address and the proxy; an answer has come."""
    proxy = requests.utils.select_proxy(subject.url, environment(subject.url)["proxies"])
    if not proxy:
        return Seen(subject.url, "reached without a proxy")
    place = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    return Seen(subject.url, f"reached through the proxy {place.hostname}:{place.port or 80}")


def tls(subject: Subject) -> Seen:
    """The version of TLS."""
    if subject.client.tls_version:
        return Seen("a valid certificate", subject.client.tls_version.replace("v", " "))
    return Seen("plain http", "none", "Plain http is for this machine only.")


def clock(subject: Subject) -> Seen:
    """How far the vendor's clock is from this one."""
    if "date" not in subject.client.headers_seen:
        raise Unclear("no such header")
    ahead = round(subject.client.clock_offset.total_seconds())
    seen = f"{abs(ahead)} s {'ahead of' if ahead >= 0 else 'behind'} this machine"
    if abs(ahead) <= AGREES:
        return Seen(seen, "agrees with this machine")
    if abs(ahead) <= TOO_FAR:
        return Seen(seen, seen, "Near enough.")
    return Seen(seen, seen, "Set this machine's clock (NTP).", "warning")


def rate_limits(subject: Subject) -> Seen:
    """The headers about rate limits; their values only where they are numbers."""
    limits = [
        f"{name}: {value}" if NUMBER.fullmatch(value) else name
        for name, value in sorted(subject.client.headers_seen.items())
        if LIMIT.fullmatch(name)
    ]
    if limits:
        return Seen(", ".join(limits), "announced", "The tap obeys them.")
    return Seen("none", "not announced", f"If {subject.name} refuses, the tap waits.")


def announced_limit(client: Client) -> int | None:
    """Requests per minute, as Laravel's throttle announces them."""
    value = client.headers_seen.get("x-ratelimit-limit", "")
    return int(value) if NUMBER.fullmatch(value) and int(value) > 0 else None


# Asked before and after a vendor's own questions: headers are known once all has been asked.
BEFORE = [
    Question("address", "a first request", address),
    Question("TLS", "the connection", tls),
    Question("token", "a first request", lambda _: Seen("an answer of 200", "accepted")),
]
AFTER = [
    Question("clock", "the header Date", clock),
    Question("rate limit", "all response headers", rate_limits),
]
