"""Swell's parameters, checked as a Laravel validator checks them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from medchat_swell_sandbox.clock import UTC, utc_now, zone

if TYPE_CHECKING:
    from medchat_swell_sandbox.laravel import Errors
    from medchat_swell_sandbox.quirks import Quirks

Ids = frozenset[int] | None

LISTS = ("team_id", "location_id", "contact_id")
STATUSES = ("Open", "Close")
DEFAULT_PER_PAGE = 15
MAX_PER_PAGE = 100
FORMATS = {
    "Y-m-d": (r"\d{4}-\d\d-\d\d", "%Y-%m-%d"),
    "Y-m-d H:i": (r"\d{4}-\d\d-\d\d \d\d:\d\d", "%Y-%m-%d %H:%M"),
}


@dataclass(frozen=True)
class MessagesQuery:
    """What ``GET /messages`` was asked for; bounds are UTC, ``end`` exclusive."""

    page: int
    per_page: int
    teams: Ids
    locations: Ids
    contacts: Ids
    status: str | None
    start: datetime | None
    end: datetime | None
    updated_after: datetime | None


@dataclass(frozen=True)
class CountQuery:
    """What ``GET /messages/count`` was asked for; bounds as in ``MessagesQuery``."""

    teams: Ids
    locations: Ids
    start: datetime | None
    end: datetime | None


class Validation:
    """Reads parameters one by one and gathers what is wrong with them."""

    def __init__(self, given: dict[str, str], quirks: Quirks) -> None:
        # Laravel's middleware turns "" into null, which counts as not sent.
        self._given = {name: text for name, text in given.items() if text.strip()}
        self._quirks = quirks
        self.errors: Errors = {}

    def messages(self) -> MessagesQuery:
        """Read the parameters of ``GET /messages``."""
        ids = {name: self._ids(name) for name in LISTS}
        start, end = self._range()
        return MessagesQuery(
            page=self._page(),
            per_page=self._per_page(),
            teams=ids["team_id"],
            locations=ids["location_id"],
            contacts=ids["contact_id"],
            status=self._status(),
            start=start,
            end=end,
            updated_after=None if start else self._updated_after(),
        )

    def count(self) -> CountQuery:
        """Read the parameters of ``GET /messages/count``."""
        self._page()
        self._per_page()
        start, end = self._count_range()
        if self._quirks.swell_count_cumulative:
            start = None
        return CountQuery(self._ids("team_id"), self._ids("location_id"), start, end)

    def _fail(self, name: str, rule: str) -> None:
        self.errors.setdefault(name, []).append(f"The {name.replace('_', ' ')} {rule}")

    def _ids(self, name: str) -> Ids:
        text = self._given.get(name)
        if text is None:
            return None
        parts = [part.strip() for part in text.split(",")]
        if not all(part.isascii() and part.isdigit() for part in parts):
            self._fail(name, "format is invalid.")
            return None
        return frozenset(int(part) for part in parts)

    def _status(self) -> str | None:
        status = self._given.get("status")
        if status is not None and status not in STATUSES:
            self._fail("status", "is invalid; use Open or Close.")
        return status

    def _integer(self, name: str, default: int) -> int:
        text = self._given.get(name, str(default))
        if not re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
            self._fail(name, "must be an integer.")
            return default
        if int(text) < 1:
            self._fail(name, "must be at least 1.")
            return default
        return int(text)

    def _page(self) -> int:
        return self._integer("page", 1)

    def _per_page(self) -> int:
        wanted = self._integer("per_page", DEFAULT_PER_PAGE)
        if wanted > MAX_PER_PAGE and self._quirks.swell_per_page_over == "422":
            self._fail("per_page", f"may not be greater than {MAX_PER_PAGE}.")
        clamp = self._quirks.swell_per_page_clamp or MAX_PER_PAGE
        return min(wanted, clamp, MAX_PER_PAGE)

    def _date(self, name: str) -> date | None:
        text = self._given.get(name)
        if text is None:
            return None
        try:
            if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
                return date.fromisoformat(text)
        except ValueError:
            pass
        self._fail(name, "does not match the format Y-m-d.")
        return None

    def _range(self) -> tuple[datetime | None, datetime | None]:
        for name, other in (("from_date", "to_date"), ("to_date", "from_date")):
            if other in self._given and name not in self._given:
                field = f"{other.replace('_', ' ')} is present."
                self._fail(name, f"field is required when {field}")
        first, last = self._date("from_date"), self._date("to_date")
        if first is None or last is None:
            return None, None
        self._check_range(first, last)
        inclusive = self._quirks.swell_to_date == "inclusive"
        return self._bounds(first, last, inclusive=inclusive)

    def _check_range(self, first: date, last: date) -> None:
        days = (last - first).days
        if days < 0:
            self._fail("to_date", "must be a date after or equal to from date.")
        if days > self._quirks.swell_max_range_days:
            self._fail("to_date", "range cannot exceed 7 days.")
        latest = self._latest_to_date()
        if latest is not None and last > latest:
            self._fail("to_date", f"must be a date before or equal to {latest}.")

    def _latest_to_date(self) -> date | None:
        today = utc_now().astimezone(zone(self._quirks.swell_filter_zone)).date()
        if self._quirks.swell_today_refused:
            return today - timedelta(days=1)
        return today if self._quirks.swell_tomorrow_refused else None

    def _bounds(
        self, first: date | None, last: date | None, *, inclusive: bool
    ) -> tuple[datetime | None, datetime | None]:
        start = self._midnight(first) if first else None
        if last is None:
            return start, None
        if inclusive:
            return start, self._midnight(last + timedelta(days=1))
        # "between" two midnights takes in a row at the second midnight itself.
        return start, self._midnight(last) + timedelta(microseconds=1)

    def _midnight(self, day: date) -> datetime:
        local = datetime.combine(day, time(), zone(self._quirks.swell_filter_zone))
        return local.astimezone(UTC)

    def _updated_after(self) -> datetime:
        now = utc_now()
        text = self._given.get("updated_after")
        if text is None:
            return now - timedelta(days=1)
        moment = self._parsed_moment(text)
        if moment is None:
            self._fail("updated_after", "is not a valid date.")
            return now
        if moment < now - timedelta(hours=self._quirks.swell_updated_after_hours):
            self._fail("updated_after", "must be within the last 3 days.")
        return moment

    def _parsed_moment(self, text: str) -> datetime | None:
        wanted = self._quirks.swell_updated_after
        if wanted == "none":
            return None
        try:
            if wanted == "any":
                moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
            else:
                moment = _exactly(text, *FORMATS[wanted])
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone(self._quirks.swell_filter_zone))
        return moment.astimezone(UTC)

    def _count_range(self) -> tuple[datetime | None, datetime | None]:
        day = self._date("date")
        first, last = self._date("from_date"), self._date("to_date")
        latest = self._latest_to_date()
        if day is not None and latest is not None and day > latest:
            self._fail("date", f"must be a date before or equal to {latest}.")
        meaning = self._quirks.swell_count_date
        today = utc_now().astimezone(zone(self._quirks.swell_filter_zone)).date()
        if day is not None and meaning != "ignored":
            day = day if meaning == "day" else today
            return self._bounds(day, day, inclusive=True)
        if first is None and last is None:
            if self._quirks.swell_count_without_dates == "all":
                return None, None
            return self._bounds(today, today, inclusive=True)
        inclusive = self._quirks.swell_count_to_date == "inclusive"
        return self._bounds(first, last, inclusive=inclusive)


def _exactly(text: str, pattern: str, form: str) -> datetime:
    if not re.fullmatch(pattern, text, re.ASCII):
        raise ValueError(text)
    return datetime.strptime(text, form)  # noqa: DTZ007 - the caller adds the zone
