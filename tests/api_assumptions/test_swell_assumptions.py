"""Swell's open questions W1..W23: which reading is covered where."""

from __future__ import annotations

import itertools
import json
import typing as t
from datetime import date, timedelta

import pytest
from medchat_swell_sandbox import Dataset, Fault
from medchat_swell_sandbox.clock import utc_now
from support.readings import Readings

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from support.tap_process import Run

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def swell() -> Iterator[Readings]:
    with Readings("swell") as readings:
        yield readings


@pytest.mark.parametrize("reading", ["inclusive", "exclusive"])
@pytest.mark.parametrize("days", [1, 6])
def test_w1_to_date(swell: Readings, reading: str, days: int) -> None:
    swell.holds_all({"swell_window_days": days}, swell_to_date=reading)


def test_w1_windows_share_a_day(swell: Readings) -> None:
    swell.run()
    windows = sorted(_windows(swell))
    assert len(windows) > 2
    assert all(end >= begin for (_, end), (begin, _) in itertools.pairwise(windows))


@pytest.mark.parametrize("days", [6, 7])
def test_w2_seven_days(swell: Readings, days: int) -> None:
    swell.holds_all({"swell_window_days": 6}, swell_max_range_days=days)


@pytest.mark.parametrize("zone", ["UTC", -12, "Asia/Tokyo"])
@pytest.mark.parametrize("days", [1, 6])
def test_w3_tomorrow_is_refused(swell: Readings, zone: float | str, days: int) -> None:
    swell.holds_all(
        {"swell_window_days": days}, swell_tomorrow_refused=True, swell_filter_zone=zone
    )


def test_w3_today_is_refused(swell: Readings) -> None:
    """The pass for changes brings what the windows must not ask for."""
    run = swell.run(swell_today_refused=True)
    assert run.code == 0
    assert _ids(run) == set(swell.sandbox.dataset.swell_messages)


def test_w4_counts_of_a_day_that_has_not_begun_there(swell: Readings) -> None:
    run = swell.run(swell_tomorrow_refused=True, swell_filter_zone=-23.9)
    days = [row["date"] for row in run.records("swell_message_counts")]
    assert run.code == 0, run.log
    assert days[-1] == str(utc_now().date() - DAY)
    assert len(days) == len(set(days)) > 10


def test_w3_another_refusal_is_no_tomorrow(swell: Readings) -> None:
    refusal = Fault("status", status=422, times=None, where="swell")
    run = swell.run(None, refusal)
    assert run.code == 1
    assert not run.records("swell_messages")
    assert not any("finished" in mark for mark in run.state["bookmarks"].values())


@pytest.mark.parametrize("zone", ["UTC", "America/Denver", "Asia/Tokyo", 12, -12])
@pytest.mark.parametrize("to_date", ["inclusive", "exclusive"])
def test_w4_zone_of_filters(swell: Readings, zone: float | str, to_date: str) -> None:
    swell.holds_all(swell_filter_zone=zone, swell_to_date=to_date)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
def test_w5_zone_of_date_sent(swell: Readings, zone: str) -> None:
    swell.holds_all(swell_date_sent_zone=zone)


@pytest.mark.parametrize("form", ["string", "object", "null"])
@pytest.mark.parametrize("shift", [0, 70, -70])
def test_w6_date_sent(swell: Readings, form: str, shift: int) -> None:
    swell.holds_all(swell_date_sent=form, swell_date_sent_shift_hours=shift)


@pytest.mark.parametrize("shown", ["all", "some", "none"])
def test_w6_created_at_missing(swell: Readings, shown: str) -> None:
    swell.holds_all(swell_created_at=shown, swell_date_sent_null_every=2)


ZONED = {"date": "2026-03-01 05:00:00.000000", "timezone_type": 1}


@pytest.mark.parametrize(
    ("sent", "text", "utc"),
    [
        ({**ZONED, "timezone": "-07:00"}, ZONED["date"], "2026-03-01T12:00:00.000000Z"),
        ({**ZONED, "timezone": "America/Denver"}, ZONED["date"], "2026-03-01T12:00:00.000000Z"),
        ({**ZONED, "timezone": "PDT"}, ZONED["date"], None),
        ({**ZONED, "timezone": "+99:99"}, ZONED["date"], None),
        ({**ZONED, "timezone": None}, ZONED["date"], "2026-03-01T05:00:00.000000Z"),
        ({"date": 5}, "5", None),
        (1772344800, "1772344800", None),
    ],
)
def test_w6_forms_of_date_sent(swell: Readings, sent: t.Any, text: str, utc: str | None) -> None:
    (record,) = _records_of(swell, {"id": 1, "date_sent": sent})
    assert (record["date_sent"], record["date_sent_utc"]) == (text, utc)


def test_w22_a_message_from_long_ago_is_left_out(swell: Readings) -> None:
    rows = [{"id": number, "created_at": f"{utc_now().date()}"} for number in range(9)]
    records = _records_of(swell, *rows, {"id": 9, "created_at": "1970-01-01T00:00:00Z"})
    assert [record["id"] for record in records] == list(range(9))


def _records_of(swell: Readings, *rows: dict[str, t.Any]) -> list[dict[str, t.Any]]:
    """What becomes of rows as Swell might send them, in a window of their own."""
    hints = {"links": {"next": None}, "meta": {"total": len(rows), "last_page": 1}}
    body = json.dumps({"data": rows, **hints})
    fault = Fault("status", status=200, body=body, where="/messages", times=None)
    counts = Fault(
        "status", status=200, body='{"received": 1, "sent": 1}', where="/count", times=None
    )
    settings = {"start_date": f"{utc_now().date()}", "swell_page_size": 50}
    run = swell.run(settings, counts, fault)
    assert run.code == 0, run.log
    return run.records("swell_messages")


def test_w7_dates_are_always_sent(swell: Readings) -> None:
    swell.run()
    for request in swell.requests:
        if not request.path.endswith("/count"):
            days = {"from_date", "to_date"} <= request.query.keys()
            assert days or "updated_after" in request.query


@pytest.mark.parametrize(
    "links", ["page_only", "full", "full_no_token", "http", "other_host", "null", "absent"]
)
def test_w8_links(swell: Readings, links: str) -> None:
    swell.holds_all(swell_links=links)
    asked = {(row.path, "per_page" in row.query) for row in swell.requests}
    assert asked <= {("/api/v1/messages", True), ("/api/v1/messages/count", False)}


@pytest.mark.parametrize(
    "quirks",
    [
        {"swell_meta": "simple"},
        {"swell_meta": "absent"},
        {"swell_meta": "absent", "swell_links": "absent"},
        {"swell_meta": "absent", "swell_links": "null"},
        {"swell_last_page_shift": -1},
        {"swell_last_page_shift": 3},
        {"swell_total_shift": -1},
        {"swell_total_shift": 3},
        {"swell_hints": "next_null"},
        {"swell_hints": "last_page_now"},
        {"swell_hints": "last_page_now", "swell_links": "null"},
    ],
)
def test_w9_end_of_paging(swell: Readings, quirks: dict[str, t.Any]) -> None:
    swell.holds_all(**quirks)


@pytest.mark.parametrize("order", ["id", "latest", "unspecified", "unstable"])
def test_w10_order(swell: Readings, order: str) -> None:
    swell.holds_all(swell_order=order)


def test_w10_a_row_deleted_between_pages(swell: Readings) -> None:
    gone: list[int] = []

    def delete_the_first(number: int, _vendor: str, _path: str, query: dict[str, str]) -> None:
        rows = swell.sandbox.dataset.messages_created(None, None)
        if query.get("page") == "2" and not gone:
            gone.append(rows[0].id)
            swell.sandbox.dataset.delete_swell_message(rows[0].id)
        del number

    swell.sandbox.on_request = delete_the_first
    try:
        run = swell.run({"max_concurrency": 1, "swell_window_days": 6})
    finally:
        swell.sandbox.on_request = None
    assert gone
    assert set(swell.sandbox.dataset.swell_messages) <= _ids(run)


@pytest.mark.parametrize("clamp", [2, 5])
def test_w11_pages_are_cut(swell: Readings, clamp: int) -> None:
    swell.holds_all(swell_per_page_clamp=clamp)


@pytest.mark.parametrize("form", ["any", "Y-m-d", "Y-m-d H:i"])
def test_w12_late_change_comes_by_updated_after(swell: Readings, form: str) -> None:
    first, oldest = _change_the_oldest(swell)
    again = swell.run_again(first.state, {"swell_lookback_days": 0}, swell_updated_after=form)
    found = {row["id"]: row["text"] for row in again.records("swell_messages")}
    assert found[oldest] == "changed late"


def test_w12_updated_after_refused(swell: Readings) -> None:
    quirks: dict[str, t.Any] = {"swell_updated_after": "none"}
    swell.holds_all(**quirks)
    first, _ = _change_the_oldest(swell)
    again = swell.run_again(first.state, **quirks)
    assert again.code == 0
    assert "refused updated_after" in again.log
    assert again.state["bookmarks"]["swell_messages"]["finished"]


def test_w12_a_run_after_two_days_where_three_are_hours(swell: Readings) -> None:
    first, oldest = _change_the_oldest(swell)
    state = first.state
    past = utc_now() - timedelta(days=2, hours=1)
    state["bookmarks"]["swell_messages"]["changes_since"] = past.strftime(
        "%Y-%m-%dT%H:%M:%S.000000Z"
    )
    quirks: dict[str, t.Any] = {"swell_updated_after_hours": 72}
    again = swell.run_again(state, {"swell_lookback_days": 0}, **quirks)
    found = {row["id"]: row["text"] for row in again.records("swell_messages")}
    assert found[oldest] == "changed late"


def test_w12_a_run_after_more_than_three_days(swell: Readings) -> None:
    first, _ = _change_the_oldest(swell)
    state = first.state
    for bookmark in state["bookmarks"].values():
        past = utc_now() - 8 * DAY
        bookmark["changes_since"] = past.strftime("%Y-%m-%dT%H:%M:%S.000000Z")
        bookmark["replication_key_value"] = f"{(past - DAY).date()}T00:00:00.000000Z"
    again = swell.run_again(state)
    recent = swell.sandbox.dataset.messages_created(utc_now() - 8 * DAY, None)
    assert {row.id for row in recent} <= _ids(again)
    assert "changes since" in again.log


def test_w13_same_message_under_two_locations(swell: Readings) -> None:
    swell.holds_all(swell_repeat_across_locations=True)


def test_w13_locations_in_one_request(swell: Readings) -> None:
    run = swell.run({"swell_location_ids": [1, 3]}, swell_repeat_across_locations=True)
    assert {request.query["location_id"] for request in swell.requests} == {"1,3"}
    rows = [row["id"] for row in run.records("swell_messages")]
    assert len(rows) == len(set(rows))


@pytest.mark.parametrize("as_text", [False, True])
def test_w14_count_by_date(swell: Readings, as_text: bool) -> None:  # noqa: FBT001
    swell.holds_all(swell_counts_as_strings=as_text)


def test_w14_count_by_range(swell: Readings) -> None:
    swell.holds_all(swell_count_date="ignored")


@pytest.mark.parametrize("meaning", ["day", "ignored"])
def test_w14_days_that_are_all_alike_are_told(swell: Readings, meaning: str) -> None:
    run = swell.run(swell_count_date=meaning)
    assert ("Swell counts the same for each day" in run.log) is (meaning == "ignored")


def test_w14_one_request_per_day(swell: Readings) -> None:
    swell.run()
    counts = [row.query for row in swell.requests if row.path.endswith("/count")]
    assert all(query.keys() == {"date"} for query in counts)
    assert len({query["date"] for query in counts}) == len(counts)


def test_w15_partial_days_are_asked_again(swell: Readings) -> None:
    first = swell.run()
    swell.sandbox.dataset.add_swell_message()
    again = swell.run_again(first.state, {"swell_counts_lookback_days": 2})
    days = [row["date"] for row in again.records("swell_message_counts")]
    today = utc_now().date()
    assert days == [str(today - number * DAY) for number in (4, 3, 2, 1, 0)]


def test_w16_counts_per_location_stand_for_themselves(swell: Readings) -> None:
    run = swell.run({"swell_location_ids": [1, 2], "swell_counts_split": "location"})
    keys = [
        (row["date"], row["location_id"], row["team_id"])
        for row in run.records("swell_message_counts")
    ]
    assert len(keys) == len(set(keys))
    assert {key[1] for key in keys} == {"1", "2"}


@pytest.mark.parametrize("answer", ["401", "403", "422", "302", "html"])
def test_w17_bad_token(swell: Readings, answer: str) -> None:
    swell.fails("Swell", {"swell_api_token": "not-the-right-one"}, swell_auth_failure=answer)


@pytest.mark.parametrize("kind", ["data_null", "wrong_envelope", "html", "empty", "no_content"])
def test_w17_never_empty(swell: Readings, kind: t.Any) -> None:
    run = swell.run(None, Fault(kind, times=None, where="swell"))
    assert run.code == 1
    assert not any(message["type"] == "RECORD" for message in run.messages)


@pytest.mark.parametrize("links", ["full", "page_only"])
def test_w18_token_is_nowhere(swell: Readings, links: str) -> None:
    run = swell.run(swell_links=links)
    token = swell.sandbox.swell_api_token
    assert token not in run.log
    assert token.encode() not in b"".join(run.lines)


@pytest.mark.parametrize(
    "quirks",
    [
        {"swell_ids_as_strings": True},
        {"swell_read_as_int": True},
        {"swell_nulls": True},
        {"swell_tags": "objects"},
        {"swell_tags": "empty"},
        {"swell_empty_dates": "empty_string", "swell_date_sent": "null"},
    ],
)
def test_w19_types(swell: Readings, quirks: dict[str, t.Any]) -> None:
    swell.holds_all(**quirks)


def test_w20_status_word(swell: Readings) -> None:
    swell.holds_all(swell_closed_word="Closed")
    swell.run(swell_closed_word="Closed")
    assert not any("status" in request.query for request in swell.requests)


@pytest.mark.parametrize("status", ["Open", "Close"])
def test_w20_only_messages_with_a_status(swell: Readings, status: str) -> None:
    """One that changes to another status is not read again; one that comes to this one is."""
    first = swell.run({"swell_status": status}, swell_closed_word="Closed")
    dataset = swell.sandbox.dataset
    wanted = [key for key, row in dataset.swell_messages.items() if row.status == status]
    others = [key for key, row in dataset.swell_messages.items() if row.status != status]
    asked = {(row.path, row.query.get("status")) for row in swell.requests}
    dataset.change_swell_message(wanted[-1], status="Close" if status == "Open" else "Open")
    dataset.change_swell_message(others[0], status=status)

    again = swell.run_again(first.state, {"swell_status": status}, swell_closed_word="Closed")

    assert _ids(first) == set(wanted) != set(dataset.swell_messages)
    assert asked == {("/api/v1/messages", status), ("/api/v1/messages/count", None)}
    assert wanted[-1] not in _ids(again)
    assert others[0] in _ids(again)


def test_w20_another_status_reads_all(swell: Readings) -> None:
    first = swell.run({"swell_status": "Open"})

    run = swell.run_again(first.state)

    assert _ids(run) == set(swell.sandbox.dataset.swell_messages)


@pytest.mark.parametrize("form", ["seconds", "date", "reset"])
def test_w21_429(swell: Readings, form: t.Any) -> None:
    swell.waits(form)


def test_w21_throttle_of_laravel(swell: Readings) -> None:
    swell.holds_all(swell_throttle_per_minute=15)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_w21_5xx(swell: Readings, status: int) -> None:
    run = swell.run(None, Fault("status", status=status, times=3))
    assert run.code == 0
    assert _ids(run) == set(swell.sandbox.dataset.swell_messages)


@pytest.mark.parametrize("shown", ["all", "none"])
def test_w22_filters_ignored_is_an_error(swell: Readings, shown: str) -> None:
    quirks: dict[str, t.Any] = {"swell_filters_ignored": True, "swell_created_at": shown}
    swell.fails("ignores from_date", {"start_date": str(date.today() - 60 * DAY)}, **quirks)  # noqa: DTZ011


def test_w23_old_windows_are_empty(swell: Readings) -> None:
    start = str((utc_now() - 60 * DAY).date())
    run = swell.run({"start_date": start}, swell_retention_days=5)
    kept = swell.sandbox.dataset.messages_created(utc_now() - 5 * DAY, None)
    assert run.code == 0
    assert {row.id for row in kept} <= _ids(run)
    assert run.state["bookmarks"]["swell_messages"]["finished"]


def test_w23_nothing_at_all(swell: Readings) -> None:
    swell.run()
    swell.sandbox.reload(Dataset())
    run = swell.run_again(None, {"start_date": str(utc_now().date() - 20 * DAY)})
    assert run.code == 0
    assert run.state["bookmarks"]["swell_messages"]["replication_key_value"]


def _ids(run: Run) -> set[int]:
    return {row["id"] for row in run.records("swell_messages")}


def _windows(swell: Readings) -> set[tuple[str, str]]:
    return {
        (request.query["from_date"], request.query["to_date"])
        for request in swell.requests
        if "from_date" in request.query
    }


def _change_the_oldest(swell: Readings) -> tuple[Run, int]:
    first = swell.run()
    oldest = swell.sandbox.dataset.messages_created(None, None)[0].id
    swell.sandbox.dataset.change_swell_message(oldest, text="changed late")
    return first, oldest
