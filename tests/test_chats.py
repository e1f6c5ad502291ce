from __future__ import annotations

import typing as t

import pytest

from tap_medchat_swell.medchat.chats import ChatEntity, ChildEntity

Row = dict[str, t.Any]


def messages(chat: Row) -> list[tuple[Row, str]]:
    return list(ChildEntity("Messages", "id").rows(ChatEntity().take(chat)))


@pytest.mark.parametrize("wrap", ["$values", "value", "Items"])
def test_a_collection_may_be_wrapped(wrap: str) -> None:
    (message,) = messages({"id": "c", "messages": {wrap: [{"id": "m"}]}})

    assert message == ({"id": "m"}, "m")


def test_a_single_message_need_be_no_list() -> None:
    assert messages({"id": "c", "messages": {"id": "m"}}) == [({"id": "m"}, "m")]


def test_keys_do_not_depend_on_how_a_date_is_written() -> None:
    forms = ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000", "2026-01-01T22:04:05-05:00"]
    texts = [{"createdDateTime": form, "text": "hello"} for form in forms]
    chats = [{"createdDateTime": form, "userPhoneNumber": "1"} for form in forms]

    assert len({key for text in texts for _, key in messages({"id": "c", "messages": [text]})}) == 1
    assert len({ChatEntity().identify(chat) for chat in chats}) == 1
