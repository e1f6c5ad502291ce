"""What is asked of MedChat: the table QUESTIONS, at the end. M codes: docs/api-assumptions.md."""

from __future__ import annotations

import itertools
import math
import re
import typing as t
from collections import Counter
from functools import cache, partial

from tap_medchat_swell.check.connection import announced_limit
from tap_medchat_swell.check.estimate import Estimate, chat_advice, chat_requests, described
from tap_medchat_swell.check.questions import UNKNOWN, Question, Seen, Subject, Unclear
from tap_medchat_swell.conversions import normalize_key
from tap_medchat_swell.errors import PageTooLargeError, VendorError
from tap_medchat_swell.medchat.api import CREATED, MedChatApi
from tap_medchat_swell.medchat.chats import ChatRows, likely_limit
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
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from tap_medchat_swell.check.questions import Answer
    from tap_medchat_swell.http.rate_limiter import RateLimiter
    from tap_medchat_swell.settings import Options

CHILDREN: tuple[t.Any, ...] = (SmsMessages, SmsMemberships, SmsTextBotExecutions)
LARGEST = 1000  # of medchat_page_size
FEW, SOME = 20, 200
NEEDED = 4  # distinct rows for an experiment with two pages
LUCK = 0.001  # that random order keeps all ties in their places
FORBIDDEN = 403
DATE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.(\d+))?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
MOVING = "The tap notices chats that move, and reads them again."


class Chats(Subject):
    """All chats up to now, and what earlier probes have learned.

    `pages` are the rows of all answers by $expand; `cap` is the most rows that a page can have,
    `total` the number of chats and `skips` whether $skip works, once that is known.
    """

    name = "MedChat"

    def __init__(self, options: Options, limiter: RateLimiter, selected: Collection[str]) -> None:
        self.api = MedChatApi(options, limiter, ChatRows())
        super().__init__(options.medchat_api_url, self.api.client, options, selected)
        start, end = to_epoch(options.start_date), to_epoch(options.end_date or now())
        self.whole = TimeRange(start, max(end, start + 1))
        self.pages: list[tuple[str, list[Row]]] = []
        self.cap: int | None = None
        self.total: int | None = None
        self.skips = False
        self.seconds_expanded: list[float] = []  # of pages as a sync reads them

    def ask(self, top: int, skip: int = 0, time: TimeRange | None = None, **how: str) -> Answer:
        """A page of chats, no larger than MedChat allows; `how` are its $expand and $orderby."""
        top, time = min(top, self.cap or top), time or self.whole
        answer = self.send(self.api.ask(time, top, skip, label="check", **how))
        self.pages.append((how.get("expand", ""), answer.page.rows))
        return answer

    def access(self) -> None:
        """Ask for one chat."""
        self.ask(1)

    def expanded(self, expand: str) -> list[Row]:
        """A page as a sync asks for it; smaller if MedChat refuses it."""
        while True:
            try:
                rows: list[Row] = self.ask(self.options.medchat_page_size, expand=expand).page.rows
            except PageTooLargeError:  # noqa: PERF203 - what the loop is for
                self.cap = (self.cap or self.options.medchat_page_size) // 2
                if self.cap < FEW // 2:
                    raise
            else:
                self.seconds_expanded += self.seconds[-1:]
                return rows

    def rows(self, expand: str | None = None) -> list[Row]:
        """All rows that came, or those that came with an $expand."""
        return [row for name, rows in self.pages if expand in {None, name} for row in rows]

    def collections(self, stream: t.Any) -> list[list[Row]]:
        """A collection of every chat that has it."""
        find = key_finder(stream.expand)
        found = (unwrapped(find(row)) for row in self.rows(stream.expand))
        return [[row for row in rows if isinstance(row, dict)] for rows in found if rows]

    def children(self, stream: t.Any) -> list[Row]:
        """The rows of a collection."""
        return [*itertools.chain.from_iterable(self.collections(stream))]

    def ids(self, rows: Sequence[Row]) -> list[str]:
        """The ids of chats."""
        return [self.api.chats.identify(row) for row in rows]

    def times(self, rows: Sequence[Row]) -> list[datetime | None]:
        """When chats were created."""
        return [parse_timestamp(self.api.chats.created(row)) for row in rows]

    def rows_by_stream(self) -> dict[str, list[Row]]:
        """Chats, each once, and what their collections have."""
        rows = self.rows()
        chats = [*dict(zip(self.ids(rows), rows, strict=True)).values()]
        return {SmsChats.name: chats} | {child.name: self.children(child) for child in CHILDREN}

    def estimate(self) -> Estimate | None:
        """From the number of chats, and the messages and times of full pages."""
        rows, times = self.rows("Messages"), [*filter(None, self.times(self.rows()))]
        if not (self.total and rows and times and self.seconds_expanded):
            return None
        days = (now() - min(times)).total_seconds() / 86_400
        page_rows = min(self.options.medchat_page_size, self.cap or LARGEST)
        each = len(self.children(SmsMessages)) / len(rows)
        found = described(
            {"chats": self.total, "messages": self.total * each},
            chat_requests(self.total, page_rows, days, self.options),
            self.seconds_expanded,
            self.options,
            announced_limit(self.client),
        )
        found["advice"][:0] = chat_advice(found, page_rows, self.options)
        return found


def _organization(chats: Chats) -> Seen:
    if chats.rows():
        return Seen("chats of medchat_org_id", "right")
    meaning = "Check medchat_org_id and start_date if there should be chats."
    return Seen("no chats", UNKNOWN, meaning, "warning")


def _page_limit(chats: Chats) -> Seen:
    try:
        rows = chats.ask(LARGEST).page.rows
    except PageTooLargeError as error:
        if error.status is None:  # max_response_mb
            raise
        chats.cap = error.limit or chats.options.medchat_page_size
        limit = f"more than {error.limit}" if error.limit else "1,000"
        return Seen(f"a refusal ({error.status})", f"{limit} is refused", "The tap asks for fewer.")
    count = len(rows)
    if count >= LARGEST:
        return Seen(f"{count} chats", "1,000 or more")
    more = chats.ask(1, count).page.rows if count else []
    if {*chats.ids(more)} - {*chats.ids(rows)}:
        chats.cap = count
        seen, reading = f"{count} chats, and more after them", f"{count}, silently"
        if count == 1:
            meaning = "The tap cannot read one chat per page: ask MedChat for larger pages."
            return Seen(seen, reading, meaning, "problem")
        return Seen(seen, reading, "The tap does not take a short page for the last one.")
    if more or not count:
        raise Unclear(f"{count} chats")
    chats.total = count
    return Seen("all chats in one page", f"none up to {count} chats")


def _scope(stream: t.Any, chats: Chats) -> Seen:
    is_wanted = stream.name in chats.selected
    try:
        rows = chats.expanded(stream.expand)
    except VendorError as error:
        sentence = str(error)
        if error.status == FORBIDDEN:
            wanted = Seen("a refusal (403)", "missing", sentence, "problem")
            unused = wanted._replace(meaning="Leave the stream deselected.", verdict="warning")
            return wanted if is_wanted else unused
        if is_wanted and not isinstance(error, PageTooLargeError):
            return Seen(sentence, "unknown", sentence, "problem")
        raise
    find, key = key_finder(stream.expand), normalize_key(stream.expand)
    lists = sum(isinstance(find(row), (list, dict)) for row in rows)
    named = sum(key in map(normalize_key, row) for row in rows)
    seen = f"{lists} of {len(rows)} chats have {stream.expand}, {named - lists} null"
    if lists:
        return Seen(seen, "present")
    is_problem = is_wanted and rows and (stream is SmsMessages or not named)
    meaning = f"No chat has {stream.expand}: check the token's scopes." if rows else ""
    return Seen(seen, UNKNOWN, meaning, "problem" if is_problem else "could not tell")


def _cut_short(chats: Chats) -> Seen:
    longest = 0
    for stream in CHILDREN:
        keys = {key for row in chats.rows(stream.expand) for key in row if "@" in key}
        if any(map(is_link, keys)):
            seen = f"a link beside {stream.expand}"
            return Seen(seen, "with a link to the rest", "The tap follows it.")
        sizes = Counter(map(len, chats.collections(stream)))
        if limit := likely_limit(sizes):
            seen = f"{sizes[limit]} chats have exactly {limit} {stream.expand}, and none has more"
            meaning = "Ask MedChat whether it cuts long threads short: the tap would miss the rest."
            return Seen(seen, UNKNOWN, meaning, "warning")
        longest = max([longest, *sizes])
    if not longest:
        raise Unclear("no collections")
    return Seen(f"{longest} rows in the longest, and no link", f"none up to {longest} rows")


@cache
def _pair(chats: Chats) -> Answer:
    return chats.ask(2)


def _envelope(chats: Chats) -> Seen:
    if not _pair(chats).page.rows:
        raise Unclear("no chats")
    return Seen("a document with chats", _wrapper(_pair(chats).document))


def _wrapper(document: t.Any) -> str:
    if isinstance(document, list):
        return "a bare list"
    items = unwrapped(document)
    return next(f'an object with "{key}"' for key in document if document[key] is items)


def _next_link(chats: Chats) -> Seen:
    document, page = _pair(chats).document, _pair(chats).page
    if isinstance(document, dict) and any(map(is_link, document)):
        return Seen("a link", "present", "The tap does not need it.")
    if len({*chats.ids(chats.rows())}) > len(page.rows) > 0:
        return Seen("no link", "absent")
    raise Unclear("no page that others follow")


def _no_chats(chats: Chats) -> Seen:
    future = to_epoch(now()) + 10**8
    empty = chats.ask(1, time=TimeRange(future, future + 1))
    if empty.page.rows:
        raise Unclear("chats")
    if empty.document is not None:
        return Seen("a document", f"{_wrapper(empty.document)}, empty")
    text = "null" if empty.size else "204 or an empty body"
    return Seen("no document", text, "The tap makes sure that it is no outage.")


@cache
def _thrice(chats: Chats) -> list[list[Row]]:
    return [chats.ask(SOME).page.rows for _ in range(3)]


def _orderby(chats: Chats) -> Seen:
    back = chats.ask(SOME, order=f"{CREATED} desc").page.rows
    up, down = ([*filter(None, chats.times(rows))] for rows in (_thrice(chats)[0], back))
    if min(len({*up}), len({*down})) < NEEDED:
        raise Unclear("too few chats")
    rises, falls = up == sorted(up), down == sorted(down, reverse=True)
    if rises and falls:
        return Seen("one rises, the other falls", "obeyed")
    if not rises and not falls:
        meaning = "The tap does not rely on it; runs need more requests."
        return Seen("neither is in order", "not obeyed", meaning, "warning")
    if up == down:
        return Seen("the same order", "not obeyed", "The tap does not rely on it.", "warning")
    raise Unclear("only one is in order")


def _order(chats: Chats) -> Seen:
    first, *again = map(chats.ids, _thrice(chats))
    times = [*map(chats.times, _thrice(chats))]
    if len({*first}) < NEEDED:
        raise Unclear("too few chats")
    if any(ids != first for ids in again):
        if all(other == times[0] for other in times):
            return Seen("the same times, other chats", "ties change places", MOVING, "warning")
        if None in itertools.chain(*times):
            raise Unclear("another order each time, but some chats have no time")
        return Seen("another order each time", "changes on every request", MOVING, "warning")
    half = chats.ids(chats.ask(len(first) // 2 or 1).page.rows)
    if half != first[: len(half)]:
        return Seen("other chats in a shorter page", "ties depend on the page", MOVING, "warning")
    ties = [len([*group]) for time, group in itertools.groupby(times[0]) if time]
    if -2 * sum(math.lgamma(size + 1) for size in ties) >= math.log(LUCK):
        raise Unclear("the same, but too few chats were created at the same time")
    return Seen("the same, ties as well", "the same each time")


def _skip(chats: Chats) -> Seen:
    rows = chats.ask(FEW).page.rows
    half = len(rows) // 2
    if len({*chats.ids(rows)}) < NEEDED:
        raise Unclear("too few chats")
    tries = 1 if len(rows) == FEW else 3
    halves = {_half(chats, rows, chats.ask(half, half).page.rows, half) for _ in range(tries)}
    if halves == {"first"}:
        seen = "the first half again"
        return Seen(seen, "ignored", "The tap reads by time alone.", "warning")
    chats.skips = halves == {"second"}
    if not chats.skips:
        raise Unclear("neither half: the order is not the same each time")
    return Seen("the second half", "obeyed")


def _half(chats: Chats, rows: Sequence[Row], page: Sequence[Row], half: int) -> str:
    """Which half a page is, by ids, or by times where ties change places."""
    for values in (chats.ids, chats.times):
        whole, own = values(rows), values(page)
        first, second = whole[:half], whole[half : 2 * half]
        if first != second and own in (first, second):
            return "second" if own == second else "first"
    return ""


def _filters(chats: Chats) -> Seen:
    seconds = sorted({to_epoch(time) for time in chats.times(chats.rows()) if time})
    if len(seconds) < NEEDED:
        raise Unclear("too few chats")
    parts = chats.whole.halves(seconds[len(seconds) // 2])
    pages = [chats.ask(SOME, time=part).page.rows for part in parts]
    is_inside = all(
        part.holds(to_epoch(time))
        for part, rows in zip(parts, pages, strict=True)
        for time in filter(None, chats.times(rows))
    )
    if is_inside and all(pages):
        return Seen("each has its own chats", "obeyed")
    if not is_inside and {*chats.ids(pages[0])} & {*chats.ids(pages[1])}:
        meaning = "Nothing can be read safely: report it to MedChat."
        return Seen("the same chats in both", "ignored", meaning, "problem")
    raise Unclear("chats on the wrong side, but not the same in both")


def _casing(where: str, chats: Chats) -> Seen:
    pages = {
        "without $expand": [rows for expand, rows in chats.pages if not expand],
        "with $expand": [rows for expand, rows in chats.pages if expand],
        "inside collections": map(chats.children, CHILDREN),
    }[where]
    found = sorted(filter(None, map(_casing_of, pages)))
    if not found:
        raise Unclear("no keys that show it")
    if found[0] != found[-1]:
        return Seen(", ".join(dict.fromkeys(found)), "changes between answers")
    return Seen(f"the same in {len(found)} answers", found[0])


def _casing_of(rows: Sequence[Row]) -> str:
    keys = {key for row in rows for key in row if key.isidentifier()}
    upper = {key for key in keys if key[0].isupper()}
    if upper:
        return "PascalCase" if upper == keys else "mixed"
    if any(key != key.lower() for key in keys):
        return "camelCase"
    if any("_" in key for key in keys):
        return "snake_case"
    return "lowercase" if normalize_key(CREATED) in keys else ""


def _id_name(stream: t.Any, chats: Chats) -> Seen:
    rows = chats.rows() if stream is SmsChats else chats.children(stream)
    keys = {normalize_key(key): key for row in rows for key in row}
    names = [keys[wanted] for wanted in map(normalize_key, stream.ids) if wanted in keys]
    if names:
        return Seen("a known name", names[0])
    if not keys:
        raise Unclear("no rows")
    return Seen("no known name", "none", "The tap derives keys.", "warning")


def _dates(chats: Chats) -> Seen:
    values = [chats.api.chats.created(row) for row in chats.rows()]
    matches = [DATE.fullmatch(value) for value in values if isinstance(value, str)]
    found = [match for match in matches if match]
    if len(found) != len(matches) or not found:
        raise Unclear("dates in another form" if matches else "no dates")
    zones = sorted({match[2] or "no zone" for match in found})
    digits = sorted({len(match[1] or "") for match in found})
    nulls = f", {values.count(None)} of {len(values)} null" if None in values else ""
    span = "-".join(map(str, dict.fromkeys((digits[0], digits[-1]))))
    return Seen(f"{len(found)} dates{nulls}", f"{' or '.join(zones)}; {span} fraction digits")


def _undated(chats: Chats) -> Seen:
    rows = chats.send(chats.api.undated()).page.rows
    if not rows:
        return Seen("no chats", "none")
    if any(chats.times(rows)):
        raise Unclear("chats with a date")
    meaning = "The tap does not read them: MedChat has them in no range of dates."
    return Seen("a chat", "some", meaning, "warning")


def _count(chats: Chats) -> Seen:
    if chats.total is None and chats.skips:
        low, high = FEW, 4 * (chats.cap or LARGEST)
        while chats.ask(1, high).page.rows:
            low, high = high, 4 * high
        while high - low > max(1, high // 10):
            middle = (low + high) // 2
            low, high = (middle, high) if chats.ask(1, middle).page.rows else (low, middle)
        chats.total = (low + high) // 2
    if chats.total is None:
        raise Unclear("$skip cannot show it")
    return Seen("where chats end", f"about {chats.total:,}")


SCOPES = [
    Question(f"scope for {s.name} (M16)", f"$expand={s.expand}", partial(_scope, s))
    for s in CHILDREN
]
CASINGS = [
    Question(f"key casing {where} (M2)", "the keys of all answers", partial(_casing, where))
    for where in ("without $expand", "with $expand", "inside collections")
]
IDS = [
    Question(f"id of {s.name} (M14)", "the keys of all rows", partial(_id_name, s))
    for s in (SmsChats, *CHILDREN)
]
# In this order: later ones use what earlier ones have learned.
QUESTIONS = [
    Question("scope for sms_chats", "one chat", lambda _: Seen("no 403", "present")),
    Question("organization", "one chat since start_date", _organization),
    Question("page limit (M3)", f"$top={LARGEST}", _page_limit),
    *SCOPES,
    Question("collections cut short (M15)", "the longest collections", _cut_short),
    Question("envelope (M1)", "two chats", _envelope),
    Question("nextLink (M4)", "a page that others follow", _next_link),
    Question("answer without chats (M1)", "chats of the future", _no_chats),
    Question("$orderby (M6)", "chats in both orders", _orderby),
    Question("order of chats (M6)", "the same page three times, and half of it", _order),
    Question("$skip (M5)", "a page, and the second half of it by $skip", _skip),
    Question("$filter (M19)", "chats before a time, and after it", _filters),
    *CASINGS,
    *IDS,
    Question("form of dates (M10)", "CreatedDateTime of all chats", _dates),
    Question("chats without a date (M10)", "CreatedDateTime eq null", _undated),
    Question("number of chats", "$skip past the end", _count),
]
