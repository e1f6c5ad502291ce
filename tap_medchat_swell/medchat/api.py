"""MedChat's "Get SMS Chats": how to ask for pages of chats."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from urllib.parse import quote

from tap_medchat_swell.http.client import Ask, Client
from tap_medchat_swell.medchat.answers import MEDCHAT, rows_in
from tap_medchat_swell.medchat.nested_pages import NestedPages
from tap_medchat_swell.time_ranges import TimeRange, literal
from tap_medchat_swell.timestamps import now

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from tap_medchat_swell.http.rate_limiter import RateLimiter
    from tap_medchat_swell.record_mapper import Row
    from tap_medchat_swell.settings import Options


@dataclass(frozen=True)
class ChatPage:
    """Chats of one answer. `ids` identify them for paging."""

    rows: list[Row]
    ids: Sequence[str]
    received: datetime


def chat_rows(document: t.Any) -> list[Row]:
    """The chats in a document; raises ResponseError."""
    return rows_in(document, "chats")


class MedChatApi:
    """Asks for pages of chats; `expands` are the child collections to send along."""

    def __init__(self, options: Options, rate_limiter: RateLimiter, expands: Sequence[str]) -> None:
        self.page_size = options.medchat_page_size
        self._expand = "&$expand=" + ",".join(expands) if expands else ""
        org = quote(options.medchat_org_id, safe="")
        base = options.medchat_api_url.rstrip("/")
        self._url = f"{base}/external/orgs/{org}/smsChats"
        self.client = Client(
            MEDCHAT,
            options,
            rate_limiter,
            {
                "Accept": options.medchat_accept,
                "Authorization": f"Bearer {options.medchat_access_token}",
            },
        )
        self._cut = NestedPages(self.client, self._url)

    def ask(self, window: TimeRange, skip: int) -> Ask:
        """One page of a window, written the way of MedChat's own examples (M12, M13).

        `$` and `:` stay as they are and a space is %20: real OData servers refuse a +.
        """
        created = "CreatedDateTime"
        condition = f"{created} ge {literal(window.start)} and {created} lt {literal(window.end)}"
        query = (
            f"$filter={condition}{self._expand}&$orderby={created}"
            f"&$top={self.page_size}&$skip={skip}"
        )
        label = f"chats of {window}, from row {skip}"
        return Ask(f"{self._url}?{query.replace(' ', '%20')}", label)

    def fetch(self, ask: Ask, identify: t.Callable[[Row], str]) -> ChatPage:
        """Get a page; runs in a worker."""
        rows = self.client.fetch(ask, chat_rows)
        self._cut.complete(rows, ask)
        return ChatPage(rows, [identify(row) for row in rows], now())
