"""Swell's pages: orders, totals and formats of a real Laravel application that can lose rows."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from medchat_swell_sandbox import Dataset, Sandbox
from medchat_swell_sandbox.clock import utc_now
from sandbox_clients import with_quirks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox_clients import Swell

NOON = datetime(2024, 1, 3, 12, tzinfo=timezone.utc)
WEEK = {"from_date": "2024-01-01", "to_date": "2024-01-07"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Forty messages with the same ``created``, ten older ones and ten newer ones."""
    dataset = Dataset()
    places = [dataset.add_location().id for _ in range(2)]
    for number in range(4):
        dataset.add_contact(location_ids=tuple(places[: number % 3]))
    add_singles(dataset, range(-10, 0))
    dataset.add_campaign(40, created=NOON)
    add_singles(dataset, range(1, 11))
    with Sandbox(dataset) as running:
        yield running


def add_singles(dataset: Dataset, minutes: range) -> None:
    for minute in minutes:
        created = NOON + timedelta(minutes=minute)
        dataset.add_swell_message(1, created=created, updated=created)


def pages(swell: Swell, per_page: int) -> list[list[int]]:
    """Return the ids of each page, up to the ``last_page`` of page 1."""
    last = swell.page(**WEEK, per_page=per_page)["meta"]["last_page"]
    return [swell.ids(**WEEK, per_page=per_page, page=n) for n in range(1, last + 1)]


def flat(found: list[list[int]]) -> list[int]:
    return [number for page in found for number in page]


def test_w10_postgres_repeats_rows_of_a_campaign_and_hides_others(swell: Swell) -> None:
    with_quirks(swell, swell_order="postgres")
    found = flat(pages(swell, 15))
    assert len(found) == swell.page(**WEEK)["meta"]["total"] == 60
    assert max(Counter(found).values()) > 1
    missing = set(range(1, 61)) - set(found)
    assert missing
    assert missing <= set(range(11, 51))


def test_w10_postgres_gives_a_page_the_same_way_each_time(swell: Swell) -> None:
    with_quirks(swell, swell_order="postgres")
    first = pages(swell, 15)
    assert pages(swell, 15) == first
    others = [set(range(1, 61)) - set(flat(pages(swell, size))) for size in (14, 13, 15)]
    assert others[0] != others[1] != others[2]


def test_w10_postgres_order_depends_on_per_page_too(swell: Swell) -> None:
    with_quirks(swell, swell_order="postgres")
    longest = swell.ids(**WEEK, per_page=40)
    assert all(swell.ids(**WEEK, per_page=size) != longest[:size] for size in (20, 25, 29))


def test_w10_postgres_loses_nothing_within_a_page(swell: Swell) -> None:
    with_quirks(swell, swell_order="postgres")
    assert sorted(swell.ids(**WEEK)) == list(range(1, 61))
    rows = swell.page(**WEEK, per_page=100)["data"]
    assert [row["created_at"] for row in rows] == sorted(
        (row["created_at"] for row in rows), reverse=True
    )


def test_w9_data_is_an_object_from_page_2_on(swell: Swell) -> None:
    with_quirks(swell, swell_data_as_object=True)
    first, second, beyond = (swell.page(**WEEK, page=n)["data"] for n in (1, 2, 5))
    assert isinstance(first, list)
    assert list(second) == [str(key) for key in range(15, 30)]
    assert [row["id"] for row in second.values()] == list(range(16, 31))
    assert beyond == []


def test_w9_distinct_total_counts_copies(swell: Swell) -> None:
    """Contact 2 is in one location, contact 3 in two; each has ten messages."""
    with_quirks(swell, swell_distinct_total=True)
    meta = swell.page(**WEEK)["meta"]
    assert (meta["total"], meta["last_page"]) == (70, 5)
    found = pages(swell, 15)
    assert flat(found) == list(range(1, 61))
    assert found[-1] == []
    assert swell.page(**WEEK, location_id="1,2")["meta"]["total"] == 30


@pytest.mark.parametrize(
    ("form", "text", "status"),
    [
        ("Y-m-d H:i:s", "%Y-%m-%d %H:%M:%S", 200),
        ("Y-m-d H:i:s", "%Y-%m-%d %H:%M", 422),
        ("Y-m-d H:i:s", "%Y-%m-%dT%H:%M:%SZ", 422),
        ("Y-m-d H:i", "%Y-%m-%d %H:%M:%S", 422),
        ("iso", "%Y-%m-%dT%H:%M:%SZ", 200),
        ("iso", "%Y-%m-%dT%H:%M:%S+00:00", 200),
        ("iso", "%Y-%m-%dT%H:%M:%S", 422),
        ("iso", "%Y-%m-%d %H:%M:%S", 422),
        ("any", "%Y-%m-%dT%H:%M:%SZ", 200),
        ("any", "%Y-%m-%d %H:%M:%S", 200),
    ],
)
def test_w12_forms_of_updated_after(swell: Swell, form: str, text: str, status: int) -> None:
    with_quirks(swell, swell_updated_after=form)
    assert swell.get(updated_after=utc_now().strftime(text)).status == status


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("Y-m-d H:i:s", "%Y-%m-%d %H:%M:%S"),
        ("iso", "%Y-%m-%dT%H:%M:%SZ"),
        ("any", "%Y-%m-%dT%H:%M:%SZ"),
    ],
)
def test_w12_updated_after_is_exact(swell: Swell, form: str, text: str) -> None:
    with_quirks(swell, swell_updated_after=form)
    moment = (utc_now() - timedelta(hours=5)).replace(microsecond=0)
    for seconds in (-1, 0, 1):
        updated = moment + timedelta(seconds=seconds)
        swell.sandbox.dataset.add_swell_message(1, created=NOON, updated=updated)
    assert swell.ids(updated_after=moment.strftime(text)) == [63]


@pytest.mark.parametrize(("hours", "status"), [(47, 422), (49, 200)])
def test_w12_updated_after_reaches_back_some_hours(swell: Swell, hours: int, status: int) -> None:
    with_quirks(swell, swell_updated_after_hours=hours)
    two_days_ago = utc_now() - timedelta(hours=48)
    reply = swell.get(updated_after=two_days_ago.strftime("%Y-%m-%d %H:%M:%S"))
    assert reply.status == status
