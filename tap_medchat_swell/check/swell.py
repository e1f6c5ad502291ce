"""What is asked of Swell, and what the answers prove. W codes: docs/api-assumptions.md."""

from __future__ import annotations

import functools
import math
import typing as t
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

from tap_medchat_swell.check import connection, days, estimate
from tap_medchat_swell.check.findings import UNKNOWN, Asker, Finding, VendorCheck, gather
from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.pagination import PageLinksPaginator, PageRepeatedError
from tap_medchat_swell.record_mapper import Row, key_finder
from tap_medchat_swell.swell.api import SwellApi
from tap_medchat_swell.swell.messages import CHANGES_FORMS
from tap_medchat_swell.time_ranges import ANY_ZONE, DAY, DayRange
from tap_medchat_swell.timestamps import named_zone, now, parse_timestamp

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from tap_medchat_swell.check.findings import Answer, Verdict
    from tap_medchat_swell.http.rate_limiter import RateLimiter
    from tap_medchat_swell.settings import Options
    from tap_medchat_swell.swell.responses import MessagePage

found = functools.partial(Finding, "Swell")
OLDER = 4  # windows that are spread over the history
RECENT = 3
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
MAX_QUESTIONS = 12
NEAR = timedelta(minutes=2)
WEEK = 7
UNAUTHORIZED = (401, 403, 422)

_created_at, _date_sent = key_finder("created_at"), key_finder("date_sent")
_contact_id = key_finder("contact_id")


@dataclass
class Messages:
    """What the probes share.

    `at` is the time by Swell's clock. `windows` were asked for in the beginning, newest first;
    `more` are later pages of some.
    """

    api: SwellApi
    asker: Asker
    options: Options
    limiter: RateLimiter
    selected: Collection[str]
    at: datetime
    windows: list[tuple[DayRange, Answer]] = field(default_factory=list)
    more: list[MessagePage] = field(default_factory=list)
    ending: str = ""
    offsets: set[timedelta] = field(default_factory=set)  # that the zone of days may have
    page_rows: int = 0
    has_counts: bool = False

    def ask(self, asked: DayRange, page: int = 1, contact: object = None) -> Answer:
        """A page of messages, of one contact only if one is given."""
        request = self.api.messages(asked, page, self.options.swell_page_size)
        if str(contact).isdecimal():
            request = replace(request, url=f"{request.url}&contact_id={contact}")
        return self.asker.ask(request)

    def read(
        self, asked: DayRange, contact: object = None, most: int = 3
    ) -> tuple[dict[int, Row], bool]:
        """Messages by id, and whether these are certainly all."""
        paginator = PageLinksPaginator(self.options.swell_page_size)
        rows: dict[int, Row] = {}
        while not paginator.finished:
            if paginator.count == most:
                return rows, False
            page = self.ask(asked, paginator.current_value, contact).page
            rows |= zip(page.ids, page.rows, strict=True)
            try:
                paginator.advance(page)
            except PageRepeatedError:
                return rows, False
        return rows, paginator.is_single or paginator.totals == {len(rows)}

    @property
    def rows(self) -> dict[int, Row]:
        """All messages of the windows by id."""
        pages = [*(answer.page for _, answer in self.windows), *self.more]
        return {
            number: row for page in pages for number, row in zip(page.ids, page.rows, strict=True)
        }

    @property
    def fullest(self) -> tuple[DayRange, Answer]:
        """The window with the most messages on its first page, none of the last days."""
        settled = [window for window in self.windows if window[0].last <= _settled(self)]
        return max(settled or self.windows, key=lambda window: len(window[1].page.ids))

    @property
    def offset(self) -> timedelta | None:
        """The offset of the zone of days, if it is certain."""
        return next(iter(self.offsets)) if len(self.offsets) == 1 else None


def check(options: Options, limiter: RateLimiter, selected: Collection[str]) -> VendorCheck:
    """Ask Swell, and say what the answers prove."""
    api = SwellApi(options, limiter)
    messages = Messages(api, Asker(api.client), options, limiter, selected, now())
    result = VendorCheck("Swell", options.swell_api_url)
    result.findings += gather("Swell", PROBES, messages)
    result.findings += connection.ending("Swell", api.client)
    result.rows = {"swell_messages": [*messages.rows.values()]}
    result.estimate = _estimate(messages)
    result.requests = api.client.requests_sent
    api.client.close()
    return result


def created(row: Row) -> datetime | None:
    """When a message was created, if it says so."""
    return parse_timestamp(_created_at(row))


def _settled(messages: Messages) -> date:
    """The newest day that has ended in every zone, and whose messages have come."""
    return messages.at.date() - 2 * DAY


def access(messages: Messages) -> Iterator[Finding]:
    """Messages of the last days."""
    width = messages.options.swell_window_days * DAY
    last = messages.at.date()
    try:
        answer = messages.ask(DayRange(last - width, last))
    except VendorError as error:
        if not error.is_refusal:
            raise
        last = _settled(messages)  # today may be refused (W3)
        answer = messages.ask(DayRange(last - width, last))
    messages.windows.append((DayRange(last - width, last), answer))
    messages.at = now() + messages.api.client.clock_offset
    placement = messages.options.swell_token_placement
    yield from connection.reached("Swell", messages.options.swell_api_url, messages.api.client)
    yield found("token", f"messages, token in the {placement}", "200", "accepted")
    yield found("scope for swell_messages", "messages", "no 403", "present")


def samples(messages: Messages) -> Iterator[Finding]:
    """Messages of the last weeks, and of some older ones."""
    width = messages.options.swell_window_days * DAY
    newest = messages.windows[0][0].first - DAY
    start = messages.options.start_date.date()
    recent = [newest - number * (width + DAY) for number in range(RECENT)]
    span = (recent[-1] - start) // (OLDER + 1)
    older = [recent[-1] - (number + 1) * span for number in range(OLDER)] if span > width else []
    for last in (*recent, *older):
        if last >= start:
            asked = DayRange(last - width, last)
            messages.windows.append((asked, messages.ask(asked)))
    number = len(messages.rows)
    some = functools.partial(found, "messages", f"{len(messages.windows)} windows of days")
    if number:
        yield some(f"{number} messages", "there are some")
    else:
        meaning = "Check start_date and swell_location_ids if there should be some."
        yield some("none", "none", meaning, "warning")
    yield _dates_obeyed(messages)


def _dates_obeyed(messages: Messages) -> Finding:
    dates = functools.partial(found, "from_date and to_date (W22)", "windows of other days")
    windows = [(asked, answer.page) for asked, answer in messages.windows]
    pairs = [
        (set(one.ids), set(other.ids))
        for asked, one in windows
        for days_apart, other in windows
        if asked.first - days_apart.last > ANY_ZONE and one.ids
    ]
    strays = any(
        (time := created(row)) and not asked.is_near(str(time.date()))
        for asked, page in windows
        for row in page.rows
    )
    if any(2 * len(one & other) > len(one) for one, other in pairs):
        meaning = "Nothing can be read safely: report it to Swell."
        return dates("the same messages for other days", "ignored", meaning, "problem")
    if pairs and not strays:
        return dates("other messages for other days", "obeyed")
    return dates("messages of other days" if strays else "too few messages")


def page_limit(messages: Messages) -> Iterator[Finding]:
    """How many messages a page has."""
    asked = messages.options.swell_page_size
    limit = functools.partial(found, "page limit (W11)", f"per_page={asked}")
    window, answer = messages.fullest
    count, text = len(answer.page.ids), str(_meta(answer).get("per_page"))
    said = int(text) if text.isdecimal() else 0
    messages.page_rows = asked
    if asked in {count, said}:
        yield limit(f"{count} messages in a page", f"{asked} or more")
        return
    if 0 < said < asked:
        messages.page_rows = said
    elif not said and count and set(messages.ask(window, 2).page.ids) - set(answer.page.ids):
        messages.page_rows = count
    else:
        yield limit(f"{count} messages and no more")
        return
    reading = f"{messages.page_rows}, silently"
    yield limit(f"{count} messages in a page", reading, "The tap pages on.")


def _meta(answer: Answer) -> dict[str, t.Any]:
    meta = answer.document.get("meta")
    return meta if isinstance(meta, dict) else {}


def envelope(messages: Messages) -> Iterator[Finding]:
    """A few days with messages, all their pages."""
    answer = messages.fullest[1]
    yield _links(messages, answer.document.get("links"))
    window = _few_days(messages)
    meta, page = _meta(answer), messages.ask(window).page
    counts = functools.partial(found, "meta.total (W9)", f"messages of {window}")
    if page.total is None:
        text = "no meta" if not meta else "meta without total"
        yield counts(text, f"absent: {text}", "The tap pages to the end.")
        return
    rows, is_all = messages.read(window)
    if page.total == len(rows) and is_all:
        yield counts(f"{len(rows)} messages, total {page.total}", "right")
    elif is_all and len(rows) == len(set(page.ids)):
        seen = f"{len(rows)} messages, total {page.total}"
        meaning = "Windows are read again, until the tap believes that it counts something else."
        yield counts(seen, f"off by {page.total - len(rows):+}", meaning, "warning")
    else:
        yield counts(f"{len(rows)} messages in several pages, total {page.total}")


def _few_days(messages: Messages) -> DayRange:
    """Two days around a message; without any created_at, the fullest window."""
    times = sorted(time.date() for row in messages.rows.values() if (time := created(row)))
    settled = [day for day in times if day < _settled(messages)]
    return DayRange(settled[0], settled[0] + DAY) if settled else messages.fullest[0]


def _links(messages: Messages, links: object) -> Finding:
    form = functools.partial(found, "links (W8)", "the links of a page")
    if not isinstance(links, dict):
        return form("no links", "absent", "The tap does not need them.")
    texts = [str(links[key]) for key in ("next", "first", "last", "prev") if links.get(key)]
    if not texts:
        return form("no address", "all null", "The tap does not need them.")
    parts, own = urlsplit(texts[0]), urlsplit(messages.options.swell_api_url)
    names = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}
    what = "the whole query" if names - {"page", "token"} else "only the page"
    token = "with the token" if "token" in names else "without the token"
    host = "this host" if parts.netloc == own.netloc else "another host"
    text = f"{what}, {token}, {host}, {parts.scheme or 'relative'}"
    return form("addresses", text, "The tap never follows them.")


def order(messages: Messages) -> Iterator[Finding]:
    """The same page twice."""
    window, answer = messages.fullest
    again = messages.ask(window).page
    ids, times = answer.page.ids, [created(row) for row in answer.page.rows]
    known = [time for time in times if time]
    kept = functools.partial(found, "order of messages (W10)", f"messages of {window}, twice")
    if len(set(ids)) < NEEDED:
        yield kept("too few messages")
    elif again.ids != ids:
        meaning = "The tap compares with meta.total and reads windows again."
        yield kept("another order", "changes on every request", meaning, "warning")
    elif reading := _order(known, ids):
        yield kept("the same page", reading)
    else:
        yield kept("too few times of creation")


def _order(known: list[datetime], ids: list[int]) -> str:
    """The order that a page shows; "" if too few of its messages have times of their own."""
    if known and len(set(known)) < NEEDED:
        return ""
    orders: list[tuple[list[t.Any], str, str]] = [
        (known, "oldest first", "latest first"),
        (ids, "by id", "by id, highest first"),
    ]
    for values, rising, falling in orders:
        if values and values == sorted(values):
            return rising
        if known and values == sorted(values, reverse=True):
            return falling
    return "in no visible order" if known else ""


def ranges(messages: Messages) -> Iterator[Finding]:
    """Days with and without a known message."""
    ending = functools.partial(found, "to_date (W1)", "days around single messages")
    zone = functools.partial(found, "zone of days (W4)", "days around single messages")
    _add_pages(messages)
    rows = messages.rows
    left, number = _narrowed(messages, rows)
    seen = f"{number} answers fit {len(left)} of {len(days.HYPOTHESES)} readings"
    endings, messages.offsets = {one.ending for one in left}, {one.offset for one in left}
    if len(endings) == 1:
        messages.ending = endings.pop()
        yield ending(seen, messages.ending, "Neighboring windows share a day.")
    else:
        yield ending(seen)
    if messages.offset is not None:
        text = days.offset_text(messages.offset)
        if messages.offset in _printed(rows) and messages.offset:
            text += ", as created_at"
        yield zone(seen, text, "Counts are by these days; messages do not depend on it.")
    else:
        yield zone(seen, meaning="Messages do not depend on it; counts are by Swell's days.")


def _add_pages(messages: Messages) -> None:
    """The last pages of some full windows: the other end of their days."""
    full = [
        (asked, answer.page)
        for asked, answer in messages.windows[1:]
        if len(answer.page.ids) >= messages.page_rows > 0
    ]
    for asked, page in full[:MORE]:
        last = math.ceil((page.total or 0) / len(page.ids)) or 2
        messages.more.append(messages.ask(asked, last).page)


def _printed(rows: dict[int, Row]) -> set[timedelta]:
    """The offsets of created_at as they are written."""
    return {offset for row in rows.values() if (offset := _written(row)[1]) is not None}


def _written(row: Row) -> tuple[datetime | None, timedelta | None]:
    """created_at on the clock that it is written in, and that clock's offset."""
    text = _created_at(row)
    instant, wall = parse_timestamp(text), parse_timestamp(str(text)[:19])
    return wall, wall - instant if wall and instant else None


def _narrowed(messages: Messages, rows: dict[int, Row]) -> tuple[list[days.Hypothesis], int]:
    """The hypotheses that fit all answers, and how many answers there were."""
    asked, left, number = _questions(messages, rows), list(days.HYPOTHESES), 0
    while number < MAX_QUESTIONS and (question := days.best(left, asked, messages.at)):
        number += 1
        answer = _is_in(messages, question, rows)
        asked = [other for other in asked if answer is not None or other.number != question.number]
        if answer is not None:
            left = days.surviving(left, question, messages.at, answer=answer)
    for question in days.confirming(left[0], asked[::-1], messages.at) if left else ():
        number += 1
        answer = _is_in(messages, question, rows)
        left = days.surviving(left, question, messages.at, answer=answer is True)
    return left, number


def _questions(messages: Messages, rows: dict[int, Row]) -> list[days.Question]:
    """Questions about settled messages at many times of the day, with the clocks as of the last."""
    settled = sorted(
        (time, number)
        for number, row in rows.items()
        if (time := created(row)) and time.date() < _settled(messages)
    )
    if not settled:
        return []
    season = _season(rows[settled[-1][1]])
    by_time = {
        (time.hour, time.minute // 15): (number, time)
        for time, number in settled
        if _season(rows[number]) == season
    }
    return days.questions(by_time.values())


def _season(row: Row) -> tuple[timedelta | None, ...]:
    """Equal for messages between which no zone has changed its clocks."""
    time = created(row)
    zones = filter(None, map(named_zone, CLOCKS))
    return _written(row)[1], *(time.astimezone(zone).utcoffset() for zone in zones if time)


def _is_in(messages: Messages, question: days.Question, rows: dict[int, Row]) -> bool | None:
    contact = _contact_id(rows[question.number])
    there, is_all = messages.read(question.days, contact, most=2)
    return question.number in there or (False if is_all else None)


def limits(messages: Messages) -> Iterator[Finding]:
    """Ranges of a week, up to today, and into the future."""
    last = _settled(messages)
    todays = {(messages.at + offset).date() for offset in messages.offsets}
    future = (messages.at + timedelta(hours=14)).date() + DAY
    week, drops = "The tap asks for 6 days' difference.", "The tap drops the day."
    yield _accepted(messages, "7 days' difference (W2)", last - WEEK * DAY, last, week)
    yield _accepted(messages, "to_date tomorrow (W3)", future - 3 * DAY, future, drops)
    if len(todays) != 1:
        yield found("to_date today (W3)", "today", "when today begins is unknown")
    else:
        today, later = todays.pop(), "Messages of today come the next night."
        yield _accepted(messages, "to_date today (W3)", today - 3 * DAY, today, later)


def _accepted(messages: Messages, question: str, first: date, last: date, meaning: str) -> Finding:
    accepted = functools.partial(found, question, f"{first} to {last}")
    try:
        messages.ask(DayRange(first, last))
    except VendorError as error:
        if error.is_refusal:
            return accepted(f"a refusal ({error.status})", "refused", meaning)
        return accepted(str(error))
    return accepted("200", "accepted")


def changes(messages: Messages) -> Iterator[Finding]:
    """Messages changed in the last two days, in each format."""
    forms = functools.partial(found, "updated_after format (W12)", "four formats, and nonsense")
    accepted = [form for form in CHANGES_FORMS if _takes(messages, form)]
    if not accepted:
        meaning = "Late changes are seen within swell_lookback_days only."
        yield forms("all are refused", "refused", meaning, "warning")
    elif _takes(messages, "nonsense"):
        yield forms("nonsense is accepted as well")
    else:
        yield forms(f"{len(accepted)} accepted", ", ".join(map(_spelled, accepted)))


def _spelled(form: str) -> str:
    """A format as Laravel writes it, such as Y-m-d H:i."""
    return form.replace("%M", "i").replace("%S", "s").replace("%", "")


def _takes(messages: Messages, form: str) -> bool:
    try:
        messages.asker.ask(messages.api.changes(f"{messages.at - 2 * DAY:{form}}", 1, 1))
    except VendorError as error:
        if error.is_refusal:
            return False
        raise
    return True


def bearer(messages: Messages) -> Iterator[Finding]:
    """Messages without the token, and with the token in a header alone."""
    header = functools.partial(found, "token as a Bearer header (W17)", "token in the header only")
    window, answer = messages.fullest
    in_header: dict[str, t.Any] = {"swell_token_placement": "header"}
    options = replace(messages.options, **in_header)
    status, seen, _ = _other(messages, replace(options, swell_api_token=""), window)
    reading = str(status or UNKNOWN)
    yield found("answer without a token (W17)", "messages without the token", seen, reading)
    if status not in UNAUTHORIZED:
        yield header("requests without the token are not refused as such")
        return
    status, seen, ids = _other(messages, options, window)
    if status in UNAUTHORIZED:
        yield header(seen, "refused")
    elif ids is None:
        yield header(seen)
    elif ids != set(answer.page.ids):
        yield header("other messages than with the token in the URL")
    else:
        meaning = "Set swell_token_placement: header. The token is then in no URL and no proxy log."
        is_set = messages.options.swell_token_placement == options.swell_token_placement
        yield header("the same messages", "accepted", "" if is_set else meaning)


def _other(
    messages: Messages, options: Options, window: DayRange
) -> tuple[int | None, str, set[int] | None]:
    """With other credentials: the status of a refusal, what was seen, and the ids that came."""
    api = SwellApi(options, messages.limiter)
    try:
        request = api.messages(window, 1, messages.options.swell_page_size)
        return None, "messages", set(Asker(api.client).ask(request).page.ids)
    except VendorError as error:
        return error.status, f"a refusal ({error.status})" if error.status else str(error), None
    finally:
        api.client.close()


def counts_scope(messages: Messages) -> Iterator[Finding]:
    """The count of a day."""
    scope = functools.partial(found, "scope for swell_message_counts", "the count of a day")
    try:
        messages.asker.ask(messages.api.counts(_settled(messages), *_places(messages)))
    except VendorError as error:
        verdict: Verdict = "problem" if "swell_message_counts" in messages.selected else "warning"
        yield scope(str(error), "missing or not answered", str(error), verdict)
    else:
        messages.has_counts = True
        yield scope("200", "present")


def counts(messages: Messages) -> Iterator[Finding]:
    """Counts of two days, compared with their messages."""
    if not messages.has_counts:
        return
    meaning = functools.partial(found, "count by date (W14)", "two days' counts and messages")
    options = messages.options
    is_partial = bool(options.swell_contact_ids or options.swell_status)  # counts know neither
    chosen = None if is_partial else _two_days(messages)
    if chosen is None:
        yield meaning("no two days with different numbers of messages")
        return
    (one, first), (two, second) = chosen
    by_date = [_count(messages, {"date": str(day)}) for day in (one, two)]
    by_range = [_count(messages, _range(day)) for day in (one, two)]
    yield _by_date(by_date, first, second, meaning)
    yield _by_range(messages, by_range, (one, two), (first, second))


def _by_date(told: list[int], first: int, second: int, by: t.Callable[..., Finding]) -> Finding:
    seen = f"counts {told[0]} and {told[1]}, messages {first} and {second}"
    if told == [first, second]:
        return by(seen, "that day")
    use = "Set swell_counts_parameters: range."
    if told[0] == told[1]:
        return by(seen, "ignored, or always today", use, "warning")
    if told[1] - told[0] == second and told[0] > first:
        return by(seen, "cumulative: all up to that day", use, "warning")
    return by(seen)


def _by_range(
    messages: Messages, told: list[int], asked: tuple[date, date], sizes: tuple[int, int]
) -> Finding:
    seen = f"counts {told[0]} and {told[1]}, messages {sizes[0]} and {sizes[1]}"
    by = functools.partial(found, "count by from_date and to_date (W14)", "two single days")
    if told == [*sizes]:
        return by(seen, "includes to_date")
    if told == [0, 0] and [_count(messages, _range(day, 1)) for day in asked] == [*sizes]:
        meaning = "Keep swell_counts_parameters: date."
        is_used = messages.options.swell_counts_parameters == "range"
        return by(seen, "excludes to_date", meaning, "warning" if is_used else "ok")
    if told[1] - told[0] == sizes[1] and told[0] > sizes[0]:
        return by(seen, "cumulative: all up to that day", "", "warning")
    return by(seen)


def _range(day: date, more: int = 0) -> dict[str, str]:
    return {"from_date": str(day), "to_date": str(day + more * DAY)}


def _places(messages: Messages) -> tuple[str, str]:
    options = messages.options
    return ",".join(options.swell_location_ids), ",".join(options.swell_team_ids)


def _count(messages: Messages, dates: dict[str, str]) -> int:
    """Received and sent together."""
    page = messages.asker.ask(messages.api.count(dates, *_places(messages))).page
    return sum(number or 0 for number in page.numbers)


def _two_days(messages: Messages) -> tuple[tuple[date, int], tuple[date, int]] | None:
    """Neighboring days with different numbers of messages, none zero, as from_date means them."""
    if messages.ending not in {days.INCLUSIVE, days.EXCLUSIVE}:
        return None
    offset = min(messages.offsets)  # any of them will do to choose days
    busy = Counter(
        (time + offset).date() for row in messages.rows.values() if (time := created(row))
    )
    pairs = [
        (day, day + DAY)
        for day in busy
        if day + 2 * DAY < _settled(messages) and 0 < busy[day] != busy[day + DAY] > 0
    ]
    for pair in sorted(pairs, key=lambda pair: busy[pair[0]] + busy[pair[1]])[:1]:
        extra = DAY if messages.ending == days.EXCLUSIVE else 0 * DAY
        read = [messages.read(DayRange(day, day + extra)) for day in pair]
        if all(is_all for _, is_all in read):
            return (pair[0], len(read[0][0])), (pair[1], len(read[1][0]))
    return None


def date_sent(messages: Messages) -> Iterator[Finding]:
    """date_sent and created_at of all messages."""
    zone = functools.partial(found, "zone of date_sent (W5)", "date_sent minus created_at")
    rows = [*messages.rows.values()]
    yield _presence(rows)
    values = [(row, _date_sent(row)) for row in rows]
    named = [value for _, value in values if isinstance(value, dict) and value.get("timezone")]
    if named and len(named) >= MOST * len(rows):
        yield zone("an object with a time zone", "says its own zone", "The tap uses it.")
        return
    gaps = [
        (sent - time, *_written(row))
        for row, value in values
        if (sent := parse_timestamp(value)) and (time := created(row))
    ]
    if len(gaps) < NEEDED:
        yield zone("too few messages have both")
        return
    steps = Counter(round(gap / timedelta(minutes=15)) for gap, *_ in gaps if _is_even(gap))
    step, size = max(steps.items(), key=lambda item: item[1], default=(0, 0))
    offset, seen = timedelta(minutes=15) * step, f"the same in {size} of {len(gaps)}"
    local = sum(abs(gap - own) < NEAR for gap, _, own in gaps if own is not None)
    if size >= MOST * len(gaps) and (not offset or offset == messages.offset):
        yield _zone_finding(messages, zone, offset, seen)
    elif local >= MOST * len(gaps):
        newest = max(rows, key=lambda row: str(created(row) or ""))
        yield _zone_finding(messages, zone, _written(newest)[1] or offset, "that of created_at")
    elif size >= MOST * len(gaps):
        yield zone(f"{seen}: {offset}", meaning=f"Perhaps {days.offset_text(offset)}.")
    else:
        yield zone("no difference that most messages share")


def _is_even(gap: timedelta) -> bool:
    return abs(gap - timedelta(minutes=15) * round(gap / timedelta(minutes=15))) < NEAR


def _presence(rows: list[Row]) -> Finding:
    has = sum(_created_at(row) is not None for row in rows)
    there = functools.partial(found, "created_at (W6)", f"{len(rows)} messages")
    if len(rows) < NEEDED:
        return there("too few messages")
    text = "in all" if has == len(rows) else "in none" if not has else "in some"
    meaning = "" if has == len(rows) else "start_date is exact only for messages that have it."
    return there(f"{has} have it", text, meaning)


def _zone_finding(
    messages: Messages, zone: t.Callable[..., Finding], offset: timedelta, seen: str
) -> Finding:
    chosen = messages.options.swell_date_sent_timezone
    newest = max(filter(None, map(created, messages.rows.values())))
    text = days.offset_text(offset)
    if newest.astimezone(chosen).utcoffset() == offset:
        return zone(seen, text)
    meaning = f"Set swell_date_sent_timezone to the IANA name of your zone that is {text} now."
    return zone(seen, text, meaning if offset else "Set swell_date_sent_timezone: UTC.", "warning")


def _estimate(messages: Messages) -> estimate.Estimate | None:
    if not messages.windows or not messages.asker.seconds:
        return None
    options = messages.options
    page_rows = messages.page_rows or options.swell_page_size
    pages = [answer.page for _, answer in messages.windows]
    if any(page.total is None and len(page.ids) >= page_rows for page in pages):
        return None  # nothing says how many pages follow
    per_window = [len(page.ids) if page.total is None else page.total for page in pages]
    asked = sum((window.last - window.first).days + 1 for window, _ in messages.windows)
    history = (options.end_date or messages.at).date() - options.start_date.date()
    split = {"location": options.swell_location_ids, "team": options.swell_team_ids}
    each = len(split.get(options.swell_counts_split, ("all",)))
    each *= "swell_message_counts" in messages.selected
    limit = connection.announced_limit(messages.asker.client)
    speed = estimate.pace(messages.asker.seconds[: len(messages.windows)], options, limit)
    per_day = sum(per_window) / asked
    return estimate.messages(per_day, history.days + 1, page_rows, each, options, speed)


PROBES = {
    "access": access,
    "messages": samples,
    "page limit (W11)": page_limit,
    "links and meta (W8, W9)": envelope,
    "order of messages (W10)": order,
    "token as a Bearer header (W17)": bearer,
    "updated_after format (W12)": changes,
    "scope for swell_message_counts": counts_scope,
    "to_date and zone of days (W1, W4)": ranges,
    "zone of date_sent (W5)": date_sent,
    "limits of ranges (W2, W3)": limits,
    "counts (W14)": counts,
}
