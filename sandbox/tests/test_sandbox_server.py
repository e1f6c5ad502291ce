"""The running sandbox: start, stop, log, hook, latency, admin endpoints, command."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import medchat_swell_sandbox
import pytest
from medchat_swell_sandbox import Credentials, Dataset, Fault, Quirks, Sandbox
from medchat_swell_sandbox.cli import main
from sandbox_clients import MedChat, Swell, send

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Dataset.generate(chats=30, swell_messages=30, days=5)) as running:
        yield running


def test_starts_and_stops_within_a_tenth_of_a_second() -> None:
    dataset = Dataset.generate(chats=5)
    start = time.monotonic()
    for _ in range(5):
        with Sandbox(dataset) as box:
            assert MedChat(box).get().status == 200
    assert (time.monotonic() - start) / 5 < 0.1


def test_can_be_restarted(sandbox: Sandbox) -> None:
    sandbox.__exit__()
    with sandbox:
        assert Swell(sandbox).get().status == 200
    sandbox.__enter__()


def test_stops_with_a_waiting_client() -> None:
    with Sandbox(Dataset.generate(), latency_ms=60_000) as box:
        url = urlsplit(box.origin)
        client = http.client.HTTPConnection(url.netloc, timeout=5)
        client.request("GET", "/api/v1/messages")
        while not box.requests:
            time.sleep(0.001)
        start = time.monotonic()
    assert time.monotonic() - start < 0.1
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        client.getresponse()
    client.close()


def test_a_port_in_use_is_an_error(sandbox: Sandbox) -> None:
    port = urlsplit(sandbox.origin).port
    with pytest.raises(OSError, match="in use"), Sandbox(Dataset(), port=port or 1):
        pass


def test_tap_config(sandbox: Sandbox) -> None:
    config = sandbox.tap_config(page_size=7)
    assert config["medchat_api_url"] == f"{sandbox.origin}/smschatapi"
    assert config["swell_api_url"] == f"{sandbox.origin}/api/v1"
    assert config["page_size"] == 7
    truth = sandbox.truth()
    oldest = min(
        truth["sms_chats"][0]["created_date_time"],
        truth["swell_messages"][0]["created_at"],
    )
    assert re.fullmatch(r"[\d-]{10}T[\d:]{8}Z", str(config["start_date"]))
    assert str(config["start_date"]) < oldest


def test_own_credentials() -> None:
    known = Credentials(medchat_access_token="a", swell_api_token="b")
    with Sandbox(Dataset(), credentials=known) as box:
        assert (box.medchat_access_token, box.swell_api_token) == ("a", "b")
        assert (MedChat(box).get().status, Swell(box).get().status) == (200, 200)


def test_the_log_does_not_contain_tokens(sandbox: Sandbox) -> None:
    MedChat(sandbox).get(filter="name eq 'Zoë'", top=3)
    Swell(sandbox).get(page=2)
    chats, messages = sandbox.requests
    assert chats.query == {"$filter": "name eq 'Zoë'", "$top": "3"}
    assert (chats.vendor, chats.status, chats.number) == ("medchat", 200, 1)
    assert (messages.vendor, messages.query) == ("swell", {"page": "2"})
    assert messages.started <= (messages.ended or 0)
    log = repr(sandbox.requests)
    assert sandbox.swell_api_token not in log
    assert sandbox.medchat_access_token not in log
    sandbox.reset_log()
    assert sandbox.requests == []


def test_peak_concurrency(sandbox: Sandbox) -> None:
    sandbox.latency_ms = 50
    gate = threading.Barrier(6)

    def ask(number: int) -> int:
        gate.wait()
        client = Swell(sandbox) if number < 4 else MedChat(sandbox)
        return client.get().status

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(ask, range(6))) == {200}
    assert sandbox.peak_concurrency == {"swell": 4, "medchat": 2}
    sandbox.reset_log()
    assert sandbox.peak_concurrency == {"swell": 0, "medchat": 0}


def test_latency(sandbox: Sandbox) -> None:
    sandbox.latency_ms = 40
    start = time.monotonic()
    Swell(sandbox).get()
    assert time.monotonic() - start >= 0.04


def test_jitter_reorders_responses(sandbox: Sandbox) -> None:
    sandbox.jitter_ms = 80
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: Swell(sandbox).get(), range(8)))
    ends = [record.ended or 0 for record in sandbox.requests]
    assert ends != sorted(ends)


def test_the_hook_runs_before_the_response(sandbox: Sandbox) -> None:
    seen: list[tuple[int, str, dict[str, str]]] = []

    def hook(number: int, vendor: str, path: str, query: dict[str, str]) -> None:
        assert path.endswith("smsChats")
        seen.append((number, vendor, query))
        sandbox.dataset.add_chat(id=f"new-{number}")

    sandbox.on_request = hook
    rows = MedChat(sandbox).rows(filter="startswith(Id, 'new')")
    assert [row["id"] for row in rows] == ["new-1"]
    assert seen == [(1, "medchat", {"$filter": "startswith(Id, 'new')"})]


def test_a_failing_hook_returns_a_500_with_the_error(sandbox: Sandbox) -> None:
    def hook(*_: object) -> None:
        raise LookupError

    sandbox.on_request = hook
    reply = Swell(sandbox).get()
    assert reply.status == 500
    assert b"LookupError" in reply.body


def test_reload_replaces_the_data(sandbox: Sandbox) -> None:
    swell = Swell(sandbox)
    assert swell.ids()
    sandbox.reload(Dataset())
    assert swell.ids() == []
    assert sandbox.truth()["sms_chats"] == []


def test_warm_does_not_change_responses(sandbox: Sandbox) -> None:
    before = MedChat(sandbox).rows(expand="Messages")
    sandbox.reload(sandbox.dataset)
    sandbox.warm()
    assert MedChat(sandbox).rows(expand="Messages") == before


def test_keep_alive_and_pipelining(sandbox: Sandbox) -> None:
    client = http.client.HTTPConnection(urlsplit(sandbox.origin).netloc, timeout=5)
    client.connect()
    assert client.sock is not None
    line = f"GET /api/v1/messages/count?token={sandbox.swell_api_token} HTTP/1.1\r\n"
    client.sock.sendall((line + "Host: x\r\n\r\n").encode() * 3)
    got = b""
    while got.count(b"received") < 3:
        got += client.sock.recv(65536)
    client.close()
    assert got.count(b"200 OK") == 3


def test_invalid_http_returns_a_400(sandbox: Sandbox) -> None:
    client = http.client.HTTPConnection(urlsplit(sandbox.origin).netloc, timeout=5)
    client.connect()
    assert client.sock is not None
    client.sock.sendall(b"nonsense\r\n\r\n")
    assert client.sock.recv(100).startswith(b"HTTP/1.1 400")
    client.close()


def test_date_header_and_head_without_body(sandbox: Sandbox) -> None:
    assert Swell(sandbox).get().headers["date"].endswith(" GMT")
    reply = send(sandbox.origin, "/_sandbox/stats", method="HEAD")
    assert (reply.status, reply.body) == (200, b"")
    assert send(sandbox.origin, "/login").body.startswith(b"<!DOCTYPE html>")


def test_small_responses_are_not_delayed(sandbox: Sandbox) -> None:
    client = http.client.HTTPConnection(urlsplit(sandbox.origin).netloc, timeout=5)
    start = time.monotonic()
    for _ in range(10):
        client.request("GET", f"/api/v1/messages/count?token={sandbox.swell_api_token}")
        assert client.getresponse().read()
    client.close()
    assert time.monotonic() - start < 0.2


def test_disconnected_clients_are_not_counted_as_open(sandbox: Sandbox) -> None:
    sandbox.latency_ms = 60_000
    client = http.client.HTTPConnection(urlsplit(sandbox.origin).netloc, timeout=5)
    client.request("GET", "/api/v1/messages")
    while not sandbox.requests:
        time.sleep(0.001)
    client.close()
    until = time.monotonic() + 2
    while sandbox.requests[0].ended is None:
        assert time.monotonic() < until
        time.sleep(0.001)
    assert sandbox.requests[0].status is None


def test_chunked_request_body(sandbox: Sandbox) -> None:
    box = urlsplit(sandbox.origin)
    pieces = (
        b"POST /_sandbox/quirks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b'9\r\n{"swell_o\r\n',
        b'12\r\nrder": "unstable"}\r\n0\r\n\r\n',
    )
    with socket.create_connection((box.hostname, box.port), timeout=5) as client:
        for piece in pieces:
            client.sendall(piece)
            time.sleep(0.01)
        assert client.recv(100).startswith(b"HTTP/1.1 200 OK")
    assert sandbox.quirks.swell_order == "unstable"


def test_the_server_prints_nothing(
    sandbox: Sandbox, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    kinds: list[Any] = ["reset", "cut_body", "length_too_short", "cut_chunked", "trickle"]
    for kind in kinds:
        sandbox.faults.add(Fault(kind, delay_ms=1))
        with suppress(OSError, http.client.HTTPException):
            Swell(sandbox).get()
    sandbox.__exit__()
    sandbox.__enter__()
    assert (*capfd.readouterr(), caplog.text) == ("", "", "")


def admin(box: Sandbox, path: str, body: object = None) -> Any:
    method = "GET" if body is None else "POST"
    sent = None if body is None else json.dumps(body).encode()
    reply = send(box.origin, f"/_sandbox/{path}", method=method, body=sent)
    assert reply.status == 200, reply.body
    return reply.json


def test_admin_shows_truth_requests_and_stats(sandbox: Sandbox) -> None:
    Swell(sandbox).get(page="x")
    assert admin(sandbox, "truth") == sandbox.truth()
    assert admin(sandbox, "requests")[0]["status"] == 422
    stats = admin(sandbox, "stats")
    assert stats["requests"] == {"swell": 1}
    assert stats["rows"]["sms_chats"] == 30
    admin(sandbox, "reset", {})
    assert admin(sandbox, "requests") == []


def test_admin_changes_quirks_faults_and_data(sandbox: Sandbox) -> None:
    shown = admin(sandbox, "quirks", {"medchat_envelope": "value"})
    assert shown["medchat_envelope"] == "value"
    assert "value" in MedChat(sandbox).get().json
    assert admin(sandbox, "faults", [{"kind": "html", "times": 2}])["pending"] == 1
    assert Swell(sandbox).get().headers["content-type"].startswith("text/html")
    assert admin(sandbox, "faults", [])["pending"] == 0
    made = admin(sandbox, "changes", {"kind": "add_chat", "count": 3, "seed": 5})
    assert len(made) == 3
    assert len(sandbox.truth()["sms_chats"]) == 33
    campaign = {"size": 30, "created": "2020-01-01T01:00:00+02:00"}
    ids = admin(sandbox, "campaigns", campaign)["swell_message_ids"]
    assert Swell(sandbox).ids(from_date="2019-12-31", to_date="2019-12-31") == ids
    counts = {"date": "2019-12-31", "received": 0, "sent": 30}
    assert sandbox.truth()["swell_message_counts"][0] == counts


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "nothing", b"", 404),
        ("GET", "quirks", b"", 405),
        ("POST", "quirks", b'{"medchat_envelop": "value"}', 400),
        ("POST", "quirks", b'{"swell_order": "random"}', 400),
        ("POST", "quirks", b"nonsense", 400),
        ("POST", "faults", b'{"kind": "explosion"}', 400),
        ("POST", "changes", b'{"kind": "explode"}', 400),
        ("POST", "campaigns", b'{"size": 1, "created": "2024-01-01T00:00:00"}', 400),
    ],
)
def test_admin_rejects_invalid_requests(
    sandbox: Sandbox, method: str, path: str, body: bytes, status: int
) -> None:
    reply = send(sandbox.origin, f"/_sandbox/{path}", method=method, body=body)
    assert reply.status == status
    assert reply.json["message"]


def test_quirks_are_read_from_text() -> None:
    quirks = Quirks.parse(
        [
            "medchat_max_top=50",
            "medchat_empty=204",
            "swell_filter_zone=America/Denver",
            "swell_date_sent_zone=-7",
            "swell_nulls=true",
            "medchat_message_id_name=none",
            "medchat_chat_id_name=null",
        ]
    )
    assert (quirks.medchat_max_top, quirks.medchat_empty) == (50, "204")
    assert quirks.swell_filter_zone == "America/Denver"
    assert quirks.swell_date_sent_zone == -7
    assert quirks.swell_nulls is True
    assert quirks.medchat_message_id_name == "none"
    assert quirks.medchat_chat_id_name is None


def test_invalid_values_are_rejected() -> None:
    switches: list[dict[str, Any]] = [
        {"swell_order": "random"},
        {"medchat_casing": "snake"},
        {"swell_nulls": "yes"},
        {"medchat_max_top": "50"},
    ]
    for switch in switches:
        with pytest.raises(ValueError, match=next(iter(switch))):
            Quirks(**switch)
    kind: Any = "explosion"
    with pytest.raises(ValueError, match="kind"):
        Fault(kind)


@pytest.mark.parametrize("pair", ["nothing=1", "swell_order=random", "swell_nulls=x"])
def test_command_rejects_an_invalid_quirk(pair: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--quirk", pair])
    assert end.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_command_serves_until_a_signal(stop: signal.Signals) -> None:
    package = Path(medchat_swell_sandbox.__file__).parent
    sizes = ["--port", "0", "--chats", "3", "--swell-messages", "3", "--warm"]
    quirk = ["--quirk", "medchat_envelope=value", "--print-config"]
    with subprocess.Popen(
        [sys.executable, "-m", "medchat_swell_sandbox", *sizes, *quirk],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(package.parent)},
    ) as command:
        assert command.stdout is not None
        config = json.loads(command.stdout.readline())
        origin = config["swell_api_url"].removesuffix("/api/v1")
        stats = send(origin, "/_sandbox/stats").json
        command.send_signal(stop)
        assert command.wait(timeout=2) == 0
    assert stats["rows"]["sms_chats"] == 3


def test_faults_appear_in_the_log(sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("status", status=502, where="swell"))
    Swell(sandbox).get()
    record = sandbox.requests[0]
    assert (record.status, record.fault) == (502, "status")
