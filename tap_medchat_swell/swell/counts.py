"""A few days' counts, one request per day and split (W14)."""

from __future__ import annotations

import typing as t

from tap_medchat_swell.readahead import Request, WindowReader
from tap_medchat_swell.swell.api import SwellApi, count_of_day, received_and_sent
from tap_medchat_swell.timestamps import now

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date, datetime

    from tap_medchat_swell.errors import VendorError
    from tap_medchat_swell.record_mapper import Row

ALL = "all"
WEEK = 7


class CountsWindow(WindowReader["Row"]):
    """Reads the counts of some days; an answer names neither its day nor its filters."""

    def __init__(self, api: SwellApi, days: list[date], splits: list[tuple[str, str]]) -> None:
        super().__init__()
        self._api = api
        self.days = days
        self._keys = [(day, *split) for day in days for split in splits]
        self._to_ask = list(self._keys)
        self._rows: dict[tuple[date, str, str], Row] = {}
        self.received: datetime | None = None

    def wanted(self, room: int) -> list[Request]:
        """Requests for the days that have not been asked for."""
        keys, self._to_ask = self._to_ask[:room], self._to_ask[room:]
        return [Request(self, self._api.ask_count(*key), key) for key in keys]

    def fetch(self, request: Request) -> Row:
        """Get one day's counts; runs in a worker."""
        return self._api.client.fetch(request.ask, count_of_day)

    def take(self, request: Request, page: Row) -> None:
        """Keep a day's counts."""
        self._rows[request.token] = page
        self.received = self.received or now()
        self.finished = len(self._rows) == len(self._keys)

    def refused(self, request: Request, error: VendorError) -> None:
        """Do without a day that has not begun where the account is; raise anything else."""
        if not error.is_refusal or request.token[0] < now().date():
            raise error
        self._keys.remove(request.token)
        self.finished = len(self._rows) == len(self._keys)

    @property
    def is_undated(self) -> bool:
        """Whether a week's days are all alike, and not zero: Swell may ignore them (W14)."""
        counts = {(*key[1:], *received_and_sent(row)) for key, row in self._rows.items()}
        splits = {key[1:] for key in self._rows}
        some = any(received or sent for *_, received, sent in counts)
        return len(self.days) == WEEK and len(counts) == len(splits) and some

    def counts(self) -> Iterator[tuple[Row, Row]]:
        """Keys and counts, in the order of the days."""
        for day, locations, teams in self._keys:
            key = {
                "date": str(day),
                "location_id": locations or ALL,
                "team_id": teams or ALL,
            }
            yield key, self._rows[day, locations, teams]
