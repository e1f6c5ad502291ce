"""Swell's parameters, validated like Laravel does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

from medchat_swell_sandbox.clock import UTC, utc_now, zone
from medchat_swell_sandbox.laravel_rules import validation_message

if TYPE_CHECKING:
    from medchat_swell_sandbox.laravel import Errors
    from medchat_swell_sandbox.quirks import Quirks

Ids = frozenset[int] | None

LISTS = ("team_id", "location_id", "contact_id")
STATUSES = ("Open", "Close")
DEFAULT_PER_PAGE = 15
DAY = r"\d{4}-\d\d-\d\d"
FORMATS = {
    "any": r".*",
    "Y-m-d": DAY,
    "Y-m-d H:i": rf"{DAY} \d\d:\d\d",
    "Y-m-d H:i:s": rf"{DAY} \d\d:\d\d:\d\d",
    "iso": rf"{DAY}T\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
}


class CrashError(Exception):
    """The application crashes on a parameter that it does not validate (500)."""


@dataclass(frozen=True)
class MessagesQuery:
    """Parameters of ``GET /messages``. Times are in UTC; ``end`` is exclusive."""

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
    """Parameters of ``GET /messages/count``; times as in ``MessagesQuery``."""

    teams: Ids
    locations: Ids
    start: datetime | None
    end: datetime | None


class Validation:
    """Parses parameters and collects the errors."""

    def __init__(self, given: dict[str, str], quirks: Quirks) -> None:
        # Laravel's middleware converts "" to null, which means not sent.
        self._given = {name: text for name, text in given.items() if text.strip()}
        self._quirks = quirks
        self.errors: Errors = {}

    def messages(self) -> MessagesQuery:
        """Parse the parameters of ``GET /messages``."""
        # In the order of the rules, which determines the order of the errors.
        ids = {name: self._ids(name) for name in LISTS}
        status = self._status()
        updated_after = None if "from_date" in self._given else self._updated_after()
        start, end = self._range()
        per_page = self._per_page()
        return MessagesQuery(
            page=self._page(),
            per_page=per_page,
            teams=ids["team_id"],
            locations=ids["location_id"],
            contacts=ids["contact_id"],
            status=status,
            start=start,
            end=end,
            updated_after=updated_after,
        )

    def count(self) -> CountQuery:
        """Parse the parameters of ``GET /messages/count``."""
        teams, locations = self._ids("team_id"), self._ids("location_id")
        start, end = self._count_range()
        self._per_page()
        self._page()
        if self._quirks.swell_count_cumulative:
            start = None
        return CountQuery(teams, locations, start, end)

    def _fail(self, name: str, rule: str, **values: object) -> None:
        text = validation_message(rule, name, self._quirks.swell_laravel, **values)
        self.errors.setdefault(name, []).append(text)

    def _ids(self, name: str) -> Ids:
        text = self._given.get(name)
        if text is None:
            return None
        parts = [part.strip() for part in text.split(",")]
        if not all(part.isascii() and part.isdigit() for part in parts):
            self._fail(name, "regex")
            return None
        return frozenset(int(part) for part in parts)

    def _status(self) -> str | None:
        status = self._given.get("status")
        if status is not None and status not in STATUSES:
            self._fail("status", "in")
        return status

    def _integer(self, name: str, default: int) -> int | None:
        text = self._given.get(name, str(default))
        if re.fullmatch(r"-?\d{1,18}", text, re.ASCII):
            return int(text)
        self._fail(name, "integer")
        return None

    def _page(self) -> int:
        number = self._integer("page", 1)
        if number is not None and number < 1:
            self._fail("page", "min", min=1)
        return number or 1

    def _per_page(self) -> int:
        quirks = self._quirks
        if quirks.swell_per_page_over == "unchecked":
            return self._unchecked_per_page()
        wanted = self._integer("per_page", DEFAULT_PER_PAGE)
        if wanted is None:
            return DEFAULT_PER_PAGE
        limit = quirks.swell_per_page_max
        if wanted < 1 or (wanted > limit and quirks.swell_per_page_over == "422"):
            self._fail("per_page", "between", min=1, max=limit)
        allowed = quirks.swell_per_page_in
        if allowed and wanted not in allowed:
            self._fail("per_page", "in")
        return min(wanted, quirks.swell_per_page_clamp or limit, limit)

    def _unchecked_per_page(self) -> int:
        text = self._given.get("per_page", "0")
        if not (text.isascii() and text.isdigit()):
            raise CrashError
        return int(text) or DEFAULT_PER_PAGE

    def _date(self, name: str) -> date | None:
        text = self._given.get(name)
        if text is None:
            return None
        try:
            if re.fullmatch(DAY, text, re.ASCII):
                return date.fromisoformat(text)
        except ValueError:
            pass
        self._fail(name, "date_format", format="Y-m-d")
        return None

    def _range(self) -> tuple[datetime | None, datetime | None]:
        for name, other in (("from_date", "to_date"), ("to_date", "from_date")):
            if other in self._given and name not in self._given:
                self._fail(name, "required_with", other=other.replace("_", " "))
        first, last = self._date("from_date"), self._date("to_date")
        if first is None or last is None:
            return None, None
        self._check_range(first, last)
        inclusive = self._quirks.swell_to_date == "inclusive"
        return self._bounds(first, last, inclusive=inclusive)

    def _check_range(self, first: date, last: date) -> None:
        days = (last - first).days
        if days < 0:
            self._fail("to_date", "after_or_equal", date="from date")
        if days > self._quirks.swell_max_range_days:
            self._fail("to_date", "range")
        latest = self._latest_to_date()
        if latest is not None and last > latest:
            self._fail("to_date", "before_or_equal", date=latest)

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
        # BETWEEN includes a row at exactly the second midnight.
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
            self._fail_format("updated_after", self._quirks.swell_updated_after)
            return now
        if moment < now - timedelta(hours=self._quirks.swell_updated_after_hours):
            self._fail("updated_after", "after_or_equal", date="-3 days")
        return moment

    def _fail_format(self, name: str, wanted: str) -> None:
        if wanted in ("any", "none"):
            self._fail(name, "date")
        else:
            shown = "Y-m-d\\TH:i:sP" if wanted == "iso" else wanted
            self._fail(name, "date_format", format=shown)

    def _parsed_moment(self, text: str) -> datetime | None:
        pattern = FORMATS.get(self._quirks.swell_updated_after)
        if pattern is None or not re.fullmatch(pattern, text, re.ASCII):
            return None
        try:
            moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
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
            self._fail("date", "before_or_equal", date=latest)
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
