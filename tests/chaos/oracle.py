"""P1 as a check: which rows the target must hold after a run that completed, and how new."""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass
from datetime import datetime, timedelta

from medchat_swell_sandbox.clock import UTC, utc_now, zone

from . import bookmarks
from .history import DAY, Key, Row, content_key, filter_text, is_visible

if t.TYPE_CHECKING:
    from medchat_swell_sandbox import Quirks

    from .bookmarks import Bookmark, State
    from .history import History
    from .target import Target

MEDCHAT = ("sms_chats", "sms_messages", "sms_memberships", "sms_text_bot_executions")
SWELL = ("swell_messages", "swell_messages.locations", "swell_message_counts")
SHOWN_MISSING = 5
LATELY = DAY
RIGHT_CLOCK = timedelta(minutes=5)
MARGIN = timedelta(hours=1)
REACH = timedelta(days=3)  # of updated_after, as Swell's documentation has it
ANY_ZONE = timedelta(hours=27)


@dataclass(frozen=True)
class Begun:
    """A run's beginning: the history's tick, and what both clocks showed."""

    tick: int
    vendor_time: datetime
    tap_time: datetime
    streams: tuple[str, ...]
    locations: tuple[int, ...]

    @property
    def has_right_clock(self) -> bool:
        return abs(self.tap_time - self.vendor_time) <= RIGHT_CLOCK


@dataclass(frozen=True)
class Reading:
    """How a run read one stream: since when it is complete, and after what it came."""

    run: Begun
    since: Begun
    """The run in which the reading began that this run completed."""
    last: Begun | None
    """The run in which the last reading before it began; None for a first one."""

    @property
    def until(self) -> datetime:
        """What was created later lay in the future for the tap."""
        return min(self.run.tap_time, self.since.tap_time)


class Oracle:
    """Follows runs, and checks the target after each that completed."""

    def __init__(self, history: History, quirks: Quirks, settings: dict[str, t.Any]) -> None:
        self._history = history
        self._quirks = quirks
        self._settings = settings
        self._runs: list[Begun] = []
        self._began: dict[tuple[str, str | None], Begun] = {}
        self._filters: dict[tuple[str, str], tuple[int, ...]] = {}
        self._known_finished: set[tuple[str, str | None]] = set()
        self._floors: dict[tuple[str, Key], int] = {}

    def begin(self, run: Begun, given: State | None) -> None:
        """Note a run that begins with the state `given`."""
        self._runs.append(run)
        for stream, bookmark in bookmarks.bookmarks_of(given).items():
            self._known_finished.add((stream, bookmarks.finished(bookmark)))

    def note(self, states: list[State]) -> None:
        """Remember in which run each reading began that the run's STATEs mention."""
        run = self._runs[-1]
        for state in states:
            for stream, bookmark in bookmarks.bookmarks_of(state).items():
                self._filters.setdefault((stream, bookmarks.scope(bookmark)), run.locations)
                for text in (bookmarks.started(bookmark), bookmarks.finished(bookmark)):
                    self._began.setdefault((stream, text), run)

    def check(
        self, streams: t.Iterable[str], given: State | None, final: State, target: Target
    ) -> None:
        """Check the target after the last run noted, which read these streams to the end."""
        facets = [f for f in (*MEDCHAT, *SWELL) if f.partition(".")[0] in streams]
        for facet in facets:
            stream = facet.partition(".")[0]
            reading = self._reading(
                stream,
                bookmarks.bookmarks_of(given).get(stream, {}),
                bookmarks.bookmarks_of(final)[stream],
            )
            for key, since in self._promised(facet, reading):
                self._floors[facet, key] = max(since, self._floors.get((facet, key), 0))
        every = [*MEDCHAT, *SWELL]
        rows = {facet: _projected(facet, self._quirks, target) for facet in every}
        excused = _unsettled(final)
        self._check_held(rows, excused)
        self._check_true(rows)

    def _reading(self, stream: str, given: Bookmark, final: Bookmark) -> Reading:
        run = self._runs[-1]
        is_for_this = self._filters.get((stream, bookmarks.scope(given))) == run.locations
        if not given or (stream not in MEDCHAT and not is_for_this):
            return Reading(run, run, None)
        started = bookmarks.started(given)
        resumes = started == bookmarks.finished(final)
        # What the orchestrator knows to have completed is not there to be resumed.
        resumes &= (stream, started) not in self._known_finished
        since = self._began[stream, started] if resumes else run
        finished = bookmarks.finished(given)
        return Reading(run, since, self._began[stream, finished] if finished else None)

    def _promised(self, facet: str, reading: Reading) -> t.Iterator[tuple[Key, int]]:
        """The keys of rows that the reading must have brought, each with a tick for its form."""
        for key in self._history.held_at(facet, reading.since.tick):
            tick = self._promised_since(facet, key, reading)
            if tick is not None:
                yield key, tick
        days = self._settings.get("medchat_rescan_days")
        # Days count by a right clock: one that was ahead may delay a rescan by its error.
        begun = min(reading.since.tap_time, reading.since.vendor_time)
        earlier = self._last_run_before(begun - (days or 0) * DAY)
        if facet in MEDCHAT and days and reading.last and earlier:
            for key in self._history.held_at(facet, earlier.tick):
                if self._history.created[facet, key] <= reading.until:
                    yield key, earlier.tick

    def _last_run_before(self, tap_time: datetime) -> Begun | None:
        earlier = [run for run in self._runs if run.tap_time <= tap_time and run.has_right_clock]
        return max(earlier, key=lambda run: run.tick, default=None)

    def _promised_since(self, facet: str, key: Key, reading: Reading) -> int | None:
        """The tick from which on a row's form must be held; None if it need not be at all."""
        created = self._history.created[facet, key]
        if facet in MEDCHAT:
            held = self._is_chat_promised(created, reading)
        elif facet == "swell_message_counts":
            held = self._is_count_promised(key, created, reading)
        else:
            held = self._is_message_promised(facet, key, created, reading)
        return reading.since.tick if held else None

    def _is_chat_promised(self, created: datetime, reading: Reading) -> bool:
        if created > reading.until:
            return False
        if reading.last is None or not self._settings.get("medchat_rescan_days"):
            return True
        return created >= min(reading.last.vendor_time, reading.since.tap_time - LATELY)

    def _is_count_promised(self, key: Key, created: datetime, reading: Reading) -> bool:
        place = zone(self._quirks.swell_filter_zone)
        now = min(reading.until, reading.since.vendor_time)
        today = now.date()
        if self._quirks.swell_tomorrow_refused:
            today = min(today, now.astimezone(place).date())
        if created.date() > today or key[1] != filter_text(reading.run.locations):
            return False
        if reading.last is None:
            return True
        days: int = self._settings["swell_counts_lookback_days"]
        return created.date() >= (reading.last.vendor_time - (1 + days) * DAY).date()

    def _is_message_promised(
        self, facet: str, key: Key, created: datetime, reading: Reading
    ) -> bool:
        (places,) = self._history.ever("swell_messages.locations", key)[-1:]
        if not is_visible({number for number, _ in places["locations"]}, reading.run.locations):
            return False
        if created > reading.until or self._is_hidden(created, reading.since):
            return False
        if reading.last is None:
            return True
        ticks = reading.last.tick, reading.since.tick
        is_change = self._history.changed_between(facet, key, *ticks)
        if facet == "swell_messages" and is_change and self._changes_come(reading):
            return True
        days: int = self._settings["swell_lookback_days"]
        return created.date() >= (reading.last.vendor_time - days * DAY).date()

    def _is_hidden(self, created: datetime, begun: Begun) -> bool:
        """Whether there is no question to which today's messages are an answer."""
        quirks = self._quirks
        if not (quirks.swell_tomorrow_refused and quirks.swell_to_date == "exclusive"):
            return False
        local = begun.vendor_time.astimezone(zone(quirks.swell_filter_zone))
        return created >= local.replace(hour=0, minute=0, second=0, microsecond=0)

    def _changes_come(self, reading: Reading) -> bool:
        """Whether updated_after shows every change since the last reading (W12)."""
        quirks = self._quirks
        if reading.last is None or quirks.swell_updated_after == "none":
            return False
        if not (reading.last.has_right_clock and reading.run.has_right_clock):
            return False
        if not reading.since.has_right_clock:
            return False
        back = reading.run.vendor_time - reading.last.vendor_time + MARGIN
        asked = back
        if quirks.swell_filter_zone != "UTC":
            asked += ANY_ZONE
        if quirks.swell_updated_after == "Y-m-d":
            asked += DAY
        return back <= REACH and asked <= timedelta(hours=quirks.swell_updated_after_hours)

    def _check_held(
        self, rows: dict[str, dict[Key, Row]], excused: list[tuple[datetime, datetime]]
    ) -> None:
        wrong = []
        for (facet, key), since in self._floors.items():
            accepted = self._history.accepted(facet, key, since)
            if accepted is None:
                continue
            row = rows[facet].get(key)
            if row in accepted or self._is_in(facet, key, excused):
                continue
            wrong.append((facet, key, "lost" if row is None else "stale", row, accepted))
        assert not wrong, _described(wrong)

    def _is_in(self, facet: str, key: Key, windows: list[tuple[datetime, datetime]]) -> bool:
        created = self._history.created[facet, key]
        is_message = facet.startswith("swell_messages")
        return is_message and any(first <= created <= last for first, last in windows)

    def _check_true(self, rows: dict[str, dict[Key, Row]]) -> None:
        """Check that the target holds nothing that the vendors never held."""
        wrong = [
            (facet, key, "never true", row, self._history.ever(facet, key))
            for facet, held in rows.items()
            for key, row in held.items()
            if row not in self._history.ever(facet, key)
        ]
        assert not wrong, _described(wrong)


def _unsettled(final: State) -> list[tuple[datetime, datetime]]:
    """Windows of Swell's messages that the bookmark says must be read again, in any zone."""
    bookmark = bookmarks.bookmarks_of(final).get("swell_messages", {})
    return [
        (bookmarks.midnight(first) - 2 * DAY, bookmarks.midnight(last) + 3 * DAY)
        for first, last in bookmarks.unsettled(bookmark)
    ]


def _projected(facet: str, quirks: Quirks, target: Target) -> dict[Key, Row]:
    stream, _, part = facet.partition(".")
    records = target.rows.get(stream, {}).values()
    project = _locations if part else _PROJECTIONS[stream]
    return dict(project(record, quirks) for record in records)


def _chat(record: Row, quirks: Quirks) -> tuple[Key, Row]:
    row = _fields(
        record,
        *("created_date_time", "status", "name", "user_phone_number"),
        *("organization_phone_number", "channel_id"),
    )
    if quirks.medchat_chat_id_name is None:
        return (row["created_date_time"], row["user_phone_number"]), row
    return (record["id"],), row


def _message(record: Row, quirks: Quirks) -> tuple[Key, Row]:
    row = _fields(
        record,
        *("created_date_time", "text", "direction", "status"),
        *("sender_phone_number", "recipient_phone_number", "user_id"),
    )
    key = content_key(row) if quirks.medchat_message_id_name is None else (record["id"],)
    return _with_chat(key, row, record, quirks)


def _membership(record: Row, quirks: Quirks) -> tuple[Key, Row]:
    row = _fields(record, "created_date_time", "user_id", "name")
    return _with_chat((record["id"],), row, record, quirks)


def _execution(record: Row, quirks: Quirks) -> tuple[Key, Row]:
    row = _fields(record, "created_date_time", "text_bot_id", "status")
    return _with_chat((record["id"],), row, record, quirks)


def _with_chat(key: Key, row: Row, record: Row, quirks: Quirks) -> tuple[Key, Row]:
    if quirks.medchat_chat_id_name is None:
        return key, row
    return (*key, record["sms_chat_id"]), {**row, "sms_chat_id": record["sms_chat_id"]}


def _swell_message(record: Row, quirks: Quirks) -> tuple[Key, Row]:
    contact = record["contact"]
    tags = [tag["name"] if isinstance(tag, dict) else tag for tag in contact["tags"]]
    shown = (*(contact[name] for name in ("id", "name", "phone", "email")), tags)
    names = ("contact_id", "created_at", "date_sent", "date_sent_utc", "text", "read", "status")
    row = _fields(record, "id", *names, "origin", "message_type", "invite_id")
    del quirks
    return (record["id"],), {**row, "contact": shown}


def _locations(record: Row, quirks: Quirks) -> tuple[Key, Row]:
    del quirks
    places = record["contact"]["locations"]
    return (record["id"],), {"locations": [(place["id"], place["name"]) for place in places]}


def _count(record: Row, quirks: Quirks) -> tuple[Key, Row]:
    del quirks
    return (record["date"], record["location_id"]), _fields(record, "received", "sent")


_PROJECTIONS = {
    "sms_chats": _chat,
    "sms_messages": _message,
    "sms_memberships": _membership,
    "sms_text_bot_executions": _execution,
    "swell_messages": _swell_message,
    "swell_message_counts": _count,
}


def _all(record: Row) -> Row:
    """Columns and the rest; word boundaries are unknown in a key that came in lower case."""
    rest = record.get("additional_properties") or {}
    return {**{name.replace("_", ""): rest[name] for name in rest}, **record}


def _fields(record: Row, *names: str) -> Row:
    everything = _all(record)
    return {name: everything.get(name, everything.get(name.replace("_", ""))) for name in names}


def _described(wrong: list[tuple[t.Any, ...]]) -> str:
    lines = [
        f"{facet} {key}: {what}\n  target: {json.dumps(row, default=str)}\n"
        f"  should: {json.dumps(accepted, default=str)}"
        for facet, key, what, row, accepted in wrong[:SHOWN_MISSING]
    ]
    return f"{len(wrong)} rows are not as promised ({utc_now().astimezone(UTC)}):\n" + "\n".join(
        lines
    )
