"""Random, realistic changes to the vendors' data."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from medchat_swell_sandbox import wording
from medchat_swell_sandbox.clock import utc_now

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from datetime import datetime

    from medchat_swell_sandbox.tables import Tables


Change = dict[str, str]


def mutate(tables: Tables, rng: random.Random, kind: str | None = None) -> Change:
    """Make one change and return its kind and the ids of the affected rows.

    Adds a row first if there is none to change. Raises ``KeyError`` for an unknown kind.
    """
    chosen = kind or rng.choice(list(KINDS))
    return {"kind": chosen, **KINDS[chosen](tables, rng)}


def _guid(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return "-".join(parts)


def _past(rng: random.Random, oldest: datetime) -> datetime:
    now = utc_now()
    seconds = max(0, int((now - oldest).total_seconds()))
    return now - timedelta(seconds=rng.randrange(seconds + 1))


def _new_chat(tables: Tables, rng: random.Random, created: datetime) -> Change:
    chat = tables.add_chat(
        id=_guid(rng),
        created=created,
        name=rng.choice(wording.NAMES),
        status=rng.choice(wording.CHAT_STATUSES),
        user_phone=f"{rng.randrange(2_000_000_000, 9_999_999_999)}",
    )
    return {"chat_id": chat.id} | _new_message(tables, rng, chat.id)


def _new_message(tables: Tables, rng: random.Random, chat_id: str) -> Change:
    message = tables.add_message(
        chat_id,
        id=_guid(rng),
        text=rng.choice(wording.TEXTS),
        direction=rng.choice(("Inbound", "Outbound")),
    )
    return {"chat_id": chat_id, "message_id": message.id}


def _some_chat(tables: Tables, rng: random.Random) -> str:
    if not tables.chats:
        _new_chat(tables, rng, utc_now())
    return rng.choice(tables.chats_created(None, None)).id


def _some_message(tables: Tables, rng: random.Random) -> tuple[str, str]:
    chat = tables.chats[_some_chat(tables, rng)]
    if not chat.messages:
        _new_message(tables, rng, chat.id)
    return chat.id, rng.choice(chat.messages).id


def _some_swell_message(tables: Tables, rng: random.Random) -> int:
    if not tables.swell_messages:
        tables.add_swell_message()
    return rng.choice(tables.messages_created(None, None)).id


def add_chat(tables: Tables, rng: random.Random) -> Change:
    """Add a chat created now, with a message."""
    return _new_chat(tables, rng, utc_now())


def add_backdated_chat(tables: Tables, rng: random.Random) -> Change:
    """Add a chat with a CreatedDateTime anywhere in the past."""
    return _new_chat(tables, rng, _past(rng, tables.oldest()))


def add_message(tables: Tables, rng: random.Random) -> Change:
    """Add a message to any chat, however old (M7)."""
    return _new_message(tables, rng, _some_chat(tables, rng))


def change_chat(tables: Tables, rng: random.Random) -> Change:
    """Change a chat's status or name (M8)."""
    chat_id = _some_chat(tables, rng)
    if rng.random() < 0.5:  # noqa: PLR2004
        tables.change_chat(chat_id, status=rng.choice(wording.CHAT_STATUSES))
    else:
        tables.change_chat(chat_id, name=rng.choice(wording.NAMES))
    return {"chat_id": chat_id}


def change_message(tables: Tables, rng: random.Random) -> Change:
    """Change a message's delivery status."""
    chat_id, message_id = _some_message(tables, rng)
    status = rng.choice(wording.SENT_STATUSES)
    tables.change_message(chat_id, message_id, status=status)
    return {"chat_id": chat_id, "message_id": message_id}


def delete_chat(tables: Tables, rng: random.Random) -> Change:
    """Delete a chat."""
    chat_id = _some_chat(tables, rng)
    tables.delete_chat(chat_id)
    return {"chat_id": chat_id}


def delete_message(tables: Tables, rng: random.Random) -> Change:
    """Delete one message of a chat."""
    chat_id, message_id = _some_message(tables, rng)
    tables.delete_message(chat_id, message_id)
    return {"chat_id": chat_id, "message_id": message_id}


def add_swell_message(
    tables: Tables, rng: random.Random, created: datetime | None = None
) -> Change:
    """Add a message of a random contact."""
    contacts = list(tables.contacts)
    message = tables.add_swell_message(
        rng.choice(contacts) if contacts else None,
        created=created,
        text=rng.choice(wording.TEXTS),
        message_type=rng.choice(("to", "from")),
    )
    return {"swell_message_id": str(message.id)}


def add_backdated_swell_message(tables: Tables, rng: random.Random) -> Change:
    """Add a message created in the past (an import)."""
    created = _past(rng, tables.oldest()).replace(microsecond=0)
    return add_swell_message(tables, rng, created)


def change_swell_message(tables: Tables, rng: random.Random) -> Change:
    """Change a message's read flag, status or text (W12)."""
    message_id = _some_swell_message(tables, rng)
    match rng.randrange(3):
        case 0:
            read = not tables.swell_messages[message_id].read
            tables.change_swell_message(message_id, read=read)
        case 1:
            status = rng.choice(wording.SWELL_STATUSES)
            tables.change_swell_message(message_id, status=status)
        case _:
            tables.change_swell_message(message_id, text=rng.choice(wording.TEXTS))
    return {"swell_message_id": str(message_id)}


def delete_swell_message(tables: Tables, rng: random.Random) -> Change:
    """Delete one message."""
    message_id = _some_swell_message(tables, rng)
    tables.delete_swell_message(message_id)
    return {"swell_message_id": str(message_id)}


def move_contact(tables: Tables, rng: random.Random) -> Change:
    """Move a contact to other locations (W13)."""
    if not tables.contacts:
        tables.add_contact()
    contact_id = rng.choice(list(tables.contacts))
    places = list(tables.locations)
    chosen = rng.sample(places, rng.randrange(min(3, len(places)) + 1))
    tables.move_contact(contact_id, tuple(chosen))
    return {"contact_id": str(contact_id)}


KINDS: dict[str, Callable[[Tables, random.Random], Change]] = {
    change.__name__: change
    for change in (
        add_chat,
        add_backdated_chat,
        add_message,
        change_chat,
        change_message,
        delete_chat,
        delete_message,
        add_swell_message,
        add_backdated_swell_message,
        change_swell_message,
        delete_swell_message,
        move_contact,
    )
}
