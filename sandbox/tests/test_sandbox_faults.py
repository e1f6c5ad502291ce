"""Each fault as a client sees it."""

from __future__ import annotations

import gzip
import json
import socket
import time
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import urlsplit

import pytest
from medchat_swell_sandbox import Dataset, Fault, Sandbox
from medchat_swell_sandbox.fault_responses import CHANGES, PLAYS
from medchat_swell_sandbox.faults import FaultKind, FaultQueue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox_clients import MedChat, Swell


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    dataset = Dataset.generate(chats=20, swell_messages=0)
    for _ in range(5):
        dataset.add_swell_message(1, text="Hello")
    with Sandbox(dataset) as running:
        yield running


def raw(sandbox: Sandbox, limit: int | None = None) -> tuple[bytes, bytes, bool]:
    """Send a Swell request on a raw socket; return head, body and whether it was reset.

    Reads to the end of the connection, or until ``limit`` bytes have come.
    """
    url = urlsplit(sandbox.swell_api_url)
    target = f"{url.path}/messages?token={sandbox.swell_api_token}"
    request = f"GET {target} HTTP/1.1\r\nHost: {url.netloc}\r\n"
    request += "Accept: application/json\r\nConnection: close\r\n\r\n"
    got, reset = b"", False
    with socket.create_connection((url.hostname, url.port), timeout=5) as client:
        client.sendall(request.encode())
        try:
            while (limit is None or len(got) < limit) and (piece := client.recv(1 << 16)):
                got += piece
        except ConnectionResetError:
            reset = True
    head, _, body = got.partition(b"\r\n\r\n")
    return head, body, reset


def announced(head: bytes) -> int:
    line = next(line for line in head.split(b"\r\n") if line.startswith(b"Content-L"))
    return int(line.split(b":")[1])


def add_fault(sandbox: Sandbox, kind: FaultKind, **params: Any) -> None:
    sandbox.faults.add(Fault(kind, **params))


def test_every_kind_is_implemented() -> None:
    assert sorted([*CHANGES, *PLAYS]) == sorted(get_args(FaultKind))


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 406, 409, 415, 422, 500, 502, 503, 504, 520]
)
def test_status(swell: Swell, status: int) -> None:
    add_fault(
        swell.sandbox,
        "status",
        status=status,
        body='{"x": 1}',
        headers=(("X-Id", "7"),),
    )
    reply = swell.get()
    assert (reply.status, reply.json, reply.headers["x-id"]) == (status, {"x": 1}, "7")
    assert swell.get().status == 200


@pytest.mark.parametrize(
    "odd", [{"status": 777}, {"status": 200, "headers": (("X", "a\x01b"), ("Content-Length", "x"))}]
)
def test_invalid_http(sandbox: Sandbox, odd: dict[str, Any]) -> None:
    add_fault(sandbox, "status", **odd)
    head, body, _ = raw(sandbox)
    lines = head.decode().split("\r\n")
    assert lines[0].startswith(f"HTTP/1.1 {odd['status']} ")
    assert {f"{name}: {value}" for name, value in odd.get("headers", ())} <= set(lines)
    assert json.loads(body) == {"message": "Server Error"}


def test_rate_limited(swell: Swell) -> None:
    for form in ("seconds", "date", "reset"):
        add_fault(swell.sandbox, "rate_limited", retry_after=30, retry_after_form=form)
    add_fault(swell.sandbox, "rate_limited")
    seconds, date, reset, bare = (swell.get() for _ in range(4))
    assert {reply.status for reply in (seconds, date, reset, bare)} == {429}
    assert seconds.headers["retry-after"] == "30"
    until = parsedate_to_datetime(date.headers["retry-after"]).timestamp()
    assert 25 < until - time.time() <= 30
    assert 25 < int(reset.headers["x-ratelimit-reset"]) - time.time() <= 31
    assert not {"retry-after", "x-ratelimit-reset"} & bare.headers.keys()


def test_reset_before_the_answer(sandbox: Sandbox) -> None:
    add_fault(sandbox, "reset")
    assert raw(sandbox) == (b"", b"", True)
    assert sandbox.requests[0].status is None


def test_reset_in_mid_body(sandbox: Sandbox) -> None:
    add_fault(sandbox, "reset_mid_body")
    head, body, reset = raw(sandbox)
    assert reset
    assert 0 < len(body) < announced(head)


def test_cut_body(sandbox: Sandbox) -> None:
    add_fault(sandbox, "cut_body")
    head, body, reset = raw(sandbox)
    assert not reset
    assert 0 < len(body) < announced(head)


def test_length_too_long(sandbox: Sandbox) -> None:
    add_fault(sandbox, "length_too_long")
    head, body, _ = raw(sandbox)
    assert announced(head) == len(body) + 100
    assert len(json.loads(body)["data"]) == 5


def test_length_too_short(sandbox: Sandbox) -> None:
    add_fault(sandbox, "length_too_short")
    head, body, _ = raw(sandbox)
    assert announced(head) == len(body) // 2


def test_cut_chunked(sandbox: Sandbox) -> None:
    add_fault(sandbox, "cut_chunked")
    head, body, _ = raw(sandbox)
    assert b"Transfer-Encoding: chunked" in head
    assert not body.endswith(b"0\r\n\r\n")


def test_truncated_json_has_the_right_length(swell: Swell) -> None:
    add_fault(swell.sandbox, "truncated_json")
    reply = swell.get()
    assert int(reply.headers["content-length"]) == len(reply.body) > 0
    with pytest.raises(json.JSONDecodeError):
        json.loads(reply.body)


def test_slow_and_trickle(swell: Swell) -> None:
    add_fault(swell.sandbox, "slow", delay_ms=60)
    add_fault(swell.sandbox, "trickle", delay_ms=5, pieces=12)
    for _ in range(2):
        start = time.monotonic()
        assert len(swell.page()["data"]) == 5
        assert time.monotonic() - start >= 0.05


def test_the_head_trickles_too(sandbox: Sandbox) -> None:
    add_fault(sandbox, "trickle", delay_ms=20, pieces=200)
    head, _, _ = raw(sandbox, limit=1)
    assert 0 < len(head) < 100


def test_never_ending(sandbox: Sandbox) -> None:
    add_fault(sandbox, "never_ending", delay_ms=1)
    _, body, _ = raw(sandbox, limit=400)
    assert body.count(b"1\r\n \r\n") > 20


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        ("empty", 200, b""),
        ("no_content", 204, b""),
        ("html", 200, b"<!DOCTYPE html>"),
        ("login_redirect", 302, b"<!DOCTYPE html>"),
        ("wrong_envelope", 200, b'{"payload":{"content":{"data":[{'),
    ],
)
def test_other_responses(swell: Swell, kind: FaultKind, status: int, body: bytes) -> None:
    add_fault(swell.sandbox, kind)
    reply = swell.get()
    assert reply.status == status
    assert reply.body.startswith(body)
    assert bool(reply.body) == bool(body)


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("json_null", None),
        ("empty_data", {"data": []}),
        ("empty_code", {"code": 500, "data": []}),
        ("empty_message", {"message": "Service temporarily unavailable.", "data": []}),
        (
            "empty_status_error",
            {"status": "error", "message": "Service temporarily unavailable.", "data": []},
        ),
    ],
)
def test_an_outage_with_status_200(
    swell: Swell, medchat: MedChat, kind: FaultKind, document: object
) -> None:
    add_fault(swell.sandbox, kind, times=2)
    assert swell.page() == document
    reply = medchat.get()
    assert (reply.status, reply.json) == (200, document)


def test_an_empty_page_keeps_the_totals(swell: Swell) -> None:
    add_fault(swell.sandbox, "empty_page", from_page=2, times=None)
    assert len(swell.page(per_page=2)["data"]) == 2
    page = swell.page(per_page=2, page=2)
    assert page["data"] == []
    assert (page["meta"]["from"], page["meta"]["last_page"], page["meta"]["total"]) == (None, 3, 5)
    assert page["links"]["next"].endswith("page=3")


def test_an_empty_list_has_a_total_of_zero(swell: Swell, medchat: MedChat) -> None:
    add_fault(swell.sandbox, "empty_list", times=2)
    page = swell.page(per_page=2)
    assert (page["data"], page["links"]["next"]) == ([], None)
    assert (page["meta"]["last_page"], page["meta"]["total"]) == (1, 0)
    assert medchat.rows() == []


def test_an_outage_may_end_after_some_seconds(swell: Swell) -> None:
    add_fault(swell.sandbox, "status", times=None, seconds=0.2, after=1)
    assert [swell.get().status for _ in range(3)] == [200, 503, 503]
    time.sleep(0.2)
    assert swell.get().status == 200
    assert swell.sandbox.faults.pending() == []


def test_data_null(swell: Swell, medchat: MedChat) -> None:
    add_fault(swell.sandbox, "data_null", times=2)
    assert swell.page()["data"] is None
    assert medchat.get().json == {"data": None}


def test_wrong_row_types(swell: Swell, medchat: MedChat) -> None:
    add_fault(swell.sandbox, "rows_not_objects", times=2)
    add_fault(swell.sandbox, "wrong_types", times=2)
    assert swell.page()["data"] == [["neither", 1, None]] * 5
    assert medchat.get(top=1).json == [["neither", 1, None]]
    assert swell.page()["data"][0]["id"] == {"value": 1}
    assert isinstance(medchat.rows(top=1)[0]["id"], list)


def test_bad_text(swell: Swell) -> None:
    add_fault(swell.sandbox, "invalid_utf8")
    add_fault(swell.sandbox, "lone_surrogates")
    with pytest.raises(UnicodeDecodeError):
        swell.get().body.decode()
    assert swell.page()["data"][0]["text"] == "\ud83d lone \udc00Hello"


def test_deep_nesting_and_many_keys(swell: Swell) -> None:
    add_fault(swell.sandbox, "deep_nesting")
    add_fault(swell.sandbox, "million_keys", size=5000)
    assert b"[" * 10_000 in swell.get().body
    assert len(swell.page()["data"][0]) == 5000


def test_huge_body(swell: Swell) -> None:
    add_fault(swell.sandbox, "huge_body", size=3)
    assert len(swell.page()["data"][0]["text"]) == 3_000_000


def test_gzip_bomb(swell: Swell) -> None:
    add_fault(swell.sandbox, "gzip_bomb", size=4)
    reply = swell.get()
    assert reply.headers["content-encoding"] == "gzip"
    assert len(reply.body) < 10_000
    assert len(json.loads(gzip.decompress(reply.body))["data"][0]["text"]) == 4_000_000


def affected(fault: Fault, count: int = 12, seed: int = 0) -> list[int]:
    queue = FaultQueue(seed)
    queue.add(fault)
    url = "/api/v1/messages?updated_after=2026-01-01"
    return [n for n in range(1, count + 1) if queue.draw("swell", url)]


@pytest.mark.parametrize(
    ("script", "hit"),
    [
        ({}, [1]),
        ({"times": 3}, [1, 2, 3]),
        ({"times": 2, "after": 4}, [5, 6]),
        ({"times": None, "every": 4}, [1, 5, 9]),
        ({"times": 2, "after": 1, "every": 3}, [2, 5]),
        ({"times": 2, "where": "medchat"}, []),
        ({"times": 2, "where": "swell"}, [1, 2]),
        ({"where": "/messages"}, [1]),
        ({"where": "/count"}, []),
        ({"where": "?updated_after="}, [1]),
        ({"where": "from_date="}, []),
        ({"from_page": 2}, []),
        ({"times": 2, "seconds": 0}, [1]),
    ],
)
def test_which_requests_are_affected(script: dict[str, Any], hit: list[int]) -> None:
    assert affected(Fault("reset", **script)) == hit


def test_probability_uses_the_seed() -> None:
    fault = Fault("reset", times=None, probability=0.3)
    assert affected(fault, 200, seed=1) == affected(fault, 200, seed=1)
    assert affected(fault, 200, seed=1) != affected(fault, 200, seed=2)
    assert 30 < len(affected(fault, 200)) < 90


def test_faults_apply_in_order_and_can_be_cleared(swell: Swell) -> None:
    first = Fault("status", status=500)
    last = replace(first, status=503, times=9)
    swell.sandbox.faults.add(first, replace(first, status=502), last)
    assert [swell.get().status for _ in range(3)] == [500, 502, 503]
    assert [fault.status for fault in swell.sandbox.faults.pending()] == [503]
    swell.sandbox.faults.clear()
    assert swell.get().status == 200
    assert [record.fault for record in swell.sandbox.requests] == ["status"] * 3 + [None]
