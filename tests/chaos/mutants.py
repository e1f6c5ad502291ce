"""Breaks the tap's rules one by one. `test_mutants` shows that each is noticed.

A mutant replaces one function of the tap, in the process that runs it (`TAP_MUTANT`, see
`support.forkserver`); no source line is touched. It names the regression that notices it: a
mutant that none notices is a rule that these tests do not prove.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
import typing as t
from dataclasses import dataclass, replace
from datetime import timedelta

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from datetime import date

PACKAGE = "tap_medchat_swell"
VARIABLE = "TAP_MUTANT"


@dataclass(frozen=True)
class Mutant:
    """A rule's name, the function it lives in (`module:Class.function`) and its replacement.

    `noticed_by` is a scenario or a test of `test_regressions`.
    """

    name: str
    target: str
    noticed_by: str
    broken: Callable[[t.Any], Callable[..., t.Any]]

    def owner(self) -> tuple[t.Any, str]:
        """What holds the function, and the function's name there."""
        module, _, path = self.target.partition(":")
        *classes, name = path.split(".")
        owner: t.Any = importlib.import_module(f"{PACKAGE}.{module}")
        return functools.reduce(getattr, classes, owner), name

    def original(self) -> Callable[..., t.Any]:
        """The function as the tap has it."""
        owner, name = self.owner()
        return t.cast("Callable[..., t.Any]", inspect.getattr_static(owner, name))

    def apply(self) -> None:
        """Replace the function in this process, also where it was imported by name."""
        owner, name = self.owner()
        original = self.original()
        replacement = functools.wraps(original)(self.broken(original))
        setattr(owner, name, replacement)
        for module_name, module in list(sys.modules.items()):
            if module_name.startswith(PACKAGE) and vars(module).get(name) is original:
                setattr(module, name, replacement)


MUTANTS: dict[str, Mutant] = {}


def mutant(
    target: str, noticed_by: str
) -> Callable[[Callable[[t.Any], Callable[..., t.Any]]], Callable[..., t.Any]]:
    """Register a function that turns the target into a broken one."""

    def register(broken: Callable[[t.Any], Callable[..., t.Any]]) -> Callable[..., t.Any]:
        MUTANTS[broken.__name__] = Mutant(broken.__name__, target, noticed_by, broken)
        return broken

    return register


def apply(name: str) -> None:
    """Break one rule in this process."""
    MUTANTS[name].apply()


def _answers(answer: t.Any) -> Callable[..., t.Any]:
    """A reader that asks nothing and returns the answer."""

    def reader(*_: t.Any) -> Generator[t.Any, t.Any, t.Any]:
        yield from ()
        return answer

    return reader


# MedChat


@mutant("http.transport:Transport.get", "test_unchanged_rows_do_not_come_again_when_ties_move")
def gt_for_ge(get: t.Any) -> Callable[..., t.Any]:
    """A window leaves out what was created in its first second's first instant (M11)."""
    return lambda self, url: get(self, url.replace("%20ge%20", "%20gt%20"))


@mutant("medchat.reader:_fetch", "a_short_page_is_not_the_end")
def medchat_short_page_is_the_end(fetch: t.Any) -> Callable[..., t.Any]:
    """A page with fewer rows than asked for is taken for the last one (M3)."""

    def broken(reading: t.Any, time: t.Any, top: int, pager: t.Any) -> t.Any:
        has_more = type(pager).has_more
        pager.has_more = lambda page: has_more(pager, page) and len(page.ids) >= top
        return fetch(reading, time, top, pager)

    return broken


@mutant("medchat.reader:_goes_on", "a_page_without_a_new_chat_is_not_the_end")
def medchat_page_without_a_new_chat_is_the_end(goes_on: t.Any) -> Callable[..., t.Any]:
    """Where pages vary in length, one that holds only the overlap is taken for the last (M3)."""
    del goes_on
    return _answers(False)  # noqa: FBT003 - the answer


@mutant("pagination:ODataSkipPaginator.has_more", "random_order_that_looks_sorted")
def page_drift_ignored(has_more: t.Any) -> Callable[..., t.Any]:
    """Rows that moved between two pages go unnoticed (M6)."""

    def broken(self: t.Any, page: t.Any) -> bool:
        from tap_medchat_swell.pagination import PageDriftError  # noqa: PLC0415

        try:
            return t.cast("bool", has_more(self, page))
        except PageDriftError:
            return bool(page.ids)

    return broken


@mutant("medchat.nested_pages:NestedPages.complete", "cut_collections_are_completed")
def cut_collections_not_completed(complete: t.Any) -> Callable[..., t.Any]:
    """The link behind a cut `$expand` collection is not followed (M15)."""
    del complete
    return lambda *_: None


@mutant("medchat.reader:_after_drift", "random_order_that_looks_sorted")
def drift_ends_the_window(after_drift: t.Any) -> Callable[..., t.Any]:
    """What follows moved rows is not read (M6)."""
    del after_drift
    return _answers(None)


@mutant("medchat.reader:_is_complete", "random_order_that_looks_sorted")
def drift_is_believed_without_counting(is_complete: t.Any) -> Callable[..., t.Any]:
    """What came before moved rows is taken for complete (M6)."""
    del is_complete
    return _answers(True)  # noqa: FBT003 - the answer


@mutant(
    "medchat.reader:_read_until_stable",
    "test_a_crowded_second_of_capped_pages_is_read_more_than_once",
)
def a_second_is_read_in_one_pass(read_until_stable: t.Any) -> Callable[..., t.Any]:
    """One pass over a crowded second is believed (M6)."""
    del read_until_stable

    def broken(reading: t.Any, time: t.Any) -> Iterator[t.Any]:
        from tap_medchat_swell.medchat import reader  # noqa: PLC0415

        yield from reader._read_pass(reading, time, reading.api.page_size)

    return broken


@mutant(
    "medchat.reader:_read_pass",
    "test_a_crowded_second_whose_order_depends_on_the_page_is_read_whole",
)
def every_pass_has_the_same_top(read_pass: t.Any) -> Callable[..., t.Any]:
    """Further passes over a crowded second bring the same pages (M6)."""
    return lambda reading, time, _: read_pass(reading, time, reading.api.page_size)


@mutant("medchat.reader:plan_windows", "state_at_most_once_per_window_out_of_step")
def probes_leave_a_gap(plan_windows: t.Any) -> Callable[..., t.Any]:
    """The second at which a probe cuts belongs to neither window."""

    def broken(due: t.Any, api: t.Any, chats: int, read: t.Any) -> t.Any:
        starts = {window.range.start for window in due}

        def late(window: t.Any) -> t.Any:
            time = window.range
            if time.start not in starts and time.end - time.start > 1:
                window = replace(window, range=type(time)(time.start + 1, time.end))
            return read(window)

        return plan_windows(due, api, chats, late)

    return broken


@mutant("medchat.changes:StreamRecords.rest", "chats_change_between_runs")
def digest_is_always_the_same(rest: t.Any) -> Callable[..., t.Any]:
    """Changes on records that have been read before are not written (M8)."""

    def broken(self: t.Any) -> t.Any:
        self._old = []
        return rest(self)

    return broken


@mutant("medchat.changes:StreamRecords.rest", "chats_change_between_runs")
def new_records_are_left_out(rest: t.Any) -> Callable[..., t.Any]:
    """Of a window whose digest is the same, records since the last reading are not written."""

    def broken(self: t.Any) -> t.Any:
        if self.known is not None and self._digest % (1 << 64) == self.known:
            self._new = []
        return rest(self)

    return broken


@mutant(
    "medchat.changes:StreamRecords.__init__",
    "test_what_comes_during_a_scan_is_all_that_comes_again",
)
def digest_goes_over_everything(init: t.Any) -> Callable[..., t.Any]:
    """It covers records that came during the scan, which the next reading does not compare."""
    return lambda self, source, known, known_cutoff, _: init(
        self, source, known, known_cutoff, "9999"
    )


@mutant("medchat.bookmark:Window.without_digests", "test_a_change_reverted_between_two_scans")
def digest_of_the_next_window_is_kept(without_digests: t.Any) -> Callable[..., t.Any]:
    """A run killed while it rewrites a window leaves the old digest behind."""
    del without_digests
    return lambda self: self


@mutant("medchat.bookmark:due", "rest_of_a_scan_without_messages")
def unread_windows_are_not_due(due: t.Any) -> Callable[..., t.Any]:
    """A window that was never read is left out, once another one has been read."""

    def broken(history: t.Any, *arguments: t.Any) -> list[t.Any]:
        has_read = any(window.read for window in history.windows)
        return [window for window in due(history, *arguments) if window.read or not has_read]

    return broken


@mutant("medchat.bookmark:due", "old_windows_are_rescanned_in_time")
def old_windows_are_not_rescanned(due: t.Any) -> Callable[..., t.Any]:
    """With medchat_rescan_days, windows without recent activity are never due (P7)."""

    def broken(history: t.Any, started: int, rescan_days: int | None) -> list[t.Any]:
        lately = started - (rescan_days or 0) * 86400
        return [
            window
            for window in due(history, started, rescan_days)
            if rescan_days is None or not window.read or window.changed or window.range.end > lately
        ]

    return broken


@mutant("medchat.bookmark:_combined", "a_stream_selected_later_is_read_whole")
def other_streams_are_ignored(combined: t.Any) -> Callable[..., t.Any]:
    """A window counts as read though one of the streams has not got it."""

    def broken(window: t.Any, same: t.Any) -> t.Any:
        return replace(combined(window, same), read=window.read)

    return broken


@mutant("medchat.bookmark:History.replace", "rest_of_a_scan_without_messages")
def rest_of_a_window_counts_as_read(replace_piece: t.Any) -> Callable[..., t.Any]:
    """With its first piece, a whole window is bookmarked."""

    def broken(self: t.Any, piece: t.Any) -> t.Any:
        history = replace_piece(self, piece)
        windows = tuple(replace(window, read=piece.read) for window in history.windows)
        return replace(history, windows=windows)

    return broken


# Swell


@mutant("pagination:PageLinksPaginator._hints", "a_null_next_link_is_one_hint_of_three")
def swell_first_hint_is_the_end(hints: t.Any) -> Callable[..., t.Any]:
    """One hint that says "last page" outweighs those that say "more" (W9)."""

    def broken(self: t.Any, page: t.Any) -> list[bool]:
        found = hints(self, page)
        return [all(found)] * len(found)

    return broken


@mutant("time_ranges:plan_days", "to_date_is_exclusive")
def shared_day_dropped(plan_days: t.Any) -> Callable[..., t.Any]:
    """Neighboring windows do not share a day (W1)."""

    def broken(first: date, last: date, days: int) -> Iterator[t.Any]:
        for number, window in enumerate(plan_days(first, last, days)):
            begin = window.first + timedelta(days=min(number, 1))
            if begin <= window.last:
                yield type(window)(begin, window.last)

    return broken


@mutant("swell.reader:Passes.end_pass", "postgres_orders_ties_by_page")
def one_pass_is_enough(end_pass: t.Any) -> Callable[..., t.Any]:
    """A pass is believed though Swell counts more (W10)."""

    def broken(self: t.Any, *arguments: t.Any) -> None:
        end_pass(self, *arguments)
        self.is_settled = True

    return broken


@mutant("swell.reader:Passes.end_pass", "postgres_orders_ties_by_page")
def copies_count_as_messages(end_pass: t.Any) -> Callable[..., t.Any]:
    """Where `total` is compared, copies of a message stand in for others (W13)."""

    def broken(self: t.Any, pages: t.Any, known: int) -> None:
        end_pass(self, pages, known)
        self.is_settled |= pages.rows == self.total

    return broken


@mutant("swell.api:SwellApi._messages", "postgres_orders_ties_by_page")
def every_pass_has_the_same_page_size(messages: t.Any) -> Callable[..., t.Any]:
    """Further passes leave out the same messages (W10)."""
    return lambda self, when, page, _, label: messages(self, when, page, self.page_size, label)


@mutant("swell.reader:_ask_control", "a_refusal_of_everything_is_no_empty_account")
def refusals_are_believed(ask_control: t.Any) -> Callable[..., t.Any]:
    """Days that Swell refuses count as not there yet, whatever else it refuses (W3)."""
    del ask_control
    return _answers(None)


@mutant("swell.bookmark:DayBookmark.moved", "days_that_are_not_over_are_read_again")
def open_days_count_as_read(moved: t.Any) -> Callable[..., t.Any]:
    """The bookmark passes days that may still get messages (W1, W4)."""

    def broken(self: t.Any, day: date, today: date) -> t.Any:
        later = replace(self, started=self.started + timedelta(days=30))
        return replace(moved(later, day, today + timedelta(days=30)), started=self.started)

    return broken


@mutant("swell.messages:MessageScan._unsettled", "postgres_orders_ties_by_page")
def unsettled_windows_are_forgotten(unsettled: t.Any) -> Callable[..., t.Any]:
    """A window whose messages are too few is not read again."""
    del unsettled
    return lambda *_: None


@mutant("swell.messages:MessageScan._change_moments", "changes_since_an_exact_time")
def late_changes_are_not_asked_for(change_moments: t.Any) -> Callable[..., t.Any]:
    """Changes on older messages are not read (W12)."""
    del change_moments
    return lambda _: ()


@mutant(
    "swell.messages:MessageScan._end_changes",
    "test_changes_behind_a_refused_updated_after_come_later",
)
def changes_behind_a_refusal_are_forgotten(end_changes: t.Any) -> Callable[..., t.Any]:
    """After a refused `updated_after`, the next run asks for later changes (W12)."""

    def broken(self: t.Any, read: t.Any) -> None:
        end_changes(self, read)
        if read.since is None:
            self._bookmark = replace(self._bookmark, changes_since=self._now)

    return broken


# Both


@mutant("medchat.api:MedChatApi._read", "empty_for_all_of_a_first_run_is_not_no_chats")
def empty_body_is_no_rows(read: t.Any) -> Callable[..., t.Any]:
    """An empty body is believed at once (P3)."""
    return lambda self, document, size, **_: read(self, document or [], size, must_have_rows=False)


@mutant("http.responses:decode_json", "half_a_document_is_no_empty_account")
def odd_payload_is_no_rows(decode_json: t.Any) -> Callable[..., t.Any]:
    """What cannot be decoded counts as an empty page (P3)."""

    def broken(vendor: t.Any, body: bytes) -> t.Any:
        from tap_medchat_swell.http.responses import ResponseError  # noqa: PLC0415

        try:
            return decode_json(vendor, body)
        except ResponseError:
            return {"data": [], "received": 0, "sent": 0} if vendor.name == "Swell" else []

    return broken


@mutant("http.responses:check_status", "one_server_error_is_retried")
def server_errors_are_fatal(check_status: t.Any) -> Callable[..., t.Any]:
    """A 5xx is not retried."""

    def broken(*arguments: t.Any) -> None:
        from tap_medchat_swell.http.responses import Action, ResponseError  # noqa: PLC0415

        try:
            check_status(*arguments)
        except ResponseError as error:
            if error.action is Action.RETRY:
                error.action = Action.FAIL
            raise

    return broken


@mutant("record_mapper:normalize_key", "casing_changes_with_every_request")
def casing_matters(normalize_key: t.Any) -> Callable[..., t.Any]:
    """`Status` and `status` are two fields (M2)."""
    del normalize_key
    return lambda key: key


@mutant("writer:BufferedWriter.write_message", "a_target_dies_at_any_line")
def state_before_its_records(write_message: t.Any) -> Callable[..., t.Any]:
    """A STATE overtakes the records that it covers."""

    def broken(self: t.Any, message: t.Any) -> None:
        if message.type != "STATE":
            write_message(self, message)
            return
        self._buffer[:0] = self.format_message(message)
        self.flush()

    return broken


@mutant("pipeline:_Chain._deliver", "test_answers_come_in_another_order")
def values_in_order_of_arrival(deliver: t.Any) -> Callable[..., t.Any]:
    """A later window's values, and its bookmark, overtake an earlier one's."""

    def broken(self: t.Any) -> None:
        for task in reversed(self.tasks):
            while task.output:
                self.over |= self.scan.accept(task.output.popleft().value)
        deliver(self)

    return broken
