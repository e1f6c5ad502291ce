"""The generated history, changes to it, and the expected records."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from medchat_swell_sandbox import Dataset, Sandbox
from medchat_swell_sandbox.clock import utc_now
from medchat_swell_sandbox.mutations import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox_clients import MedChat, Swell

NOW = datetime(2024, 6, 1, tzinfo=timezone.utc)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Dataset.generate(chats=60, swell_messages=120, days=60)) as running:
        yield running


def test_equal_seeds_give_equal_rows() -> None:
    first, same, other = (Dataset.generate(seed=seed, now=NOW) for seed in (1, 1, 2))
    assert first.truth() == same.truth()
    assert first.truth()["sms_chats"] != other.truth()["sms_chats"]


def test_sizes_and_span() -> None:
    dataset = Dataset.generate(chats=500, swell_messages=700, days=300, now=NOW)
    truth = dataset.truth()
    assert len(truth["sms_chats"]) == 500
    assert len(truth["swell_messages"]) == 700
    assert 2000 < len(truth["sms_messages"]) < 3200
    assert NOW - timedelta(days=300) <= dataset.oldest() < NOW - timedelta(days=290)
    for stream in ("sms_chats", "sms_messages"):
        assert max(row["created_date_time"] for row in truth[stream]) < "2024-06-01"


def test_the_history_contains_edge_cases() -> None:
    dataset = Dataset.generate(chats=500, now=NOW)
    truth = dataset.truth()
    chats, messages = truth["sms_chats"], truth["sms_messages"]
    created = {row["id"]: row["created_date_time"] for row in chats}
    assert max(Counter(created.values()).values()) >= 5
    assert None in {row["name"] for row in chats}
    late = [row for row in messages if created[row["sms_chat_id"]] < "2023-09"]
    assert max(row["created_date_time"] for row in late) > "2024-03"
    threads = Counter(row["sms_chat_id"] for row in messages)
    assert max(threads.values()) >= 60
    assert len(threads) < len(chats)
    texts = {row["text"] for row in messages}
    assert None in texts
    assert any("😊" in text for text in texts if text)
    places = Counter(len(row["contact"]["locations"]) for row in truth["swell_messages"])
    assert places.keys() >= {0, 1, 2}
    assert any(row["date_sent"] != row["created_at"] for row in truth["swell_messages"])


def test_campaign_messages_share_created() -> None:
    sizes = {"swell_messages": 40, "campaigns": 2, "campaign_size": 30}
    first, same = (Dataset.generate(now=NOW, **sizes) for _ in range(2))
    plain = Dataset.generate(now=NOW, swell_messages=40)
    added = first.truth()["swell_messages"]
    assert len(added) == 100
    assert sorted(Counter(row["created_at"] for row in added).values())[-2:] == [30, 30]
    assert same.truth() == first.truth()
    assert [row for row in added if row["id"] in plain.swell_messages] == (
        plain.truth()["swell_messages"]
    )


def test_sizes_may_be_zero() -> None:
    truth = Dataset.generate(chats=0, swell_messages=0, locations=0).truth()
    assert not any(truth.values())
    assert Dataset.generate(swell_messages=5, locations=0).truth()["swell_messages"]


def served_chats(medchat: MedChat) -> list[dict[str, Any]]:
    expand = "Messages,Memberships,TextBotExecutions"
    pages = medchat.pages(25, expand=expand, orderby="CreatedDateTime")
    return [row for page in pages for row in page]


def served_swell(swell: Swell) -> dict[int, dict[str, Any]]:
    rows: dict[int, dict[str, Any]] = {}
    day = swell.sandbox.dataset.oldest().date()
    while day <= utc_now().date():
        days = {"from_date": day, "to_date": day + timedelta(days=6)}
        page = 1
        while data := swell.page(**days, per_page=100, page=page)["data"]:
            rows |= {row["id"]: row for row in data}
            page += 1
        day += timedelta(days=7)
    return rows


def assert_served_is_true(medchat: MedChat, swell: Swell) -> None:
    truth = medchat.sandbox.truth()
    chats = served_chats(medchat)
    assert len(chats) == len(truth["sms_chats"])
    for stream, key in (
        ("sms_messages", "messages"),
        ("sms_memberships", "memberships"),
        ("sms_text_bot_executions", "textBotExecutions"),
    ):
        served = {(row["id"], child["id"]) for row in chats for child in row[key]}
        assert served == {(row["sms_chat_id"], row["id"]) for row in truth[stream]}
    names = {row["id"]: (row["name"], row["status"]) for row in chats}
    held = truth["sms_chats"]
    assert names == {row["id"]: (row["name"], row["status"]) for row in held}
    states = {row["id"]: row["status"] for chat in chats for row in chat["messages"]}
    assert states == {row["id"]: row["status"] for row in truth["sms_messages"]}
    rows = served_swell(swell)
    assert rows.keys() == {row["id"] for row in truth["swell_messages"]}
    for row in truth["swell_messages"]:
        places = rows[row["id"]]["contact"]["locations"]
        assert places == row["contact"]["locations"]
        assert rows[row["id"]]["text"] == row["text"]


def test_served_rows_match_the_truth_after_changes(medchat: MedChat, swell: Swell) -> None:
    rng = random.Random(3)
    assert_served_is_true(medchat, swell)
    for _ in range(3):
        for kind in KINDS:
            medchat.sandbox.dataset.mutate(rng, kind)
        assert_served_is_true(medchat, swell)


def test_counts_match_the_truth_of_each_day(sandbox: Sandbox) -> None:
    truth = sandbox.truth()
    assert len(truth["swell_message_counts"]) > 30
    for count in truth["swell_message_counts"]:
        kinds = Counter(
            row["message_type"]
            for row in truth["swell_messages"]
            if row["created_at"].startswith(count["date"])
        )
        assert (kinds["from"], kinds["to"]) == (count["received"], count["sent"])


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_change_appears_in_the_truth(kind: str) -> None:
    dataset = Dataset.generate(seed=5, chats=10, swell_messages=10, now=NOW)
    before = dataset.truth()
    changes = [dataset.mutate(random.Random(seed), kind) for seed in range(4)]
    assert {change["kind"] for change in changes} == {kind}
    assert dataset.truth() != before


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_change_works_on_an_empty_dataset(kind: str) -> None:
    dataset = Dataset()
    assert dataset.mutate(random.Random(0), kind)["kind"] == kind


def test_equal_seeds_give_equal_changes() -> None:
    runs = []
    for _ in range(2):
        dataset = Dataset.generate(chats=20, swell_messages=20, now=NOW)
        rng = random.Random(9)
        runs.append([dataset.mutate(rng) for _ in range(50)])
    assert runs[0] == runs[1]
    assert len({change["kind"] for change in runs[0]}) > 8


def test_changing_a_swell_message_sets_updated() -> None:
    dataset = Dataset.generate(swell_messages=5, now=NOW)
    key = next(iter(dataset.swell_messages))
    start = utc_now() - timedelta(seconds=1)
    assert dataset.change_swell_message(key, read=True).updated > start


def test_fixed_columns_are_rejected() -> None:
    dataset = Dataset.generate(chats=1, swell_messages=1)
    chat, message = next(iter(dataset.chats)), next(iter(dataset.swell_messages))
    with pytest.raises(AttributeError):
        dataset.change_chat(chat, created=None)
    with pytest.raises(AttributeError):
        dataset.change_chat(chat, nonsense="x")
    with pytest.raises(AttributeError):
        dataset.change_swell_message(message, id=1)
    with pytest.raises(KeyError):
        dataset.mutate(random.Random(0), "explode")
