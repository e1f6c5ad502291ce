"""MedChat's chats as JSON, in the casing and date format of the quirks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from zlib import crc32

import msgspec

if TYPE_CHECKING:
    from datetime import datetime

    from medchat_swell_sandbox.quirks import Casing, Quirks
    from medchat_swell_sandbox.rows import (
        Chat,
        ChatMessage,
        Membership,
        TextBotExecution,
    )

ROTATION: tuple[Casing, ...] = ("camel", "pascal", "lower", "mixed")

Row = dict[str, Any]
Rename = Callable[[Row], Row]


@dataclass(frozen=True)
class RowForm:
    """Everything that determines a chat's JSON, besides the chat."""

    quirks: Quirks
    expand: tuple[str, ...]
    casing: Casing
    chats_url: str


def row_form(quirks: Quirks, expand: tuple[str, ...], number: int, chats_url: str) -> RowForm:
    """Return the form of the rows in the response to request ``number``."""
    casing = quirks.medchat_casing
    if expand and quirks.medchat_casing_with_expand is not None:
        casing = quirks.medchat_casing_with_expand
    if casing == "rotating":
        casing = ROTATION[number % len(ROTATION)]
    return RowForm(quirks, expand, casing, chats_url)


class RowEncoder:
    """Encodes chats in one form and caches the bytes until the chat changes."""

    def __init__(self, form: RowForm) -> None:
        self._quirks = form.quirks
        self._expand = form.expand
        self._chats_url = form.chats_url
        self._rename = renamer(form.casing)
        self._rename_nested = renamer(form.quirks.medchat_casing_nested or form.casing)
        self._encoded: dict[str, tuple[int, bytes]] = {}

    def encode(self, chat: Chat) -> bytes:
        """Return the chat's JSON object."""
        kept = self._encoded.get(chat.id)
        if kept is None or kept[0] != chat.version:
            kept = (chat.version, msgspec.json.encode(self._chat(chat)))
            self._encoded[chat.id] = kept
        return kept[1]

    def encode_rest(self, chat: Chat, name: str, skip: int) -> bytes:
        """Return the rest of a truncated collection (M15)."""
        return msgspec.json.encode(self._children(chat, name)[skip:])

    def _chat(self, chat: Chat) -> Row:
        quirks = self._quirks
        every = quirks.medchat_chat_date_null_every
        row: Row = {
            "createdDateTime": self._moment(chat.created, chat.id, every),
            "status": chat.status,
            "name": chat.name,
            "userPhoneNumber": chat.user_phone,
            "organizationPhoneNumber": chat.organization_phone,
            "channelId": chat.channel_id,
            "unreadMessageCount": self._number(chat.unread_count),
        }
        if quirks.medchat_chat_id_name is not None:
            row = {quirks.medchat_chat_id_name: chat.id, **row}
        for name in self._expand:
            row |= self._collection(chat, name)
        return self._rename(row)

    def _collection(self, chat: Chat, name: str) -> Row:
        key = name[0].lower() + name[1:]
        if self._quirks.medchat_expanded != "present":
            return {} if self._quirks.medchat_expanded == "absent" else {key: None}
        rows = self._children(chat, name)
        if not rows:
            return self._no_children(key)
        cap = self._quirks.medchat_expanded_cap
        collection: Row = {key: rows[:cap]}
        if cap is not None and len(rows) > cap and self._quirks.medchat_expanded_cap_link:
            link = f"{self._chats_url}/{chat.id}/{key}?$skip={cap}"
            collection[f"{key}@odata.nextLink"] = link
        return collection

    def _no_children(self, key: str) -> Row:
        match self._quirks.medchat_expanded_empty:
            case "omitted":
                return {}
            case "null":
                return {key: None}
            case _:
                return {key: []}

    def _children(self, chat: Chat, name: str) -> list[Row]:
        match name:
            case "Messages":
                return [self._message(chat, row) for row in chat.messages]
            case "Memberships":
                return [self._membership(row) for row in chat.memberships]
            case _:
                return [self._execution(row) for row in chat.executions]

    def _message(self, chat: Chat, message: ChatMessage) -> Row:
        every = self._quirks.medchat_message_date_null_every
        row: Row = {}
        if self._quirks.medchat_message_id_name is not None:
            row[self._quirks.medchat_message_id_name] = message.id
        if self._quirks.medchat_message_chat_id:
            row["smsChatId"] = chat.id
        row |= {
            "createdDateTime": self._moment(message.created, message.id, every),
            "text": message.text,
            "direction": message.direction,
            "status": message.status,
            "senderPhoneNumber": message.sender_phone,
            "recipientPhoneNumber": message.recipient_phone,
            "userId": message.user_id,
            "segmentCount": self._number(1 + len(message.text or "") // 160),
        }
        return self._rename_nested(row)

    def _membership(self, row: Membership) -> Row:
        return self._rename_nested(
            {
                "id": row.id,
                "userId": row.user_id,
                "name": row.name,
                "createdDateTime": self._moment(row.created, row.id, 0),
            }
        )

    def _execution(self, row: TextBotExecution) -> Row:
        return self._rename_nested(
            {
                "id": row.id,
                "textBotId": row.text_bot_id,
                "status": row.status,
                "createdDateTime": self._moment(row.created, row.id, 0),
            }
        )

    def _moment(self, moment: datetime, row_id: str, null_every: int) -> str | None:
        if null_every and crc32(row_id.encode()) % null_every == 0:
            return None
        return format_moment(moment, self._quirks)

    def _number(self, number: int) -> int | str:
        return str(number) if self._quirks.medchat_numbers_as_strings else number


def format_moment(moment: datetime, quirks: Quirks) -> str:
    """Format a time like the vendor (M10), truncating further digits."""
    zone = quirks.medchat_date_zone
    if zone == "+05:00":
        moment += timedelta(hours=5)
    text = moment.replace(tzinfo=None).isoformat(timespec="seconds")
    return text + _fraction(moment, quirks) + ("" if zone == "none" else zone)


def _fraction(moment: datetime, quirks: Quirks) -> str:
    digits = quirks.medchat_date_digits
    ticks = f"{moment.microsecond:06d}0"
    shown = ticks.rstrip("0") if digits is None else ticks[:digits]
    return f".{shown}" if shown else ""


def renamer(casing: Casing) -> Rename:
    """Return a function that converts a row's camelCase keys to a casing."""
    match casing:
        case "pascal":
            return lambda row: {_pascal(key): value for key, value in row.items()}
        case "lower":
            return lambda row: {key.lower(): value for key, value in row.items()}
        case "mixed":
            return lambda row: {
                _pascal(key) if place % 2 else key: value
                for place, (key, value) in enumerate(row.items())
            }
        case _:
            return lambda row: row


def _pascal(key: str) -> str:
    return key[0].upper() + key[1:]
