"""The expected records of each stream, in a canonical form unaffected by quirks.

Keys are snake_case, times are ``YYYY-MM-DDTHH:MM:SS.ffffffZ``, and streams have the names
of the tap's streams.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from medchat_swell_sandbox.clock import canonical

if TYPE_CHECKING:
    from medchat_swell_sandbox.rows import Chat, Contact, SwellMessage
    from medchat_swell_sandbox.tables import Tables

Row = dict[str, Any]
Truth = dict[str, list[Row]]


def rows_held(tables: Tables) -> Truth:
    """Return the rows of each stream; chats and Swell messages in order of creation."""
    chats = tables.chats_created(None, None)
    messages = tables.messages_created(None, None)
    return {
        "sms_chats": [_chat(row) for row in chats],
        "sms_messages": [row for chat in chats for row in _messages(chat)],
        "sms_memberships": [row for chat in chats for row in _memberships(chat)],
        "sms_text_bot_executions": [row for chat in chats for row in _executions(chat)],
        "swell_messages": [_swell_message(row) for row in messages],
        "swell_message_counts": _counts(messages),
    }


def _chat(chat: Chat) -> Row:
    return {
        "id": chat.id,
        "created_date_time": canonical(chat.created),
        "status": chat.status,
        "name": chat.name,
        "user_phone_number": chat.user_phone,
        "organization_phone_number": chat.organization_phone,
        "channel_id": chat.channel_id,
        "unread_message_count": chat.unread_count,
    }


def _messages(chat: Chat) -> list[Row]:
    return [
        {
            "id": row.id,
            "sms_chat_id": chat.id,
            "created_date_time": canonical(row.created),
            "text": row.text,
            "direction": row.direction,
            "status": row.status,
            "sender_phone_number": row.sender_phone,
            "recipient_phone_number": row.recipient_phone,
            "user_id": row.user_id,
        }
        for row in chat.messages
    ]


def _memberships(chat: Chat) -> list[Row]:
    return [
        {
            "id": row.id,
            "sms_chat_id": chat.id,
            "user_id": row.user_id,
            "name": row.name,
            "created_date_time": canonical(row.created),
        }
        for row in chat.memberships
    ]


def _executions(chat: Chat) -> list[Row]:
    return [
        {
            "id": row.id,
            "sms_chat_id": chat.id,
            "text_bot_id": row.text_bot_id,
            "status": row.status,
            "created_date_time": canonical(row.created),
        }
        for row in chat.executions
    ]


def _swell_message(message: SwellMessage) -> Row:
    return {
        "id": message.id,
        "contact_id": message.contact.id,
        "team_id": message.team_id,
        "created_at": canonical(message.created),
        "updated_at": canonical(message.updated),
        "date_sent": canonical(message.date_sent),
        "text": message.text,
        "read": message.read,
        "status": message.status,
        "origin": message.origin,
        "message_type": message.message_type,
        "invite_id": message.invite_id,
        "contact": _contact(message.contact),
    }


def _contact(contact: Contact) -> Row:
    return {
        "id": contact.id,
        "name": contact.name,
        "phone": contact.phone,
        "email": contact.email,
        "source": contact.source,
        "tags": list(contact.tags),
        "locations": [{"id": row.id, "name": row.name} for row in contact.locations],
    }


def _counts(messages: list[SwellMessage]) -> list[Row]:
    """Count by UTC day of creation; days without messages are omitted."""
    totals = Counter((row.created.date(), row.message_type) for row in messages)
    return [
        {
            "date": day.isoformat(),
            "received": totals[day, "from"],
            "sent": totals[day, "to"],
        }
        for day in sorted({day for day, _ in totals})
    ]
