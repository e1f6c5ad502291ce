"""The table of answers: what each status and each broken body leads to."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import typing as t
from email.utils import formatdate as date

import pytest
import requests
import urllib3.exceptions
from medchat_swell_sandbox import Fault
from support.tap_runs import SWELL_STREAMS, assert_whole, discover, only, select, sync

from tap_medchat_swell.bookmark import VERSION
from tap_medchat_swell.errors import PageTooLargeError, VendorError
from tap_medchat_swell.http import responses, transport
from tap_medchat_swell.http.rate_limiter import RateLimiter
from tap_medchat_swell.http.responses import (
    MAX_WAIT,
    Action,
    ResponseError,
    check_status,
    requested_wait,
)
from tap_medchat_swell.medchat.responses import MEDCHAT
from tap_medchat_swell.settings import Options
from tap_medchat_swell.swell.api import SwellApi
from tap_medchat_swell.swell.responses import SWELL

if t.TYPE_CHECKING:
    from medchat_swell_sandbox import Sandbox
    from support.tap_process import Json, Run

Config = dict[str, t.Any]
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OF_MEDCHAT = ("sms_chats", "sms_messages")
STREAMS_OF = {"medchat": OF_MEDCHAT, "swell": SWELL_STREAMS}
OTHER = {"medchat": "swell", "swell": "medchat"}

PASSING: list[Fault] = [
    *(Fault("status", status=status) for status in (408, 409, 425, 500, 502, 503, 504, 599)),
    Fault("status", status=503, retry_after=0.2),
    Fault("rate_limited"),
    Fault("rate_limited", retry_after=0),
    Fault("rate_limited", retry_after=0.3),
    Fault("reset"),
    Fault("reset_mid_body"),
    Fault("cut_body"),
    Fault("length_too_long"),
    Fault("length_too_short"),
    Fault("cut_chunked"),
    Fault("truncated_json"),
    Fault("html"),
    Fault("status", status=200, body="null"),
    Fault("status", status=200, body='{"data": [], "error": "Too many connections"}'),
    Fault("status", status=200, body='{"data": [], "success": false}'),
    Fault("empty"),
    Fault("data_null"),
    Fault("wrong_envelope"),
    Fault("rows_not_objects"),
    Fault("invalid_utf8"),
    Fault("deep_nesting"),
    Fault("slow", delay_ms=1300),
    Fault("trickle", pieces=30, delay_ms=60),
    Fault("never_ending", delay_ms=20),
]
REDIRECTED = "redirected the request, and redirects are never followed"
LASTING: list[tuple[str, Fault, str]] = [
    (
        "any",
        Fault("status", status=301),
        "redirected the request, and redirects are never followed",
    ),
    (
        "any",
        Fault("status", status=302),
        "redirected the request, and redirects are never followed",
    ),
    (
        "any",
        Fault("status", status=307),
        "redirected the request, and redirects are never followed",
    ),
    ("any", Fault("login_redirect"), REDIRECTED),
    ("any", Fault("status", status=400), "returned 400 Bad Request."),
    ("medchat", Fault("status", status=401), "Check medchat_access_token"),
    ("swell", Fault("status", status=401), "Check swell_api_token"),
    ("medchat", Fault("status", status=403), "needs the scope read.sms_chats"),
    ("swell", Fault("status", status=403), "may see the messages of its locations"),
    ("medchat", Fault("status", status=404), "Check medchat_org_id"),
    ("swell", Fault("status", status=404), "Check swell_api_url"),
    ("medchat", Fault("status", status=406), "Check medchat_accept"),
    ("medchat", Fault("status", status=415), "Check medchat_accept"),
    ("any", Fault("status", status=409), "returned 409 Conflict."),
    ("any", Fault("status", status=410), "returned 410 Gone."),
    ("any", Fault("status", status=422), "rejected a parameter (422 Unprocessable"),
    ("any", Fault("status", status=500), "returned 500 Internal Server Error."),
    ("any", Fault("status", status=503), "returned 503 Service Unavailable."),
    ("any", Fault("status", status=299), "returned 299."),
    ("any", Fault("reset"), "cannot be reached, or closed the connection"),
    ("any", Fault("reset_mid_body"), "was interrupted"),
    ("any", Fault("cut_body"), "was interrupted"),
    ("any", Fault("cut_chunked"), "was interrupted"),
    ("any", Fault("truncated_json"), "sent a truncated response"),
    ("any", Fault("html"), "is a web page"),
    ("swell", Fault("empty"), "Swell sent"),
    ("swell", Fault("no_content"), "Swell sent"),
    ("medchat", Fault("wrong_envelope"), "JSON without a list of chats"),
    ("medchat", Fault("data_null"), "JSON without a list of chats"),
    ("medchat", Fault("rows_not_objects"), "a list that holds something other than chats"),
    ("/messages", Fault("wrong_envelope"), "Swell sent JSON without"),
    ("/messages", Fault("data_null"), "Swell sent JSON without"),
    ("/messages", Fault("rows_not_objects"), "Swell sent JSON without"),
    ("/messages", Fault("wrong_types"), "Swell sent"),
    (
        "medchat",
        Fault("status", status=200, body='{"value": [], "error": {"code": "x"}}'),
        "MedChat sent an error in place of chats",
    ),
    ("/messages", Fault("status", status=200, body='{"data": [], "errors": ["x"]}'), "Swell sent"),
    ("any", Fault("deep_nesting"), "is nested too deeply"),
    ("any", Fault("slow", delay_ms=1300), "did not answer within read_timeout_seconds"),
    ("any", Fault("never_ending", delay_ms=20), "took too long"),
    ("any", Fault("huge_body", size=3), "sent a response of over 1 MiB"),
    ("any", Fault("gzip_bomb", size=30), "sent a response of over 1 MiB"),
]


def fault_id(value: object) -> str | None:
    if not isinstance(value, Fault):
        return None
    return f"{value.kind}-{value.status}" if value.kind == "status" else value.kind


def aimed(fault: Fault, where: str, times: int | None) -> Fault:
    return Fault(**{**vars(fault), "where": where, "times": times})


@pytest.fixture
def quick(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, no_pauses: None) -> Config:
    """Settings that give up soon."""
    monkeypatch.setattr(transport, "ANSWER_TIMEOUTS", 1)
    return sandbox.tap_config(max_retries=1, read_timeout_seconds=1, max_response_mb=1)


@pytest.mark.parametrize("vendor", ["medchat", "swell"])
@pytest.mark.parametrize("fault", PASSING, ids=fault_id)
def test_what_passes_is_asked_for_again(
    sandbox: Sandbox, quick: Config, vendor: str, fault: Fault
) -> None:
    sandbox.faults.add(aimed(fault, vendor, 1))

    # What follows a response with too short a length on its connection is unusable as well.
    run = sync({**quick, "max_retries": 2})

    assert run.code == 0, run.log
    assert run.errors == []
    assert sandbox.faults.pending() == []
    assert_whole(run, sandbox)


@pytest.mark.parametrize(
    "more",
    [
        {"meta": {"total": 35}},
        {"meta": {"last_page": 4}},
        {"links": {"next": "https://example.com?page=2"}},
    ],
    ids=str,
)
def test_a_page_that_is_empty_by_accident_is_asked_for_again(
    sandbox: Sandbox, quick: Config, more: Json
) -> None:
    body = json.dumps({"data": [], **more})
    sandbox.faults.add(Fault("status", where="swell", status=200, body=body, after=1))

    run = sync(quick, catalog=select(discover(quick), only("swell_messages")))

    assert run.code == 0, run.log
    assert sandbox.faults.pending() == []
    assert "may be missing" not in run.log
    assert_whole(run, sandbox, "swell_messages")


def places() -> t.Iterator[tuple[str, Fault, str]]:
    for where, fault, sentence in LASTING:
        for place in ("medchat", "swell") if where == "any" else (where,):
            yield place, fault, sentence


@pytest.mark.parametrize(("where", "fault", "sentence"), list(places()), ids=fault_id)
def test_what_lasts_ends_with_a_sentence_and_keeps_the_bookmark(
    sandbox: Sandbox, quick: Config, where: str, fault: Fault, sentence: str
) -> None:
    state = before(quick)
    if fault.kind in ("slow", "never_ending"):
        quick["max_retries"] = 0
    vendor = "medchat" if where == "medchat" else "swell"
    sandbox.faults.add(aimed(fault, where, None))

    run = sync(quick, state)

    assert run.code == 1
    assert_failed(run, state, vendor, sentence)
    sandbox.faults.clear()
    again = sync(quick, run.state)
    assert again.code == 0
    assert_whole(again, sandbox, *STREAMS_OF[vendor])


def before(config: Config) -> Json:
    """A state with bookmarks that other filters made: they are kept where nothing is read."""
    start = str(config["start_date"])[:10]
    swell = {
        "replication_key_value": f"{start}T00:00:00.000000Z",
        "version": 1,
        "scope": "to be refused",
    }
    return {"bookmarks": dict.fromkeys(SWELL_STREAMS, swell)}


def assert_failed(run: Run, state: Json, vendor: str, sentence: str) -> None:
    failed = STREAMS_OF[vendor]
    *reasons, last = run.errors
    assert reasons
    assert all(sentence in reason for reason in reasons), reasons
    assert all(reason.count("\n") == 0 and len(reason) < 500 for reason in reasons)
    assert last.startswith(f"Not read completely: {', '.join(failed)}.")
    for stream in failed:
        assert run.records(stream) == []
        assert run.bookmark(stream) == state["bookmarks"].get(stream, {})
    for stream in STREAMS_OF[OTHER[vendor]]:
        assert run.records(stream), stream
        assert run.bookmark(stream)["version"] == VERSION


def test_a_collection_that_is_no_list_ends_the_reading(sandbox: Sandbox, quick: Config) -> None:
    quick["swell_api_token"] = ""
    sandbox.faults.add(Fault("wrong_types", where="medchat", times=None))

    run = sync(quick)

    assert run.code == 1
    assert "Messages" in run.errors[0]


def test_odd_text_of_the_vendor_itself_is_read(sandbox: Sandbox, quick: Config) -> None:
    """Lone surrogates at once, bytes that are no UTF-8 when they come again and again."""
    quick["max_retries"] = 3
    texts = ("sms_chats", "sms_messages", "swell_messages")
    sandbox.faults.add(
        Fault("lone_surrogates", where="medchat", times=None),
        Fault("invalid_utf8", where="swell", times=None),
    )

    run = sync(quick, catalog=select(discover(quick), only(*texts)))

    assert run.code == 0, run.log
    for stream in texts:
        truth = {row["id"] for row in sandbox.truth()[stream]}
        assert {record["id"] for record in run.records(stream)} == truth
    assert "�" in run.stdout.decode()


@pytest.mark.parametrize(
    ("number", "hints", "believed"),
    [
        (1, {"meta": {"total": 3}}, False),
        (2, {"meta": {"total": 3}}, False),
        (2, {"meta": {"total": 3, "last_page": 1}}, True),
        (1, {"meta": {"total": 0, "last_page": 1}, "links": {"next": None}}, True),
        (2, {"meta": {"last_page": 3}}, False),
        (3, {"meta": {"last_page": 3}}, True),
        (3, {"links": {"next": "x"}}, False),
        (1, {}, True),
    ],
)
def test_which_empty_pages_are_believed(number: int, hints: Json, *, believed: bool) -> None:
    document = {"data": [], **hints}
    api = SwellApi(Options.from_config({"start_date": "2026-01-01"}), RateLimiter(1))
    read = api.changes("2026-01-01", number, 100).read
    if believed:
        assert read(document, 1).rows == []
        return
    with pytest.raises(ResponseError) as caught:
        read(document, 1)
    assert caught.value.fallback is not None
    assert caught.value.fallback().rows == []


class TestWaits:
    def test_nobody_slips_in_behind_a_refused_request(
        self, sandbox: Sandbox, quick: Config, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        quick["max_concurrency"] = 1
        sandbox.faults.add(Fault("rate_limited", where="swell", retry_after=0.3))
        waits, leave = [], RateLimiter.release

        def noted(rate_limiter: RateLimiter, headers: t.Any = None) -> None:
            waits.append(rate_limiter._wait() or 0)
            leave(rate_limiter, headers)

        monkeypatch.setattr(RateLimiter, "release", noted)

        assert sync(quick).code == 0
        assert max(waits) > 0.2

    def test_a_final_refusal_holds_nobody_up(self, sandbox: Sandbox, quick: Config) -> None:
        sandbox.faults.add(Fault("status", where="swell", status=422, retry_after=600))
        began = time.monotonic()

        run = sync(quick)

        assert run.records("swell_messages")
        assert time.monotonic() - began < 300

    @pytest.mark.parametrize(
        ("form", "concurrency"), [("seconds", 1), ("date", 1), ("reset", 1), ("seconds", 8)]
    )
    def test_waits_that_are_asked_for_are_kept(
        self, sandbox: Sandbox, quick: Config, form: t.Any, concurrency: int
    ) -> None:
        quick["max_concurrency"] = concurrency
        fault = Fault("rate_limited", where="swell", retry_after=1.9, retry_after_form=form)
        sandbox.faults.add(fault)
        quick["medchat_org_id"] = quick["medchat_access_token"] = ""

        run = sync(quick)

        assert run.code == 0
        struck = next(n for n, r in enumerate(sandbox.requests) if r.fault)
        ended = sandbox.requests[struck].ended or 0.0
        # Side by side, some may have been admitted before the refusal was known.
        after = ended if concurrency == 1 else ended + 0.4
        waited = min(r.started for r in sandbox.requests if r.started > after) - ended
        assert waited > 0.8

    def test_waiting_costs_no_tries(self, sandbox: Sandbox, quick: Config) -> None:
        quick["max_retries"] = 0
        sandbox.faults.add(Fault("rate_limited", where="medchat", retry_after=0.05, times=6))

        assert sync(quick).code == 0

    def test_when_the_period_ends_counts_only_where_requests_are_limited(self) -> None:
        headers = {"x-ratelimit-reset": "30"}

        assert requested_wait(headers, is_limited=False) is None
        assert requested_wait({**headers, "retry-after": "7"}, is_limited=False) == 7

    @pytest.mark.parametrize(("after", "code"), [(0, 1), (3, 0)])
    def test_a_web_page_is_an_accident_once_the_vendor_has_answered(
        self, sandbox: Sandbox, quick: Config, after: int, code: int
    ) -> None:
        quick |= {"max_retries": 6, "max_concurrency": 1, "swell_api_token": ""}
        sandbox.faults.add(Fault("html", where="medchat", after=after, times=5))

        assert sync(quick).code == code

    def test_it_gives_up_after_retry_seconds(self, sandbox: Sandbox, quick: Config) -> None:
        quick |= {"retry_seconds": 1, "swell_api_token": ""}
        sandbox.faults.add(Fault("rate_limited", where="medchat", retry_after=0.4, times=None))

        run = sync(quick)

        assert run.code == 1
        assert "rate-limited the request (429 Too Many Requests). Gave up after" in run.errors[0]
        assert "because retry_seconds is 1." in run.errors[0]

    def test_a_wait_beyond_the_budget_is_not_begun(self, sandbox: Sandbox, quick: Config) -> None:
        quick |= {"retry_seconds": 60, "swell_api_token": ""}
        sandbox.faults.add(Fault("rate_limited", where="medchat", retry_after=900, times=None))
        began = time.monotonic()

        assert sync(quick).code == 1
        assert time.monotonic() - began < 60

    @pytest.mark.parametrize(
        ("headers", "wait"),
        [
            ({}, None),
            ({"retry-after": "7"}, 7),
            ({"retry-after": " 1.5 "}, 1.5),
            ({"retry-after": "0"}, 0),
            ({"retry-after": "-5"}, None),
            ({"retry-after": "soon"}, None),
            ({"retry-after": "9" * 11}, MAX_WAIT),
            ({"retry-after": "9" * 400}, None),
            ({"retry-after": date(0)}, 0),
            ({"retry-after": date(1030), "date": date(1000)}, 30),
            ({"x-ratelimit-reset": "2000000030", "date": date(2_000_000_000)}, 30),
            ({"retry-after": "Thu, 01 Jan 99999 00:00:00 GMT"}, None),
            ({"x-ratelimit-reset": "30"}, 30),
            ({"x-ratelimit-reset": "1000000000"}, 0),
            ({"x-ratelimit-reset": "never"}, None),
            ({"retry-after": "7", "x-ratelimit-reset": "30"}, 7),
            ({"retry-after": "soon", "x-ratelimit-reset": "30"}, 30),
        ],
    )
    def test_how_headers_are_read(self, headers: dict[str, str], wait: float | None) -> None:
        assert requested_wait(headers, is_limited=True) == wait

    def test_instants_are_read_against_the_clock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(time, "time", lambda: 1_800_000_000.0)

        assert requested_wait({"retry-after": date(1_800_000_042)}, is_limited=True) == 42
        assert requested_wait({"x-ratelimit-reset": "1800000042"}, is_limited=True) == 42


def refusal(
    status: int, body: object, vendor: responses.Vendor = SWELL, **headers: str
) -> ResponseError:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(ResponseError) as caught:
        check_status(vendor, status, names, encoded)
    return caught.value


class TestErrorBodies:
    def test_422_names_the_refused_parameters_and_known_phrases(self) -> None:
        body = {
            "message": "The given data was invalid for Jane Smith.",
            "errors": {
                "to_date": ["The to date must be a date before or equal to today."],
                "page": ["Strange words about 555-0100."],
                "Jane Smith": ["is required"],
            },
        }

        error = refusal(422, body).error

        assert error.is_refusal
        assert error.fields == {"to_date", "page"}
        assert "to_date: must be a date before or equal to." in str(error)
        assert "page: rejected." in str(error)
        assert "Jane" not in str(error)
        assert "555" not in str(error)

    @pytest.mark.parametrize(
        ("field", "setting"),
        [
            ("token", "Check swell_api_token."),
            ("from_date", "Check start_date, end_date and swell_window_days."),
            ("to_date", "Check start_date, end_date and swell_window_days."),
            ("per_page", "Check swell_page_size."),
            ("page", "Check swell_page_size."),
            ("location_id", "Check swell_location_ids."),
            ("team_id.0", "Check swell_team_ids."),
            ("contact_id", "Check swell_contact_ids."),
        ],
    )
    def test_advice_follows_the_rejected_field(self, field: str, setting: str) -> None:
        error = refusal(422, {"errors": {field: ["The field is invalid."]}}).error

        assert str(error).endswith(f"{field.partition('.')[0]}: is invalid. {setting}")
        assert error.is_refusal is (field != "token")

    @pytest.mark.parametrize(
        ("laravel_8", "laravel_10", "phrase"),
        [
            (
                "The to date is not a valid date.",
                "The to date field must be a valid date.",
                "is not a valid date|must be a valid date",
            ),
            (
                "The to date does not match the format Y-m-d.",
                "The to date field must match the format Y-m-d.",
                "does not match the format|must match the format",
            ),
            (
                "The per page must be between 1 and 100.",
                "The per page field must be between 1 and 100.",
                "must be between 1 and 100",
            ),
            (
                "The per page may not be greater than 100.",
                "The per page field must not be greater than 100.",
                "may not be greater than 100|must not be greater than 100",
            ),
            (
                "The from date must be a date after or equal to -3 days.",
                "The from date field must be a date after or equal to -3 days.",
                "must be a date after or equal to",
            ),
        ],
    )
    def test_messages_of_laravel_8_and_10(
        self, laravel_8: str, laravel_10: str, phrase: str
    ) -> None:
        for message in (laravel_8, laravel_10):
            text = str(refusal(422, {"errors": {"to_date": [message]}}).error)

            assert any(f"to_date: {known}." in text for known in phrase.split("|")), text

    def test_numbers_in_messages_are_never_phone_numbers(self) -> None:
        errors = {"page": ["The page must be between 2175550199 and 1."]}

        assert "555" not in str(refusal(422, {"errors": errors}).error)

    def test_a_url_that_is_too_long(self) -> None:
        assert "list fewer IDs in swell_location_ids" in str(refusal(414, b"<html>").error)

    @pytest.mark.parametrize("location", ["", "https://swell.example/maintenance"])
    def test_maintenance_is_not_blamed_on_the_token(self, location: str) -> None:
        down = refusal(503, b"<html>Service Unavailable")
        redirect = refusal(302, b"<html>", location=location)

        assert down.action is Action.RETRY
        assert redirect.action is Action.RETRY_LIMITED
        assert "Swell may be down for maintenance" in str(redirect)
        assert "token" not in f"{down} {redirect}"

    def test_a_redirect_to_the_login_page_is_blamed_on_the_token(self) -> None:
        error = refusal(302, b"<html>", location="https://swell.example/login")

        assert error.action is Action.FAIL
        assert "Check swell_api_token" in str(error)

    def test_many_refused_parameters_are_cut(self) -> None:
        errors = dict.fromkeys(SWELL.parameters, "is required")

        assert str(refusal(422, {"errors": errors}).error).count("is required") == 5

    @pytest.mark.parametrize("code", ["InvalidToken", "TooManyRequests", 4711, "4711"])
    @pytest.mark.parametrize("nested", [False, True])
    def test_known_error_codes_are_told(self, code: object, *, nested: bool) -> None:
        body = {"error": {"code": code}} if nested else {"code": code}

        assert f"Error code {code}." in str(refusal(401, body).error)

    @pytest.mark.parametrize(
        "code", ["Jane Smith", "5550100123", 5550100123, ["Jane"], {"a": 1}, None, 1.5, True, -1]
    )
    def test_other_codes_are_not(self, code: object) -> None:
        text = str(refusal(401, {"code": code, "error": {"code": code}}).error)

        assert "Error code" not in text

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"\xff\xfe",
            b"null",
            b"[]",
            b"5",
            b'"text"',
            b"[" * 100_000,
            b'{"errors": [1]}',
            b'{"errors": {"page": null}}',
            b'{"errors": {"page": {"a": [1]}}}',
            b'{"error": "text", "code": {}}',
            b'{"code": 1' + b"0" * 5000 + b"}",
            b'{"errors": {"page": ' + b"[" * 500 + b"]" * 500 + b"}}",
        ],
        ids=range(13),
    )
    def test_no_body_is_too_odd(self, body: bytes) -> None:
        assert "422 Unprocessable" in str(refusal(422, body).error)

    def test_request_ids_are_told_if_they_look_like_one(self) -> None:
        request = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"

        assert f"500 Internal Server Error (request {request})." in str(
            refusal(500, b"", x_request_id=request).error
        )
        assert "(request 8a1b2c3d4e5f6789-DEN)." in str(
            refusal(500, b"", cf_ray="8a1b2c3d4e5f6789-DEN").error
        )

    @pytest.mark.parametrize("text", ["Jane Smith", "5550100123", "1-555-010-0123-0000", "cafe"])
    def test_other_texts_in_their_place_are_not_told(self, text: str) -> None:
        assert "request" not in str(refusal(500, b"", x_request_id=text).error)

    def test_top_refused_with_a_number(self) -> None:
        body = {"message": "The limit of '50' for Top query has been exceeded."}
        error = refusal(400, body, MEDCHAT).error

        assert isinstance(error, PageTooLargeError)
        assert error.limit == 50

    @pytest.mark.parametrize(
        ("body", "action"),
        [
            (b'{"message": "The limit of', Action.RETRY_LIMITED),
            (b'{"message": "Bad"}', Action.FAIL),
            (b"<html>", Action.FAIL),
            (b"", Action.FAIL),
        ],
        ids=["cut", "whole", "a web page", "empty"],
    )
    def test_a_refusal_that_broke_off_is_asked_for_again(self, body: bytes, action: Action) -> None:
        """What it refuses, which may be the page size, is not known (M3)."""
        assert refusal(400, body, MEDCHAT).action is action

    @pytest.mark.parametrize("status", [200, 204])
    def test_good(self, status: int) -> None:
        check_status(SWELL, status, {}, b"")

    @pytest.mark.parametrize("status", [100, 199, 201, 299, 300, 399, 499, 599, 600, 999])
    def test_every_status_has_a_sentence(self, status: int) -> None:
        assert str(status) in str(refusal(status, b"").error)


class TestUnreachable:
    @pytest.mark.parametrize(
        ("error", "sentence"),
        [
            (requests.exceptions.SSLError("tok"), "the TLS handshake failed"),
            (requests.exceptions.ProxyError("tok"), "through the configured proxy"),
            (requests.exceptions.ConnectTimeout("tok"), "within connect_timeout_seconds"),
            (requests.exceptions.ReadTimeout("tok"), "within read_timeout_seconds"),
            (requests.exceptions.ConnectionError("tok"), "cannot be reached, or closed"),
            (requests.exceptions.InvalidURL("tok"), "is not a valid proxy URL"),
            (requests.exceptions.InvalidSchema("tok"), "is not a valid proxy URL"),
            (urllib3.exceptions.LocationParseError("tok"), "is not a valid proxy URL"),
            (OSError("tok"), "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE is not a file"),
            (OSError(101, "tok"), "cannot be reached, or closed"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_is_told_by_type_alone(
        self, quick: Config, monkeypatch: pytest.MonkeyPatch, error: Exception, sentence: str
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", fail)

        run = sync({**quick, "max_retries": 0})

        assert run.code == 1
        assert sentence in run.errors[0]
        assert "tok" not in " ".join(run.errors).replace("token", "")

    def test_refused_connection(self, quick: Config) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        run = sync({**quick, "swell_api_url": f"http://127.0.0.1:{port}", "max_retries": 0})

        assert run.code == 1
        assert "Swell cannot be reached" in run.errors[0]
        assert "check swell_api_url and the network" in run.errors[0]
        assert run.records("sms_chats")

    def test_connect_timeout(self, quick: Config) -> None:
        """A queue that is full leaves further connections waiting."""
        with socket.socket() as full, socket.socket() as one, socket.socket() as two:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for filler in (one, two):
                filler.setblocking(False)  # noqa: FBT003
                filler.connect_ex(full.getsockname())
            url = f"http://127.0.0.1:{full.getsockname()[1]}"
            settings = {"swell_api_url": url, "max_retries": 0, "connect_timeout_seconds": 1}
            quick |= {"medchat_org_id": "", "medchat_access_token": ""}

            run = sync({**quick, **settings})

        assert run.code == 1
        assert "within connect_timeout_seconds" in run.errors[0]

    @pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\nX: ", HEAD + b"5;"])
    def test_an_answer_that_trickles(self, quick: Config, begin: bytes) -> None:
        """Each byte comes in time, and there is no end of them."""
        quick |= {"medchat_org_id": "", "medchat_access_token": "", "max_retries": 0}
        with socket.create_server(("127.0.0.1", 0)) as server:
            quick["swell_api_url"] = f"http://127.0.0.1:{server.getsockname()[1]}"
            threading.Thread(target=trickle, args=(server, begin), daemon=True).start()

            run = sync(quick)

        assert run.code == 1
        assert "did not answer within read_timeout" in run.log or "took too long" in run.log


def trickle(server: socket.socket, begin: bytes) -> None:
    """Send every connection a byte now and then, for ever."""
    connections: list[socket.socket] = []
    server.settimeout(0.2)
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        while server.fileno() >= 0:
            with contextlib.suppress(TimeoutError):
                connection, _ = server.accept()
                connections.append(stack.enter_context(connection))
                connection.sendall(begin)
            for connection in connections:
                connection.sendall(b"a")


def test_actions() -> None:
    """Only what may pass is asked for again."""
    bad = set(range(100, 600)) - {200, 204}
    retried = {status for status in bad if refusal(status, b"").action is not Action.FAIL}

    assert retried & set(range(300, 500)) == {302, 303, 307, 408, 409, 425, 429}
    assert set(range(500, 600)) <= retried
    assert isinstance(refusal(500, b"").error, VendorError)
