"""Swell's messages, contacts and locations, with methods to change them."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

from medchat_swell_sandbox.chat_table import CREATED, set_columns
from medchat_swell_sandbox.clock import UTC, utc_now
from medchat_swell_sandbox.rows import Contact, Location, SwellMessage
from medchat_swell_sandbox.table import Table

if TYPE_CHECKING:
    from datetime import datetime


class SwellTable(Table):
    """The Swell part of a dataset. All methods are thread-safe."""

    def __init__(self) -> None:
        super().__init__()
        self.locations: dict[int, Location] = {}
        self.contacts: dict[int, Contact] = {}
        self.swell_messages: dict[int, SwellMessage] = {}
        self._messages_by_created: list[SwellMessage] = []
        self._last_message_id = 0

    def messages_created(self, start: datetime | None, end: datetime | None) -> list[SwellMessage]:
        """Return messages with ``start`` <= created < ``end``, oldest first."""
        rows = self._messages_by_created
        low = 0 if start is None else bisect_left(rows, start, key=CREATED)
        high = len(rows) if end is None else bisect_left(rows, end, key=CREATED)
        return rows[low:high]

    def load_swell(
        self,
        locations: list[Location],
        contacts: list[Contact],
        messages: list[SwellMessage],
    ) -> None:
        """Add many rows at once."""
        with self.lock:
            self.locations.update((row.id, row) for row in locations)
            self.contacts.update((row.id, row) for row in contacts)
            self.swell_messages.update((row.id, row) for row in messages)
            rows = self.swell_messages.values()
            self._messages_by_created = sorted(rows, key=CREATED)
            self._last_message_id = max(self.swell_messages, default=0)
            self.touch()

    def add_location(self, name: str = "New Location", team_id: int = 1) -> Location:
        """Add a location."""
        with self.lock:
            row = Location(max(self.locations, default=0) + 1, name, team_id)
            self.locations[row.id] = row
        return row

    def add_contact(
        self, *, name: str = "New Contact", location_ids: tuple[int, ...] = ()
    ) -> Contact:
        """Add a contact in any number of locations (W13)."""
        with self.lock:
            number = max(self.contacts, default=0) + 1
            contact = Contact(
                id=number,
                name=name,
                phone=f"555{number:07d}",
                email=None,
                source="swell",
                tags=[],
                locations=[self.locations[key] for key in location_ids],
            )
            self.contacts[number] = contact
        return contact

    def add_swell_message(  # noqa: PLR0913 - one keyword per column
        self,
        contact_id: int | None = None,
        *,
        created: datetime | None = None,
        date_sent: datetime | None = None,
        updated: datetime | None = None,
        text: str | None = "Hello",
        read: bool = False,
        status: str = "Open",
        origin: str | None = None,
        message_type: str = "from",
        invite_id: int | None = None,
        team_id: int = 1,
    ) -> SwellMessage:
        """Add a message, created now or at ``created`` and updated now (whole seconds).

        Without ``contact_id``, uses the contact with the lowest id.
        """
        now = utc_now().replace(microsecond=0)
        with self.lock:
            self._last_message_id += 1
            message = SwellMessage(
                id=self._last_message_id,
                contact=self._contact(contact_id),
                team_id=team_id,
                created=created or now,
                date_sent=date_sent or created or now,
                updated=updated or now,
                text=text,
                read=read,
                status=status,
                origin=origin,
                message_type=message_type,
                invite_id=invite_id,
            )
            self.swell_messages[message.id] = message
            insort(self._messages_by_created, message, key=CREATED)
            self.touch()
        return message

    def add_campaign(
        self, size: int, *, created: datetime | None = None, text: str = "We miss you!"
    ) -> list[SwellMessage]:
        """Add ``size`` messages with the same ``created`` (default: now), as a bulk send does.

        Goes through the contacts in turn; there may be fewer contacts than messages.
        """
        moment = (created or utc_now()).astimezone(UTC).replace(microsecond=0)
        with self.lock:
            contacts = list(self.contacts) or [self.add_contact().id]
            return [
                self.add_swell_message(
                    contacts[place % len(contacts)],
                    created=moment,
                    updated=moment,
                    text=text,
                    message_type="to",
                    read=True,
                )
                for place in range(size)
            ]

    def change_swell_message(self, message_id: int, **columns: str | int | None) -> SwellMessage:
        """Change columns (read, status, text and so on) and set ``updated`` to now."""
        with self.lock:
            message = self.swell_messages[message_id]
            fixed = frozenset({"id", "created", "contact", "version"})
            set_columns(message, columns, fixed)
            message.updated = utc_now().replace(microsecond=0)
            message.version += 1
            self.touch()
        return message

    def delete_swell_message(self, message_id: int) -> None:
        """Delete one message."""
        with self.lock:
            row = self.swell_messages.pop(message_id)
            self._messages_by_created.remove(row)
            self.touch()

    def move_contact(self, contact_id: int, location_ids: tuple[int, ...]) -> Contact:
        """Move a contact to other locations; all its messages show them (W13)."""
        with self.lock:
            contact = self.contacts[contact_id]
            contact.locations = [self.locations[key] for key in location_ids]
            contact.version += 1
            self.touch()
        return contact

    def _contact(self, contact_id: int | None) -> Contact:
        if contact_id is not None:
            return self.contacts[contact_id]
        return self.contacts[min(self.contacts)] if self.contacts else self.add_contact()
