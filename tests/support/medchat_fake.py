"""A MedChat in memory, at the level of `Scan.fetch`: what a request's URL asks for."""

from __future__ import annotations

import random
import re
import typing as t
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

from tap_medchat_swell.errors import PageTooLargeError
from tap_medchat_swell.http.rate_limiter import RateLimiter
from tap_medchat_swell.http.responses import ResponseError
from tap_medchat_swell.medchat.api import MedChatApi
from tap_medchat_swell.medchat.bookmark import Window
from tap_medchat_swell.medchat.changes import Batch, WindowRecords
from tap_medchat_swell.medchat.chats import Chat, ChatRows
from tap_medchat_swell.medchat.reader import Reading, plan_windows, read_window
from tap_medchat_swell.settings import Options
from tap_medchat_swell.stream import ENCODER, Item
from tap_medchat_swell.time_ranges import TimeRange, literal

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tap_medchat_swell.http.client import Request
    from tap_medchat_swell.medchat.api import ChatPage
    from tap_medchat_swell.pipeline import Plan, Reader
    from tap_medchat_swell.record_mapper import Row

CONFIG = {
    "medchat_org_id": "org",
    "medchat_access_token": "token",
    "start_date": "2024-01-01T00:00:00Z",
}
NEVER = 1 << 62


def chat(number: int, created: int | None, **extra: object) -> Row:
    """A chat as MedChat sends it; `created` is a second since 1970."""
    when = None if created is None else literal(created)
    return {"id": f"c{number}", "createdDateTime": when, **extra}


def created(row: Row) -> int:
    """When a chat was created."""
    text = row["createdDateTime"]
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


@dataclass
class FakeMedChat:
    """Answers as a server that may be odd.

    `order` is "stable", "ties" (shuffled within a second), "ids" (`$orderby` is ignored) or
    "random" (another order for each request). `before_each` may change the chats.
    """

    rows: list[Row]
    order: str = "stable"
    cap: int = NEVER
    max_top: int = NEVER
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    empty: t.Any = field(default_factory=list)
    undated: bool = False
    rounds_up: bool = False
    ignores_skip: bool = False
    ignores_filter: bool = False
    before_each: Callable[[FakeMedChat], None] | None = None
    asked: list[dict[str, str]] = field(default_factory=list)

    def document(self, request: Request) -> t.Any:
        """The answer to a request. Raises VendorError for a refusal."""
        query = {key: values[0] for key, values in parse_qs(urlsplit(request.url).query).items()}
        self.asked.append(query)
        if self.before_each is not None:
            self.before_each(self)
        top, skip = int(query["$top"]), int(query["$skip"])
        if top > self.max_top:
            raise PageTooLargeError("$top is too large")
        skip = 0 if self.ignores_skip else skip
        rows = self._ordered(self._filtered(query["$filter"]))
        page = [dict(row) for row in rows[skip : skip + min(top, self.cap)]]
        for row in page:
            if self.undated:
                del row["createdDateTime"]
            elif self.rounds_up and str(row["id"])[-1] in "13579":
                row["createdDateTime"] = literal(created(row) + 1)
        return page or self.empty

    def _filtered(self, condition: str) -> list[Row]:
        if self.ignores_filter:
            return [*self.rows]
        _, _, start, _, _, _, end = condition.split()
        return [row for row in self.rows if start <= row["createdDateTime"] < end]

    def _ordered(self, rows: list[Row]) -> list[Row]:
        if self.order in {"ties", "random"}:
            self.rng.shuffle(rows)
        if self.order == "random":
            return rows
        if self.order == "ids":
            return sorted(rows, key=lambda row: str(row["id"]))
        ties = self.order == "ties"
        return sorted(
            rows, key=lambda row: (row["createdDateTime"], "" if ties else str(row["id"]))
        )


class Source:
    """A stream that keeps records as they are, as far as digests are concerned."""

    output_fingerprint = b""

    def records_of(self, chat: Chat) -> list[Row]:
        """The chat itself, and what happened in it later."""
        when, messages_at = chat.row.get("createdDateTime"), chat.row.pop("messages_at", ())
        records: list[Row] = [{**chat.row, "id": chat.id, "created_date_time": when}]
        records += [
            {"id": f"{chat.id}-{number}", "created_date_time": literal(second)}
            for number, second in enumerate(messages_at)
        ]
        return records

    def pack(self, records: list[Row]) -> list[Item]:
        """Encoded."""
        return [ENCODER.encode(record) for record in records]


class FakeScan:
    """A scan of the chats that keeps what its readers emit."""

    vendor = "MedChat"

    def __init__(
        self,
        server: FakeMedChat,
        due: Sequence[Window],
        *,
        page_size: int = 10,
        chats_per_window: int = 40,
        started: int = 1_700_000_000,
    ) -> None:
        self.server = server
        self.due = due
        self.chats_per_window = chats_per_window
        self.started = started
        self.chats = ChatRows()
        options = Options.from_config({**CONFIG, "medchat_page_size": page_size})
        self.api = MedChatApi(options, RateLimiter(8), self.chats)
        self.written: dict[str, bytes] = {}
        self.times_written = 0
        self.pieces: list[Window] = []
        self.error: Exception | None = None

    def fetch(self, request: Request) -> ChatPage:
        """As the client does: a doubted document is believed where a fallback allows it."""
        try:
            page: ChatPage = request.read(self.server.document(request), 100)
        except ResponseError as error:
            if error.fallback is None:
                raise error.error from None
            page = error.fallback()
        return page

    def plan(self) -> Plan:
        """Read the windows that are due."""
        yield from plan_windows(self.due, self.api, self.chats_per_window, self._read)

    def _read(self, window: Window) -> Reader:
        records = WindowRecords([Source()], window, self.started, self.chats.take)
        known = window.chats if window.read else 0
        reading = Reading(
            self.api, records, self.chats_per_window, window.range, window.chats, known
        )
        return read_window(reading, window)

    def accept(self, value: t.Any) -> bool:
        """Keep records and pieces."""
        if isinstance(value, Batch):
            for item in value.items[0]:
                encoded = t.cast("bytes", item)
                self.written[_id_in(encoded)] = encoded
                self.times_written += 1
        else:
            self.pieces += value
        return False

    def finish(self) -> None:
        """Nothing is left to do."""

    def fail(self, error: Exception) -> None:
        """Keep the error."""
        self.error = error


def _id_in(encoded: bytes) -> str:
    return re.search(rb'"id":"([^"]*)"', encoded)[1].decode()  # type: ignore[index]


def unread(start: int, end: int) -> Window:
    """A window that was never read."""
    return Window(TimeRange(start, end), digests=(None,))
