"""Every form that each of the vendors' rows has had, as the tap should write it."""

from __future__ import annotations

import typing as t
from collections import Counter
from datetime import date, datetime, timedelta
from zlib import crc32

from medchat_swell_sandbox.clock import UTC, canonical, utc_now, zone

if t.TYPE_CHECKING:
    from medchat_swell_sandbox import Dataset, Quirks

Row = dict[str, t.Any]
Key = tuple[t.Any, ...]
Views = dict[str, dict[Key, Row]]
SECONDS = "%Y-%m-%d %H:%M:%S"
DAY = timedelta(days=1)
FUTURE = 7 * DAY  # counts of days that a clock which is ahead asks for are zero


class History:
    """Forms by facet and key: `(tick, form)`, the form None once the row is gone.

    A facet is a stream, or a part of its columns about which less is promised.
    """

    def __init__(self, dataset: Dataset, view: View) -> None:
        self.tick = 0
        self.created: dict[tuple[str, Key], datetime] = {}
        self.forms: dict[str, dict[Key, list[tuple[int, Row | None]]]] = {}
        self._dataset = dataset
        self._view = view
        self.observe()

    def observe(self) -> int:
        """Record what has changed; returns the tick from which on it holds."""
        self.tick += 1
        with self._dataset.lock:
            views = self._view.of(self._dataset, self.created)
        for facet, rows in views.items():
            known = self.forms.setdefault(facet, {})
            for key in known.keys() - rows.keys():
                self._append(known[key], None)
            for key, row in rows.items():
                self._append(known.setdefault(key, []), row)
        return self.tick

    def _append(self, forms: list[tuple[int, Row | None]], form: Row | None) -> None:
        if not forms or forms[-1][1] != form:
            forms.append((self.tick, form))

    def held_at(self, facet: str, tick: int) -> list[Key]:
        """The keys of the rows that existed at a tick."""
        return [
            key
            for key, forms in self.forms.get(facet, {}).items()
            if _form_at(forms, tick) is not None
        ]

    def changed_between(self, facet: str, key: Key, first: int, last: int) -> bool:
        """Whether a row has come or changed after the first tick, and up to the last."""
        return any(first < tick <= last for tick, _ in self.forms[facet][key])

    def accepted(self, facet: str, key: Key, since: int) -> list[Row] | None:
        """The form at a tick and all later ones; None if the row has gone since."""
        forms = self.forms[facet][key]
        later = [form for tick, form in forms if tick > since]
        if None in later:
            return None
        at_first = _form_at(forms, since)
        return [form for form in (at_first, *later) if form is not None]

    def ever(self, facet: str, key: Key) -> list[Row]:
        """All forms that a row has ever had."""
        return [form for _, form in self.forms[facet].get(key, ()) if form is not None]


def _form_at(forms: list[tuple[int, Row | None]], tick: int) -> Row | None:
    held = [form for since, form in forms if since <= tick]
    return held[-1] if held else None


class View:
    """The sandbox's truth as its quirks let it be seen."""

    def __init__(self, quirks: Quirks, start: datetime, filters: set[tuple[int, ...]]) -> None:
        self._quirks = quirks
        self._start = start
        self._filters = filters

    def of(self, dataset: Dataset, created: dict[tuple[str, Key], datetime]) -> Views:
        """Rows by facet; `created` gets the instants that decide what is promised."""
        views: Views = {
            "sms_chats": {},
            "sms_messages": {},
            "sms_memberships": {},
            "sms_text_bot_executions": {},
        }
        for chat in dataset.chats.values():
            self._add_chat(views, chat, created)
        self._add_swell(views, dataset, created)
        return views

    # MedChat

    def _add_chat(
        self, views: Views, chat: t.Any, created: dict[tuple[str, Key], datetime]
    ) -> None:
        quirks = self._quirks
        row = {
            "created_date_time": self._moment(
                chat.created, chat.id, quirks.medchat_chat_date_null_every
            ),
            "status": chat.status,
            "name": chat.name,
            "user_phone_number": chat.user_phone,
            "organization_phone_number": chat.organization_phone,
            "channel_id": chat.channel_id,
        }
        key: Key = (chat.id,)
        if quirks.medchat_chat_id_name is None:
            key = (row["created_date_time"], chat.user_phone)
        views["sms_chats"][key] = row
        created["sms_chats", key] = chat.created
        children = {
            "sms_messages": [self._message(message) for message in chat.messages],
            "sms_memberships": [
                self._child(member, user_id=member.user_id, name=member.name)
                for member in chat.memberships
            ],
            "sms_text_bot_executions": [
                self._child(run, text_bot_id=run.text_bot_id, status=run.status)
                for run in chat.executions
            ],
        }
        for stream, rows in children.items():
            for child_key, child in rows:
                own_key = child_key
                if quirks.medchat_chat_id_name is not None:
                    child["sms_chat_id"] = chat.id
                    own_key = (*child_key, chat.id)
                views[stream][own_key] = child
                created[stream, own_key] = chat.created

    def _message(self, message: t.Any) -> tuple[Key, Row]:
        every = self._quirks.medchat_message_date_null_every
        row = {
            "created_date_time": self._moment(message.created, message.id, every),
            "text": message.text,
            "direction": message.direction,
            "status": message.status,
            "sender_phone_number": message.sender_phone,
            "recipient_phone_number": message.recipient_phone,
            "user_id": message.user_id,
        }
        if self._quirks.medchat_message_id_name is None:
            return content_key(row), row
        return (message.id,), row

    def _child(self, child: t.Any, **columns: object) -> tuple[Key, Row]:
        return (child.id,), {
            "created_date_time": self._moment(child.created, child.id, 0),
            **columns,
        }

    def _moment(self, moment: datetime, row_id: str, null_every: int) -> str | None:
        if null_every and crc32(row_id.encode()) % null_every == 0:
            return None
        text = canonical(moment)
        digits = self._quirks.medchat_date_digits
        if digits is None or digits > 6:
            return text
        whole, _, fraction = text.rstrip("Z").partition(".")
        return f"{whole}.{fraction[:digits].ljust(6, '0')}Z"

    # Swell

    def _add_swell(
        self, views: Views, dataset: Dataset, created: dict[tuple[str, Key], datetime]
    ) -> None:
        messages = list(dataset.swell_messages.values())
        views["swell_messages"] = {(row.id,): self._swell_message(row) for row in messages}
        views["swell_messages.locations"] = {
            (row.id,): {"locations": [(place.id, place.name) for place in row.contact.locations]}
            for row in messages
        }
        for facet in ("swell_messages", "swell_messages.locations"):
            created.update(((facet, (row.id,)), row.created) for row in messages)
        views["swell_message_counts"] = {}
        for places in self._filters:
            visible = [row for row in messages if is_visible(_places(row), places)]
            views["swell_message_counts"] |= self._counts(visible, filter_text(places))
        created.update(
            (("swell_message_counts", key), _midnight(key[0]))
            for key in views["swell_message_counts"]
        )

    def _swell_message(self, message: t.Any) -> Row:
        quirks = self._quirks
        contact = message.contact
        sent, sent_utc = self._sent(message)
        shown = quirks.swell_created_at
        shows_created = shown == "all" or (shown == "some" and message.id % 4 == 0)
        closed = quirks.swell_closed_word if message.status == "Close" else message.status
        return {
            "id": message.id,
            "contact_id": contact.id,
            "created_at": canonical(message.created) if shows_created else None,
            "date_sent": sent,
            "date_sent_utc": sent_utc,
            "text": None if quirks.swell_nulls else message.text,
            "read": message.read,
            "status": closed,
            "origin": None if quirks.swell_nulls else message.origin,
            "message_type": message.message_type,
            "invite_id": None if quirks.swell_nulls else message.invite_id,
            "contact": (
                contact.id,
                contact.name,
                contact.phone,
                None if quirks.swell_nulls else contact.email,
                [] if quirks.swell_tags == "empty" else list(contact.tags),
            ),
        }

    def _sent(self, message: t.Any) -> tuple[str | None, str | None]:
        quirks = self._quirks
        every = quirks.swell_date_sent_null_every
        if quirks.swell_date_sent == "null" or (every and message.id % every == 0):
            return None, None
        instant = message.date_sent + timedelta(hours=quirks.swell_date_sent_shift_hours)
        form = SECONDS if quirks.swell_date_sent == "string" else f"{SECONDS}.%f"
        local = instant.astimezone(zone(quirks.swell_date_sent_zone))
        return local.strftime(form), canonical(instant)

    def _counts(self, messages: list[t.Any], places: str) -> dict[Key, Row]:
        place = zone(self._quirks.swell_filter_zone)
        totals = Counter(
            (row.created.astimezone(place).date().isoformat(), row.message_type) for row in messages
        )
        days = (utc_now().date() - self._start.date() + FUTURE).days + 1
        dates = [(self._start.date() + number * DAY).isoformat() for number in range(days)]
        return {
            (day, places): {"received": totals[day, "from"], "sent": totals[day, "to"]}
            for day in dates
        }


def _places(row: t.Any) -> set[int]:
    return {place.id for place in row.contact.locations}


def is_visible(places: set[int], location_filter: tuple[int, ...]) -> bool:
    """Whether a message whose contact is in these places passes a filter."""
    return not location_filter or not places.isdisjoint(location_filter)


def filter_text(location_filter: tuple[int, ...]) -> str:
    """The location_id of counts under a filter."""
    return ",".join(map(str, location_filter)) or "all"


def content_key(row: Row) -> Key:
    """What identifies a message that has no id, perhaps in a chat that has none either."""
    names = ("created_date_time", "direction", "text", "user_id")
    return tuple(row[name] for name in (*names, "sender_phone_number", "recipient_phone_number"))


def _midnight(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
