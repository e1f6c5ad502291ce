"""MedChat's endpoint: authorization and every quirk."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import pytest
from medchat_swell_sandbox import Dataset, Sandbox
from medchat_swell_sandbox.clock import utc_now
from sandbox_clients import MedChat, send, with_quirks

if TYPE_CHECKING:
    from collections.abc import Iterator

NEW_YEAR = datetime(2024, 1, 1, 0, 0, 0, 120_000, tzinfo=timezone.utc)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Twelve chats, the last six with the same creation time; chat n has n messages."""
    dataset = Dataset()
    for number in range(12):
        created = NEW_YEAR + timedelta(minutes=min(number, 6))
        key = f"chat-{number:02}"
        dataset.add_chat(id=key, created=created)
        for place in range(number):
            dataset.add_message(key, id=f"{key}-{place}", created=created)
    dataset.add_membership("chat-03", id="member", created=NEW_YEAR)
    dataset.add_execution("chat-03", id="execution", created=NEW_YEAR)
    with Sandbox(dataset) as running:
        yield running


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


ALL = [f"chat-{number:02}" for number in range(12)]


def test_pages_hold_every_chat_once(medchat: MedChat) -> None:
    pages = list(medchat.pages(5, orderby="CreatedDateTime"))
    assert [len(page) for page in pages] == [5, 5, 2]
    assert ids([row for page in pages for row in page]) == ALL


def test_a_chat_and_what_is_under_it(medchat: MedChat) -> None:
    chat = medchat.rows(filter="Id eq 'chat-03'", expand="Messages,Memberships,TextBotExecutions")[
        0
    ]
    assert chat["createdDateTime"] == "2024-01-01T00:03:00.120Z"
    assert ids(chat["messages"]) == ["chat-03-0", "chat-03-1", "chat-03-2"]
    assert chat["messages"][0]["senderPhoneNumber"] == chat["userPhoneNumber"]
    assert chat["memberships"][0]["createdDateTime"] == "2024-01-01T00:00:00.120Z"
    assert ids(chat["textBotExecutions"]) == ["execution"]
    assert "messages" not in medchat.rows(top=1)[0]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": ""}, 401),
        ({"Authorization": "Basic x"}, 401),
        ({"Accept": "application/json"}, 406),
        ({"Accept": "*/*"}, 406),
        ({"Accept": "application/vnd.medchat+json;v=2.0"}, 406),
        ({"Accept": "application/vnd.medchat+json ; q=0.9; v=1.0"}, 200),
        ({"Accept": "text/html, application/vnd.medchat+json;v=1.0"}, 200),
        ({"Content-Type": "application/json"}, 415),
    ],
)
def test_headers(medchat: MedChat, headers: dict[str, str], status: int) -> None:
    whole = medchat.headers() | headers
    assert send(medchat.sandbox.origin, medchat.target(), whole).status == status


def test_token_may_expire_or_lack_a_scope(medchat: MedChat) -> None:
    credentials = medchat.sandbox.credentials
    credentials.medchat_expires = utc_now() + timedelta(hours=1)
    assert medchat.get().status == 200
    credentials.medchat_expires = utc_now() - timedelta(seconds=1)
    assert medchat.get().status == 401
    credentials.medchat_expires = None
    credentials.medchat_scopes = frozenset({"read.text_bot_executions"})
    assert medchat.get().status == 403


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/smschatapi/external/orgs/other/smsChats", "GET", 404),
        ("/smschatapi/external/smsChats", "GET", 404),
        ("/", "GET", 404),
        (None, "POST", 405),
    ],
)
def test_wrong_address(medchat: MedChat, path: str | None, method: str, status: int) -> None:
    target = path or medchat.target()
    reply = send(medchat.sandbox.origin, target, medchat.headers(), method)
    assert reply.status == status


@pytest.mark.parametrize("wrapper", ["value", "Value", "items", "data", "results"])
def test_m1_envelope(medchat: MedChat, wrapper: str) -> None:
    reply = with_quirks(medchat, medchat_envelope=wrapper).get(top=2)
    assert ids(reply.json[wrapper]) == ALL[:2]


@pytest.mark.parametrize(
    ("empty", "status", "body"),
    [("envelope", 200, b"[]"), ("204", 204, b""), ("empty_body", 200, b""), ("null", 200, b"null")],
)
def test_m1_nothing_found(medchat: MedChat, empty: str, status: int, body: bytes) -> None:
    reply = with_quirks(medchat, medchat_empty=empty).get(top=1, skip=99)
    assert (reply.status, reply.body) == (status, body)


@pytest.mark.parametrize(
    ("casing", "chat_key", "message_key"),
    [
        ("camel", "createdDateTime", "createdDateTime"),
        ("pascal", "CreatedDateTime", "CreatedDateTime"),
        ("lower", "createddatetime", "createddatetime"),
        ("mixed", "CreatedDateTime", "CreatedDateTime"),
    ],
)
def test_m2_casing(medchat: MedChat, casing: str, chat_key: str, message_key: str) -> None:
    with_quirks(medchat, medchat_casing=casing)
    row = medchat.rows(expand="Messages", skip=3, top=1)[0]
    messages = row.get("messages") or row["Messages"]
    assert chat_key in row
    assert message_key in messages[0]


def test_m2_casing_differs_with_expand_and_inside(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_casing_with_expand="pascal", medchat_casing_nested="camel")
    assert "createdDateTime" in medchat.rows(top=1)[0]
    row = medchat.rows(expand="Messages", skip=1, top=1)[0]
    assert "createdDateTime" in row["Messages"][0]


def test_m2_casing_may_change_with_each_request(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_casing="rotating")
    shapes = {tuple(medchat.rows(top=1)[0]) for _ in range(4)}
    assert len(shapes) == 4


def test_m3_top_over_the_maximum_names_the_limit(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_max_top=4)
    assert len(medchat.rows(top=4)) == 4
    reply = medchat.get(top=5)
    assert reply.status == 400
    assert "The limit of '4' for Top query has been exceeded" in reply.json["message"]


def test_m3_page_cap_is_silent(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_page_cap=3)
    assert [len(page) for page in medchat.pages(5)] == [3, 3, 3, 3]
    assert len(medchat.rows()) == 3


def test_m3_pages_in_the_middle_may_be_short(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_short_pages=2)
    found: list[str] = []
    sizes = []
    while page := medchat.rows(top=5, skip=len(found)):
        assert page == medchat.rows(top=5, skip=len(found))
        sizes.append(len(page))
        found += ids(page)
    assert sorted(found) == ALL
    assert min(sizes[:-1]) >= 2
    assert len({*sizes[:-1]}) > 1


def test_m4_next_links_lead_through_all(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_envelope="value", medchat_next_link="present")
    found: list[str] = []
    target = medchat.target("$top=5&$orderby=CreatedDateTime%20desc")
    while target:
        page = send(medchat.sandbox.origin, target, medchat.headers()).json
        found += ids(page["value"])
        link = page.get("@odata.nextLink", "")
        assert link.startswith(medchat.sandbox.origin) or not link
        target = link.removeprefix(medchat.sandbox.origin)
    assert sorted(found) == ALL


def test_m3_a_cap_below_top_may_come_with_an_unstable_order(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_page_cap=3, medchat_order="shuffled_ties")
    orders = {tuple(ids(medchat.rows(top=5, skip=6))) for _ in range(5)}
    assert {len(order) for order in orders} == {3}
    assert len(orders) > 1


def test_m4_next_link_may_mislead(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_envelope="value", medchat_next_link="always")
    assert "@odata.nextLink" in medchat.get(top=99).json
    with_quirks(medchat, medchat_envelope="value", medchat_next_link="other_origin")
    link = medchat.get(top=1).json["@odata.nextLink"]
    assert link.startswith("https://elsewhere.invalid/")


def test_m4_next_link_may_be_relative(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_envelope="value", medchat_next_link="relative")
    target = medchat.target("$top=5")
    page = send(medchat.sandbox.origin, target, medchat.headers()).json
    assert page["@odata.nextLink"] == "smsChats?$top=5&$skip=5"
    followed = urljoin(target, page["@odata.nextLink"])
    page = send(medchat.sandbox.origin, followed, medchat.headers()).json
    assert ids(page["value"]) == ALL[5:10]


def test_m5_skip_ignored(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_skip_ignored=True)
    assert ids(medchat.rows(top=2, skip=6)) == ALL[:2]


def test_m6_ties_are_shuffled_per_request(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_order="shuffled_ties")
    orders = {tuple(ids(medchat.rows(orderby="CreatedDateTime"))) for _ in range(5)}
    assert len(orders) > 1
    assert {order[:6] for order in orders} == {tuple(ALL[:6])}


def test_m6_order_unstable_or_not_the_one_asked_for(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_order="unstable")
    orders = {tuple(ids(medchat.rows(orderby="CreatedDateTime"))) for _ in range(5)}
    assert len({order[:6] for order in orders}) > 1
    with_quirks(medchat, medchat_orderby_ignored=True)
    assert ids(medchat.rows(orderby="CreatedDateTime desc")) == ALL


@pytest.mark.parametrize(
    ("zone", "digits", "text"),
    [
        ("Z", 3, "2024-01-01T00:00:00.120Z"),
        ("Z", None, "2024-01-01T00:00:00.12Z"),
        ("none", 7, "2024-01-01T00:00:00.1200000"),
        ("+00:00", 0, "2024-01-01T00:00:00+00:00"),
        ("+05:00", 6, "2024-01-01T05:00:00.120000+05:00"),
    ],
)
def test_m10_date_text(medchat: MedChat, zone: str, digits: int | None, text: str) -> None:
    with_quirks(medchat, medchat_date_zone=zone, medchat_date_digits=digits)
    assert medchat.rows(top=1)[0]["createdDateTime"] == text


def test_m10_null_dates(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_chat_date_null_every=1, medchat_message_date_null_every=2)
    rows = medchat.rows(expand="Messages")
    assert {row["createdDateTime"] for row in rows} == {None}
    dates = [text["createdDateTime"] for row in rows for text in row["messages"]]
    assert 10 < dates.count(None) < 56


def test_m14_ids(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_message_id_name="messageId", medchat_message_chat_id=True)
    message = medchat.rows(skip=1, top=1, expand="Messages")[0]["messages"][0]
    assert (message["messageId"], message["smsChatId"]) == ("chat-01-0", "chat-01")
    with_quirks(medchat, medchat_message_id_name=None, medchat_chat_id_name=None)
    row = medchat.rows(skip=1, top=1, expand="Messages")[0]
    assert "id" not in row
    assert "id" not in row["messages"][0]


@pytest.mark.parametrize(
    ("quirks", "without_rows", "with_rows"),
    [
        ({"medchat_expanded": "absent"}, "absent", "absent"),
        ({"medchat_expanded": "null"}, None, None),
        ({"medchat_expanded_empty": "omitted"}, "absent", 2),
        ({"medchat_expanded_empty": "null"}, None, 2),
        ({"medchat_expanded_cap": 1}, 0, 1),
    ],
)
def test_m15_expanded_collections(
    medchat: MedChat, quirks: dict[str, Any], without_rows: object, with_rows: object
) -> None:
    with_quirks(medchat, **quirks)
    first, _, third = medchat.rows(expand="Messages", top=3)
    for row, shown in ((first, without_rows), (third, with_rows)):
        messages = row.get("messages", "absent")
        found = len(messages) if isinstance(messages, list) else messages
        assert found == shown


def test_m15_the_link_of_a_cut_collection_can_be_followed(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_expanded_cap=2, medchat_expanded_cap_link=True)
    row = medchat.rows(expand="Messages", skip=3, top=1)[0]
    link = row["messages@odata.nextLink"].removeprefix(medchat.sandbox.origin)
    rest = send(medchat.sandbox.origin, link, medchat.headers()).json
    assert ids(row["messages"] + rest) == ["chat-03-0", "chat-03-1", "chat-03-2"]


def test_m16_executions_may_need_their_scope(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_text_bot_scope_required=True)
    assert medchat.get(expand="TextBotExecutions").status == 200
    medchat.sandbox.credentials.medchat_scopes = frozenset({"read.sms_chats"})
    assert medchat.get(expand="TextBotExecutions").status == 403
    assert medchat.get(expand="Messages").status == 200


def test_m16_expands_may_be_forbidden(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_forbidden_expands=("Memberships", "TextBotExecutions"))
    assert medchat.get(expand="Messages").status == 200
    for expand in ("Memberships", "textbotexecutions", "Messages,Memberships"):
        assert medchat.get(expand=expand).status == 403


def test_m16_a_403_may_name_the_scope(medchat: MedChat) -> None:
    quirks = {"medchat_forbidden_expands": ("TextBotExecutions",)}
    reply = with_quirks(medchat, **quirks).get(expand="TextBotExecutions")
    assert (reply.body, "www-authenticate" in reply.headers) == (b"", False)
    with_quirks(medchat, **quirks, medchat_scope_named="header")
    reply = medchat.get(expand="TextBotExecutions")
    assert reply.headers["www-authenticate"] == (
        'Bearer error="insufficient_scope", scope="read.text_bot_executions"'
    )
    with_quirks(medchat, **quirks, medchat_scope_named="message")
    reply = medchat.get(expand="TextBotExecutions")
    assert reply.json == {"message": "The scope 'read.text_bot_executions' is required."}
    medchat.sandbox.credentials.medchat_scopes = frozenset()
    assert "'read.sms_chats'" in medchat.get().json["message"]


@pytest.mark.parametrize("status", [400, 406, 415])
def test_m17_refusal_of_a_version(medchat: MedChat, status: int) -> None:
    with_quirks(medchat, medchat_version="2.0", medchat_version_refusal=status)
    assert medchat.get().status == status
    assert medchat.raw("", Accept="application/vnd.medchat+json;v=2.0").status == 200


@pytest.mark.parametrize("shape", ["message", "Message", "error"])
def test_m18_bad_query(medchat: MedChat, shape: str) -> None:
    with_quirks(medchat, medchat_bad_query_status=500, medchat_error_shape=shape)
    reply = medchat.get(filter="nonsense")
    assert reply.status == 500
    assert list(reply.json) == [shape]


def test_m19_filter_ignored_but_still_parsed(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_filter_ignored=True)
    assert ids(medchat.rows(filter="Id eq 'chat-03'")) == ALL
    assert medchat.get(filter="nonsense").status == 400


def test_m20_rate_limit_without_headers(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_throttle_per_minute=2, throttle_window_seconds=3600)
    replies = [medchat.get(top=1) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 429]
    assert set(replies[2].headers) == {"content-length", "date"}


def test_numbers_as_strings(medchat: MedChat) -> None:
    with_quirks(medchat, medchat_numbers_as_strings=True)
    row = medchat.rows(expand="Messages", skip=1, top=1)[0]
    assert row["unreadMessageCount"] == "0"
    assert row["messages"][0]["segmentCount"] == "1"
