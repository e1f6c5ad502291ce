"""What is asked of Swell: the table QUESTIONS, at the end. W codes: docs/api-assumptions.md."""

from __future__ import annotations

import math
import typing as t
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cache, partial
from urllib.parse import parse_qsl, urlsplit

from tap_medchat_swell.check import days
from tap_medchat_swell.check.connection import announced_limit
from tap_medchat_swell.check.estimate import Estimate, described, message_requests
from tap_medchat_swell.check.questions import UNKNOWN, Question, Seen, Subject, Unclear
from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.pagination import PageLinksPaginator, PageRepeatedError
from tap_medchat_swell.record_mapper import Row, key_finder
from tap_medchat_swell.swell.api import SwellApi
from tap_medchat_swell.swell.messages import CHANGES_FORMS
from tap_medchat_swell.time_ranges import ANY_ZONE, DAY, DayRange
from tap_medchat_swell.timestamps import named_zone, now, parse_timestamp

if t.TYPE_CHECKING:
    from collections.abc import Collection

    from tap_medchat_swell.check.questions import Answer
    from tap_medchat_swell.http.rate_limiter import RateLimiter
    from tap_medchat_swell.settings import Options

LARGEST = 100  # of swell_page_size
RECENT, OLDER = 3, 4  # windows right before the newest, and spread over the history
MORE = 2  # windows of which the last page is read as well
# One zone for each set of days on which clocks change.
CLOCKS = (
    "America/New_York",
    "Europe/London",
    "Australia/Sydney",
    "Pacific/Auckland",
    "America/Santiago",
)
NEEDED = 5  # messages for a claim about all
MOST = 0.7  # of them
NEAR, QUARTER = timedelta(minutes=2), timedelta(minutes=15)
WEEK = 7 * DAY
UNAUTHORIZED = (401, 403, 422)
READ_SAFELY = "Nothing can be read safely: report it to Swell."

_created_at, _date_sent = key_finder("created_at"), key_finder("date_sent")
_contact_id = key_finder("contact_id")


class Messages(Subject):
    """What probes share: all rows that came by id, and the windows of days asked for at first.

    `at` is the time by Swell's clock. Set once it is known: `page_rows`, how many messages a page
    has; `endings` of ranges and `offsets` of their zone that fit all answers; `has_counts`.
    """

    name = "Swell"

    def __init__(self, options: Options, limiter: RateLimiter, selected: Collection[str]) -> None:
        self.api = SwellApi(options, limiter)
        super().__init__(options.swell_api_url, self.api.client, options, selected)
        self.limiter = limiter
        self.width = options.swell_window_days * DAY
        self.at = now()
        self.rows: dict[int, Row] = {}
        self.windows: list[tuple[DayRange, Answer]] = []
        self.page_rows = options.swell_page_size
        self.endings: set[str] = set()
        self.offsets: set[timedelta] = set()
        self.has_counts = False

    def ask(self, asked: DayRange, page: int = 1, contact: object = None) -> Answer:
        """A page of messages, of one contact only if one is given."""
        request = self.api.messages(asked, page, self.options.swell_page_size)
        if str(contact).isdecimal():
            request = replace(request, url=f"{request.url}&contact_id={contact}")
        return self.send(request)

    def sample(self, asked: DayRange, page: int = 1) -> None:
        """Ask for a page whose messages probes may look at."""
        answer = self.ask(asked, page)
        self.rows |= zip(answer.page.ids, answer.page.rows, strict=True)
        if page == 1:
            self.windows.append((asked, answer))

    def access(self) -> None:
        """Ask for the last days; without those that may be refused if need be (W3)."""
        try:
            self.sample(DayRange(self.at.date() - self.width, self.at.date()))
        except VendorError as error:
            if not error.is_refusal:
                raise
            self.sample(DayRange(self.settled - self.width, self.settled))
        self.at = now() + self.client.clock_offset

    def read(
        self, asked: DayRange, contact: object = None, most: int = 3
    ) -> tuple[PageLinksPaginator, bool]:
        """What came of a range, and whether it is certainly all of it."""
        paginator = PageLinksPaginator(self.options.swell_page_size)
        while not paginator.finished:
            if paginator.count == most:
                return paginator, False
            try:
                paginator.advance(self.ask(asked, paginator.current_value, contact).page)
            except PageRepeatedError:
                return paginator, False
        return paginator, paginator.is_single or paginator.totals == {len(paginator.ids)}

    @property
    def settled(self) -> date:
        """The newest day that has ended in every zone, and whose messages have come."""
        return self.at.date() - 2 * DAY

    @property
    def fullest(self) -> tuple[DayRange, Answer]:
        """The window with the most messages on its first page, none of the last days."""
        settled = [window for window in self.windows if window[0].last <= self.settled]
        return max(settled or self.windows, key=lambda window: len(window[1].page.ids))

    def rows_by_stream(self) -> dict[str, list[Row]]:
        """All messages that came."""
        return {"swell_messages": [*self.rows.values()]}

    def estimate(self) -> Estimate | None:
        """From the totals and times of the windows; None if nothing tells how many pages follow."""
        pages = [answer.page for _, answer in self.windows]
        is_open = any(page.total is None and len(page.ids) >= self.page_rows for page in pages)
        if not pages or not self.seconds or is_open:
            return None
        options = self.options
        sizes = [len(page.ids) if page.total is None else page.total for page in pages]
        per_day = sum(sizes) / sum((asked.last - asked.first).days + 1 for asked, _ in self.windows)
        history = ((options.end_date or self.at).date() - options.start_date.date()).days + 1
        split = {"location": options.swell_location_ids, "team": options.swell_team_ids}
        each = len(split.get(options.swell_counts_split, ("all",)))
        each *= "swell_message_counts" in self.selected
        found = described(
            {"messages": per_day * history},
            message_requests(per_day, history, self.page_rows, each, options),
            self.seconds[: len(pages)],
            options,
            announced_limit(self.client),
        )
        if options.swell_page_size == self.page_rows < LARGEST:
            found["advice"].insert(0, f"swell_page_size: {LARGEST}, for fewer requests.")
        return found


def created(row: Row) -> datetime | None:
    """When a message was created, if it says so."""
    return parse_timestamp(_created_at(row))


# Windows of days


def _samples(messages: Messages) -> Seen:
    width = messages.width
    start, newest = messages.options.start_date.date(), messages.windows[0][0].first - DAY
    recent = [newest - number * (width + DAY) for number in range(RECENT)]
    span = (recent[-1] - start) // (OLDER + 1)
    older = [recent[-1] - (number + 1) * span for number in range(OLDER)] if span > width else []
    for last in (*recent, *older):
        if last >= start:
            messages.sample(DayRange(last - width, last))
    where = f"in {len(messages.windows)} windows"
    if messages.rows:
        return Seen(f"{len(messages.rows)} messages {where}", "there are some")
    meaning = "Check start_date and swell_location_ids if there should be some."
    return Seen(f"none {where}", "none", meaning, "warning")


@cache
def _ignores_days(messages: Messages) -> bool | None:
    """Whether other days bring the same messages; None without two windows to compare."""
    windows = [(asked, {*answer.page.ids}) for asked, answer in messages.windows]
    pairs = [
        (ids, other_ids)
        for asked, ids in windows
        for other, other_ids in windows
        if asked.first - other.last > ANY_ZONE and ids
    ]
    return any(2 * len(one & other) > len(one) for one, other in pairs) if pairs else None


def _dates_obeyed(messages: Messages) -> Seen:
    is_ignored = _ignores_days(messages)
    if is_ignored:
        return Seen("the same messages for other days", "ignored", READ_SAFELY, "problem")
    for asked, answer in messages.windows:
        times = filter(None, map(created, answer.page.rows))
        if not all(asked.is_near(str(time.date())) for time in times):
            raise Unclear("messages of other days")
    if is_ignored is None:
        raise Unclear("too few messages")
    return Seen("other messages for other days", "obeyed")


# Pages


def _page_limit(messages: Messages) -> Seen:
    asked = messages.options.swell_page_size
    window, answer = messages.fullest
    count, text = len(answer.page.ids), str(_meta(answer).get("per_page"))
    said = int(text) if text.isdecimal() else 0
    seen = f"{count} messages in a page"
    if asked in {count, said}:
        return Seen(seen, f"{asked} or more")
    if 0 < said < asked:
        messages.page_rows = said
    elif not said and count and {*messages.ask(window, 2).page.ids} - {*answer.page.ids}:
        messages.page_rows = count
    else:
        raise Unclear(f"{count} messages and no more")
    return Seen(seen, f"{messages.page_rows}, silently", "The tap pages on.")


def _meta(answer: Answer) -> dict[str, t.Any]:
    meta = answer.document.get("meta")
    return meta if isinstance(meta, dict) else {}


def _links(messages: Messages) -> Seen:
    links = messages.fullest[1].document.get("links")
    if not isinstance(links, dict):
        return Seen("no links", "absent", "The tap does not need them.")
    texts = [str(links[key]) for key in ("next", "first", "last", "prev") if links.get(key)]
    if not texts:
        return Seen("no address", "all null", "The tap does not need them.")
    parts, own = urlsplit(texts[0]), urlsplit(messages.url)
    names = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    what = "the whole query" if names - {"page", "token"} else "only the page"
    token = "with the token" if "token" in names else "without the token"
    host = "this host" if parts.netloc == own.netloc else "another host"
    text = f"{what}, {token}, {host}, {parts.scheme or 'relative'}"
    return Seen("addresses", text, "The tap never follows them.")


def _total(messages: Messages) -> Seen:
    window, answer = messages.fullest
    if answer.page.total is None:
        text = "meta without total" if _meta(answer) else "no meta"
        return Seen(text, f"absent: {text}", "The tap pages to the end.")
    known = sorted(time.date() for time in map(created, messages.rows.values()) if time)
    if known and known[0] < messages.settled:
        window = DayRange(known[0], known[0] + DAY)
    found, is_all = messages.read(window)
    number, total = len(found.ids), max(found.totals, default=0)
    seen = f"{number} messages from {window}, total {total}"
    if is_all and total == number:
        return Seen(seen, "right")
    if not (is_all and found.is_single):
        raise Unclear(f"{seen}, in several pages")
    meaning = "Windows are read again, until the tap believes that it counts something else."
    return Seen(seen, f"off by {total - number:+}", meaning, "warning")


def _order(messages: Messages) -> Seen:
    window, answer = messages.fullest
    ids, again = answer.page.ids, messages.ask(window).page.ids
    times = [*filter(None, map(created, answer.page.rows))]
    if len({*ids}) < NEEDED:
        raise Unclear("too few messages")
    if again != ids:
        meaning = "The tap compares with meta.total and reads windows again."
        return Seen("another order", "changes on every request", meaning, "warning")
    if times and len({*times}) < NEEDED:
        raise Unclear("too few times of creation")
    orders: list[tuple[list[t.Any], str, str]] = [
        (times, "oldest first", "latest first"),
        (ids, "by id", "by id, highest first"),
    ]
    for values, rising, falling in orders:
        if values and values == sorted(values):
            return Seen("the same page", rising)
        if times and values == sorted(values, reverse=True):
            return Seen("the same page", falling)
    if not times:
        raise Unclear("too few times of creation")
    return Seen("the same page", "in no visible order")


# Credentials


def _no_token(messages: Messages) -> Seen:
    status, seen, _ = _in_header(messages, "")
    return Seen(seen, str(status or UNKNOWN))


def _bearer(messages: Messages) -> Seen:
    if _in_header(messages, "")[0] not in UNAUTHORIZED:
        raise Unclear("requests without the token are not refused as such")
    status, seen, ids = _in_header(messages, messages.options.swell_api_token)
    if status in UNAUTHORIZED:
        return Seen(seen, "refused")
    if ids is None:
        raise Unclear(seen)
    if ids != {*messages.fullest[1].page.ids}:
        raise Unclear("other messages than with the token in the URL")
    is_set = messages.options.swell_token_placement == "header"  # noqa: S105 - no password
    meaning = "Set swell_token_placement: header. The token is then in no URL and no proxy log."
    return Seen("the same messages", "accepted", "" if is_set else meaning)


@cache
def _in_header(messages: Messages, token: str) -> tuple[int | None, str, set[int] | None]:
    """With a token in the header: the status of a refusal, what was seen, the ids that came."""
    changes: dict[str, t.Any] = {"swell_token_placement": "header", "swell_api_token": token}
    api = SwellApi(replace(messages.options, **changes), messages.limiter)
    request = api.messages(messages.fullest[0], 1, messages.options.swell_page_size)
    with closing(api.client):
        try:
            return None, "messages", {*messages.send(request, api.client).page.ids}
        except VendorError as error:
            seen = f"a refusal ({error.status})" if error.status else str(error)
            return error.status, seen, None


def _changes(messages: Messages) -> Seen:
    forms = [form for form in CHANGES_FORMS if _takes(messages, form)]
    if not forms:
        meaning = "Late changes are seen within swell_lookback_days only."
        return Seen("all are refused", "refused", meaning, "warning")
    if _takes(messages, "nonsense"):
        raise Unclear("nonsense is accepted as well")
    names = (form.replace("%M", "i").replace("%S", "s").replace("%", "") for form in forms)
    return Seen(f"{len(forms)} accepted", ", ".join(names))


def _takes(messages: Messages, form: str) -> bool:
    try:
        messages.send(messages.api.changes(f"{messages.at - 2 * DAY:{form}}", 1, 1))
    except VendorError as error:
        if error.is_refusal:
            return False
        raise
    return True


# Days


@cache
def _narrowed(messages: Messages) -> str:
    """Find out what days may mean; in words how far that is known.

    The last pages of some full windows are read first, for the other end of their days.
    """
    if _ignores_days(messages):
        raise Unclear("days are ignored")
    pages = [(asked, answer.page) for asked, answer in messages.windows[1:]]
    full = [(asked, page) for asked, page in pages if len(page.ids) >= messages.page_rows]
    for asked, page in full[:MORE]:
        messages.sample(asked, math.ceil((page.total or 0) / len(page.ids)) or 2)
    is_in = partial(_is_in, messages)
    left, number = days.narrowed(_questions(messages), is_in, messages.at)
    messages.endings, messages.offsets = {one.ending for one in left}, {one.offset for one in left}
    return f"{number} answers fit {len(left)} of {len(days.HYPOTHESES)} readings"


def _questions(messages: Messages) -> list[days.Question]:
    """Questions about settled messages at many times of the day, with the clocks as of the last."""
    settled = sorted(
        (time, number)
        for number, row in messages.rows.items()
        if (time := created(row)) and time.date() < messages.settled
    )
    seasons = [_season(messages.rows[number]) for _, number in settled]
    by_time = {
        (time.hour, time.minute // 15): (number, time)
        for (time, number), season in zip(settled, seasons, strict=True)
        if season == seasons[-1]
    }
    return days.questions(by_time.values())


def _season(row: Row) -> tuple[timedelta | None, ...]:
    """Equal for messages between which no zone has changed its clocks."""
    time = created(row)
    zones = filter(None, map(named_zone, CLOCKS))
    return _offset(row), *(time.astimezone(zone).utcoffset() for zone in zones if time)


def _offset(row: Row) -> timedelta | None:
    """The offset from UTC with which created_at is written."""
    text = _created_at(row)
    instant, wall = parse_timestamp(text), parse_timestamp(str(text)[:19])
    return wall - instant if wall and instant else None


def _is_in(messages: Messages, question: days.Question) -> bool | None:
    contact = _contact_id(messages.rows[question.number])
    found, is_all = messages.read(question.days, contact, most=2)
    return question.number in found.ids or (False if is_all else None)


def _ending(messages: Messages) -> Seen:
    seen = _narrowed(messages)
    if len(messages.endings) != 1:
        raise Unclear(seen)
    [ending] = messages.endings
    return Seen(seen, ending, "Neighboring windows share a day.")


def _zone(messages: Messages) -> Seen:
    seen = _narrowed(messages)
    if len(messages.offsets) != 1:
        meaning = "Messages do not depend on it; counts are by Swell's days."
        return Seen(seen, UNKNOWN, meaning)
    [offset] = messages.offsets
    is_written = offset and offset in map(_offset, messages.rows.values())
    text = days.offset_text(offset) + (", as created_at" if is_written else "")
    return Seen(seen, text, "Counts are by these days; messages do not depend on it.")


def _week(messages: Messages) -> Seen:
    last = messages.settled
    return _accepted(messages, last - WEEK, last, "The tap asks for 6 days' difference.")


def _tomorrow(messages: Messages) -> Seen:
    future = (messages.at + timedelta(hours=14)).date() + DAY
    return _accepted(messages, future - 3 * DAY, future, "The tap drops the day.")


def _today(messages: Messages) -> Seen:
    todays = {(messages.at + offset).date() for offset in messages.offsets}
    if len(todays) != 1:
        raise Unclear("when today begins is unknown")
    [today] = todays
    return _accepted(messages, today - 3 * DAY, today, "Messages of today come the next night.")


def _accepted(messages: Messages, first: date, last: date, meaning: str) -> Seen:
    try:
        messages.ask(DayRange(first, last))
    except VendorError as error:
        if error.is_refusal:
            return Seen(f"a refusal ({error.status}), {first} to {last}", "refused", meaning)
        raise
    return Seen(f"an answer, {first} to {last}", "accepted")


# Times of messages


def _created_at_comes(messages: Messages) -> Seen:
    number = len(messages.rows)
    has = sum(_created_at(row) is not None for row in messages.rows.values())
    if number < NEEDED:
        raise Unclear("too few messages")
    seen = f"{has} of {number} messages have it"
    if has == number:
        return Seen(seen, "in all")
    meaning = "start_date is exact only for messages that have it."
    return Seen(seen, "in some" if has else "in none", meaning)


def _date_sent_zone(messages: Messages) -> Seen:
    rows = [*messages.rows.values()]
    values = [_date_sent(row) for row in rows]
    named = sum(isinstance(value, dict) and bool(value.get("timezone")) for value in values)
    if named and named >= MOST * len(rows):
        return Seen("an object with a time zone", "says its own zone", "The tap uses it.")
    gaps = [
        (sent - time, _offset(row))
        for row, value in zip(rows, values, strict=True)
        if (sent := parse_timestamp(value)) and (time := created(row))
    ]
    if len(gaps) < NEEDED:
        raise Unclear("too few messages have both")
    steps = [QUARTER * round(gap / QUARTER) for gap, _ in gaps]
    shared = Counter(s for s, (gap, _) in zip(steps, gaps, strict=True) if abs(gap - s) < NEAR)
    offset, size = max(shared.items(), key=lambda item: item[1], default=(QUARTER, 0))
    is_shared, seen = size >= MOST * len(gaps), f"the same in {size} of {len(gaps)} messages"
    if is_shared and (not offset or messages.offsets == {offset}):
        return _date_sent_is(messages, offset, seen)
    if sum(own is not None and abs(gap - own) < NEAR for gap, own in gaps) >= MOST * len(gaps):
        newest = max(rows, key=lambda row: str(created(row) or ""))
        return _date_sent_is(messages, _offset(newest) or offset, "that of created_at")
    if is_shared:
        return Seen(f"{seen}: {offset}", UNKNOWN, f"Perhaps {days.offset_text(offset)}.")
    raise Unclear("no difference that most messages share")


def _date_sent_is(messages: Messages, offset: timedelta, seen: str) -> Seen:
    newest = max(filter(None, map(created, messages.rows.values())))
    text = days.offset_text(offset)
    if newest.astimezone(messages.options.swell_date_sent_timezone).utcoffset() == offset:
        return Seen(seen, text)
    meaning = f"Set swell_date_sent_timezone to the IANA name of your zone that is {text} now."
    return Seen(seen, text, meaning if offset else "Set swell_date_sent_timezone: UTC.", "warning")


# Counts


def _counts_scope(messages: Messages) -> Seen:
    options = messages.options
    try:
        messages.send(messages.api.counts(messages.settled, *_places(options)))
    except VendorError as error:
        is_wanted, sentence = "swell_message_counts" in messages.selected, str(error)
        verdict: t.Any = "problem" if is_wanted else "warning"
        return Seen(sentence, "missing or not answered", sentence, verdict)
    messages.has_counts = True
    return Seen("an answer of 200", "present")


def _places(options: Options) -> tuple[str, str]:
    return ",".join(options.swell_location_ids), ",".join(options.swell_team_ids)


def _counts(by: str, messages: Messages) -> Seen | None:
    """What `date`, or a range of a single day, means."""
    if not messages.has_counts:
        return None
    days_and_sizes = _counted_days(messages)
    if not days_and_sizes:
        raise Unclear("no two days with different numbers of messages")
    sizes = [*days_and_sizes.values()]

    def told(extra: timedelta = 0 * DAY) -> list[int]:
        return [_count(messages, by, day, day + extra) for day in days_and_sizes]

    first, second = told()
    seen = f"counts {first} and {second}, messages {sizes[0]} and {sizes[1]}"
    use = "Set swell_counts_parameters: range." if by == "date" else ""
    if [first, second] == sizes:
        return Seen(seen, "that day" if by == "date" else "includes to_date")
    if by == "date" and first == second:
        return Seen(seen, "ignored, or always today", use, "warning")
    if by == "range" and first == second == 0 and told(DAY) == sizes:
        is_used = messages.options.swell_counts_parameters == by
        meaning = f"{'Set' if is_used else 'Keep'} swell_counts_parameters: date."
        return Seen(seen, "excludes to_date", meaning, "warning" if is_used else "ok")
    if second - first == sizes[1] and first > sizes[0]:
        return Seen(seen, "cumulative: all up to that day", use, "warning")
    raise Unclear(seen)


def _count(messages: Messages, by: str, first: date, last: date) -> int:
    """Received and sent together."""
    dates = {"from_date": str(first), "to_date": str(last)} if by == "range" else {by: str(first)}
    page = messages.send(messages.api.count(dates, *_places(messages.options))).page
    return sum(number or 0 for number in page.numbers)


@cache
def _counted_days(messages: Messages) -> dict[date, int]:
    """Neighboring days with different numbers of messages, none zero, as from_date means them."""
    options = messages.options
    is_partial = options.swell_contact_ids or options.swell_status  # counts know neither
    # In the evening, up to now is all of a day, too.
    endings = ({days.INCLUSIVE}, {days.EXCLUSIVE}, {days.INCLUSIVE, days.UP_TO_NOW})
    if is_partial or messages.endings not in endings:
        return {}
    offset = min(messages.offsets)  # any of them will do to choose days
    times = filter(None, map(created, messages.rows.values()))
    busy = Counter((time + offset).date() for time in times)
    pairs = [
        (day, day + DAY)
        for day in busy
        if day + 2 * DAY < messages.settled and 0 < busy[day] != busy[day + DAY] > 0
    ]
    pair = min(pairs, key=lambda pair: busy[pair[0]] + busy[pair[1]], default=())
    extra = DAY * (messages.endings == {days.EXCLUSIVE})
    read = [messages.read(DayRange(day, day + extra)) for day in pair]
    is_known = all(is_all for _, is_all in read)
    return {d: len(found.ids) for d, (found, _) in zip(pair, read, strict=True)} if is_known else {}


# In this order: later ones use what earlier ones have learned.
QUESTIONS = [
    Question("scope for swell_messages", "messages", lambda _: Seen("no 403", "present")),
    Question("messages", "the last weeks, and some older ones", _samples),
    Question("from_date and to_date (W22)", "windows of other days", _dates_obeyed),
    Question("page limit (W11)", "a page of swell_page_size", _page_limit),
    Question("links (W8)", "the links of a page", _links),
    Question("meta.total (W9)", "all messages of two days", _total),
    Question("order of messages (W10)", "the same page twice", _order),
    Question("answer without a token (W17)", "messages without the token", _no_token),
    Question("token as a Bearer header (W17)", "token in the header only", _bearer),
    Question("updated_after format (W12)", "four formats, and nonsense", _changes),
    Question("scope for swell_message_counts", "the count of a day", _counts_scope),
    Question("to_date (W1)", "days around single messages", _ending),
    Question("zone of days (W4)", "days around single messages", _zone),
    Question("created_at (W6)", "all messages", _created_at_comes),
    Question("zone of date_sent (W5)", "date_sent minus created_at", _date_sent_zone),
    Question("7 days' difference (W2)", "a range of that", _week),
    Question("to_date tomorrow (W3)", "a range up to tomorrow", _tomorrow),
    Question("to_date today (W3)", "a range up to today", _today),
    Question("count by date (W14)", "two days and their messages", partial(_counts, "date")),
    Question("count by from_date and to_date (W14)", "the same days", partial(_counts, "range")),
]
