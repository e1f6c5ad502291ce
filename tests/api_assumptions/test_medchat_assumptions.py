"""MedChat's open questions M1..M20: which reading is covered where."""

from __future__ import annotations

import time
import typing as t
from datetime import datetime, timedelta, timezone

import pytest
from medchat_swell_sandbox import Dataset, Fault
from support.readings import Readings

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from medchat_swell_sandbox.rows import Chat
    from support.tap_process import Run


@pytest.fixture(scope="module")
def medchat() -> Iterator[Readings]:
    with Readings("medchat") as readings:
        yield readings


@pytest.mark.parametrize("envelope", ["array", "value", "Value", "items", "data", "results"])
def test_m1_envelope(medchat: Readings, envelope: str) -> None:
    medchat.holds_all(medchat_envelope=envelope)


def test_m1_unknown_envelope_is_an_error(medchat: Readings) -> None:
    medchat.fails("without a list of chats", medchat_envelope="payload")


@pytest.mark.parametrize("empty", ["envelope", "204", "empty_body"])
def test_m1_nothing_found(medchat: Readings, empty: str) -> None:
    medchat.holds_all(medchat_empty=empty)
    medchat.sandbox.reload(Dataset())

    run = medchat.run_again(None, medchat_empty=empty)

    assert run.code == 0
    assert not run.records("sms_chats")


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_m1_an_accident_does_not_hide_that_nothing_was_found(medchat: Readings, nth: int) -> None:
    """An empty body is asked for twice more before it is believed."""
    settings = {"max_concurrency": 1}
    medchat.run(settings, medchat_empty="204")
    last_ones = len(medchat.requests) - 3

    run = medchat.run(settings, Fault("html", after=last_ones + nth - 1), medchat_empty="204")

    assert run.code == 0
    assert len(medchat.requests) == last_ones + 4


@pytest.mark.parametrize("kind", ["empty", "no_content"])
def test_m1_a_passing_empty_answer_is_not_no_chats(medchat: Readings, kind: t.Any) -> None:
    run = medchat.run(None, Fault(kind))
    assert run.code == 0
    assert {row["id"] for row in run.records("sms_chats")} == set(medchat.sandbox.dataset.chats)


@pytest.mark.parametrize("casing", ["camel", "pascal", "lower", "mixed", "rotating"])
def test_m2_casing(medchat: Readings, casing: str) -> None:
    medchat.holds_all(medchat_casing=casing)


@pytest.mark.parametrize(("outer", "nested"), [("pascal", "camel"), ("rotating", "lower")])
def test_m2_casing_changes_with_expand_and_nesting(
    medchat: Readings, outer: str, nested: str
) -> None:
    medchat.holds_all(medchat_casing_with_expand=outer, medchat_casing_nested=nested)


def test_m3_top_above_a_maximum_is_lowered(medchat: Readings) -> None:
    medchat.holds_all(medchat_max_top=3)


@pytest.mark.parametrize("cap", [2, 5])
def test_m3_pages_are_cut_silently(medchat: Readings, cap: int) -> None:
    medchat.holds_all(medchat_page_cap=cap)


@pytest.mark.parametrize("shortest", [1, 2])
def test_m3_a_page_in_the_middle_is_short(medchat: Readings, shortest: int) -> None:
    medchat.holds_all({"medchat_page_size": 10}, medchat_short_pages=shortest)


@pytest.mark.parametrize("link", ["absent", "present", "always", "other_origin"])
def test_m4_next_link(medchat: Readings, link: str) -> None:
    medchat.holds_all(medchat_envelope="value", medchat_next_link=link)


def test_m5_skip_is_limited(medchat: Readings) -> None:
    settings = {"medchat_page_size": 7, "medchat_window_pages": 9}
    medchat.holds_all(settings, medchat_max_skip=30)


def test_m5_skip_ignored_is_an_error(medchat: Readings) -> None:
    medchat.fails("ignores $skip", {"medchat_window_pages": 20}, medchat_skip_ignored=True)


@pytest.mark.parametrize("size", [2, 7])
def test_m6_ties_shuffled(medchat: Readings, size: int) -> None:
    medchat.holds_all({"medchat_page_size": size}, medchat_order="shuffled_ties")


def test_m6_no_order_at_all(medchat: Readings) -> None:
    medchat.holds_all(medchat_order="unstable")


def test_m6_orderby_ignored(medchat: Readings) -> None:
    medchat.holds_all(medchat_orderby_ignored=True)


def test_m7_new_message_on_the_oldest_chat(medchat: Readings) -> None:
    first = medchat.run()
    oldest = medchat.sandbox.dataset.chats_created(None, None)[0]
    message = medchat.sandbox.dataset.add_message(oldest.id, text="after a long time")
    again = medchat.run_again(first.state)
    found = {row["id"]: row for row in again.records("sms_messages")}
    assert found[message.id]["sms_chat_id"] == oldest.id


def test_m8_changed_chat_and_nothing_else(medchat: Readings) -> None:
    first = medchat.run()
    oldest = medchat.sandbox.dataset.chats_created(None, None)[0]
    medchat.sandbox.dataset.change_chat(oldest.id, status="Unheard of")
    again = medchat.run_again(first.state)
    found = {row["id"]: row["status"] for row in again.records("sms_chats")}
    assert found[oldest.id] == "Unheard of"
    quiet = medchat.run_again(again.state)
    assert oldest.id not in {row["id"] for row in quiet.records("sms_chats")}


def test_m9_ended_chat_reopens(medchat: Readings) -> None:
    first = medchat.run()
    chat = medchat.sandbox.dataset.chats_created(None, None)[0]
    medchat.sandbox.dataset.change_chat(chat.id, status="Ended")
    ended = medchat.run_again(first.state)
    medchat.sandbox.dataset.change_chat(chat.id, status="Active")
    medchat.sandbox.dataset.add_message(chat.id, text="back again")
    reopened = medchat.run_again(ended.state)
    assert {row["id"]: row["status"] for row in reopened.records("sms_chats")}[chat.id] == "Active"
    assert "back again" in {row["text"] for row in reopened.records("sms_messages")}


@pytest.mark.parametrize("zone", ["Z", "none", "+00:00", "+05:00"])
@pytest.mark.parametrize("digits", [0, 3, 7, None])
def test_m10_date_text(medchat: Readings, zone: str, digits: int | None) -> None:
    medchat.holds_all(medchat_date_zone=zone, medchat_date_digits=digits)


@pytest.mark.parametrize("every", [1, 3])
def test_m10_dates_null(medchat: Readings, every: int) -> None:
    medchat.holds_all(medchat_chat_date_null_every=every, medchat_message_date_null_every=every)


def test_m11_boundaries_are_inclusive_and_bare(medchat: Readings) -> None:
    run = medchat.run()
    assert run.code == 0
    filters = [request.query["$filter"] for request in medchat.requests]
    assert all("CreatedDateTime ge 20" in text for text in filters)
    assert not any(sign in text for text in filters for sign in ("+", "'", " gt ", " le "))


def test_m12_encoding_as_in_the_documents(medchat: Readings) -> None:
    medchat.holds_all(medchat_strict_plus=True)


def test_m13_names_as_in_the_documents(medchat: Readings) -> None:
    medchat.holds_all(medchat_case_sensitive_names=True)


def test_m13_status_is_an_open_word(medchat: Readings) -> None:
    first = medchat.run()
    medchat.sandbox.dataset.add_chat(status="Snoozed")
    again = medchat.run_again(first.state)
    assert "Snoozed" in {row["status"] for row in again.records("sms_chats")}


def _chat_ids(run: Run) -> set[str]:
    return {row["id"] for row in run.records("sms_chats")}


ODD = "Zo\u00eb O'B & C+1% #"
FILTERS: list[tuple[str, t.Callable[[Chat], bool]]] = [
    ("Status eq 'Ended'", lambda chat: chat.status == "Ended"),
    # Without parentheses, `or` would let chats of all times through (M19).
    ("Status eq 'Ended' or status eq 'Active'", lambda chat: chat.status in {"Ended", "Active"}),
    ("startswith(Name, 'Zo\u00eb O''B & C+1%') or Status eq 'none'", lambda chat: chat.name == ODD),
    ("endswith(userphonenumber, '8')", lambda chat: chat.user_phone.endswith("8")),
]


@pytest.mark.parametrize(("text", "matches"), FILTERS)
def test_m13_only_chats_that_match_the_filter(
    medchat: Readings, text: str, matches: t.Callable[[Chat], bool]
) -> None:
    medchat.run()
    dataset = medchat.sandbox.dataset
    dataset.change_chat(next(iter(dataset.chats)), name=ODD)

    run = medchat.run_again(None, {"medchat_filter": text})

    wanted = {chat.id for chat in dataset.chats.values() if matches(chat)}
    assert run.code == 0, run.log
    assert _chat_ids(run) == wanted != set()
    assert {row["sms_chat_id"] for row in run.records("sms_messages")} <= wanted
    assert all(request.query["$filter"].endswith(f" and ({text})") for request in medchat.requests)


def test_m13_chats_that_leave_the_filter_and_enter_it(medchat: Readings) -> None:
    settings = {"medchat_filter": "Status eq 'Active'"}
    first = medchat.run(settings)
    dataset = medchat.sandbox.dataset
    for chat in dataset.chats.values():
        dataset.change_chat(chat.id, status="Ended" if chat.status == "Active" else "Active")

    swapped = medchat.run_again(first.state, settings)
    for chat in dataset.chats.values():
        dataset.change_chat(chat.id, status="Ended")
    emptied = medchat.run_again(swapped.state, settings)

    assert [run.code for run in (first, swapped, emptied)] == [0, 0, 0], emptied.log
    assert _chat_ids(first) | _chat_ids(swapped) == set(dataset.chats)
    assert not _chat_ids(first) & _chat_ids(swapped)
    assert not _chat_ids(emptied)


def test_m13_empty_windows_are_no_outage_only_if_others_are_there(medchat: Readings) -> None:
    settings = {"medchat_filter": "Status ne 'x'", "start_date": _days_ago(20)}
    first = medchat.run(settings)
    medchat.sandbox.reload(Dataset())

    run = medchat.run_again(first.state, settings)

    assert run.code == 1
    assert "where it had sent" in run.errors[-1]


def test_m13_another_filter_reads_all(medchat: Readings) -> None:
    first = medchat.run({"medchat_filter": "Status eq 'Ended'"})

    run = medchat.run_again(first.state)

    assert _chat_ids(run) == set(medchat.sandbox.dataset.chats)
    assert "written with other settings" in run.log


def test_m13_a_filter_that_medchat_refuses(medchat: Readings) -> None:
    medchat.fails("check its property names", {"medchat_filter": "Sttus eq 'Ended'"})


@pytest.mark.parametrize("name", ["id", "messageId", "smsMessageId", None])
def test_m14_message_id(medchat: Readings, name: str | None) -> None:
    medchat.holds_all(medchat_message_id_name=name)


@pytest.mark.parametrize("name", ["id", "chatId", "smsChatId", None])
def test_m14_chat_id(medchat: Readings, name: str | None) -> None:
    medchat.holds_all(medchat_chat_id_name=name)


def test_m14_message_with_its_chats_id(medchat: Readings) -> None:
    medchat.holds_all(medchat_message_chat_id=True)


@pytest.mark.parametrize("reading", ["absent", "null"])
def test_m15_collection_never_sent_is_an_error(medchat: Readings, reading: str) -> None:
    medchat.fails("left Messages out", medchat_expanded=reading)


@pytest.mark.parametrize("reading", ["omitted", "null", "array"])
def test_m15_empty_collection(medchat: Readings, reading: str) -> None:
    medchat.holds_all(medchat_expanded_empty=reading)


def test_m15_the_oldest_chats_have_none(medchat: Readings) -> None:
    """150 chats without the collection prove nothing, as long as one has it later."""
    dataset = Dataset()
    begin = datetime.now(timezone.utc) - timedelta(days=3)
    for number in range(160):
        created = begin + timedelta(minutes=number)
        chat = dataset.add_chat(created=created)
        if number >= 150:
            dataset.add_message(chat.id, created=created)
    medchat.sandbox.reload(dataset)

    run = medchat.run_again(None, {"max_concurrency": 1}, medchat_expanded_empty="omitted")

    assert run.code == 0, run.log
    assert len(run.records("sms_messages")) == 10


def test_m15_rest_of_a_cut_collection_is_followed(medchat: Readings) -> None:
    medchat.holds_all(medchat_expanded_cap=2, medchat_expanded_cap_link=True)


@pytest.mark.parametrize("chats", [40, 1500])
def test_m15_long_threads_are_no_truncated_ones(medchat: Readings, chats: int) -> None:
    medchat.sandbox.reload(Dataset.generate(seed=1, chats=chats, swell_messages=0))
    settings = {"medchat_page_size": 100}

    whole = medchat.run_again(None, settings)
    truncated = medchat.run_again(None, settings, medchat_expanded_cap=10)

    assert "may truncate" not in whole.log
    assert "have exactly 10 Messages and none has more" in truncated.log


def test_m16_scope_of_an_expand_is_named(medchat: Readings) -> None:
    scopes = medchat.sandbox.credentials.medchat_scopes
    medchat.sandbox.credentials.medchat_scopes = frozenset()
    try:
        medchat.fails("read.sms_chats")
    finally:
        medchat.sandbox.credentials.medchat_scopes = scopes


def test_m16_only_messages_are_expanded(medchat: Readings) -> None:
    medchat.run(medchat_text_bot_scope_required=True)
    pages = [request.query for request in medchat.requests if request.query["$top"] != "1"]
    assert {query["$expand"] for query in pages} == {"Messages"}


@pytest.mark.parametrize("status", [400, 406, 415])
def test_m17_version_not_served(medchat: Readings, status: int) -> None:
    medchat.fails("medchat_accept", medchat_version="9.0", medchat_version_refusal=status)
    assert len(medchat.requests) <= 2


def test_m17_another_version(medchat: Readings) -> None:
    accept = "application/vnd.medchat+json;v=2.0"
    run = medchat.run({"medchat_accept": accept}, medchat_version="2.0")
    assert run.code == 0


def test_m18_500_is_not_asked_for_ever(medchat: Readings) -> None:
    run = medchat.run({"max_retries": 3}, Fault("status", status=500, times=None))
    assert run.code == 1
    assert "500 Internal Server Error" in run.errors[0]
    assert len(medchat.requests) == 4


def test_m19_filter_ignored_is_an_error(medchat: Readings) -> None:
    medchat.fails("ignores the $filter", {"end_date": _days_ago(6)}, medchat_filter_ignored=True)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_m20_retry_after_is_obeyed(medchat: Readings, form: t.Any) -> None:
    medchat.waits(form)


def test_m20_reset_is_obeyed(medchat: Readings) -> None:
    medchat.waits("reset")


def test_m20_limit_without_any_header(medchat: Readings) -> None:
    medchat.holds_all(medchat_throttle_per_minute=15)


def _days_ago(days: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - days * 86400))
