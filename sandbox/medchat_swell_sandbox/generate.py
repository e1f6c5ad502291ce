"""Generated history of two busy clinics, reproducible from a seed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from medchat_swell_sandbox import wording
from medchat_swell_sandbox.rows import (
    Chat,
    ChatMessage,
    Contact,
    Location,
    Membership,
    SwellMessage,
    TextBotExecution,
)

if TYPE_CHECKING:
    import random
    from datetime import datetime

BULK_SHARE = 0.03
BULK_SIZE = 5
LONG_THREAD_EVERY = 250
LONG_THREAD_FACTOR = 12
SCHEDULED_SHARE = 0.05
LATE_CHANGE_SHARE = 0.3


class History:
    """Generates rows created within ``days`` before ``now``."""

    def __init__(self, rng: random.Random, now: datetime, days: float) -> None:
        self._rng = rng
        self._now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self._span_ms = int(days * 86_400_000)
        self._organization_phones = [self._phone() for _ in range(3)]
        self._users = [(self.guid(), name) for name in wording.NAMES[:8]]
        self._bots = [self.guid().upper() for _ in range(3)]
        self._channels = [self.guid() for _ in range(2)]

    def guid(self) -> str:
        """Return a random GUID."""
        digits = f"{self._rng.getrandbits(128):032x}"
        parts = (digits[:8], digits[8:12], "4" + digits[13:16], digits[16:20])
        return "-".join((*parts, digits[20:]))

    def chats(self, count: int, messages_per_chat: int) -> list[Chat]:
        """Return chats, including bulk sends: several with the same creation time."""
        moments: list[datetime] = []
        while len(moments) < count:
            moment = self.moment()
            bulk = BULK_SIZE if self._rng.random() < BULK_SHARE else 1
            moments += [moment] * min(bulk, count - len(moments))
        chats = [self._chat(moment) for moment in sorted(moments)]
        for number, chat in enumerate(chats):
            self._fill(chat, self._thread_length(number, messages_per_chat))
        return chats

    def locations(self, count: int) -> list[Location]:
        """Return locations, two to a team."""
        return [
            Location(
                number + 1,
                f"{wording.STREETS[number % len(wording.STREETS)]} {number + 1}",
                number // 2 + 1,
            )
            for number in range(count)
        ]

    def contacts(self, count: int, places: list[Location]) -> list[Contact]:
        """Return contacts: most in one location, some in several or none."""
        return [self._contact(number + 1, places) for number in range(count)]

    def swell_messages(self, count: int, contacts: list[Contact]) -> list[SwellMessage]:
        """Return messages with ascending ids, with gaps, in order of creation."""
        moments = sorted(self.moment() for _ in range(count))
        messages: list[SwellMessage] = []
        number = 0
        for moment in moments:
            number += 1 if self._rng.random() < 0.9 else 3  # noqa: PLR2004
            second = moment.replace(microsecond=0)
            contact = self._rng.choice(contacts)
            messages.append(self._swell_message(number, contact, second))
        return messages

    def moment(self) -> datetime:
        """Return a random time in the history."""
        back = int(self._rng.random() * self._span_ms)
        return self._now - timedelta(milliseconds=back)

    def _between(self, start: datetime) -> datetime:
        # Most messages follow soon, some after months or years (M7).
        span = (self._now - start) // timedelta(milliseconds=1)
        return start + timedelta(milliseconds=int(self._rng.random() ** 4 * span))

    def _phone(self) -> str:
        return f"{self._rng.randrange(2_000_000_000, 9_999_999_999)}"

    def _thread_length(self, number: int, mean: int) -> int:
        if number % LONG_THREAD_EVERY == LONG_THREAD_EVERY // 2:
            return mean * LONG_THREAD_FACTOR + number % 7
        # No round maximum: it would look like a server that truncates.
        return self._rng.choice((0, mean, mean, mean, 2 * mean + 1))

    def _chat(self, created: datetime) -> Chat:
        rng = self._rng
        return Chat(
            id=self.guid(),
            created=created,
            status=rng.choice(wording.CHAT_STATUSES),
            name=rng.choice(wording.NAMES),
            user_phone=self._phone(),
            organization_phone=rng.choice(self._organization_phones),
            channel_id=rng.choice(self._channels),
            unread_count=rng.randrange(4),
        )

    def _fill(self, chat: Chat, length: int) -> None:
        moments = sorted(self._between(chat.created) for _ in range(length))
        chat.messages = [self._message(chat, moment) for moment in moments]
        members = self._rng.choice((0, 1, 1, 2))
        for user_id, name in self._rng.sample(self._users, members):
            joined = self._between(chat.created)
            chat.memberships.append(Membership(self.guid(), user_id, name, joined))
        if self._rng.random() < 0.3:  # noqa: PLR2004
            chat.executions.append(self._execution(chat))

    def _message(self, chat: Chat, created: datetime) -> ChatMessage:
        rng = self._rng
        inbound = rng.random() < 0.5  # noqa: PLR2004
        phones = (chat.user_phone, chat.organization_phone)
        sender, recipient = phones if inbound else phones[::-1]
        return ChatMessage(
            id=self.guid(),
            created=created,
            text=rng.choice(wording.TEXTS),
            direction="Inbound" if inbound else "Outbound",
            status="Received" if inbound else rng.choice(wording.SENT_STATUSES),
            sender_phone=sender,
            recipient_phone=recipient,
            user_id=None if inbound else rng.choice(self._users)[0],
        )

    def _execution(self, chat: Chat) -> TextBotExecution:
        return TextBotExecution(
            id=self.guid(),
            text_bot_id=self._rng.choice(self._bots),
            status=self._rng.choice(wording.BOT_STATUSES),
            created=self._between(chat.created),
        )

    def _contact(self, number: int, places: list[Location]) -> Contact:
        rng = self._rng
        spread = min(len(places), rng.choice((0, 1, 1, 1, 1, 1, 1, 2, 2, 3)))
        return Contact(
            id=number,
            name=rng.choice(wording.NAMES) or f"Contact {number}",
            phone=self._phone(),
            email=None if number % 3 else f"contact{number}@example.com",
            source=rng.choice(("swell", "web chat", "csv")),
            tags=rng.sample(wording.TAGS, rng.choice((0, 0, 1, 2))),
            locations=rng.sample(places, spread),
            has_country=number % 7 != 0,
        )

    def _swell_message(self, number: int, contact: Contact, created: datetime) -> SwellMessage:
        rng = self._rng
        outbound = rng.random() < 0.5  # noqa: PLR2004
        team = contact.locations[0].team_id if contact.locations else 1
        return SwellMessage(
            id=number,
            contact=contact,
            team_id=team,
            created=created,
            date_sent=self._sent(created),
            updated=self._updated(created),
            text=rng.choice(wording.TEXTS),
            read=outbound or rng.random() < 0.7,  # noqa: PLR2004
            status=rng.choice(wording.SWELL_STATUSES),
            origin=rng.choice((None, None, "text", "web chat")),
            message_type="to" if outbound else "from",
            invite_id=number * 2 if outbound and rng.random() < 0.4 else None,  # noqa: PLR2004
        )

    def _sent(self, created: datetime) -> datetime:
        if self._rng.random() >= SCHEDULED_SHARE:
            return created
        return created + timedelta(minutes=self._rng.randrange(1, 4320))

    def _updated(self, created: datetime) -> datetime:
        if self._rng.random() >= LATE_CHANGE_SHARE:
            return created
        later = created + timedelta(seconds=self._rng.randrange(60, 864_000))
        return min(later, self._now.replace(microsecond=0))
