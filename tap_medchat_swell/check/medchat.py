"""What is asked of MedChat, and what the answers prove. M codes: docs/api-assumptions.md."""

from __future__ import annotations

import functools
import itertools
import math
import re
import typing as t
from dataclasses import dataclass, field

from tap_medchat_swell.check import connection, estimate
from tap_medchat_swell.check.findings import Asker, Finding, VendorCheck, gather
from tap_medchat_swell.conversions import normalize_key
from tap_medchat_swell.errors import PageTooLargeError, VendorError
from tap_medchat_swell.medchat.api import CREATED, MedChatApi
from tap_medchat_swell.medchat.chats import ChatRows
from tap_medchat_swell.medchat.nested_pages import is_link
from tap_medchat_swell.medchat.responses import unwrapped
from tap_medchat_swell.medchat.streams import (
    SmsChats,
    SmsMemberships,
    SmsMessages,
    SmsTextBotExecutions,
)
from tap_medchat_swell.record_mapper import Row, key_finder
from tap_medchat_swell.time_ranges import TimeRange, to_epoch
from tap_medchat_swell.timestamps import now, parse_timestamp

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

    from tap_medchat_swell.check.findings import Answer
    from tap_medchat_swell.http.rate_limiter import RateLimiter
    from tap_medchat_swell.settings import Options

found = functools.partial(Finding, "MedChat")
CHILDREN: tuple[t.Any, ...] = (SmsMessages, SmsMemberships, SmsTextBotExecutions)
LARGEST = 1000  # of medchat_page_size
FEW, SOME = 20, 200
NEEDED = 4  # distinct rows for an experiment with two pages
LUCK = 0.001  # that random order keeps all ties in their places
FORBIDDEN = 403
DATE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)?", re.ASCII)


@dataclass
class Chats:
    """What the probes share: all chats up to now, and what earlier probes have learned.

    `pages` are the rows of all answers by $expand; `cap` is the most rows that a page can have.
    """

    api: MedChatApi
    asker: Asker
    options: Options
    selected: Collection[str]
    whole: TimeRange
    pages: list[tuple[str, list[Row]]] = field(default_factory=list)
    cap: int | None = None
    total: int | None = None
    skips: bool = False
    seconds: list[float] = field(default_factory=list)  # of pages as a sync reads them

    def ask(
        self,
        top: int,
        skip: int = 0,
        *,
        time: TimeRange | None = None,
        expand: str = "",
        order: str = CREATED,
    ) -> Answer:
        """A page of chats, no larger than MedChat allows."""
        top = min(top, self.cap or top)
        request = self.api.ask(
            time or self.whole, top, skip, expand=expand, order=order, label="check"
        )
        answer = self.asker.ask(request)
        self.pages.append((expand, answer.page.rows))
        return answer

    def rows(self, expand: str | None = None) -> list[Row]:
        """All rows that came, or those that came with an $expand."""
        return [row for name, rows in self.pages if expand in {None, name} for row in rows]

    def children(self, stream: t.Any) -> list[Row]:
        """The rows of a collection."""
        find = key_finder(stream.expand)
        lists = (unwrapped(find(row)) for row in self.rows(stream.expand))
        return [item for items in lists for item in items or () if isinstance(item, dict)]

    def times(self, rows: Sequence[Row]) -> list[datetime | None]:
        """When chats were created."""
        return [parse_timestamp(self.api.chats.created(row)) for row in rows]


def check(options: Options, limiter: RateLimiter, selected: Collection[str]) -> VendorCheck:
    """Ask MedChat, and say what the answers prove."""
    api = MedChatApi(options, limiter, ChatRows())
    start, end = to_epoch(options.start_date), to_epoch(options.end_date or now())
    chats = Chats(api, Asker(api.client), options, selected, TimeRange(start, max(end, start + 1)))
    result = VendorCheck("MedChat", options.medchat_api_url)
    result.findings += gather("MedChat", PROBES, chats)
    result.findings += connection.ending("MedChat", api.client)
    result.rows = {child.name: chats.children(child) for child in CHILDREN}
    result.rows["sms_chats"] = [*{api.chats.identify(row): row for row in chats.rows()}.values()]
    result.estimate = _estimate(chats)
    result.requests = api.client.requests_sent
    api.client.close()
    return result


def access(chats: Chats) -> Iterator[Finding]:
    """One chat."""
    rows = chats.ask(1).page.rows
    yield from connection.reached("MedChat", chats.options.medchat_api_url, chats.api.client)
    yield found("token", "one chat", "MedChat answered with 200", "accepted")
    yield found("scope for sms_chats", "one chat", "no 403", "present")
    organization = functools.partial(found, "organization", "one chat since start_date")
    if rows:
        yield organization("chats of medchat_org_id", "right")
    else:
        meaning = "Check medchat_org_id and start_date if there should be chats."
        yield organization("no chats", meaning=meaning, verdict="warning")


def page_limit(chats: Chats) -> Iterator[Finding]:
    """A page of 1,000 chats."""
    limit = functools.partial(found, "page limit (M3)", f"$top={LARGEST}")
    try:
        rows = chats.ask(LARGEST).page.rows
    except PageTooLargeError as error:
        if error.status is None:  # max_response_mb
            raise
        chats.cap = error.limit or chats.options.medchat_page_size
        reading = f"more than {error.limit} is refused" if error.limit else "1,000 is refused"
        yield limit(f"a refusal ({error.status})", reading, "The tap asks for fewer.")
        return
    count = len(rows)
    more = chats.ask(1, count).page.rows if 0 < count < LARGEST else ()
    if count >= LARGEST:
        yield limit(f"{count} chats", "1,000 or more")
    elif _ids(chats, more) - _ids(chats, rows):
        chats.cap = count
        meaning = "The tap does not take a short page for the last one."
        if count == 1:
            meaning = "The tap cannot read one chat per page: ask MedChat for larger pages."
        verdict = "problem" if count == 1 else "ok"
        seen = f"{count} chats, and more after them"
        yield limit(seen, f"{count}, silently", meaning, verdict)
    elif more or not count:
        yield limit(f"{count} chats")
    else:
        chats.total = count
        yield limit("all chats in one page", f"none up to {count} chats")


def _ids(chats: Chats, rows: Sequence[Row]) -> set[str]:
    return {chats.api.chats.identify(row) for row in rows}


def collections(chats: Chats) -> Iterator[Finding]:
    """Chats with each collection."""
    for stream in CHILDREN:
        is_wanted = stream.name in chats.selected
        scope = functools.partial(found, f"scope for {stream.name} (M16)")
        asked = f"$expand={stream.expand}"
        try:
            rows = _expanded(chats, stream.expand)
        except VendorError as error:
            if error.status == FORBIDDEN:
                meaning = str(error) if is_wanted else "Leave the stream deselected."
                verdict = "problem" if is_wanted else "warning"
                yield scope(asked, "a refusal (403)", "missing", meaning, verdict)
            elif is_wanted and not isinstance(error, PageTooLargeError):
                yield scope(asked, str(error), "unknown", str(error), "problem")
            else:
                yield scope(asked, str(error))
            continue
        yield _came(stream, rows, scope, asked, is_wanted=is_wanted)


def _expanded(chats: Chats, expand: str) -> list[Row]:
    """A page as a sync asks for it; smaller if MedChat refuses it."""
    while True:
        try:
            answer = chats.ask(chats.options.medchat_page_size, expand=expand)
            chats.seconds += chats.asker.seconds[-1:]
            return t.cast("list[Row]", answer.page.rows)
        except PageTooLargeError:  # noqa: PERF203 - what the loop is for
            chats.cap = (chats.cap or chats.options.medchat_page_size) // 2
            if chats.cap < FEW // 2:
                raise


def _came(
    stream: t.Any,
    rows: Sequence[Row],
    scope: t.Callable[..., Finding],
    asked: str,
    *,
    is_wanted: bool,
) -> Finding:
    find, key = key_finder(stream.expand), normalize_key(stream.expand)
    lists = sum(isinstance(find(row), (list, dict)) for row in rows)
    named = sum(key in map(normalize_key, row) for row in rows)
    seen = f"{lists} of {len(rows)} chats have {stream.expand}, {named - lists} null"
    if lists:
        return scope(asked, seen, "present")
    is_problem = is_wanted and rows and (stream is SmsMessages or not named)
    meaning = f"No chat has {stream.expand}: check the token's scopes." if rows else ""
    return scope(
        asked, seen, meaning=meaning, verdict="problem" if is_problem else "could not tell"
    )


def envelope(chats: Chats) -> Iterator[Finding]:
    """Chats, and a range without chats."""
    answer = chats.ask(2)
    shape = functools.partial(found, "envelope (M1)", "two chats")
    if answer.page.rows:
        yield shape("a document with chats", _wrapper(answer.document))
    else:
        yield shape("no chats")
    yield _next_link(chats, answer)
    future = to_epoch(now()) + 10**8
    empty = chats.ask(1, time=TimeRange(future, future + 1))
    nothing = functools.partial(found, "answer without chats (M1)", "chats of the future")
    if empty.page.rows:
        yield nothing("chats")
    elif empty.document is not None:
        yield nothing("a document", f"{_wrapper(empty.document)}, empty")
    else:
        text = "null" if empty.size else "204 or an empty body"
        yield nothing("no document", text, "The tap makes sure that it is no outage.")


def _wrapper(document: t.Any) -> str:
    if isinstance(document, list):
        return "a bare list"
    items = unwrapped(document)
    return next(f'an object with "{key}"' for key in document if document[key] is items)


def _next_link(chats: Chats, answer: Answer) -> Finding:
    link = functools.partial(found, "nextLink (M4)", "a page that others follow")
    has_more = len(_ids(chats, chats.rows())) > len(answer.page.rows) > 0
    keys = [*answer.document] if isinstance(answer.document, dict) else []
    if any(map(is_link, keys)):
        return link("a link", "present", "The tap does not need it.")
    if has_more:
        return link("no link", "absent")
    return link("no page that others follow")


def order(chats: Chats) -> Iterator[Finding]:
    """The same page three times, and once in the other order."""
    first, *again = (chats.ask(SOME).page.rows for _ in range(3))
    half = chats.ask(len(first) // 2 or 1).page.rows
    back = chats.ask(SOME, order=f"{CREATED} desc").page.rows
    yield _orderby(chats, first, back)
    same = [[chats.api.chats.identify(row) for row in rows] for rows in (first, *again)]
    times = [chats.times(rows) for rows in (first, *again)]
    stability = functools.partial(found, "order of chats (M6)", "the same page three times")
    ties = [len([*group]) for time, group in itertools.groupby(times[0]) if time]
    luck = -2 * sum(math.lgamma(size + 1) for size in ties)
    safe = "The tap notices chats that move, and reads them again."
    if len(set(same[0])) < NEEDED:
        yield stability("too few chats")
    elif any(other != same[0] for other in same):
        if all(other == times[0] for other in times):
            yield stability("the same times, other chats", "ties change places", safe, "warning")
        elif None in itertools.chain(*times):
            yield stability("another order each time, but some chats have no time")
        else:
            yield stability("another order each time", "changes on every request", safe, "warning")
    elif [chats.api.chats.identify(row) for row in half] != same[0][: len(half)]:
        yield stability(
            "a shorter page has other chats", "ties depend on the page", safe, "warning"
        )
    elif luck < math.log(LUCK):
        yield stability("the same, ties as well", "the same each time")
    else:
        yield stability("the same, but too few chats were created at the same time")


def _orderby(chats: Chats, first: Sequence[Row], back: Sequence[Row]) -> Finding:
    obeyed = functools.partial(found, "$orderby (M6)", "chats in both orders")
    up, down = ([time for time in chats.times(rows) if time] for rows in (first, back))
    if min(len(set(up)), len(set(down))) < NEEDED:
        return obeyed("too few chats")
    rises, falls = up == sorted(up), down == sorted(down, reverse=True)
    if rises and falls:
        return obeyed("one rises, the other falls", "obeyed")
    if not rises and not falls:
        meaning = "The tap does not rely on it; runs need more requests."
        return obeyed("neither is in order", "not obeyed", meaning, "warning")
    if up == down:
        return obeyed("the same order", "not obeyed", "The tap does not rely on it.", "warning")
    return obeyed("only one is in order")


def skip(chats: Chats) -> Iterator[Finding]:
    """A page, and the second half of it by $skip."""
    rows = chats.ask(FEW).page.rows
    half = len(rows) // 2
    obeyed = functools.partial(found, "$skip (M5)", f"{2 * half} chats, and again from {half}")
    if len(_ids(chats, rows)) < NEEDED:
        yield obeyed("too few chats")
        return
    readings = {
        _skipped(chats, rows, chats.ask(half, half).page.rows, half)
        for _ in range(1 if len(rows) == FEW else 3)
    }
    reading = readings.pop() if len(readings) == 1 else ""
    chats.skips = reading == "obeyed"
    if reading == "obeyed":
        yield obeyed("the second half", reading)
    elif reading == "ignored":
        yield obeyed("the first half again", reading, "The tap reads by time alone.", "warning")
    else:
        yield obeyed("neither half: the order is not the same each time")


def _skipped(chats: Chats, rows: Sequence[Row], page: Sequence[Row], half: int) -> str:
    """Which half a page is, by ids, or by times where ties change places."""
    ids = ([chats.api.chats.identify(row) for row in part] for part in (rows, page))
    times = (chats.times(part) for part in (rows, page))
    for whole, own in (tuple(ids), tuple(times)):
        first, second = whole[:half], whole[half : 2 * half]
        if first != second and own in (first, second):
            return "obeyed" if own == second else "ignored"
    return ""


def filters(chats: Chats) -> Iterator[Finding]:
    """The chats before and after a time between them."""
    obeyed = functools.partial(found, "$filter (M19)", "chats before a time, and after it")
    seconds = sorted({to_epoch(time) for time in chats.times(chats.rows()) if time})
    if len(seconds) < NEEDED:
        yield obeyed("too few chats")
        return
    middle = seconds[len(seconds) // 2]
    parts = chats.whole.halves(middle)
    pages = [chats.ask(SOME, time=part).page.rows for part in parts]
    inside = [
        part.holds(to_epoch(time))
        for part, rows in zip(parts, pages, strict=True)
        for time in chats.times(rows)
        if time
    ]
    if all(inside) and all(pages):
        yield obeyed("each has its own chats", "obeyed")
    elif _ids(chats, pages[0]) & _ids(chats, pages[1]) and not all(inside):
        meaning = "Nothing can be read safely: report it to MedChat."
        yield obeyed("the same chats in both", "ignored", meaning, "problem")
    else:
        yield obeyed("chats on the wrong side, but not the same in both")


def casing(chats: Chats) -> Iterator[Finding]:
    """The keys of all answers."""
    plain = [_casing(rows) for expand, rows in chats.pages if rows and not expand]
    expanded = [_casing(rows) for expand, rows in chats.pages if rows and expand]
    nested = [_casing(rows) for rows in map(chats.children, CHILDREN) if rows]
    for name, readings in (
        ("without $expand", plain),
        ("with $expand", expanded),
        ("inside collections", nested),
    ):
        keys = functools.partial(found, f"key casing {name} (M2)", f"{len(readings)} answers")
        known = {reading for reading in readings if reading}
        if not known:
            yield keys("no keys that show it")
        elif len(known) == 1:
            yield keys("names of fields", known.pop())
        else:
            yield keys(", ".join(sorted(known)), "changes between answers")


def _casing(rows: Sequence[Row]) -> str:
    keys = {key for row in rows for key in row if key.isidentifier()}
    upper = {key for key in keys if key[0].isupper()}
    if upper:
        return "PascalCase" if upper == keys else "mixed"
    if any(key != key.lower() for key in keys):
        return "camelCase"
    if any("_" in key for key in keys):
        return "snake_case"
    return "lowercase" if normalize_key(CREATED) in keys else ""


def ids(chats: Chats) -> Iterator[Finding]:
    """The names of ids."""
    rows = {"sms_chats": chats.rows()} | {s.name: chats.children(s) for s in CHILDREN}
    for stream in (SmsChats, *CHILDREN):
        name = functools.partial(found, f"id of {stream.name} (M14)", "names of fields")
        keys = {normalize_key(key): key for row in rows[stream.name] for key in row}
        names = [keys[wanted] for wanted in map(normalize_key, stream.ids) if wanted in keys]
        if names:
            yield name("a known name", names[0])
        elif keys:
            yield name("no known name", "none", "The tap derives keys.", "warning")
        else:
            yield name("no rows")


def dates(chats: Chats) -> Iterator[Finding]:
    """How dates are written."""
    form = functools.partial(found, "form of dates (M10)", "CreatedDateTime of all chats")
    values = [chats.api.chats.created(row) for row in chats.rows()]
    matches = [DATE.fullmatch(value) for value in values if isinstance(value, str)]
    if not any(matches) or not all(matches):
        yield form("no dates" if not matches else "dates in another form")
        return
    zones = sorted({match[2] or "no zone" for match in matches if match})
    digits = sorted({len(match[1] or "") for match in matches if match})
    nulls = f", {values.count(None)} of {len(values)} null" if None in values else ""
    text = f"{' or '.join(zones)}; {'-'.join(map(str, {digits[0], digits[-1]}))} fraction digits"
    yield form(f"{len(matches)} dates{nulls}", text)


def count(chats: Chats) -> Iterator[Finding]:
    """Single chats by $skip, ever farther."""
    if chats.total is None and chats.skips:
        low, high = FEW, 4 * (chats.cap or LARGEST)
        while chats.ask(1, high).page.rows:
            low, high = high, 4 * high
        while high - low > max(1, high // 10):
            middle = (low + high) // 2
            low, high = (middle, high) if chats.ask(1, middle).page.rows else (low, middle)
        chats.total = (low + high) // 2
    number = functools.partial(found, "number of chats", "$skip past the end")
    if chats.total is None:
        yield number("$skip cannot show it")
    else:
        yield number("where chats end", f"about {chats.total:,}")


def _estimate(chats: Chats) -> estimate.Estimate | None:
    rows = chats.rows("Messages")
    times = [time for time in chats.times(chats.rows()) if time]
    if not chats.total or not rows or not times or not chats.seconds:
        return None
    days = (now() - min(times)).total_seconds() / 86_400
    page = min(chats.options.medchat_page_size, chats.cap or LARGEST)
    each = len(chats.children(SmsMessages)) / len(rows)
    limit = connection.announced_limit(chats.asker.client)
    speed = estimate.pace(chats.seconds, chats.options, limit)
    return estimate.chats(chats.total, each, page, days, chats.options, speed)


PROBES = {
    "access": access,
    "page limit (M3)": page_limit,
    "scopes (M16)": collections,
    "envelope (M1)": envelope,
    "order (M6)": order,
    "$skip (M5)": skip,
    "$filter (M19)": filters,
    "key casing (M2)": casing,
    "ids (M14)": ids,
    "form of dates (M10)": dates,
    "number of chats": count,
}
