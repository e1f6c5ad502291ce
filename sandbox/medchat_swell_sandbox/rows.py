"""Row types of both vendors. All datetimes are timezone-aware and in UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(slots=True, eq=False)
class ChatMessage:
    """A message in a MedChat SMS chat."""

    id: str
    created: datetime
    text: str | None
    direction: str
    status: str
    sender_phone: str
    recipient_phone: str
    user_id: str | None = None


@dataclass(slots=True, eq=False)
class Membership:
    """A MedChat user in an SMS chat."""

    id: str
    user_id: str
    name: str | None
    created: datetime


@dataclass(slots=True, eq=False)
class TextBotExecution:
    """A text bot started in an SMS chat."""

    id: str
    text_bot_id: str
    status: str
    created: datetime


@dataclass(slots=True, eq=False)
class Chat:
    """A MedChat SMS chat: one per pair of phone numbers, open for years."""

    id: str
    created: datetime
    status: str
    name: str | None
    user_phone: str
    organization_phone: str
    channel_id: str
    unread_count: int = 0
    messages: list[ChatMessage] = field(default_factory=list)
    memberships: list[Membership] = field(default_factory=list)
    executions: list[TextBotExecution] = field(default_factory=list)
    # Increases with every change of the chat or its nested rows, to invalidate caches.
    version: int = 0


@dataclass(slots=True, eq=False)
class Location:
    """A Swell location; a team may have several."""

    id: int
    name: str
    team_id: int


@dataclass(slots=True, eq=False)
class Contact:
    """A Swell contact, in any number of locations."""

    id: int
    name: str
    phone: str
    email: str | None
    source: str
    tags: list[str]
    locations: list[Location]
    has_country: bool = True
    version: int = 0


@dataclass(slots=True, eq=False)
class SwellMessage:
    """A Swell message. The vendor does not expose ``updated``."""

    id: int
    contact: Contact
    team_id: int
    created: datetime
    date_sent: datetime
    updated: datetime
    text: str | None
    read: bool
    status: str
    origin: str | None
    message_type: str
    invite_id: int | None = None
    version: int = 0
