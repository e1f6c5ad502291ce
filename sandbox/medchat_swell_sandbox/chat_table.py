"""MedChat's chats and their nested rows, with methods to change them."""

from __future__ import annotations

import uuid
from bisect import bisect_left, insort
from operator import attrgetter
from typing import TYPE_CHECKING

from medchat_swell_sandbox.clock import utc_now
from medchat_swell_sandbox.rows import Chat, ChatMessage, Membership, TextBotExecution
from medchat_swell_sandbox.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

CREATED = attrgetter("created")


class ChatTable(Table):
    """The MedChat part of a dataset. All methods are thread-safe."""

    def __init__(self) -> None:
        super().__init__()
        self.chats: dict[str, Chat] = {}
        self._by_created: list[Chat] = []

    def chats_created(self, start: datetime | None, end: datetime | None) -> list[Chat]:
        """Return chats with ``start`` <= created < ``end``, oldest first."""
        rows = self._by_created
        low = 0 if start is None else bisect_left(rows, start, key=CREATED)
        high = len(rows) if end is None else bisect_left(rows, end, key=CREATED)
        return rows[low:high]

    def load_chats(self, chats: list[Chat]) -> None:
        """Add many chats at once."""
        with self.lock:
            self.chats.update((chat.id, chat) for chat in chats)
            self._by_created = sorted(self.chats.values(), key=CREATED)
            self.touch()

    def add_chat(  # noqa: PLR0913 - one keyword per column
        self,
        *,
        id: str | None = None,  # noqa: A002 - the vendor's name for it
        created: datetime | None = None,
        status: str = "Active",
        name: str | None = "New Patient",
        user_phone: str = "5550001111",
        organization_phone: str = "8005550100",
        channel_id: str = "00000000-0000-4000-8000-000000000001",
    ) -> Chat:
        """Add a chat, created now or at ``created``, which may be in the past."""
        chat = Chat(
            id=id or str(uuid.uuid4()),
            created=created or utc_now(),
            status=status,
            name=name,
            user_phone=user_phone,
            organization_phone=organization_phone,
            channel_id=channel_id,
        )
        with self.lock:
            self.chats[chat.id] = chat
            insort(self._by_created, chat, key=CREATED)
            self.touch()
        return chat

    def add_message(  # noqa: PLR0913 - one keyword per column
        self,
        chat_id: str,
        *,
        id: str | None = None,  # noqa: A002 - the vendor's name for it
        created: datetime | None = None,
        text: str | None = "Hello",
        direction: str = "Inbound",
        status: str | None = None,
    ) -> ChatMessage:
        """Add a message, created now or at ``created``, to an old or new chat (M7)."""
        with self.lock:
            chat = self.chats[chat_id]
            inbound = direction == "Inbound"
            phones = (chat.user_phone, chat.organization_phone)
            sender, recipient = phones if inbound else phones[::-1]
            message = ChatMessage(
                id=id or str(uuid.uuid4()),
                created=created or utc_now(),
                text=text,
                direction=direction,
                status=status or ("Received" if inbound else "Sent"),
                sender_phone=sender,
                recipient_phone=recipient,
            )
            chat.messages.append(message)
            self._changed(chat)
        return message

    def add_membership(
        self,
        chat_id: str,
        *,
        id: str | None = None,  # noqa: A002 - the vendor's name for it
        name: str | None = "Front Desk",
        created: datetime | None = None,
    ) -> Membership:
        """Add a user to a chat."""
        member = Membership(
            id=id or str(uuid.uuid4()),
            user_id=str(uuid.uuid4()),
            name=name,
            created=created or utc_now(),
        )
        with self.lock:
            self.chats[chat_id].memberships.append(member)
            self._changed(self.chats[chat_id])
        return member

    def add_execution(
        self,
        chat_id: str,
        *,
        id: str | None = None,  # noqa: A002 - the vendor's name for it
        status: str = "InProgress",
        created: datetime | None = None,
    ) -> TextBotExecution:
        """Start a text bot in a chat."""
        execution = TextBotExecution(
            id=id or str(uuid.uuid4()),
            text_bot_id="3F2504E0-4F89-41D3-9A0C-0305E82C3301",
            status=status,
            created=created or utc_now(),
        )
        with self.lock:
            self.chats[chat_id].executions.append(execution)
            self._changed(self.chats[chat_id])
        return execution

    def change_chat(self, chat_id: str, **columns: str | int | None) -> Chat:
        """Change columns of a chat other than ``id`` and ``created`` (M8)."""
        with self.lock:
            chat = self.chats[chat_id]
            set_columns(chat, columns, frozenset({"id", "created", "version"}))
            self._changed(chat)
        return chat

    def change_message(self, chat_id: str, message_id: str, **columns: str | None) -> ChatMessage:
        """Change columns of a message other than ``id`` and ``created``."""
        with self.lock:
            chat = self.chats[chat_id]
            message = next(row for row in chat.messages if row.id == message_id)
            set_columns(message, columns, frozenset({"id", "created"}))
            self._changed(chat)
        return message

    def delete_chat(self, chat_id: str) -> None:
        """Delete a chat with its nested rows."""
        with self.lock:
            self._by_created.remove(self.chats.pop(chat_id))
            self.touch()

    def delete_message(self, chat_id: str, message_id: str) -> None:
        """Delete one message of a chat."""
        with self.lock:
            chat = self.chats[chat_id]
            chat.messages = [row for row in chat.messages if row.id != message_id]
            self._changed(chat)

    def _changed(self, chat: Chat) -> None:
        chat.version += 1
        self.touch()


def set_columns(
    row: object, columns: Mapping[str, str | int | None], fixed: frozenset[str]
) -> None:
    """Set columns of a row; raises ``AttributeError`` for an unknown or fixed one."""
    for column, value in columns.items():
        if column in fixed or not hasattr(row, column):
            raise AttributeError(column)
        setattr(row, column, value)
