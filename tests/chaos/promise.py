"""P1 as a check: which rows the target must hold after a run that completed, and how new."""

from __future__ import annotations

import json
import typing as t
from datetime import datetime, timedelta

from medchat_swell_sandbox.clock import UTC, utc_now, zone

from .ledger import DAY, Key, Ledger, Row, content_key

if t.TYPE_CHECKING:
    from medchat_swell_sandbox import Quirks

    from .target import Target

MEDCHAT = ("sms_chats", "sms_messages", "sms_memberships", "sms_text_bot_executions")
SWELL = ("swell_messages", "swell_messages.locations", "swell_message_counts")
SHOWN_MISSING = 5
State = dict[str, t.Any]


class Promise:
    """Follows runs, and checks the target after each that completed."""

    def __init__(self, ledger: Ledger, quirks: Quirks, settings: dict[str, t.Any]) -> None:
        self._ledger = ledger
        self._quirks = quirks
        self._settings = settings
        self._began: dict[tuple[str, str], int] = {}
        self._floors: dict[tuple[str, Key], int] = {}

    def note(self, tick: int, states: list[State]) -> None:
        """Remember with which run each reading began that the STATEs tell of."""
        for state in states:
            for stream, bookmark in state.get("bookmarks", {}).items():
                started = _started(bookmark)
                if started:
                    self._began.setdefault((stream, started), tick)

    def check(self, facets: list[str], tick: int, given: State | None, target: Target) -> None:
        """Check the target after a run that began at `tick` with the state `given`."""
        bookmarks = (given or {}).get("bookmarks", {})
        for facet in facets:
            bookmark = bookmarks.get(facet.partition(".")[0], {})
            since = self._began.get((facet.partition(".")[0], _started(bookmark) or ""), tick)
            is_first = "finished" not in bookmark
            for key in self._ledger.held_at(facet, since):
                if self._is_promised(facet, key, is_first=is_first):
                    self._floors[facet, key] = since
        rows = {facet: _projected(facet, self._quirks, target) for facet in facets}
        self._check_held(rows)
        self._check_true(rows)

    def _is_promised(self, facet: str, key: Key, *, is_first: bool) -> bool:
        created = self._ledger.created[facet, key]
        if facet in MEDCHAT:
            days = self._settings.get("medchat_lookback_days")
            return is_first or days is None or created >= utc_now() - timedelta(days=days)
        if facet == "swell_message_counts":
            days = self._settings["swell_counts_lookback_days"]
            return is_first or created.date() >= (utc_now() - (1 + days) * DAY).date()
        return self._is_message_promised(facet, created, is_first=is_first)

    def _is_message_promised(self, facet: str, created: datetime, *, is_first: bool) -> bool:
        quirks = self._quirks
        changes_come = quirks.swell_updated_after != "none" and not is_first
        if changes_come and facet == "swell_messages":
            return True
        if quirks.swell_tomorrow_refused and quirks.swell_to_date == "exclusive":
            local = datetime.now(zone(quirks.swell_filter_zone))
            if created >= local.replace(hour=0, minute=0, second=0, microsecond=0):
                return False
        today = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
        return is_first or created >= today - self._settings["swell_lookback_days"] * DAY

    def _check_held(self, rows: dict[str, dict[Key, Row]]) -> None:
        wrong = []
        for (facet, key), since in self._floors.items():
            accepted = self._ledger.accepted(facet, key, since)
            if facet not in rows or accepted is None:
                continue
            row = rows[facet].get(key)
            if row not in accepted:
                wrong.append((facet, key, "lost" if row is None else "stale", row, accepted))
        assert not wrong, _told(wrong)

    def _check_true(self, rows: dict[str, dict[Key, Row]]) -> None:
        """Check that the target holds nothing that the vendors never held."""
        wrong = [
            (facet, key, "never true", row, self._ledger.ever(facet, key))
            for facet, held in rows.items()
            for key, row in held.items()
            if row not in self._ledger.ever(facet, key)
        ]
        assert not wrong, _told(wrong)


def _started(bookmark: State) -> str | None:
    """When the reading that the bookmark is in the middle of began."""
    sweep = bookmark.get("sweep")
    return sweep["started"] if sweep else bookmark.get("started")


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
    return (record["date"],), _fields(record, "received", "sent")


_PROJECTIONS = {
    "sms_chats": _chat,
    "sms_messages": _message,
    "sms_memberships": _membership,
    "sms_text_bot_executions": _execution,
    "swell_messages": _swell_message,
    "swell_message_counts": _count,
}


def _all(record: Row) -> Row:
    """Columns and the rest: of a key in lower case nobody knows where its words end."""
    rest = record.get("additional_properties") or {}
    return {**{name.replace("_", ""): rest[name] for name in rest}, **record}


def _fields(record: Row, *names: str) -> Row:
    everything = _all(record)
    return {name: everything.get(name, everything.get(name.replace("_", ""))) for name in names}


def _told(wrong: list[tuple[t.Any, ...]]) -> str:
    lines = [
        f"{facet} {key}: {what}\n  target: {json.dumps(row, default=str)}\n"
        f"  should: {json.dumps(accepted, default=str)}"
        for facet, key, what, row, accepted in wrong[:SHOWN_MISSING]
    ]
    return f"{len(wrong)} rows are not as promised ({utc_now().astimezone(UTC)}):\n" + "\n".join(
        lines
    )
