"""Plausible changes at the vendors, drawn at random."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from medchat_swell_sandbox import wording
from medchat_swell_sandbox.clock import utc_now

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from datetime import datetime

    from medchat_swell_sandbox.dataset import Dataset

Change = dict[str, str]


def mutate(dataset: Dataset, rng: random.Random, kind: str | None = None) -> Change:
    """Make one change and say what it was: its kind and the ids it touched.

    A kind that has no row to work on adds the row instead. Raises ``KeyError`` for a
    kind that does not exist.
    """
    chosen = kind or rng.choice(list(KINDS))
    return {"kind": chosen, **KINDS[chosen](dataset, rng)}


def _guid(rng: random.Random) -> str:
    digits = f"{rng.getrandbits(128):032x}"
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return "-".join(parts)


def _past(rng: random.Random, oldest: datetime) -> datetime:
    now = utc_now()
    seconds = max(0, int((now - oldest).total_seconds()))
    return now - timedelta(seconds=rng.randrange(seconds + 1))


def _new_chat(dataset: Dataset, rng: random.Random, created: datetime) -> Change:
    chat = dataset.add_chat(
        id=_guid(rng),
        created=created,
        name=rng.choice(wording.NAMES),
        status=rng.choice(wording.CHAT_STATUSES),
        user_phone=f"{rng.randrange(2_000_000_000, 9_999_999_999)}",
    )
    return {"chat_id": chat.id} | _new_message(dataset, rng, chat.id)


def _new_message(dataset: Dataset, rng: random.Random, chat_id: str) -> Change:
    message = dataset.add_message(
        chat_id,
        id=_guid(rng),
        text=rng.choice(wording.TEXTS),
        direction=rng.choice(("Inbound", "Outbound")),
    )
    return {"chat_id": chat_id, "message_id": message.id}


def _some_chat(dataset: Dataset, rng: random.Random) -> str:
    if not dataset.chats:
        _new_chat(dataset, rng, utc_now())
    return rng.choice(dataset.chats_created(None, None)).id


def _some_message(dataset: Dataset, rng: random.Random) -> tuple[str, str]:
    chat = dataset.chats[_some_chat(dataset, rng)]
    if not chat.messages:
        _new_message(dataset, rng, chat.id)
    return chat.id, rng.choice(chat.messages).id


def _some_swell_message(dataset: Dataset, rng: random.Random) -> int:
    if not dataset.swell_messages:
        dataset.add_swell_message()
    return rng.choice(dataset.messages_created(None, None)).id


def add_chat(dataset: Dataset, rng: random.Random) -> Change:
    """Start a chat now."""
    return _new_chat(dataset, rng, utc_now())


def add_backdated_chat(dataset: Dataset, rng: random.Random) -> Change:
    """Let a chat turn up whose CreatedDateTime lies anywhere in the past."""
    return _new_chat(dataset, rng, _past(rng, dataset.oldest()))


def add_message(dataset: Dataset, rng: random.Random) -> Change:
    """Text now on a chat of any age (M7)."""
    return _new_message(dataset, rng, _some_chat(dataset, rng))


def change_chat(dataset: Dataset, rng: random.Random) -> Change:
    """Change a chat's status or name (M8)."""
    chat_id = _some_chat(dataset, rng)
    if rng.random() < 0.5:  # noqa: PLR2004
        dataset.change_chat(chat_id, status=rng.choice(wording.CHAT_STATUSES))
    else:
        dataset.change_chat(chat_id, name=rng.choice(wording.NAMES))
    return {"chat_id": chat_id}


def change_message(dataset: Dataset, rng: random.Random) -> Change:
    """Change a message's delivery status."""
    chat_id, message_id = _some_message(dataset, rng)
    status = rng.choice(wording.SENT_STATUSES)
    dataset.change_message(chat_id, message_id, status=status)
    return {"chat_id": chat_id, "message_id": message_id}


def delete_chat(dataset: Dataset, rng: random.Random) -> Change:
    """Delete a chat."""
    chat_id = _some_chat(dataset, rng)
    dataset.delete_chat(chat_id)
    return {"chat_id": chat_id}


def delete_message(dataset: Dataset, rng: random.Random) -> Change:
    """Delete one message of a chat."""
    chat_id, message_id = _some_message(dataset, rng)
    dataset.delete_message(chat_id, message_id)
    return {"chat_id": chat_id, "message_id": message_id}


def add_swell_message(
    dataset: Dataset, rng: random.Random, created: datetime | None = None
) -> Change:
    """Text now from a contact drawn at random."""
    contacts = list(dataset.contacts)
    message = dataset.add_swell_message(
        rng.choice(contacts) if contacts else None,
        created=created,
        text=rng.choice(wording.TEXTS),
        message_type=rng.choice(("to", "from")),
    )
    return {"swell_message_id": str(message.id)}


def add_backdated_swell_message(dataset: Dataset, rng: random.Random) -> Change:
    """Let a message turn up that was created in the past (an import)."""
    created = _past(rng, dataset.oldest()).replace(microsecond=0)
    return add_swell_message(dataset, rng, created)


def change_swell_message(dataset: Dataset, rng: random.Random) -> Change:
    """Change a message's read mark, status or text (W12)."""
    message_id = _some_swell_message(dataset, rng)
    match rng.randrange(3):
        case 0:
            read = not dataset.swell_messages[message_id].read
            dataset.change_swell_message(message_id, read=read)
        case 1:
            status = rng.choice(wording.SWELL_STATUSES)
            dataset.change_swell_message(message_id, status=status)
        case _:
            dataset.change_swell_message(message_id, text=rng.choice(wording.TEXTS))
    return {"swell_message_id": str(message_id)}


def delete_swell_message(dataset: Dataset, rng: random.Random) -> Change:
    """Delete one message."""
    message_id = _some_swell_message(dataset, rng)
    dataset.delete_swell_message(message_id)
    return {"swell_message_id": str(message_id)}


def move_contact(dataset: Dataset, rng: random.Random) -> Change:
    """Put a contact into other locations (W13)."""
    if not dataset.contacts:
        dataset.add_contact()
    contact_id = rng.choice(list(dataset.contacts))
    places = list(dataset.locations)
    chosen = rng.sample(places, rng.randrange(min(3, len(places)) + 1))
    dataset.move_contact(contact_id, tuple(chosen))
    return {"contact_id": str(contact_id)}


KINDS: dict[str, Callable[[Dataset, random.Random], Change]] = {
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
