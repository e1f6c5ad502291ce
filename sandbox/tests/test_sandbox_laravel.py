"""Swell as a Laravel application: messages, JSON text, headers and web server errors."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from medchat_swell_sandbox import Dataset, Fault, Quirks, Sandbox
from medchat_swell_sandbox.clock import utc_now
from sandbox_clients import send, with_quirks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox_clients import Reply, Swell

NOON = datetime(2024, 1, 3, 12, tzinfo=timezone.utc)
WEEK = {"from_date": "2024-01-01", "to_date": "2024-01-07"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    dataset = Dataset()
    dataset.add_campaign(40, created=NOON, text="¿Sí/no? 😊")
    with Sandbox(dataset) as running:
        yield running


def errors(swell: Swell, **given: object) -> dict[str, list[str]]:
    reply = swell.get(**given)
    assert reply.status == 422
    found: dict[str, list[str]] = reply.json["errors"]
    return found


@pytest.mark.parametrize(
    ("given", "to_9", "since_10"),
    [
        (
            {"page": "x"},
            "The page must be an integer.",
            "The page field must be an integer.",
        ),
        (
            {"per_page": "101"},
            "The per page must be between 1 and 100.",
            "The per page field must be between 1 and 100.",
        ),
        (
            {"location_id": "x"},
            "The location id format is invalid.",
            "The location id field format is invalid.",
        ),
        (
            {"updated_after": "soon"},
            "The updated after is not a valid date.",
            "The updated after field must be a valid date.",
        ),
        (
            {"updated_after": "2020-01-01"},
            "The updated after must be a date after or equal to -3 days.",
            "The updated after field must be a date after or equal to -3 days.",
        ),
        (
            {"from_date": "1/1/24", "to_date": "2024-01-01"},
            "The from date does not match the format Y-m-d.",
            "The from date field must match the format Y-m-d.",
        ),
        (
            {"from_date": "2024-01-02", "to_date": "2024-01-01"},
            "The to date must be a date after or equal to from date.",
            "The to date field must be a date after or equal to from date.",
        ),
        ({"status": "Closed"}, *("The selected status is invalid.",) * 2),
        (
            {"from_date": "2024-01-01"},
            *("The to date field is required when from date is present.",) * 2,
        ),
    ],
)
def test_w17_messages_by_version(
    swell: Swell, given: dict[str, str], to_9: str, since_10: str
) -> None:
    for version, text in ((8, to_9), (9, to_9), (10, since_10)):
        with_quirks(swell, swell_laravel=version)
        assert list(errors(swell, **given).values()) == [[text]]


def test_w17_the_message_names_the_format(swell: Swell) -> None:
    for wanted, shown in (("Y-m-d H:i", "Y-m-d H:i"), ("iso", "Y-m-d\\TH:i:sP")):
        with_quirks(swell, swell_updated_after=wanted, swell_laravel=10)
        found = errors(swell, updated_after="soon")["updated_after"]
        assert found == [f"The updated after field must match the format {shown}."]


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (8, "The given data was invalid."),
        (9, "The team id format is invalid. (and 4 more errors)"),
        (10, "The team id field format is invalid. (and 4 more errors)"),
    ],
)
def test_w17_errors_come_in_the_order_of_the_rules(
    swell: Swell, version: int, message: str
) -> None:
    with_quirks(swell, swell_laravel=version)
    given = {"page": "x", "per_page": "x", "updated_after": "x", "status": "x", "team_id": "x"}
    reply = swell.get(**given)
    assert list(reply.json["errors"]) == list(reversed(given))
    assert reply.json["message"] == message


def test_w11_rejected_per_page(swell: Swell) -> None:
    with_quirks(swell, swell_per_page_max=50)
    assert errors(swell, per_page=51) == {"per_page": ["The per page must be between 1 and 50."]}
    assert len(swell.ids(**WEEK, per_page=50)) == 40
    with_quirks(swell, swell_per_page_in=(15, 30, 100))
    assert errors(swell, per_page=99) == {"per_page": ["The selected per page is invalid."]}
    assert len(swell.ids(**WEEK, per_page=30)) == 30
    assert len(swell.page(**WEEK)["data"]) == 15


@pytest.mark.parametrize(
    ("per_page", "status", "rows"),
    [("30000", 200, 40), ("0", 200, 15), ("abc", 500, None), ("-5", 500, None)],
)
def test_w11_per_page_may_be_unchecked(
    swell: Swell, per_page: str, status: int, rows: int | None
) -> None:
    with_quirks(swell, swell_per_page_over="unchecked")
    reply = swell.get(**WEEK, per_page=per_page)
    assert reply.status == status
    assert rows is None or len(reply.json["data"]) == rows


def get_with_bearer(swell: Swell) -> Reply:
    box = swell.sandbox
    headers = {"Accept": "application/json", "Authorization": f"Bearer {box.swell_api_token}"}
    return send(box.origin, "/api/v1/messages", headers)


def test_w17_bearer(swell: Swell) -> None:
    assert get_with_bearer(swell).status == 401
    assert get_with_bearer(with_quirks(swell, swell_bearer=True)).status == 200
    assert swell.get(token="wrong").status == 401


def test_w17_a_long_url_is_rejected_by_the_web_server(swell: Swell) -> None:
    with_quirks(swell, swell_max_url=500)
    assert swell.get(contact_id="1,2,3").status == 200
    reply = swell.get(contact_id=",".join(map(str, range(200))), token="wrong")
    assert (reply.status, reply.headers["content-type"][:9]) == (414, "text/html")


def test_w17_maintenance_mode(swell: Swell) -> None:
    reply = with_quirks(swell, swell_maintenance="503").get()
    assert (reply.status, reply.headers["content-type"][:9]) == (503, "text/html")
    assert "retry-after" not in reply.headers
    with_quirks(swell, swell_maintenance="503", swell_maintenance_retry_after=60)
    assert swell.get(token="wrong").headers["retry-after"] == "60"
    reply = with_quirks(swell, swell_maintenance="302").get()
    assert (reply.status, reply.headers["location"]) == (
        302,
        f"{swell.sandbox.origin}/maintenance",
    )


def test_maintenance_as_a_fault(swell: Swell) -> None:
    swell.sandbox.faults.add(Fault("maintenance", retry_after=5))
    reply = swell.get()
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    assert b"Service Unavailable" in reply.body
    assert swell.get().status == 200


def test_json_as_php_writes_it(swell: Swell) -> None:
    plain = swell.page(**WEEK)
    assert "¿Sí/no? 😊".encode() in swell.get(**WEEK).body
    reply = with_quirks(swell, swell_json="laravel").get(**WEEK)
    assert b"\\u00bfS\\u00ed\\/no? \\ud83d\\ude0a" in reply.body
    assert b"\\/api\\/v1\\/messages" in reply.body
    assert reply.json == plain


def test_errors_are_indented_except_401_and_422(swell: Swell) -> None:
    with_quirks(swell, swell_json="laravel")
    assert swell.get("/messages/99").body.startswith(b'{\n    "message"')
    for reply in (swell.get(page="x"), swell.get(token="wrong"), swell.get(**WEEK)):
        assert b"\n" not in reply.body


def test_content_length_may_be_missing(swell: Swell) -> None:
    reply = with_quirks(swell, swell_content_length=False).get(**WEEK)
    assert "content-length" not in reply.headers
    assert reply.headers["transfer-encoding"] == "chunked"
    assert len(reply.json["data"]) == 15


def test_w9_meta_links(swell: Swell) -> None:
    plain = swell.page(**WEEK, per_page=15, page=2)
    meta = with_quirks(swell, swell_meta_links=True).page(**WEEK, per_page=15, page=2)["meta"]
    url = f"{swell.sandbox.swell_api_url}/messages?page="
    assert meta.pop("links") == [
        {"url": f"{url}1", "label": "&laquo; Previous", "active": False},
        {"url": f"{url}1", "label": "1", "active": False},
        {"url": f"{url}2", "label": "2", "active": True},
        {"url": f"{url}3", "label": "3", "active": False},
        {"url": f"{url}3", "label": "Next &raquo;", "active": False},
    ]
    assert meta == {**plain["meta"], "per_page": "15"}
    assert swell.page(**WEEK)["meta"]["per_page"] == 15


@pytest.mark.parametrize(
    ("per_page", "page", "labels"),
    [
        (4, 1, "1 2 3 4 5 6 7 8 9 10"),
        (2, 1, "1 2 3 4 5 6 7 8 9 10 ... 19 20"),
        (2, 10, "1 2 ... 7 8 9 10 11 12 13 ... 19 20"),
        (2, 20, "1 2 ... 11 12 13 14 15 16 17 18 19 20"),
    ],
)
def test_w9_meta_links_leave_pages_out(swell: Swell, per_page: int, page: int, labels: str) -> None:
    with_quirks(swell, swell_meta_links=True)
    links = swell.page(**WEEK, per_page=per_page, page=page)["meta"]["links"]
    assert " ".join(link["label"] for link in links[1:-1]) == labels
    assert [link["label"] for link in links if link["active"]] == [str(page)]


def test_w14_a_range_against_bare_bounds_counts_nothing(swell: Swell) -> None:
    swell.sandbox.quirks = Quirks(swell_count_to_date="exclusive")
    day = {"from_date": "2024-01-03", "to_date": "2024-01-03"}
    assert swell.count(**day) == {"received": 0, "sent": 0}
    assert swell.count(date="2024-01-03") == {"received": 0, "sent": 40}


def test_w14_counts_may_be_cumulative(swell: Swell) -> None:
    swell.sandbox.dataset.add_swell_message(created=NOON + timedelta(days=1), message_type="to")
    with_quirks(swell, swell_count_cumulative=True)
    assert swell.count(date=utc_now().date()) == {"received": 0, "sent": 41}


def test_a_list_given_to_a_switch_becomes_a_tuple(swell: Swell) -> None:
    swell.sandbox.quirks = Quirks().replace(swell_per_page_in=[15])
    assert swell.get(**WEEK).status == 200
