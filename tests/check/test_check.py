"""--check: each reading that the sandbox can be set to, and what the page says about it."""

from __future__ import annotations

import functools
import json
import random
import subprocess
import sys
import typing as t
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import jsonschema  # type: ignore[import-untyped]
import pytest
from medchat_swell_sandbox import Dataset, Fault, Sandbox
from medchat_swell_sandbox.clock import utc_now
from support import ROOT
from support.tap_runs import Cli, discover

from tap_medchat_swell.check import connection, fields, questions, run, swell
from tap_medchat_swell.check.questions import MAX_REQUESTS, UNKNOWN
from tap_medchat_swell.check.swell import CLOCKS
from tap_medchat_swell.http import client
from tap_medchat_swell.http.rate_limiter import RateLimiter
from tap_medchat_swell.http.transport import Transport
from tap_medchat_swell.settings import Options

if t.TYPE_CHECKING:
    from collections.abc import Iterator

Document = dict[str, t.Any]
ALL = {"sms_chats", "sms_messages", "swell_messages", "swell_message_counts"}
WEST = "America/Phoenix"  # UTC-7 all year
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
pytestmark = pytest.mark.usefixtures("no_pauses")


@pytest.fixture(scope="module")
def vendors() -> Iterator[Sandbox]:
    """A clinic of some size; the quirks are each test's."""
    midnight = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    data = Dataset.generate(seed=7, chats=200, swell_messages=1000, days=60, now=midnight)
    with Sandbox(data) as running:
        yield running


@pytest.fixture(autouse=True)
def _at_noon_of_any_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers depend on the hour, and on clocks that have just changed; tests do not.

    In the evening, a range "up to now" holds a whole last day; after midnight nothing of it.
    """
    monkeypatch.setattr(swell, "now", lambda: utc_now().replace(hour=12))
    monkeypatch.setattr(swell, "CLOCKS", ())


def readings(check: Document) -> dict[str, str]:
    assert check["requests"] <= MAX_REQUESTS
    return {finding["question"]: finding["reading"] for finding in check["findings"]}


def _check(
    vendor: str,
    sandbox: Sandbox,
    selected: set[str] = ALL,
    settings: dict[str, t.Any] | None = None,
    **quirks: t.Any,
) -> Document:
    quirks = {"swell_created_at_zone": WEST, **quirks}
    sandbox.quirks = type(sandbox.quirks)().replace(**quirks)
    options = Options.from_config(sandbox.tap_config(max_retries=2, **settings or {}))
    document, _ = run.check_vendor(vendor, options, RateLimiter(8), selected)
    return document


check_medchat = functools.partial(_check, "MedChat")
check_swell = functools.partial(_check, "Swell")


MEDCHAT: list[tuple[dict[str, t.Any], dict[str, str]]] = [
    (
        {},
        {
            "address": "reached without a proxy",
            "TLS": "none",
            "token": "accepted",
            "organization": "right",
            "scope for sms_messages (M16)": "present",
            "collections cut short (M15)": "none up to 11 rows",
            "page limit (M3)": "none up to 200 chats",
            "envelope (M1)": "a bare list",
            "answer without chats (M1)": "a bare list, empty",
            "nextLink (M4)": "absent",
            "$orderby (M6)": "obeyed",
            "order of chats (M6)": "the same each time",
            "$skip (M5)": "obeyed",
            "$filter (M19)": "obeyed",
            "chats without a date (M10)": "none",
            "key casing without $expand (M2)": "camelCase",
            "id of sms_messages (M14)": "id",
            "form of dates (M10)": "Z; 3 fraction digits",
            "number of chats": "about 200",
            "clock": "agrees with this machine",
            "rate limit": "not announced",
        },
    ),
    ({"medchat_envelope": "value"}, {"envelope (M1)": 'an object with "value"'}),
    (
        {"medchat_envelope": "value", "medchat_next_link": "present"},
        {"nextLink (M4)": "present"},
    ),
    ({"medchat_empty": "204"}, {"answer without chats (M1)": "204 or an empty body"}),
    ({"medchat_empty": "null"}, {"answer without chats (M1)": "null"}),
    (
        {"medchat_casing_with_expand": "pascal"},
        {
            "key casing without $expand (M2)": "camelCase",
            "key casing with $expand (M2)": "PascalCase",
            "key casing inside collections (M2)": "PascalCase",
        },
    ),
    (
        {"medchat_casing": "pascal", "medchat_casing_nested": "camel"},
        {
            "key casing without $expand (M2)": "PascalCase",
            "key casing inside collections (M2)": "camelCase",
        },
    ),
    ({"medchat_casing": "lower"}, {"key casing without $expand (M2)": "lowercase"}),
    ({"medchat_casing": "mixed"}, {"key casing without $expand (M2)": "mixed"}),
    (
        {"medchat_casing": "rotating"},
        {"key casing without $expand (M2)": "changes between answers"},
    ),
    ({"medchat_expanded_cap": 10}, {"collections cut short (M15)": UNKNOWN}),
    ({"medchat_expanded_cap": 3}, {"collections cut short (M15)": "none up to 3 rows"}),
    (
        {"medchat_expanded_cap": 2, "medchat_expanded_cap_link": True},
        {"collections cut short (M15)": "with a link to the rest"},
    ),
    (
        {"medchat_expanded": "absent"},
        {"collections cut short (M15)": UNKNOWN, "scope for sms_messages (M16)": UNKNOWN},
    ),
    ({"medchat_max_top": 50}, {"page limit (M3)": "more than 50 is refused"}),
    ({"medchat_page_cap": 15}, {"page limit (M3)": "15, silently", "$skip (M5)": "obeyed"}),
    ({"medchat_skip_ignored": True}, {"$skip (M5)": "ignored", "number of chats": UNKNOWN}),
    (
        {"medchat_skip_ignored": True, "medchat_page_cap": 30},
        {"$skip (M5)": "ignored", "page limit (M3)": UNKNOWN, "number of chats": UNKNOWN},
    ),
    (
        {"medchat_order": "shuffled_ties"},
        {"order of chats (M6)": "ties change places", "$skip (M5)": "obeyed"},
    ),
    (
        {"medchat_order": "unstable"},
        {
            "order of chats (M6)": "changes on every request",
            "$orderby (M6)": "not obeyed",
            "$skip (M5)": UNKNOWN,
        },
    ),
    (
        {"medchat_order": "shuffled_ties", "medchat_chat_date_null_every": 5},
        {"order of chats (M6)": UNKNOWN},
    ),
    ({"medchat_order": "postgres"}, {"order of chats (M6)": "ties depend on the page"}),
    ({"medchat_orderby_ignored": True}, {"$orderby (M6)": "not obeyed", "$skip (M5)": "obeyed"}),
    (
        {"medchat_filter_ignored": True},
        {"$filter (M19)": "ignored", "answer without chats (M1)": UNKNOWN},
    ),
    (
        {"medchat_date_zone": "none", "medchat_date_digits": 7},
        {"form of dates (M10)": "no zone; 7 fraction digits"},
    ),
    (
        {"medchat_date_zone": "+05:00", "medchat_date_digits": 0},
        {"form of dates (M10)": "+05:00; 0 fraction digits"},
    ),
    ({"medchat_chat_id_name": "smsChatId"}, {"id of sms_chats (M14)": "smsChatId"}),
    ({"medchat_message_id_name": "messageId"}, {"id of sms_messages (M14)": "messageId"}),
    ({"medchat_message_id_name": None}, {"id of sms_messages (M14)": "none"}),
    ({"medchat_chat_id_name": None}, {"id of sms_chats (M14)": "none", "$skip (M5)": "obeyed"}),
]


@pytest.mark.parametrize(
    ("quirks", "expected"), MEDCHAT, ids=lambda value: "-".join(map(str, value))
)
def test_medchat(vendors: Sandbox, quirks: dict[str, t.Any], expected: dict[str, str]) -> None:
    found = readings(check_medchat(vendors, **quirks))

    assert {question: found[question] for question in expected} == expected


def test_an_ignored_order_that_rises_by_itself() -> None:
    """Chats come in the order of their ids, which here is that of their creation."""
    data = Dataset()
    for number in range(12):
        data.add_chat(id=f"chat-{number:02d}", created=utc_now() - (20 - number) * DAY)
    with Sandbox(data) as ordered:
        found = readings(check_medchat(ordered, medchat_orderby_ignored=True))

    assert found["$orderby (M6)"] == "not obeyed"


SWELL: list[tuple[dict[str, t.Any], dict[str, str]]] = [
    (
        {},
        {
            "token": "accepted",
            "from_date and to_date (W22)": "obeyed",
            "page limit (W11)": "100 or more",
            "links (W8)": "only the page, without the token, this host, http",
            "meta.total (W9)": "right",
            "order of messages (W10)": "oldest first",
            "answer without a token (W17)": "401",
            "token as a Bearer header (W17)": "refused",
            "to_date (W1)": "inclusive",
            "zone of days (W4)": "UTC",
            "created_at (W6)": "in all",
            "zone of date_sent (W5)": "UTC",
            "count by date (W14)": "that day",
            "count by from_date and to_date (W14)": "includes to_date",
            "7 days' difference (W2)": "accepted",
            "to_date tomorrow (W3)": "accepted",
            "to_date today (W3)": "accepted",
        },
    ),
    (
        {"swell_to_date": "exclusive", "swell_count_to_date": "exclusive"},
        {
            "to_date (W1)": "exclusive: ends at its midnight",
            "zone of days (W4)": "UTC",
            "count by date (W14)": "that day",
            "count by from_date and to_date (W14)": "excludes to_date",
        },
    ),
    (
        {"swell_filter_zone": WEST, "swell_date_sent_zone": WEST},
        {
            "to_date (W1)": "inclusive",
            "zone of days (W4)": "UTC-7, as created_at",
            "zone of date_sent (W5)": "UTC-7",
            "count by date (W14)": "that day",
        },
    ),
    (
        {
            "swell_filter_zone": "Asia/Tokyo",
            "swell_to_date": "exclusive",
            "swell_created_at_zone": "UTC",
        },
        {"zone of days (W4)": "UTC+9", "to_date (W1)": "exclusive: ends at its midnight"},
    ),
    ({"swell_filter_zone": 5.5}, {"zone of days (W4)": "UTC+5:30"}),
    ({"swell_filter_zone": -12}, {"zone of days (W4)": "UTC-12"}),
    ({"swell_max_range_days": 6}, {"7 days' difference (W2)": "refused"}),
    (
        {"swell_tomorrow_refused": True},
        {"to_date tomorrow (W3)": "refused", "to_date today (W3)": "accepted"},
    ),
    (
        {"swell_today_refused": True},
        {"to_date tomorrow (W3)": "refused", "to_date today (W3)": "refused"},
    ),
    ({"swell_date_sent": "object"}, {"zone of date_sent (W5)": "says its own zone"}),
    ({"swell_date_sent": "null"}, {"zone of date_sent (W5)": UNKNOWN}),
    ({"swell_date_sent_shift_hours": 3}, {"zone of date_sent (W5)": UNKNOWN}),
    ({"swell_created_at": "some"}, {"created_at (W6)": "in some", "zone of days (W4)": "UTC"}),
    (
        {"swell_created_at": "none"},
        {
            "created_at (W6)": "in none",
            "zone of days (W4)": UNKNOWN,
            "to_date (W1)": UNKNOWN,
            "zone of date_sent (W5)": UNKNOWN,
        },
    ),
    ({"swell_links": "full"}, {"links (W8)": "the whole query, with the token, this host, http"}),
    (
        {"swell_links": "full_no_token"},
        {"links (W8)": "the whole query, without the token, this host, http"},
    ),
    (
        {"swell_links": "other_host"},
        {"links (W8)": "only the page, without the token, another host, https"},
    ),
    ({"swell_links": "null"}, {"links (W8)": "all null"}),
    ({"swell_links": "absent"}, {"links (W8)": "absent"}),
    (
        {"swell_meta": "simple"},
        {"meta.total (W9)": "absent: meta without total", "to_date (W1)": "inclusive"},
    ),
    ({"swell_meta": "absent"}, {"meta.total (W9)": "absent: no meta", "zone of days (W4)": "UTC"}),
    ({"swell_total_shift": 3}, {"meta.total (W9)": "off by +3"}),
    ({"swell_total_shift": -3}, {"meta.total (W9)": "off by -3"}),
    ({"swell_order": "latest"}, {"order of messages (W10)": "latest first"}),
    (
        {"swell_order": "unspecified"},
        {"order of messages (W10)": "in no visible order"},
    ),
    (
        {"swell_order": "unstable"},
        {"order of messages (W10)": "changes on every request", "zone of days (W4)": "UTC"},
    ),
    (
        {"swell_per_page_clamp": 20},
        {"page limit (W11)": "20, silently", "zone of days (W4)": "UTC"},
    ),
    ({"swell_updated_after": "Y-m-d"}, {"updated_after format (W12)": "Y-m-d"}),
    ({"swell_updated_after": "iso"}, {"updated_after format (W12)": "Y-m-dTH:i:sZ"}),
    ({"swell_updated_after": "none"}, {"updated_after format (W12)": "refused"}),
    ({"swell_count_date": "today"}, {"count by date (W14)": "ignored, or always today"}),
    ({"swell_count_date": "ignored"}, {"count by date (W14)": "ignored, or always today"}),
    ({"swell_count_cumulative": True}, {"count by date (W14)": "cumulative: all up to that day"}),
    ({"swell_bearer": True}, {"token as a Bearer header (W17)": "accepted"}),
    (
        {"swell_auth_failure": "403"},
        {"answer without a token (W17)": "403", "token as a Bearer header (W17)": "refused"},
    ),
    (
        {"swell_auth_failure": "html", "swell_bearer": True},
        {"token as a Bearer header (W17)": UNKNOWN},
    ),
    (
        {"swell_filters_ignored": True},
        {
            "from_date and to_date (W22)": "ignored",
            "to_date (W1)": UNKNOWN,
            "zone of days (W4)": UNKNOWN,
            "count by date (W14)": UNKNOWN,
        },
    ),
    ({"swell_ids_as_strings": True}, {"zone of days (W4)": "UTC"}),
    (
        {"swell_data_as_object": True, "swell_meta_links": True},
        {"page limit (W11)": "100 or more", "zone of days (W4)": "UTC"},
    ),
    ({"swell_hints": "next_null"}, {"zone of days (W4)": "UTC"}),
    ({"swell_throttle_per_minute": 600}, {"rate limit": "announced"}),
]


@pytest.mark.parametrize(("quirks", "expected"), SWELL, ids=lambda value: "-".join(map(str, value)))
def test_swell(vendors: Sandbox, quirks: dict[str, t.Any], expected: dict[str, str]) -> None:
    found = readings(check_swell(vendors, **quirks))

    assert {question: found[question] for question in expected} == expected


def test_ties_show_no_order() -> None:
    data = Dataset()
    contact = data.add_contact(name="A", location_ids=())
    for number in (5, 1, 9, 3, 7, 2, 8, 4):
        data.add_swell_message(contact.id, created=utc_now() - 9 * DAY, text=str(number))
    with Sandbox(data) as ties:
        for order in ("postgres", "unspecified"):
            found = readings(check_swell(ties, swell_order=order))
            assert found["order of messages (W10)"] == UNKNOWN


@pytest.mark.parametrize(
    ("order", "reading"),
    [("id", "by id"), ("latest", "latest first"), ("unspecified", "in no visible order")],
)
def test_order_of_messages_that_were_stored_late(order: str, reading: str) -> None:
    data = Dataset()
    contact = data.add_contact(name="A", location_ids=())
    for number in (5, 1, 9, 3, 7, 2, 8, 4):
        data.add_swell_message(contact.id, created=utc_now() - 9 * DAY - number * HOUR)
    with Sandbox(data) as late:
        found = readings(check_swell(late, swell_order=order))

    assert found["order of messages (W10)"] == reading


def test_ties_that_are_not_neighbors_show_no_order_of_chats() -> None:
    """Only ties side by side change places, so that these cannot show whether any would."""
    data = Dataset()
    for number in range(20):
        data.add_chat(id=f"chat-{number:02d}", created=utc_now() - (9 + number % 2) * DAY)
    with Sandbox(data) as apart:
        check = check_medchat(apart, medchat_order="shuffled_ties", medchat_orderby_ignored=True)

    assert readings(check)["order of chats (M6)"] == UNKNOWN


@pytest.mark.parametrize(("order", "reading"), [("id", "by id"), ("latest", UNKNOWN)])
def test_order_without_created_at(vendors: Sandbox, order: str, reading: str) -> None:
    found = readings(check_swell(vendors, swell_created_at="none", swell_order=order))

    assert found["order of messages (W10)"] == reading


def clinic(per_day: int, hours: range) -> Dataset:
    """A clinic whose messages are written in these hours of UTC only."""
    data, rng = Dataset(), random.Random(3)
    contacts = [data.add_contact(name=str(n), location_ids=()).id for n in range(50)]
    midnight = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    for day in range(40, 0, -1):
        for _ in range(per_day + day % 3):
            second = rng.randrange(hours[0] * 3600, hours[-1] * 3600)
            data.add_swell_message(
                rng.choice(contacts), created=midnight - day * DAY + timedelta(seconds=second)
            )
    return data


def test_the_latest_messages_of_many_days_are_all_of_the_evening() -> None:
    with Sandbox(clinic(100, range(25))) as large:
        found = readings(check_swell(large, swell_order="latest", swell_per_page_clamp=50))

    assert found["zone of days (W4)"] == "UTC"
    assert found["count by date (W14)"] == "that day"


def test_the_night_of_a_clinic_leaves_the_zone_open_but_not_the_counts() -> None:
    with Sandbox(clinic(20, range(15, 23))) as quiet:
        found = readings(check_swell(quiet, swell_filter_zone=WEST))

    assert found["zone of days (W4)"] == UNKNOWN
    assert found["to_date (W1)"] == "inclusive"
    assert found["count by date (W14)"] == "that day"


def test_the_evening_leaves_the_ending_open_but_not_the_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(swell, "now", lambda: utc_now().replace(hour=23, minute=30))
    with Sandbox(clinic(20, range(15, 23))) as quiet:
        found = readings(check_swell(quiet, swell_filter_zone=WEST))

    assert found["to_date (W1)"] == UNKNOWN
    assert found["count by date (W14)"] == "that day"
    assert found["count by from_date and to_date (W14)"] == "includes to_date"


@pytest.mark.parametrize(("meta", "is_told"), [("simple", False), ("present", True)])
def test_no_estimate_where_full_pages_have_no_total(meta: str, *, is_told: bool) -> None:
    with Sandbox(clinic(30, range(25))) as large:
        check = check_swell(large, swell_meta=meta)

    assert (check["estimate"] is not None) is is_told


def problems(check: Document) -> str:
    return " ".join(f["meaning"] for f in check["findings"] if f["verdict"] == "problem")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"medchat_access_token": "wrong-token"}, "medchat_access_token"),
        ({"medchat_org_id": "other-org"}, "medchat_org_id"),
        ({"medchat_accept": "application/json"}, "medchat_accept"),
        ({"medchat_api_url": "http://127.0.0.1:9/smschatapi"}, "medchat_api_url"),
    ],
)
def test_medchat_settings_to_fix(vendors: Sandbox, settings: dict[str, t.Any], words: str) -> None:
    check = check_medchat(vendors, settings=settings)

    assert not check["works"]
    assert words in problems(check)


@pytest.mark.parametrize(
    ("quirks", "selected", "works"),
    [
        ({"medchat_forbidden_expands": ["Messages"]}, ALL, False),
        ({"medchat_forbidden_expands": ["Messages"]}, {"sms_chats"}, True),
        ({"medchat_forbidden_expands": ["TextBotExecutions"]}, ALL, True),
        (
            {"medchat_forbidden_expands": ["TextBotExecutions"]},
            {*ALL, "sms_text_bot_executions"},
            False,
        ),
        ({"medchat_expanded": "absent"}, ALL, False),
        ({"medchat_expanded": "absent"}, {"sms_chats"}, True),
        ({"medchat_filter_ignored": True}, ALL, False),
        ({"medchat_page_cap": 1}, ALL, False),
        ({"medchat_skip_ignored": True}, ALL, True),
        ({"medchat_order": "unstable"}, ALL, True),
    ],
)
def test_medchat_works_as_far_as_streams_are_selected(
    vendors: Sandbox, quirks: dict[str, t.Any], selected: set[str], *, works: bool
) -> None:
    assert check_medchat(vendors, selected, **quirks)["works"] is works


@pytest.mark.parametrize(
    ("settings", "quirks", "words"),
    [
        ({"swell_api_token": "wrong-token"}, {}, "swell_api_token"),
        ({"swell_api_token": "wrong-token"}, {"swell_auth_failure": "302"}, "swell_api_token"),
        ({"swell_api_token": "wrong-token"}, {"swell_auth_failure": "html"}, "swell_api_token"),
        ({"swell_token_placement": "header"}, {}, "swell_api_token"),
        ({}, {"swell_per_page_max": 50}, "swell_page_size"),
        ({}, {"swell_max_range_days": 3}, "swell_window_days"),
        ({}, {"swell_filters_ignored": True}, "Swell"),
    ],
)
def test_swell_settings_to_fix(
    vendors: Sandbox, settings: dict[str, t.Any], quirks: dict[str, t.Any], words: str
) -> None:
    check = check_swell(vendors, settings=settings, **quirks)

    assert not check["works"]
    assert words in problems(check)


@pytest.mark.parametrize(("selected", "works"), [(ALL, False), ({"swell_messages"}, True)])
def test_counts_without_their_scope(vendors: Sandbox, selected: set[str], *, works: bool) -> None:
    vendors.faults.add(Fault("status", status=403, where="/messages/count", times=None))
    try:
        check = check_swell(vendors, selected)
    finally:
        vendors.faults.clear()

    assert readings(check)["scope for swell_message_counts"] == "missing or not answered"
    assert "count by date (W14)" not in readings(check)
    assert check["works"] is works


@pytest.mark.parametrize("budget", [4, 14, 16, 18])
def test_a_used_up_budget_is_no_problem(
    vendors: Sandbox, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    monkeypatch.setattr(questions, "MAX_REQUESTS", budget)

    assert check_swell(vendors)["works"]
    assert check_medchat(vendors)["works"]


def test_the_token_in_the_header_alone(vendors: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    urls: list[str] = []
    send = Transport._send

    def noted(transport: Transport, url: str) -> t.Any:
        urls.append(url)
        return send(transport, url)

    monkeypatch.setattr(Transport, "_send", noted)

    check = check_swell(vendors, settings={"swell_token_placement": "header"}, swell_bearer=True)

    assert check["works"]
    assert urls
    assert not [url for url in urls if "token" in url]


@pytest.mark.parametrize(
    ("created", "reading"), [(None, "some"), ("2024-01-01T00:00:00Z", "could not tell")]
)
def test_chats_without_a_date(vendors: Sandbox, created: str | None, reading: str) -> None:
    body = json.dumps([{"id": "a", "createdDateTime": created}])
    vendors.faults.add(Fault("status", status=200, body=body, where="eq%20null"))

    check = check_medchat(vendors)

    assert readings(check)["chats without a date (M10)"] == reading
    assert check["works"]


def test_an_empty_account_works_and_says_so() -> None:
    with Sandbox(Dataset()) as empty:
        config = {"start_date": str(utc_now() - 60 * DAY)[:10]}
        checks = [check_medchat(empty, settings=config), check_swell(empty, settings=config)]

    for check in checks:
        assert check["works"]
        assert any(
            finding["verdict"] == "warning" and "start_date" in finding["meaning"]
            for finding in check["findings"]
        )
        claims = readings(check)
        assert claims.get("$skip (M5)", UNKNOWN) == UNKNOWN
        assert claims.get("to_date (W1)", UNKNOWN) == UNKNOWN


def test_days_are_not_judged_by_messages_of_another_season(monkeypatch: pytest.MonkeyPatch) -> None:
    """created_at in UTC does not show that the clocks of Swell's days have changed since."""
    monkeypatch.setattr(swell, "CLOCKS", CLOCKS)
    at = datetime(2026, 11, 28, tzinfo=timezone.utc)
    months = ("2026-07-01", "2026-10-20", "2026-11-10", "2026-11-12")
    rows = {n: {"id": n, "created_at": f"{day}T0{n}:00:00Z"} for n, day in enumerate(months)}

    messages = SimpleNamespace(rows=rows, settled=(at - 2 * DAY).date())

    asked = swell._questions(t.cast("t.Any", messages))

    assert {question.number for question in asked} == {2, 3}


def test_today_is_that_of_the_vendors_clock(
    vendors: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (swell, client):
        monkeypatch.setattr(module, "now", lambda: utc_now() - DAY)

    found = readings(check_swell(vendors, swell_today_refused=True))

    assert found["to_date today (W3)"] == "refused"
    assert found["zone of days (W4)"] == "UTC"


def test_the_proxy_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://user:proxy-password@proxy.example:3128")

    url = "https://medchatapp.com/smschatapi"
    seen = connection.address(t.cast("t.Any", SimpleNamespace(url=url)))

    assert seen.reading == "reached through the proxy proxy.example:3128"
    assert "proxy-password" not in repr(seen)


def test_a_sync_imports_nothing_of_the_check() -> None:
    """Nor what merges states: a tenth of a second of every start."""
    code = "import sys, tap_medchat_swell.tap; print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    names = [name for name in done.stdout.split() if name.startswith("tap_medchat_swell.")]
    assert "tap_medchat_swell.tap" in names
    assert [name for name in names if name.split(".")[1] in {"check", "merge_states"}] == []


class TestCommand:
    def test_page(self, config: dict[str, t.Any], sandbox: Sandbox, cli: Cli) -> None:
        run = cli("--check", config=config)

        assert run.code == 0, run.log
        page = run.stdout.decode()
        assert "MedChat: a sync would work." in page
        assert "Swell: a sync would work." in page
        assert '"type": "RECORD"' not in page
        assert '        channel_id: {"type": ["string", "null"]}\n' in page
        assert len(sandbox.requests) < 2 * MAX_REQUESTS
        assert "never came: name" in page  # a column of sms_messages that the sandbox lacks
        assert "text_length" not in page, "the tap computes it"

    def test_both_vendors_are_named(self, config: dict[str, t.Any], cli: Cli) -> None:
        wrong = {"medchat_access_token": "wrong-token", "swell_api_token": "wrong-token"}

        run = cli("--check", config={**config, **wrong})

        assert run.code == 1
        page = run.stdout.decode()
        assert "Check medchat_access_token" in page
        assert "Check swell_api_token" in page
        assert "wrong-token" not in page + run.log

    @pytest.mark.parametrize("token", ["right", "wrong-token"])
    def test_json(self, config: dict[str, t.Any], cli: Cli, token: str) -> None:
        if token != "right":
            config["swell_api_token"] = token

        run = cli("--check=json", config=config)

        document = json.loads(run.stdout)
        schema = json.loads((ROOT / "docs" / "check.schema.json").read_text("utf-8"))
        jsonschema.Draft202012Validator(schema).validate(document)
        assert document["works"] is (token == "right")
        assert run.code == (0 if document["works"] else 1)

    def test_one_vendor(self, config: dict[str, t.Any], cli: Cli) -> None:
        del config["swell_api_token"]

        run = cli("--check=json", config=config)

        assert [v["vendor"] for v in json.loads(run.stdout)["vendors"]] == ["MedChat"]

    def test_the_schema_block_makes_columns(self, config: dict[str, t.Any], cli: Cli) -> None:
        first = json.loads(cli("--check=json", config=config).stdout)
        catalog = discover(config)
        for entry in catalog["streams"]:
            entry["schema"]["properties"] |= first["schema"].get(entry["tap_stream_id"], {})

        second = json.loads(cli("--check=json", config=config, catalog=catalog).stdout)
        run = cli(config=config, catalog=catalog)

        assert first["schema"]["sms_messages"]["segment_count"] == {"type": ["integer", "null"]}
        assert second["schema"] == {}
        assert all(r["segment_count"] > 0 for r in run.records("sms_messages"))

    def test_the_estimate(self, config: dict[str, t.Any], sandbox: Sandbox, cli: Cli) -> None:
        told = json.loads(cli("--check=json", config=config).stdout)["vendors"]
        sandbox.reset_log()
        first = cli(config=config)
        loaded = len(sandbox.requests)
        sandbox.reset_log()
        cli(config=config, state=first.state)
        nightly = len(sandbox.requests)

        medchat_told, swell_told = (vendor["estimate"] for vendor in told)
        assert medchat_told["rows"]["chats"] == 40
        assert medchat_told["rows"]["messages"] == pytest.approx(
            len(first.records("sms_messages")), rel=0.5
        )
        assert swell_told["rows"]["messages"] == pytest.approx(60, rel=0.5)
        for name, requests in (("first_load", loaded), ("nightly_run", nightly)):
            sums = sum(vendor["estimate"][name]["requests"] for vendor in told)
            assert sums == pytest.approx(requests, rel=0.4), name


def row(**fields: t.Any) -> dict[str, t.Any]:
    return {"id": 1, **fields}


SCHEMA: dict[str, t.Any] = {
    "properties": {
        "id": {"type": ["integer"]},
        "never": {"type": ["string", "null"]},
        "contact": {
            "type": ["object", "null"],
            "properties": {"name": {"type": ["string", "null"], "description": "Who."}},
        },
        "additional_properties": {"type": ["object", "null"]},
    }
}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "integer"),
        ([1, 2.5], "number"),
        ([True, None], "boolean"),
        (["a", "2024-01-01T00:00:00Z"], "string"),
        (["2024-01-01T00:00:00Z", "2024-01-02 03:04:05"], "date-time"),
        (["2024-01-01", "2024-01-02"], "string"),
        ([1, "a"], "string"),
        ([[1], []], "array"),
        ([{"a": 1}, {}], "object"),
        ([None, None], ""),
    ],
)
def test_types_of_fields(values: list[t.Any], kind: str) -> None:
    stream = fields.compare("s", SCHEMA, (), [row(extraField=value) for value in values])

    assert stream["fields"] == [{"stream": "s", "name": "extra_field", "type": kind, "share": 1.0}]
    assert stream["missing"] == ["never", "contact"]


def test_names_that_may_be_data_are_not_shown() -> None:
    names = ("Jane Smith Łukasz", "2175550199", "x2175550199", "a b c d e f g h i", "Only Once")
    rows = [row(**dict.fromkeys(names[:-1], 1)) for _ in range(3)]
    rows[0][names[-1]] = 1

    stream = fields.compare("s", SCHEMA, (), rows)

    assert stream["fields"] == []
    assert stream["hidden"] == len(names)


def test_a_nested_column_is_declared_with_its_neighbors() -> None:
    stream = fields.compare("s", SCHEMA, (), [row(contact={"name": "x", "vip": True})] * 2)

    columns = fields.declared([stream], {"s": SCHEMA})

    properties = columns["s"]["contact"]["properties"]
    assert properties == {
        "name": {"type": ["string", "null"]},
        "vip": {"type": ["boolean", "null"]},
    }
    assert fields.block(columns)[:2] == ["schema:", "  s:"]
