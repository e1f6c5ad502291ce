"""Swell's endpoints: validation and every quirk."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from medchat_swell_sandbox import Dataset, Sandbox
from medchat_swell_sandbox.clock import utc_now
from sandbox_clients import Swell, send, with_quirks

if TYPE_CHECKING:
    from collections.abc import Iterator

MONDAY = datetime(2024, 1, 1, tzinfo=timezone.utc)
WEEK = {"from_date": "2024-01-01", "to_date": "2024-01-07"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Message n is created on January n, 2024, at noon; message 8 at midnight."""
    dataset = Dataset()
    first, second = (dataset.add_location(team_id=team) for team in (1, 2))
    dataset.add_contact(name="Both", location_ids=(first.id, second.id))
    dataset.add_contact(name="First", location_ids=(first.id,))
    dataset.add_contact(name="Nowhere")
    dataset.contacts[1].tags = ["VIP"]
    dataset.contacts[1].email = "both@example.com"
    for number in range(1, 9):
        hours = 24 * (number - 1) + (12 if number < 8 else 0)
        dataset.add_swell_message(
            (number - 1) % 3 + 1,
            created=MONDAY + timedelta(hours=hours),
            updated=MONDAY + timedelta(hours=hours),
            status="Close" if number == 2 else "Open",
            message_type="to" if number % 2 else "from",
            team_id=1 + number % 2,
        )
    with Sandbox(dataset) as running:
        yield running


def test_a_row_as_the_vendor_documents_it(swell: Swell) -> None:
    envelope = swell.page(**WEEK)
    assert set(envelope) == {"data", "links", "meta"}
    row = envelope["data"][0]
    assert row["contact"] == {
        "id": 1,
        "name": "Both",
        "phone": "5550000001",
        "email": "both@example.com",
        "source": "swell",
        "tags": ["VIP"],
        "locations": [
            {"id": 1, "name": "New Location"},
            {"id": 2, "name": "New Location"},
        ],
        "country_code": {"short_name": "US", "code": "+1"},
    }
    assert row["date_sent"] == "2024-01-01 12:00:00"
    assert row["created_at"] == "2024-01-01T05:00:00-07:00"
    assert (row["id"], row["contact_id"], row["read"]) == (1, 1, False)


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7]),
        ({"status": "Close"}, [2]),
        ({"status": "Open"}, [1, 3, 4, 5, 6, 7]),
        ({"contact_id": "2,3"}, [2, 3, 5, 6]),
        ({"location_id": "2"}, [1, 4, 7]),
        ({"location_id": "1,2"}, [1, 2, 4, 5, 7]),
        ({"team_id": "2"}, [1, 3, 5, 7]),
        ({"team_id": "2", "location_id": "2"}, [1, 7]),
        ({"updated_after": "nonsense"}, [1, 2, 3, 4, 5, 6, 7]),
        ({"unknown": "1"}, [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_filters(swell: Swell, filters: dict[str, str], found: list[int]) -> None:
    assert swell.ids(**WEEK, **filters) == found


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"from_date": "2024-01-01"}, "to_date"),
        ({"to_date": "2024-01-01"}, "from_date"),
        ({"from_date": "01/01/2024", "to_date": "2024-01-02"}, "from_date"),
        ({"from_date": "2024-01-01", "to_date": "2024-02-30"}, "to_date"),
        ({"from_date": "2024-01-02", "to_date": "2024-01-01"}, "to_date"),
        ({"from_date": "2024-01-01", "to_date": "2024-01-09"}, "to_date"),
        ({"per_page": "0"}, "per_page"),
        ({"per_page": "101"}, "per_page"),
        ({"per_page": "ten"}, "per_page"),
        ({"page": "0"}, "page"),
        ({"page": "-1"}, "page"),
        ({"status": "Closed"}, "status"),
        ({"location_id": "1,x"}, "location_id"),
        ({"team_id": "1;2"}, "team_id"),
        ({"contact_id": "-1"}, "contact_id"),
        ({"updated_after": "2020-01-01"}, "updated_after"),
        ({"updated_after": "soon"}, "updated_after"),
    ],
)
def test_validation(swell: Swell, given: dict[str, str], field: str) -> None:
    reply = swell.get(**given)
    assert reply.status == 422
    assert list(reply.json["errors"]) == [field]
    assert reply.json["message"] == reply.json["errors"][field][0]


def test_several_errors_are_counted(swell: Swell) -> None:
    message = swell.get(page="x", per_page="x", status="x").json["message"]
    assert message.endswith("(and 2 more errors)")


def test_pages(swell: Swell) -> None:
    pages = [swell.page(**WEEK, per_page=3, page=page) for page in (1, 2, 3, 4)]
    assert [len(page["data"]) for page in pages] == [3, 3, 1, 0]
    assert pages[2]["meta"] == {
        "current_page": 3,
        "from": 7,
        "last_page": 3,
        "path": f"{swell.sandbox.swell_api_url}/messages",
        "per_page": 3,
        "to": 7,
        "total": 7,
    }
    assert (pages[3]["meta"]["from"], pages[3]["meta"]["to"]) == (None, None)
    start = f"{swell.sandbox.swell_api_url}/messages?page="
    assert pages[1]["links"] == {
        "first": f"{start}1",
        "last": f"{start}3",
        "prev": f"{start}1",
        "next": f"{start}3",
    }
    assert pages[2]["links"]["next"] is None


def test_fifteen_rows_unless_told_otherwise(swell: Swell) -> None:
    for _ in range(20):
        swell.sandbox.dataset.add_swell_message(1)
    assert len(swell.page()["data"]) == 15


def test_without_dates_only_the_last_day_is_shown(swell: Swell) -> None:
    assert swell.ids() == []
    swell.sandbox.dataset.change_swell_message(3, read=True)
    assert swell.ids() == [3]


def test_one_message_comes_in_a_list(swell: Swell) -> None:
    assert [row["id"] for row in swell.page_of(5)] == [5]
    assert swell.get("/messages/99").status == 404
    assert swell.get("/messages/x").status == 404


def test_wrong_method(swell: Swell) -> None:
    target = f"/api/v1/messages/1?token={swell.sandbox.swell_api_token}"
    assert send(swell.sandbox.origin, target, method="DELETE").status == 405


def create(swell: Swell, **fields: object) -> tuple[int, dict[str, Any]]:
    body = {"token": swell.sandbox.swell_api_token, **fields}
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    origin = swell.sandbox.origin
    reply = send(origin, "/api/v1/messages", headers, "POST", json.dumps(body).encode())
    return reply.status, reply.json


def test_create(swell: Swell) -> None:
    status, answer = create(
        swell,
        contact_id=[1, 3],
        message="¡Hola!",
        direction="inbound",
        message_sublines=[{"body": "one"}],
    )
    assert status == 200
    assert [row["id"] for row in answer["data"]] == [9, 10]
    assert answer["data"][0]["type"] == "Received"
    assert answer["data"][0]["date_sent"]["timezone"] == "UTC"
    assert answer["data"][0]["message_sublines"][0]["body_type"] == "none"
    assert swell.ids() == [9, 10]
    assert swell.page_of(10)[0]["text"] == "¡Hola!"


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"message": "x"}, "contact_id"),
        ({"contact_id": 99, "message": "x"}, "contact_id"),
        ({"contact_id": 1}, "message"),
        ({"contact_id": 1, "message": "x", "direction": "up"}, "direction"),
        ({"contact_id": 1, "message": "x", "media_type": "fax"}, "media_type"),
        (
            {"contact_id": 1, "message": "x", "message_sublines": [{}] * 16},
            "message_sublines",
        ),
    ],
)
def test_create_is_validated(swell: Swell, fields: dict[str, object], wrong: str) -> None:
    status, answer = create(swell, **fields)
    assert (status, list(answer["errors"])) == (422, [wrong])


@pytest.mark.parametrize(
    ("given", "counts"),
    [
        ({}, (4, 4)),
        ({"date": "2024-01-02"}, (1, 0)),
        ({"date": "2024-01-03"}, (0, 1)),
        ({"date": "2023-01-03"}, (0, 0)),
        ({"from_date": "2024-01-06"}, (2, 1)),
        ({"to_date": "2024-01-02"}, (1, 1)),
        ({"from_date": "2024-01-01", "to_date": "2024-01-31"}, (4, 4)),
        ({"location_id": "2"}, (1, 2)),
        ({"team_id": "2", "date": "2024-01-03"}, (0, 1)),
    ],
)
def test_count(swell: Swell, given: dict[str, str], counts: tuple[int, int]) -> None:
    received, sent = counts
    assert swell.count(**given) == {"received": received, "sent": sent}


def test_count_is_validated(swell: Swell) -> None:
    assert swell.get("/messages/count", date="today").status == 422


@pytest.mark.parametrize(
    ("quirks", "given", "counts"),
    [
        ({"swell_count_date": "today"}, {"date": "2024-01-02"}, {}),
        ({"swell_count_date": "ignored"}, {"date": "2024-01-02"}, (4, 4)),
        ({"swell_count_to_date": "exclusive"}, {"to_date": "2024-01-02"}, (0, 1)),
        ({"swell_count_cumulative": True}, {"date": "2024-01-03"}, (1, 2)),
        ({"swell_count_without_dates": "today"}, {}, (0, 0)),
        ({"swell_counts_as_strings": True}, {"date": "2024-01-02"}, ("1", "0")),
    ],
)
def test_w14_count_semantics(
    swell: Swell, quirks: dict[str, Any], given: dict[str, str], counts: Any
) -> None:
    received, sent = counts or (0, 0)
    found = with_quirks(swell, **quirks).count(**given)
    assert found == {"received": received, "sent": sent}


def test_w1_to_date_may_end_at_its_midnight(swell: Swell) -> None:
    with_quirks(swell, swell_to_date="exclusive")
    days = {"from_date": "2024-01-06", "to_date": "2024-01-08"}
    assert swell.ids(**days) == [6, 7, 8]
    days["to_date"] = "2024-01-07"
    assert swell.ids(**days) == [6]


@pytest.mark.parametrize(("limit", "last"), [(7, 8), (6, 7)])
def test_w2_seven_days(swell: Swell, limit: int, last: int) -> None:
    with_quirks(swell, swell_max_range_days=limit)
    for day, status in ((last, 200), (last + 1, 422)):
        dates = {"from_date": "2024-01-01", "to_date": f"2024-01-{day:02}"}
        assert swell.get(**dates).status == status


@pytest.mark.parametrize(
    ("quirk", "latest"),
    [(None, 7), ("swell_tomorrow_refused", 0), ("swell_today_refused", -1)],
)
def test_w3_days_to_come(swell: Swell, quirk: str | None, latest: int) -> None:
    with_quirks(swell, **({quirk: True} if quirk else {}))
    today = utc_now().date()
    for ahead in range(-1, 3):
        first, last = today - timedelta(days=3), today + timedelta(days=ahead)
        refused = ahead > latest
        assert swell.get(from_date=first, to_date=last).status == (422 if refused else 200)


@pytest.mark.parametrize(
    ("zone", "day", "found"),
    [
        ("UTC", "2024-01-02", [2]),
        (13, "2024-01-02", [1]),
        ("Pacific/Auckland", "2024-01-02", [1]),
        (-12, "2024-01-07", [7, 8]),
    ],
)
def test_w4_zone_of_filters(swell: Swell, zone: float | str, day: str, found: list[int]) -> None:
    with_quirks(swell, swell_filter_zone=zone)
    assert swell.ids(from_date=day, to_date=day) == found


@pytest.mark.parametrize(
    ("quirks", "shown"),
    [
        ({"swell_date_sent_zone": "America/Denver"}, "2024-01-01 05:00:00"),
        ({"swell_date_sent_zone": 5.5}, "2024-01-01 17:30:00"),
        ({"swell_date_sent_shift_hours": 24}, "2024-01-02 12:00:00"),
        ({"swell_date_sent": "null"}, None),
        ({"swell_date_sent_null_every": 1}, None),
        ({"swell_date_sent": "null", "swell_empty_dates": "empty_string"}, ""),
        (
            {"swell_date_sent": "object"},
            {
                "date": "2024-01-01 12:00:00.000000",
                "timezone_type": 3,
                "timezone": "UTC",
            },
        ),
    ],
)
def test_w5_w6_date_sent(swell: Swell, quirks: dict[str, Any], shown: object) -> None:
    assert with_quirks(swell, **quirks).page_of(1)[0]["date_sent"] == shown


@pytest.mark.parametrize(("wish", "showing"), [("all", 7), ("some", 1), ("none", 0)])
def test_created_at_may_be_missing(swell: Swell, wish: str, showing: int) -> None:
    rows = with_quirks(swell, swell_created_at=wish).page(**WEEK)["data"]
    assert sum("created_at" in row for row in rows) == showing


@pytest.mark.parametrize(
    ("wish", "start", "token"),
    [
        ("full", "{api}/messages?token={token}&per_page=2&from_date", True),
        ("full_no_token", "{api}/messages?per_page=2&from_date=", False),
        ("http", "http://swell.test/api/v1/messages?page=2", False),
        ("other_host", "https://elsewhere.invalid/api/v1/messages?page=2", False),
    ],
)
def test_w8_links(swell: Swell, wish: str, start: str, token: bool) -> None:  # noqa: FBT001
    box = swell.sandbox
    link = with_quirks(swell, swell_links=wish).page(per_page=2, **WEEK)["links"]["next"]
    wanted = start.format(api=box.swell_api_url, token=box.swell_api_token)
    assert link.startswith(wanted)
    assert link.endswith("page=2")
    assert (box.swell_api_token in link) == token


def test_w8_links_null_or_absent(swell: Swell) -> None:
    links = with_quirks(swell, swell_links="null").page(**WEEK)["links"]
    assert set(links.values()) == {None}
    assert "links" not in with_quirks(swell, swell_links="absent").page(**WEEK)


@pytest.mark.parametrize(
    ("quirks", "last_page", "total", "follows"),
    [
        ({}, 4, 7, True),
        ({"swell_last_page_shift": -1}, 3, 7, True),
        ({"swell_total_shift": 5}, 4, 12, True),
        ({"swell_hints": "next_null"}, 4, 7, False),
        ({"swell_hints": "last_page_now"}, 1, 7, True),
        ({"swell_meta": "simple"}, None, None, True),
    ],
)
def test_w9_hints(
    swell: Swell,
    quirks: dict[str, Any],
    last_page: int | None,
    total: int | None,
    follows: bool,  # noqa: FBT001
) -> None:
    envelope = with_quirks(swell, **quirks).page(per_page=2, **WEEK)
    assert envelope["meta"].get("last_page") == last_page
    assert envelope["meta"].get("total") == total
    assert (envelope["links"]["next"] is not None) == follows


def test_w9_meta_absent(swell: Swell) -> None:
    assert "meta" not in with_quirks(swell, swell_meta="absent").page(**WEEK)


def test_w10_order(swell: Swell) -> None:
    ids = list(range(1, 8))
    assert with_quirks(swell, swell_order="latest").ids(**WEEK) == ids[::-1]
    with_quirks(swell, swell_order="unspecified")
    arbitrary = {tuple(swell.ids(**WEEK)) for _ in range(4)}
    assert len(arbitrary) == 1
    assert tuple(ids) not in arbitrary
    with_quirks(swell, swell_order="unstable")
    orders = {tuple(swell.ids(**WEEK)) for _ in range(4)}
    assert len(orders) > 1
    assert {frozenset(order) for order in orders} == {frozenset(ids)}


def test_w11_per_page(swell: Swell) -> None:
    with_quirks(swell, swell_per_page_clamp=3)
    assert swell.page(**WEEK, per_page=5)["meta"]["per_page"] == 3
    with_quirks(swell, swell_per_page_over="clamp")
    assert swell.page(**WEEK, per_page=500)["meta"]["per_page"] == 100


@pytest.mark.parametrize(
    ("wanted", "day", "minute", "second"),
    [
        ("any", 200, 200, 200),
        ("Y-m-d", 200, 422, 422),
        ("Y-m-d H:i", 422, 200, 422),
        ("none", 422, 422, 422),
    ],
)
def test_w12_updated_after(swell: Swell, wanted: str, day: int, minute: int, second: int) -> None:
    with_quirks(swell, swell_updated_after=wanted)
    moment = utc_now() - timedelta(days=2)
    forms = {"%Y-%m-%d": day, "%Y-%m-%d %H:%M": minute, "%Y-%m-%dT%H:%M:%S": second}
    for form, status in forms.items():
        assert swell.get(updated_after=moment.strftime(form)).status == status


def test_w13_a_row_may_repeat_across_locations(swell: Swell) -> None:
    with_quirks(swell, swell_repeat_across_locations=True)
    ids = swell.ids(**WEEK, location_id="1,2")
    assert ids == [1, 1, 2, 4, 4, 5, 7, 7]
    assert swell.ids(**WEEK, location_id="1") == [1, 2, 4, 5, 7]


@pytest.mark.parametrize(
    ("failure", "status", "kind"),
    [
        ("401", 401, "application/json"),
        ("403", 403, "application/json"),
        ("422", 422, "application/json"),
        ("302", 302, "text/html"),
        ("html", 200, "text/html"),
    ],
)
def test_w17_bad_token(swell: Swell, failure: str, status: int, kind: str) -> None:
    reply = with_quirks(swell, swell_auth_failure=failure).get(token="wrong")
    assert reply.status == status
    assert reply.headers["content-type"].startswith(kind)


@pytest.mark.parametrize(("failure", "status"), [("422", 422), ("302", 302), ("html", 200)])
def test_w17_bad_parameter(swell: Swell, failure: str, status: int) -> None:
    with_quirks(swell, swell_validation_failure=failure)
    assert swell.get(page="x").status == status


@pytest.mark.parametrize("query", ["token=wrong", "token={token}&page=x", ""])
def test_w17_without_accept_errors_redirect_to_the_login(swell: Swell, query: str) -> None:
    box = swell.sandbox
    target = "/api/v1/messages?" + query.format(token=box.swell_api_token)
    reply = send(box.origin, target, {"Accept": "*/*"})
    assert (reply.status, reply.headers["location"]) == (302, f"{box.origin}/login")
    login = send(box.origin, "/login")
    assert (login.status, login.headers["content-type"][:9]) == (200, "text/html")


def test_w19_types(swell: Swell) -> None:
    with_quirks(swell, swell_ids_as_strings=True, swell_read_as_int=True, swell_tags="objects")
    row = swell.page_of(1)[0]
    assert (row["id"], row["contact_id"], row["read"]) == ("1", "1", 0)
    tag = row["contact"]["tags"][0]
    assert (tag["name"], tag["pivot"]["taggable_id"]) == ("VIP", "1")
    with_quirks(swell, swell_nulls=True, swell_tags="empty")
    row = swell.page_of(1)[0]
    assert (row["text"], row["contact"]["email"], row["contact"]["tags"]) == (
        None,
        None,
        [],
    )
    assert row["contact"]["country_code"] is None


def test_w20_status_word(swell: Swell) -> None:
    with_quirks(swell, swell_closed_word="Closed")
    rows = swell.page(**WEEK, status="Close")["data"]
    assert [row["status"] for row in rows] == ["Closed"]


def test_w22_filters_ignored(swell: Swell) -> None:
    with_quirks(swell, swell_filters_ignored=True)
    assert swell.ids(from_date="2020-01-01", to_date="2020-01-02") == list(range(1, 9))


def test_w23_retention(swell: Swell) -> None:
    with_quirks(swell, swell_retention_days=30)
    swell.sandbox.dataset.add_swell_message(1)
    assert swell.ids(**WEEK) == []
    assert swell.count() == {"received": 1, "sent": 0}


def test_w21_throttle_counts_a_window_per_token(swell: Swell) -> None:
    with_quirks(swell, swell_throttle_per_minute=2, throttle_window_seconds=0.5)
    before = time.time()
    replies = [swell.get(**WEEK) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    left = [reply.headers["x-ratelimit-remaining"] for reply in replies]
    assert left == ["1", "0", "0"]
    refused = replies[2]
    assert refused.json == {"message": "Too Many Attempts."}
    assert (refused.headers["retry-after"], refused.headers["x-ratelimit-limit"]) == (
        "1",
        "2",
    )
    assert 0 <= int(refused.headers["x-ratelimit-reset"]) - before <= 2
    assert swell.get(token="another").status == 401
    time.sleep(0.5)
    assert swell.get(**WEEK).status == 200
