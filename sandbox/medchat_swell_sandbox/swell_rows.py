"""Swell's messages as JSON, in the formats of the quirks."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from medchat_swell_sandbox.clock import zone

if TYPE_CHECKING:
    from datetime import datetime

    from medchat_swell_sandbox.quirks import Quirks
    from medchat_swell_sandbox.rows import Contact, SwellMessage

Row = dict[str, Any]

SOME = 4
SECONDS = "%Y-%m-%d %H:%M:%S"


class SwellEncoder:
    """Encodes messages in one form and caches the bytes until a row changes."""

    def __init__(self, quirks: Quirks) -> None:
        self._quirks = quirks
        self._encoded: dict[int, tuple[int, bytes]] = {}
        self._contacts: dict[int, tuple[int, bytes]] = {}

    def encode(self, message: SwellMessage) -> bytes:
        """Return the message's JSON object."""
        # Both only increase, so their sum changes if either does.
        version = message.version + message.contact.version
        kept = self._encoded.get(message.id)
        if kept is None or kept[0] != version:
            kept = (version, msgspec.json.encode(self._message(message)))
            self._encoded[message.id] = kept
        return kept[1]

    def created(self, message: SwellMessage, sublines: list[Row]) -> bytes:
        """Return the JSON object of ``POST /messages``, which differs from GET."""
        sent = message.date_sent.strftime(f"{SECONDS}.%f")
        row = {
            "id": self._id(message.id),
            "team": None,
            "contact": self.contact(message.contact),
            "type": "Sent" if message.message_type == "to" else "Received",
            "text": message.text,
            "date_sent": {"date": sent, "timezone_type": 3, "timezone": "UTC"},
            "status": message.status,
            "web_chat": False,
            "media_type": message.origin or "text",
            "message_sublines": sublines,
        }
        return msgspec.json.encode(row)

    def contact(self, contact: Contact) -> msgspec.Raw:
        """Return a contact's JSON object."""
        kept = self._contacts.get(contact.id)
        if kept is None or kept[0] != contact.version:
            encoded = msgspec.json.encode(self._contact(contact))
            kept = (contact.version, encoded)
            self._contacts[contact.id] = kept
        return msgspec.Raw(kept[1])

    def _message(self, message: SwellMessage) -> Row:
        quirks = self._quirks
        closed = message.status == "Close"
        row: Row = {
            "id": self._id(message.id),
            "contact_id": self._id(message.contact.id),
            "date_sent": self._date_sent(message),
            "text": message.text,
            "read": int(message.read) if quirks.swell_read_as_int else message.read,
            "status": quirks.swell_closed_word if closed else message.status,
            "origin": message.origin,
            "message_type": message.message_type,
            "contact": self.contact(message.contact),
            "invite_id": self._id(message.invite_id),
        }
        if quirks.swell_nulls:
            row |= dict.fromkeys(("text", "origin", "invite_id"))
        if self._shows_created(message.id):
            row["created_at"] = self._created_at(message.created)
        return row

    def _id(self, number: int | None) -> int | str | None:
        if number is not None and self._quirks.swell_ids_as_strings:
            return str(number)
        return number

    def _shows_created(self, number: int) -> bool:
        wanted = self._quirks.swell_created_at
        return wanted == "all" or (wanted == "some" and number % SOME == 0)

    def _created_at(self, created: datetime) -> str:
        local = created.astimezone(zone(self._quirks.swell_created_at_zone))
        return local.isoformat(timespec="seconds")

    def _date_sent(self, message: SwellMessage) -> str | Row | None:
        quirks = self._quirks
        every = quirks.swell_date_sent_null_every
        if quirks.swell_date_sent == "null" or (every and message.id % every == 0):
            return None if quirks.swell_empty_dates == "null" else ""
        shift = timedelta(hours=quirks.swell_date_sent_shift_hours)
        local = (message.date_sent + shift).astimezone(zone(quirks.swell_date_sent_zone))
        if quirks.swell_date_sent == "string":
            return local.strftime(SECONDS)
        return {
            "date": local.strftime(f"{SECONDS}.%f"),
            "timezone_type": 3,
            "timezone": _zone_name(quirks.swell_date_sent_zone, local),
        }

    def _contact(self, contact: Contact) -> Row:
        bare = self._quirks.swell_nulls
        country = {"short_name": "US", "code": "+1"} if contact.has_country else None
        return {
            "id": self._id(contact.id),
            "name": contact.name,
            "phone": contact.phone,
            "email": None if bare else contact.email,
            "source": contact.source,
            "tags": self._tags(contact),
            "locations": [
                {"id": self._id(place.id), "name": place.name} for place in contact.locations
            ],
            "country_code": None if bare else country,
        }

    def _tags(self, contact: Contact) -> list[str] | list[Row]:
        match self._quirks.swell_tags:
            case "empty":
                return []
            case "strings":
                return list(contact.tags)
            case _:
                numbered = enumerate(contact.tags, start=1)
                return [self._tag(contact, number, name) for number, name in numbered]

    def _tag(self, contact: Contact, number: int, name: str) -> Row:
        return {
            "id": self._id(number),
            "name": name,
            "created_at": "2020-12-17T22:26:30.000000Z",
            "updated_at": "2020-12-17T22:26:30.000000Z",
            "team_id": self._id(1),
            "type": "contact",
            "pivot": {
                "taggable_id": self._id(contact.id),
                "tag_id": self._id(number),
                "taggable_type": "App\\Models\\Contact",
            },
        }


def _zone_name(name: float | str, local: datetime) -> str:
    return name if isinstance(name, str) else local.strftime("%z")
