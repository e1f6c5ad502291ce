"""The tables of both vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medchat_swell_sandbox.chat_table import ChatTable
from medchat_swell_sandbox.clock import utc_now
from medchat_swell_sandbox.swell_table import SwellTable

if TYPE_CHECKING:
    from datetime import datetime


class Tables(ChatTable, SwellTable):
    """Rows of both vendors, which may change at any time, also while being served."""

    def oldest(self) -> datetime:
        """Return when the oldest row was created (the current time if there are no rows)."""
        with self.lock:
            moments = [row.created for row in self.chats_created(None, None)[:1]]
            moments += [row.created for row in self.messages_created(None, None)[:1]]
        return min(moments, default=utc_now())
