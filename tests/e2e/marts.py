"""The marts of the dbt package, computed from the tap's records in plain Python.

Written from the descriptions in dbt/models/marts, by loops instead of windows: nothing here
comes from the SQL.
"""

from __future__ import annotations

import hashlib
import re
import typing as t
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .loads import Rows

Row = dict[str, t.Any]
SIGNALS = ("text_length", "has_link", "opt_out_keyword", "opt_in_keyword", "opt_out_likely")
FAILED = ("failed", "undelivered")
STATES = {"opt_out": "opted_out", "opt_in": "opted_in"}


@dataclass(frozen=True)
class Rules:
    """The package's variables, and how phone numbers turn up."""

    as_of: datetime
    zone: str = "America/Denver"
    opens: time = time(8)
    closes: time = time(17)
    days_off: tuple[date, ...] = ()
    gap: timedelta = timedelta(hours=24)
    bot: timedelta = timedelta(minutes=10)
    locations: dict[str, str] = field(default_factory=dict)
    pseudonym: Callable[[str], str | None] | None = None
    zones: tuple[str, ...] = ("UTC",)
    weekdays: int = 5
    places: dict[str, Rules] = field(default_factory=dict)

    def at(self, place: str | None) -> Rules:
        """The rules of a location: it may have a zone and hours of its own."""
        return self.places.get(place or "", self)

    def local(self, moment: datetime) -> datetime:
        """What the clocks showed."""
        aware = moment.replace(tzinfo=timezone.utc).astimezone(ZoneInfo(self.zone))
        return aware.replace(tzinfo=None)

    def number(self, phone: str) -> str:
        """A phone number as a key; the sandbox writes ten digits."""
        return str(self.pseudonym(phone)) if self.pseudonym else phone

    def hours(self, day: date) -> tuple[datetime, datetime] | None:
        """When business opens and closes, in UTC."""
        if day.weekday() >= self.weekdays or day in self.days_off:
            return None
        ends = (datetime.combine(day, clock, ZoneInfo(self.zone)) for clock in self._clocks)
        opens, closes = (end.astimezone(timezone.utc).replace(tzinfo=None) for end in ends)
        return opens, closes

    @property
    def _clocks(self) -> tuple[time, time]:
        return self.opens, self.closes

    def business_minutes(self, start: datetime, end: datetime) -> float:
        """The overlap with every business day between."""
        total, day = timedelta(), self.local(start).date()
        while day <= self.local(end).date():
            if hours := self.hours(day):
                total += max(min(end, hours[1]) - max(start, hours[0]), timedelta())
            day += timedelta(days=1)
        return minutes(total)


def minutes(span: timedelta) -> float:
    return span / timedelta(minutes=1)


def md5(*parts: object) -> str:
    """The package's keys."""
    text = "|".join("" if part is None else str(part) for part in parts)
    return hashlib.md5(text.encode()).hexdigest()


def moment(text: str | None) -> datetime | None:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ") if text else None  # noqa: DTZ007


class Marts:
    """Every mart's rows, each a dictionary with the mart's columns."""

    def __init__(self, rows: Rows, rules: Rules) -> None:
        self.rules, self._rows = rules, rows
        found = [self._medchat(row) for row in rows["sms_messages"]]
        found += [self._swell(row) for row in rows["swell_messages"]]
        self.messages: list[Row] = sorted(found, key=lambda row: (row["sent_at"], row["tie_order"]))
        self._sent = [row for row in self.messages if not row["is_scheduled"]]
        self._set_threads()
        self.waits = [wait for line in self._lines().values() for wait in self._waits(line)]
        self.consent_events = self._consent_events()
        self.conversations = [self._conversation(*thread) for thread in self._threads().items()]

    # Messages

    def _medchat(self, row: Row) -> Row:
        chat = next(c for c in self._rows["sms_chats"] if c["id"] == row["sms_chat_id"])
        inbound = row["sender_phone_number"] == chat["user_phone_number"]
        clinic = row["recipient_phone_number" if inbound else "sender_phone_number"]
        sent = t.cast("datetime", moment(row["created_date_time"]))
        starts = [
            t.cast("datetime", moment(execution["created_date_time"]))
            for execution in self._rows["sms_text_bot_executions"]
            if execution["sms_chat_id"] == chat["id"]
        ]
        return self._message(
            row,
            vendor="medchat",
            direction="inbound" if inbound else "outbound",
            chat_id=chat["id"],
            phone=chat["user_phone_number"],
            sent_at=sent,
            created_at=sent,
            is_automated=any(start <= sent < start + self.rules.bot for start in starts),
            location_id=self.rules.number(clinic),
            location_name=None,
            thread_status=chat["status"],
            tie_order=("0" if inbound else "1") + row["id"],
        )

    def _swell(self, row: Row) -> Row:
        places = sorted(row["contact"]["locations"], key=lambda place: place["id"])
        names = [place["name"] for place in places if not self.rules.pseudonym]
        created, sent = moment(row["created_at"]), moment(row["date_sent_utc"])
        return self._message(
            row,
            vendor="swell",
            direction={"from": "inbound", "to": "outbound"}[row["message_type"]],
            chat_id=None,
            phone=row["contact"]["phone"],
            sent_at=sent or created,
            created_at=created or sent,
            is_automated=row["invite_id"] is not None,
            location_id=",".join(str(place["id"]) for place in places) or None,
            location_name=", ".join(names) or None,
            thread_status=row["status"],
            tie_order=str(row["id"]).zfill(40),
        )

    def _message(self, row: Row, *, phone: str, chat_id: str | None, **found: t.Any) -> Row:
        number, outbound = self.rules.number(phone), found["direction"] == "outbound"
        place = found["location_id"]
        local = self.rules.at(place).local(found["sent_at"])
        name = self.rules.locations.get(place) or found["location_name"] or place
        return {
            "message_key": md5(row["account_name"], found["vendor"], row["id"]),
            "account_name": row["account_name"],
            "message_id": str(row["id"]),
            **found,
            "thread_id": chat_id,
            "line_key": md5(row["account_name"], found["vendor"], chat_id or number),
            "contact_key": number,
            "contact_phone": None if self.rules.pseudonym else phone,
            "contact_pseudonym": number if self.rules.pseudonym else None,
            "sent_at_local": local,
            "sent_on": local.date(),
            "sent_year": found["sent_at"].year,
            "is_scheduled": found["sent_at"] > self.rules.as_of,
            "is_automated": found["is_automated"] if outbound else None,
            "is_failed": str(row["status"]).lower() in FAILED if outbound else None,
            "location_name": name,
            "status": row["status"],
            **{signal: row[signal] for signal in SIGNALS},
        }

    def _lines(self) -> dict[str, list[Row]]:
        lines = defaultdict(list)
        for row in self._sent:
            lines[row["line_key"]].append(row)
        return lines

    def _set_threads(self) -> None:
        latest: dict[str, Row] = {}
        for row in self.messages:
            before = latest.get(row["line_key"])
            latest[row["line_key"]] = row
            if row["vendor"] == "swell":
                goes_on = before and row["sent_at"] - before["sent_at"] <= self.rules.gap
                row["thread_id"] = before["thread_id"] if before and goes_on else row["message_key"]

    # Waits

    def _waits(self, line: list[Row]) -> Iterable[Row]:
        first = last = None
        count = 0
        for row in line:
            if row["direction"] == "inbound":
                first, last, count = first or row, row, count + 1
            elif first and last and not row["is_automated"] and not row["is_failed"]:
                yield self._wait(first, last, count, row)
                first, count = None, 0
        if first and last:
            yield self._wait(first, last, count, None)

    def _wait(self, first: Row, last: Row, count: int, reply: Row | None) -> Row:
        until = reply["sent_at"] if reply else self.rules.as_of
        clock = minutes(until - first["sent_at"])
        rules = self.rules.at(first["location_id"])
        business = rules.business_minutes(first["sent_at"], until)
        hours = rules.hours(first["sent_on"])
        same = "message_key account_name vendor thread_id line_key contact_key location_id "
        same += "location_name opt_out_keyword"
        return {
            **{name: first[name] for name in same.split()},
            "started_at": first["sent_at"],
            "started_at_local": first["sent_at_local"],
            "started_on": first["sent_on"],
            "is_after_hours": not (hours and hours[0] <= first["sent_at"] < hours[1]),
            "inbound_messages": count,
            "outcome": "answered" if reply else "open",
            "reply_message_key": reply["message_key"] if reply else None,
            "replied_at": reply["sent_at"] if reply else None,
            "replied_on": rules.local(until).date() if reply else None,
            "response_minutes": clock if reply else None,
            "response_business_minutes": business if reply else None,
            "waited_minutes": clock,
            "waited_business_minutes": business,
            "last": last,
        }

    @property
    def response_times(self) -> list[Row]:
        return [{name: row[name] for name in row if name != "last"} for row in self.waits]

    # Consent

    def _consent_events(self) -> list[Row]:
        events = []
        numbers: Counter[str] = Counter()
        last: dict[str, Row] = {}
        last_at_vendor: dict[tuple[str, str], Row] = {}
        for row in self._sent:
            keyword = row["opt_out_keyword"] or row["opt_in_keyword"]
            if row["direction"] == "outbound" or not (keyword or row["opt_out_likely"]):
                continue
            kind = "opt_in" if keyword else "opt_out_likely"
            kind = "opt_out" if row["opt_out_keyword"] else kind
            contact = row["contact_key"]
            numbers[contact] += 1
            same = "message_key account_name vendor contact_key contact_phone contact_pseudonym "
            same += "location_id location_name"
            event = {
                **{name: row[name] for name in same.split()},
                "event": kind,
                "keyword": keyword,
                "occurred_at": row["sent_at"],
                "occurred_at_local": row["sent_at_local"],
                "occurred_on": row["sent_on"],
                "occurred_year": row["sent_year"],
                "event_number": numbers[contact],
            }
            events.append(event)
            if keyword:
                last[contact] = last_at_vendor[contact, row["vendor"]] = event
        for event in events:
            deciding = last.get(event["contact_key"], {})
            here = last_at_vendor.get((event["contact_key"], event["vendor"]), {})
            event["is_current"] = event is deciding
            event["current_state"] = STATES.get(deciding.get("event", ""))
            event["current_state_at_vendor"] = STATES.get(here.get("event", ""))
        return events

    # Conversations

    def _threads(self) -> dict[tuple[str, str], list[Row]]:
        threads: dict[tuple[str, str], list[Row]] = {
            ("medchat", chat["id"]): [] for chat in self._rows["sms_chats"]
        }
        for row in self._sent:
            threads.setdefault((row["vendor"], row["thread_id"]), []).append(row)
        return threads

    def _conversation(self, thread: tuple[str, str], rows: list[Row]) -> Row:
        vendor, thread_id = thread
        chat = next((c for c in self._rows["sms_chats"] if c["id"] == thread_id), None)
        inbound = [row for row in rows if row["direction"] == "inbound"]
        wait = self._open_wait(inbound[-1]) if inbound else None
        if not inbound:
            state = "outbound_only" if rows else "empty"
        elif wait is None:
            state = "answered"
        else:
            state = "open" if wait["last"]["thread_id"] == thread_id else "carried_over"
        shown = wait if wait and state == "open" else {}
        phone = chat["user_phone_number"] if chat else rows[0]["contact_phone"]
        key = self.rules.number(phone) if chat else rows[0]["contact_key"]
        started = moment(chat["created_date_time"]) if chat else rows[0]["sent_at"]
        last: Row = rows[-1] if rows else {}
        account = (chat or last)["account_name"]
        return {
            "conversation_key": md5(account, vendor, thread_id),
            "account_name": account,
            "vendor": vendor,
            "thread_id": thread_id,
            "contact_key": key,
            "contact_phone": None if self.rules.pseudonym else phone,
            "contact_pseudonym": key if self.rules.pseudonym else None,
            "location_id": last.get("location_id"),
            "location_name": last.get("location_name"),
            "status": (chat or last)["status"],
            "started_at": started,
            "started_year": started.year if started else None,
            "first_message_at": rows[0]["sent_at"] if rows else None,
            "last_message_at": last.get("sent_at"),
            "messages": len(rows),
            "inbound_messages": len(inbound),
            "outbound_messages": len(rows) - len(inbound),
            "automated_messages": sum(bool(row["is_automated"]) for row in rows),
            "last_direction": last.get("direction"),
            "state": state,
            "waiting_since": shown.get("started_at"),
            "waiting_minutes": shown.get("waited_minutes"),
            "waiting_business_minutes": shown.get("waited_business_minutes"),
            "is_opted_out": any(
                event["contact_key"] == key and event["current_state"] == "opted_out"
                for event in self.consent_events
            ),
        }

    def _open_wait(self, inbound: Row) -> Row | None:
        """The open wait that an inbound message belongs to."""
        for wait in self.waits:
            if wait["line_key"] == inbound["line_key"] and wait["outcome"] == "open":
                return wait if inbound["sent_at"] >= wait["started_at"] else None
        return None

    # Days

    @property
    def daily_metrics(self) -> list[Row]:
        places = {(r["account_name"], r["vendor"], r["location_id"]): r for r in self._sent}
        return [row for place, last in places.items() for row in self._days(place, last)]

    def _days(self, place: tuple[t.Any, ...], last: Row) -> Iterable[Row]:
        def here(rows: Iterable[Row]) -> list[Row]:
            return [r for r in rows if (r["account_name"], r["vendor"], r["location_id"]) == place]

        sent, waits, events = here(self._sent), here(self.waits), here(self.consent_events)
        day = sent[0]["sent_on"]
        while day <= self.rules.at(place[2]).local(self.rules.as_of).date():
            today = [row for row in sent if row["sent_on"] == day]
            out = [row for row in today if row["direction"] == "outbound"]
            automated = sum(row["is_automated"] for row in out)
            begun = [wait for wait in waits if wait["started_on"] == day]
            answers = [w["response_minutes"] for w in begun if w["outcome"] == "answered"]
            slow = sum(wait["waited_minutes"] > 60 for wait in begun)
            very_slow = sum(wait["waited_business_minutes"] > 8 * 60 for wait in begun)
            yield {
                "daily_key": md5(*place, day),
                **dict(zip(("account_name", "vendor", "location_id"), place, strict=True)),
                "location_name": last["location_name"],
                "day": day,
                "inbound_messages": len(today) - len(out),
                "outbound_messages": len(out),
                "automated_messages": automated,
                "automated_share": automated / len(out) if out else None,
                "waits_started": len(begun),
                "waits_answered": len(answers),
                "median_response_minutes": percentile(answers, 0.5),
                "p90_response_minutes": percentile(answers, 0.9),
                "share_over_1_hour": slow / len(begun) if begun else None,
                "share_over_8_business_hours": very_slow / len(begun) if begun else None,
                "open_at_end_of_day": sum(
                    wait["started_on"] <= day
                    and (wait["outcome"] == "open" or wait["replied_on"] > day)
                    for wait in waits
                ),
                "opt_outs": sum(e["event"] == "opt_out" for e in events if e["occurred_on"] == day),
                "opt_ins": sum(e["event"] == "opt_in" for e in events if e["occurred_on"] == day),
            }
            day += timedelta(days=1)

    # Counts

    @property
    def reconciliation(self) -> list[Row]:
        per_zone = {zone: list(self._compared(zone)) for zone in self.rules.zones}
        off_by = {
            zone: sum(
                abs(row["received_difference"]) + abs(row["sent_difference"])
                for row in rows
                if row["is_final"]
            )
            for zone, rows in per_zone.items()
        }
        best = min(self.rules.zones, key=lambda zone: off_by[zone])
        return [{**row, "zone_difference": off_by[best]} for row in per_zone[best]]

    def _compared(self, zone: str) -> Iterable[Row]:
        loaded: Counter[tuple[date, str]] = Counter()
        for row in self.messages:
            if row["vendor"] == "swell":
                aware = row["created_at"].replace(tzinfo=timezone.utc).astimezone(ZoneInfo(zone))
                loaded[aware.date(), row["direction"]] += 1
        for count in self._rows["swell_message_counts"]:
            day = date.fromisoformat(count["date"])
            received, sent = loaded[day, "inbound"], loaded[day, "outbound"]
            off = count["received"] - received, count["sent"] - sent
            ended = datetime.combine(day, time()) + timedelta(hours=24 + 12)
            final = self.rules.as_of >= ended
            scope = count["location_id"], count["team_id"]
            yield {
                "count_key": md5(count["account_name"], day, *scope),
                "account_name": count["account_name"],
                "day": day,
                "location_id": scope[0],
                "team_id": scope[1],
                "zone": zone,
                "is_final": final,
                "counted_received": count["received"],
                "loaded_received": received,
                "received_difference": off[0],
                "counted_sent": count["sent"],
                "loaded_sent": sent,
                "sent_difference": off[1],
                "is_match": off == (0, 0) if final else None,
            }


def percentile(values: Iterable[float], share: float) -> float | None:
    """Interpolated between the neighbors."""
    ordered = sorted(values)
    if len(ordered) < 2:
        return ordered[0] if ordered else None
    place = share * (len(ordered) - 1)
    low, high = list(pairwise(ordered))[min(int(place), len(ordered) - 2)]
    return low + (high - low) * (place - min(int(place), len(ordered) - 2))


INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?")


def in_one_form(value: t.Any) -> t.Any:
    """A value of either database or of ours."""
    if isinstance(value, datetime):
        return value.isoformat("T", "microseconds")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) and (parts := INSTANT.fullmatch(value)):
        return f"{parts[1]}T{parts[2]}{(parts[3] or '.').ljust(7, '0')}"
    return value
