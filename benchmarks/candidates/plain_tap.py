"""A tap as the SDK's cookiecutter template lays it out, and as far as it goes by itself.

One class per stream, authenticators, paginators and JSONPath of the SDK, a child stream
for what is nested. `--msgspec` swaps the writer, which is the one tuning knob that the
SDK documents.

It is kinder to the SDK than a naive tap: chats hand their messages to the child stream
(no request per chat), and the child keeps one bookmark, not one per chat (which is
quadratic).
"""

from __future__ import annotations

import sys
import typing as t
from datetime import date, datetime, timedelta, timezone

from singer_sdk import Tap
from singer_sdk import typing as th
from singer_sdk.authenticators import APIKeyAuthenticator, BearerTokenAuthenticator
from singer_sdk.contrib.msgspec import MsgSpecWriter
from singer_sdk.pagination import BasePageNumberPaginator, OffsetPaginator
from singer_sdk.streams import RESTStream

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    import requests

PAGE_SIZE = 100
WINDOW_DAYS = 7  # both ends are read, and Swell allows a difference of seven


CONTACT = th.ObjectType(
    th.Property("id", th.IntegerType),
    th.Property("name", th.StringType),
    th.Property("phone", th.StringType),
    th.Property("email", th.StringType),
    th.Property("source", th.StringType),
    th.Property("tags", th.ArrayType(th.StringType)),
    th.Property(
        "locations",
        th.ArrayType(
            th.ObjectType(th.Property("id", th.IntegerType), th.Property("name", th.StringType))
        ),
    ),
    th.Property(
        "country_code",
        th.ObjectType(th.Property("short_name", th.StringType), th.Property("code", th.StringType)),
    ),
)


class MedChatStream(RESTStream[int]):
    """What MedChat's streams share."""

    @property
    def url_base(self) -> str:
        """Address of the organization."""
        return f"{self.config['medchat_api_url']}/external/orgs/{self.config['medchat_org_id']}"

    @property
    def authenticator(self) -> BearerTokenAuthenticator:
        """Token in a header."""
        return BearerTokenAuthenticator(token=self.config["medchat_access_token"])

    @property
    def http_headers(self) -> dict[str, str]:
        """The version that MedChat asks for."""
        return {"Accept": "application/vnd.medchat+json;v=1.0"}


class SmsChats(MedChatStream):
    """Chats, with their messages in the same answer."""

    name = "sms_chats"
    path = "/smsChats"
    primary_keys = ("id",)
    replication_key = "createdDateTime"
    records_jsonpath = "$[*]"
    schema = th.PropertiesList(
        th.Property("id", th.StringType),
        th.Property("createdDateTime", th.DateTimeType),
        th.Property("status", th.StringType),
        th.Property("name", th.StringType),
        th.Property("userPhoneNumber", th.StringType),
        th.Property("organizationPhoneNumber", th.StringType),
        th.Property("channelId", th.StringType),
        th.Property("unreadMessageCount", th.IntegerType),
    ).to_dict()

    def get_new_paginator(self) -> OffsetPaginator:
        """Offsets until an empty page."""
        return OffsetPaginator(start_value=0, page_size=PAGE_SIZE)

    def get_url_params(self, context: t.Any, next_page_token: int | None) -> dict[str, t.Any]:
        """All chats, oldest first."""
        del context
        return {
            "$orderby": "CreatedDateTime",
            "$expand": "Messages",
            "$top": PAGE_SIZE,
            "$skip": next_page_token or 0,
        }

    def get_child_context(self, record: dict[str, t.Any], context: t.Any) -> dict[str, t.Any]:
        """Hand the chat's messages to the child stream."""
        del context
        return {"sms_chat_id": record["id"], "messages": record.pop("messages", None) or []}


class SmsMessages(MedChatStream):
    """Messages, out of their chat's context."""

    name = "sms_messages"
    path = ""
    primary_keys = ("id",)
    replication_key = "createdDateTime"
    parent_stream_type = SmsChats
    state_partitioning_keys: t.ClassVar[list[str]] = []
    schema = th.PropertiesList(
        th.Property("id", th.StringType),
        th.Property("sms_chat_id", th.StringType),
        th.Property("createdDateTime", th.DateTimeType),
        th.Property("text", th.StringType),
        th.Property("direction", th.StringType),
        th.Property("status", th.StringType),
        th.Property("senderPhoneNumber", th.StringType),
        th.Property("recipientPhoneNumber", th.StringType),
        th.Property("userId", th.StringType),
    ).to_dict()

    def get_records(self, context: t.Any) -> Iterable[dict[str, t.Any]]:
        """The messages that came with the chat."""
        for message in context["messages"]:
            yield {**message, "sms_chat_id": context["sms_chat_id"]}


class PageNumbers(BasePageNumberPaginator):
    """Page numbers up to the one that the answer names as the last."""

    def has_more(self, response: requests.Response) -> bool:
        """Whether a page follows."""
        meta = response.json()["meta"]
        return bool(meta["current_page"] < meta["last_page"])


class SwellMessages(RESTStream[int]):
    """Messages, one partition per week."""

    name = "swell_messages"
    path = "/messages"
    primary_keys = ("id",)
    records_jsonpath = "$.data[*]"
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType),
        th.Property("contact_id", th.IntegerType),
        th.Property("date_sent", th.StringType),
        th.Property("text", th.StringType),
        th.Property("read", th.BooleanType),
        th.Property("status", th.StringType),
        th.Property("origin", th.StringType),
        th.Property("message_type", th.StringType),
        th.Property("contact", CONTACT),
        th.Property("invite_id", th.IntegerType),
        th.Property("created_at", th.DateTimeType),
    ).to_dict()

    @property
    def url_base(self) -> str:
        """Address of the API."""
        return str(self.config["swell_api_url"])

    @property
    def authenticator(self) -> APIKeyAuthenticator:
        """Token in the query."""
        token = self.config["swell_api_token"]
        return APIKeyAuthenticator(key="token", value=token, location="params")

    @property
    def http_headers(self) -> dict[str, str]:
        """JSON, also for errors."""
        return {"Accept": "application/json"}

    @property
    def partitions(self) -> list[dict[str, str]]:
        """Weeks from start_date to today."""
        first = date.fromisoformat(self.config["start_date"][:10])
        today = datetime.now(timezone.utc).date()
        weeks = range(0, (today - first).days + 1, WINDOW_DAYS)
        starts = [first + timedelta(days=days) for days in weeks]
        return [
            {"from_date": str(day), "to_date": str(day + timedelta(days=WINDOW_DAYS - 1))}
            for day in starts
        ]

    def get_new_paginator(self) -> PageNumbers:
        """Page numbers from 1."""
        return PageNumbers(start_value=1)

    def get_url_params(self, context: t.Any, next_page_token: int | None) -> dict[str, t.Any]:
        """One page of a week."""
        return {**context, "per_page": PAGE_SIZE, "page": next_page_token or 1}


class PlainTap(Tap):
    """The tap."""

    name = "tap-plain"
    config_jsonschema = th.PropertiesList(
        *(
            th.Property(name, th.StringType, required=True)
            for name in (
                "medchat_org_id",
                "medchat_access_token",
                "medchat_api_url",
                "swell_api_token",
                "swell_api_url",
                "start_date",
            )
        )
    ).to_dict()

    def discover_streams(self) -> list[RESTStream[int]]:
        """All three streams."""
        return [SmsChats(self), SmsMessages(self), SwellMessages(self)]


class QuickWriterTap(PlainTap):
    """The same with the SDK's msgspec writer."""

    message_writer_class = MsgSpecWriter


if __name__ == "__main__":
    quick = "--msgspec" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--msgspec"]
    (QuickWriterTap if quick else PlainTap).cli()
