"""MedChat's streams."""

from __future__ import annotations

import typing as t
from contextlib import closing
from functools import cached_property

from tap_medchat_swell.medchat.api import MedChatApi
from tap_medchat_swell.medchat.chats import CHAT_IDS, Chat, ChildEntity
from tap_medchat_swell.medchat.sweep import Sweep
from tap_medchat_swell.readahead import Workers
from tap_medchat_swell.stream import WindowedStream

if t.TYPE_CHECKING:
    from tap_medchat_swell.record_mapper import Row


class MedChatStream(WindowedStream):
    """A stream out of the sweep. Whichever is read first leads the sweep for all."""

    vendor = "MedChat"
    primary_keys = ("id",)
    replication_key = "created_date_time"
    entity: ChildEntity | None = None

    def readers_peers(self) -> list[WindowedStream]:
        """All selected streams of the sweep, if this one leads it."""
        peers: list[WindowedStream] = [
            stream
            for stream in self._tap.streams.values()
            if isinstance(stream, MedChatStream) and stream.selected
        ]
        return peers if peers[0] is self else []

    def read(self) -> None:
        """Sweep the chats for all selected streams."""
        streams = t.cast("list[MedChatStream]", self.readers_peers())
        expands = [stream.entity.expand for stream in streams if stream.entity]
        api = MedChatApi(self.options, self.rate_limiter, expands)
        with closing(api.client), closing(Workers(self.options.max_concurrency)) as workers:
            Sweep(streams, api).run(workers)

    def records_of(self, chat: Chat) -> list[Row]:
        """The stream's records in a chat's row."""
        raise NotImplementedError


class SmsChats(MedChatStream):
    """Chats themselves."""

    name = "sms_chats"
    ids = CHAT_IDS

    def records_of(self, chat: Chat) -> list[Row]:
        """The chat."""
        record = self.rows.record(chat.row)
        record["id"] = chat.id
        return [record]


class ChildStream(MedChatStream):
    """A collection that `$expand` adds, as flat records that carry their chat's id."""

    expand: t.ClassVar[str]

    @cached_property
    def entity(self) -> ChildEntity:  # type: ignore[override]
        """The collection's rows and what is known of them."""
        return ChildEntity(self.expand, *self.ids)

    def records_of(self, chat: Chat) -> list[Row]:
        """The collection's rows."""
        records = []
        for row, row_id in self.entity.rows(chat):
            record = self.rows.record(row)
            record["id"] = row_id
            record["sms_chat_id"] = chat.id
            records.append(record)
        return records


class SmsMessages(ChildStream):
    """Messages."""

    name = "sms_messages"
    expand = "Messages"
    ids = ("id", "messageId", "smsMessageId")


class SmsMemberships(ChildStream):
    """Memberships: who takes part in a chat."""

    name = "sms_memberships"
    selected_by_default = False
    expand = "Memberships"
    ids = ("id", "membershipId", "smsMembershipId")


class SmsTextBotExecutions(ChildStream):
    """Executions of text bots under a chat."""

    name = "sms_text_bot_executions"
    selected_by_default = False
    expand = "TextBotExecutions"
    ids = ("id", "textBotExecutionId", "executionId")
