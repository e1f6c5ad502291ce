from __future__ import annotations

import logging
import typing as t

import pytest

from tap_medchat_swell.medchat.chats import Chat, ChatRows, ChildRows

Row = dict[str, t.Any]


def taken(row: Row) -> Chat:
    chats = ChatRows()
    return chats.take(chats.identify(row), row)


def messages(chat: Row) -> list[tuple[Row, str]]:
    return list(ChildRows("Messages", "id").rows(taken(chat)))


@pytest.mark.parametrize("wrap", ["$values", "value", "Items"])
def test_a_collection_may_be_wrapped(wrap: str) -> None:
    (message,) = messages({"id": "c", "messages": {wrap: [{"id": "m"}]}})

    assert message == ({"id": "m"}, "m")


def test_a_single_message_without_a_list() -> None:
    assert messages({"id": "c", "messages": {"id": "m"}}) == [({"id": "m"}, "m")]


def test_keys_do_not_depend_on_how_a_date_is_written() -> None:
    forms = ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000", "2026-01-01T22:04:05-05:00"]
    texts = [{"createdDateTime": form, "text": "hello"} for form in forms]
    chats = [{"createdDateTime": form, "userPhoneNumber": "1"} for form in forms]

    assert len({key for text in texts for _, key in messages({"id": "c", "messages": [text]})}) == 1
    assert len({ChatRows().identify(chat) for chat in chats}) == 1


def warnings(sizes: list[int], caplog: pytest.LogCaptureFixture) -> str:
    """What is logged where chats have so many messages."""
    children = ChildRows("Messages", "id")
    for size in sizes:
        rows = [{"id": number} for number in range(size)]
        list(children.rows(taken({"id": "c", "messages": rows})))
    children.warn_if_truncated(logging.getLogger("test"))
    return caplog.text


@pytest.mark.parametrize("sizes", [[10, 10, 10], [50, 50, 50, 50, 49, 49, 49, 3], [100] * 9])
def test_a_pile_at_a_round_maximum_is_suspicious(
    sizes: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    assert f"have exactly {max(sizes)} Messages and none has more" in warnings(sizes, caplog)


@pytest.mark.parametrize(
    "sizes", [[], [10, 10], [11] * 9, [0, 0, 0], [10, 10, 10, 11], [10, 10, 10, 9, 9, 9, 9]]
)
def test_other_maxima_are_not(sizes: list[int], caplog: pytest.LogCaptureFixture) -> None:
    """Few long threads of a natural length are fewer than those that are shorter by one."""
    assert warnings(sizes, caplog) == ""


def test_a_long_id_fits_its_column() -> None:
    chats = ChatRows()

    assert chats.identify({"id": "x" * 255}) == "x" * 255
    assert len(chats.identify({"id": "x" * 256})) == 64
    [(_, key)] = messages({"id": "a", "messages": [{"id": "y" * 256}]})
    assert len(key) == 64
