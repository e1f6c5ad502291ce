"""One window of messages: paged by hints, read until all have come."""

from __future__ import annotations

import functools
import logging
import math
import typing as t

from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.paged import PagedReader
from tap_medchat_swell.pagination import PageLinksPaginator, PageRepeatedError
from tap_medchat_swell.record_mapper import KeyFinder
from tap_medchat_swell.swell.api import MessagePage, full_page, message_page
from tap_medchat_swell.swell.days import DAY
from tap_medchat_swell.swell.readings import Readings
from tap_medchat_swell.time_ranges import DayRange
from tap_medchat_swell.timestamps import now, parse_timestamp

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime

    from tap_medchat_swell.http.client import Ask
    from tap_medchat_swell.readahead import Request
    from tap_medchat_swell.record_mapper import Row
    from tap_medchat_swell.stream import Item
    from tap_medchat_swell.swell.api import SwellApi
    from tap_medchat_swell.swell.readings import Trust

_CREATED = KeyFinder("created_at")
MIDNIGHT = " 00:00"  # makes Y-m-d H:i, the format of Swell's contacts page, out of Y-m-d
ROW_BYTES = 3000  # a row of Swell's in memory
OPEN_DAYS = 2  # how far back Swell may refuse a to_date as not there yet


class PagedMessages(PagedReader[MessagePage]):
    """Reads all pages of one question for messages.

    When finished, `ids` are those of its messages. What `before`, the reading of the
    window before, has as well is no message of this one.
    """

    paginator: PageLinksPaginator

    def __init__(
        self,
        api: SwellApi,
        pack: Callable[[list[Row]], list[Item]],
        trust: Trust,
        before: PagedMessages | None = None,
    ) -> None:
        super().__init__(api.client)
        self._before = before
        self._api = api
        self._pack = pack
        self.ids: set[int] = set()
        self._rows: dict[int, Row] = {}
        self._items: dict[int, Item] = {}
        self.received: datetime | None = None
        self._trust = trust
        self._readings = Readings(trust)
        self._log = logging.getLogger("tap-medchat-swell.swell_messages")
        self._packed_bytes = 0
        self._restart()

    @property
    def held_bytes(self) -> int:
        """About how much memory the messages take that wait to be written."""
        return self._packed_bytes + ROW_BYTES * len(self._rows)

    def take_messages(self) -> list[Item]:
        """The messages, ready to be written, once the window before has been read."""
        self._pack_rows()
        self._before = None  # windows must not keep each other
        items, self._items = self._items, {}
        return list(items.values())

    def _restart(self) -> None:
        self.paginator = PageLinksPaginator()
        self.forget_pages()

    def check(self, rows: list[Row]) -> None:
        """Raise VendorError where rows were never asked for."""

    def pages_ahead(self) -> float:
        """All that the first page announced."""
        return math.inf

    def fetch(self, request: Request) -> MessagePage:
        """Get one page; runs in a worker."""
        read = message_page
        if self._trust.in_hints:
            read = functools.partial(full_page, number=request.token[1])
        return self.client.fetch(request.ask, read)

    def accept(self, page: MessagePage) -> None:
        """Use the page that is due."""
        self.check(page.rows)
        if not page.rows:
            is_hollow = page.tells_more(self.paginator.current_value)
            self._trust.hollow = self._trust.hollow + 1 if is_hollow else 0
        try:
            self.paginator.advance(page)  # type: ignore[arg-type]
        except PageRepeatedError:
            self.count_repeated(
                "Swell sent the same messages for different page numbers: it ignores page, "
                "so what follows the first page cannot be read."
            )
            self._restart()
            return
        self.received = self.received or page.received
        self.ids.update(page.ids)
        self._rows.update(zip(page.ids, page.rows, strict=True))
        if self._before is None or self._before.finished:
            self._pack_rows()  # else some would be made ready only to be dropped
        if self.paginator.finished:
            self._finish()

    def _pack_rows(self) -> None:
        known = self._before.ids if self._before else ()
        rows = {number: row for number, row in self._rows.items() if number not in known}
        items = self._pack(list(rows.values()))
        self._items.update(zip(rows, items, strict=True))
        self._packed_bytes += sum(
            len(item) if isinstance(item, bytes) else ROW_BYTES for item in items
        )
        self._rows = {}

    def _finish(self) -> None:
        self.repeated = 0
        readings = self._readings
        readings.add(self.paginator, len(self.ids))
        if not readings.over:
            self._restart()
            return
        self.finished = True
        if readings.some_missing:
            self._log.warning(
                "%s: %d different ones in %d readings, while Swell counts %s: some may be missing.",
                self,
                len(self.ids),
                readings.count,
                " or ".join(map(str, sorted(self.paginator.totals))) or "nothing",
            )


class MessageWindow(PagedMessages):
    """Reads the messages created in a window of days."""

    def __init__(
        self,
        api: SwellApi,
        pack: Callable[[list[Row]], list[Item]],
        trust: Trust,
        window: DayRange,
        before: PagedMessages | None = None,
    ) -> None:
        super().__init__(api, pack, trust, before)
        self.window = self._planned = window
        self._is_first = before is None
        self._today = now().date()

    def __str__(self) -> str:
        return f"Messages of {self.window}"

    @property
    def is_short(self) -> bool:
        """Whether days that were wanted had to be left out."""
        return self.window != self._planned

    def ask(self, page: int) -> Ask:
        """The request for a page."""
        return self._api.ask_window(self.window, page)

    def adapt(self, request: Request, error: VendorError) -> None:
        """Ask for a day less where Swell does not allow a to_date that far on (W3)."""
        shorter = self.window.last - DAY
        too_old = self.window.last < self._today - OPEN_DAYS * DAY
        is_first_page = request.token[1] == 1  # what is not allowed is so from there
        if not error.is_refusal or too_old or not is_first_page:
            raise error
        if shorter >= self.window.first:
            self.window = DayRange(self.window.first, shorter)
            self._restart()
        elif not self._is_first:
            self.finished = True  # its first day is shared and has not come where Swell is
        else:
            raise error

    def check(self, rows: list[Row]) -> None:
        """Raise VendorError where most messages were created far outside the window (W22)."""
        days = [str(text)[:10] for text in map(_CREATED.value, rows) if text]
        near = {day: self.window.is_near(day) for day in set(days) if parse_timestamp(day)}
        far = sum(not near.get(day, True) for day in days)
        if 2 * far > len(days):
            msg = (
                f"Swell sent messages from far outside {self.window}: it ignores from_date "
                "and to_date, so nothing can be read safely."
            )
            raise VendorError(msg)
        if far:
            self._log.warning("%s: %d have a created_at from far outside.", self, far)


class UpdatedMessages(PagedMessages):
    """Reads the messages changed since a day, whenever created.

    `since` moves on to `last` while Swell refuses it as too long ago.
    """

    def __init__(
        self,
        api: SwellApi,
        pack: Callable[[list[Row]], list[Item]],
        trust: Trust,
        since: date,
        last: date,
    ) -> None:
        super().__init__(api, pack, trust)
        self.since = since
        self._last = last
        self._clock = ""
        self.is_refused = False

    def __str__(self) -> str:
        return f"Messages changed after {self.since}"

    def ask(self, page: int) -> Ask:
        """The request for a page."""
        return self._api.ask_updated(f"{self.since}{self._clock}", page)

    def adapt(self, request: Request, error: VendorError) -> None:
        """Try the other format, then a day later; at last do without (W12)."""
        del request
        if not error.is_refusal:
            raise error
        if self._clock and self.since < self._last:
            self.since += DAY
        elif self._clock:
            self.is_refused = self.finished = True
            return
        self._clock = "" if self._clock else MIDNIGHT
        self._restart()
