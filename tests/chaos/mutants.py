"""Breaks the tap's rules one by one and shows which of them the chaos tests notice.

    python -m tests.chaos.mutants            all mutants, one line each
    python -m tests.chaos.mutants gt_for_ge  some, by name

A mutant replaces one function of the tap, in the process that runs it (`TAP_MUTANT`, see
`support.forkserver`); no source line is touched. A mutant that survives is a rule that
these tests do not prove: exit code 1.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import re
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from datetime import date

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "tap_medchat_swell"
VARIABLE = "TAP_MUTANT"
TESTS = ("tests/chaos/test_chaos.py", "tests/chaos/test_regressions.py")
SCHEDULES = os.environ.get("CHAOS_SCHEDULES", "150")


@dataclass(frozen=True)
class Mutant:
    """A rule's name, the function it lives in (`module:Class.function`) and its replacement."""

    name: str
    target: str
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
    target: str,
) -> Callable[[Callable[[t.Any], Callable[..., t.Any]]], Callable[..., t.Any]]:
    """Register a function that turns the target into a broken one."""

    def register(broken: Callable[[t.Any], Callable[..., t.Any]]) -> Callable[..., t.Any]:
        MUTANTS[broken.__name__] = Mutant(broken.__name__, target, broken)
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


@mutant("http.transport:Transport.get")
def gt_for_ge(get: t.Any) -> Callable[..., t.Any]:
    """A window leaves out what was created in its first second's first instant (M11)."""
    return lambda self, url: get(self, url.replace("%20ge%20", "%20gt%20"))


@mutant("pagination:ODataSkipPaginator.has_more")
def medchat_short_page_is_the_end(has_more: t.Any) -> Callable[..., t.Any]:
    """A page with fewer rows than asked for is taken for the last one (M3)."""
    return lambda self, page: has_more(self, page) and len(page.ids) >= len(self._first)


@mutant("pagination:ODataSkipPaginator.has_more")
def page_drift_ignored(has_more: t.Any) -> Callable[..., t.Any]:
    """Rows that moved between two pages go unnoticed (M6)."""

    def broken(self: t.Any, page: t.Any) -> bool:
        from tap_medchat_swell.pagination import PageDriftError  # noqa: PLC0415

        try:
            return t.cast("bool", has_more(self, page))
        except PageDriftError:
            return bool(page.ids)

    return broken


@mutant("medchat.nested_pages:NestedPages.complete")
def cut_collections_not_completed(complete: t.Any) -> Callable[..., t.Any]:
    """The link behind a cut `$expand` collection is not followed (M15)."""
    del complete
    return lambda *_: None


@mutant("medchat.reader:_after_drift")
def drift_ends_the_window(after_drift: t.Any) -> Callable[..., t.Any]:
    """What follows moved rows is not read (M6)."""
    del after_drift
    return _answers(None)


@mutant("medchat.reader:_is_complete")
def drift_is_believed_without_counting(is_complete: t.Any) -> Callable[..., t.Any]:
    """What came before moved rows is taken for complete (M6)."""
    del is_complete
    return _answers(True)  # noqa: FBT003 - the answer


@mutant("medchat.changes:StreamRecords.rest")
def digest_is_always_the_same(rest: t.Any) -> Callable[..., t.Any]:
    """Changes on records that have been read before are not written (M8)."""

    def broken(self: t.Any) -> t.Any:
        self._old = []
        return rest(self)

    return broken


@mutant("medchat.bookmark:Window.without_digests")
def digest_of_the_next_window_is_kept(without_digests: t.Any) -> Callable[..., t.Any]:
    """A run killed while it rewrites a window leaves the old digest behind."""
    del without_digests
    return lambda self: self


@mutant("medchat.bookmark:_combined")
def other_streams_are_ignored(combined: t.Any) -> Callable[..., t.Any]:
    """A window counts as read though one of the streams has not got it."""

    def broken(window: t.Any, same: t.Any) -> t.Any:
        return replace(combined(window, same), read=window.read)

    return broken


@mutant("medchat.bookmark:History.replace")
def rest_of_a_window_counts_as_read(replace_piece: t.Any) -> Callable[..., t.Any]:
    """With its first piece, a whole window is bookmarked."""

    def broken(self: t.Any, piece: t.Any) -> t.Any:
        history = replace_piece(self, piece)
        windows = tuple(replace(window, read=piece.read) for window in history.windows)
        return replace(history, windows=windows)

    return broken


# Swell


@mutant("pagination:PageLinksPaginator._hints")
def swell_first_hint_is_the_end(hints: t.Any) -> Callable[..., t.Any]:
    """One hint that says "last page" outweighs those that say "more" (W9)."""

    def broken(self: t.Any, page: t.Any) -> list[bool]:
        found = hints(self, page)
        return [all(found)] * len(found)

    return broken


@mutant("time_ranges:plan_days")
def shared_day_dropped(plan_days: t.Any) -> Callable[..., t.Any]:
    """Neighboring windows do not share a day (W1)."""

    def broken(first: date, last: date, days: int) -> Iterator[t.Any]:
        for number, window in enumerate(plan_days(first, last, days)):
            begin = window.first + timedelta(days=min(number, 1))
            if begin <= window.last:
                yield type(window)(begin, window.last)

    return broken


@mutant("swell.reader:Passes.end_pass")
def one_pass_is_enough(end_pass: t.Any) -> Callable[..., t.Any]:
    """A pass is believed though Swell counts more (W10)."""

    def broken(self: t.Any, *arguments: t.Any) -> None:
        end_pass(self, *arguments)
        self.is_settled = True

    return broken


@mutant("swell.reader:_ask_control")
def refusals_are_believed(ask_control: t.Any) -> Callable[..., t.Any]:
    """Days that Swell refuses count as not there yet, whatever else it refuses (W3)."""
    del ask_control
    return _answers(None)


@mutant("swell.bookmark:DayBookmark.moved")
def open_days_count_as_read(moved: t.Any) -> Callable[..., t.Any]:
    """The bookmark passes days that may still get messages (W1, W4)."""

    def broken(self: t.Any, day: date, today: date) -> t.Any:
        later = replace(self, started=self.started + timedelta(days=30))
        return replace(moved(later, day, today + timedelta(days=30)), started=self.started)

    return broken


@mutant("swell.streams:MessageScan._unsettled")
def unsettled_windows_are_forgotten(unsettled: t.Any) -> Callable[..., t.Any]:
    """A window whose messages are too few is not read again."""
    del unsettled
    return lambda *_: None


@mutant("swell.streams:MessageScan._change_moments")
def late_changes_are_not_asked_for(change_moments: t.Any) -> Callable[..., t.Any]:
    """Changes on older messages are not read (W12)."""
    del change_moments
    return lambda _: ()


@mutant("bookmark:load")
def scope_is_not_compared(load: t.Any) -> Callable[..., t.Any]:
    """A bookmark counts for whatever settings it was written with."""

    def broken(bookmark: t.Any, scope: t.Any) -> t.Any:
        mine = bookmark.get("scope")
        return load(bookmark, scope._replace(current=mine, version_1=mine))

    return broken


# Both


@mutant("http.responses:decode_json")
def empty_body_is_no_rows(decode_json: t.Any) -> Callable[..., t.Any]:
    """An empty body is believed at once (P3)."""
    return lambda vendor, body: decode_json(vendor, body) if body.strip() else None


@mutant("http.responses:decode_json")
def odd_payload_is_no_rows(decode_json: t.Any) -> Callable[..., t.Any]:
    """What cannot be decoded counts as an empty page (P3)."""

    def broken(vendor: t.Any, body: bytes) -> t.Any:
        from tap_medchat_swell.http.responses import ResponseError  # noqa: PLC0415

        try:
            return decode_json(vendor, body)
        except ResponseError:
            return {"data": [], "received": 0, "sent": 0} if vendor.name == "Swell" else []

    return broken


@mutant("http.responses:check_status")
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


@mutant("record_mapper:normalize_key")
def casing_matters(normalize_key: t.Any) -> Callable[..., t.Any]:
    """`Status` and `status` are two fields (M2)."""
    del normalize_key
    return lambda key: key


@mutant("writer:BufferedWriter.write_message")
def state_before_its_records(write_message: t.Any) -> Callable[..., t.Any]:
    """A STATE overtakes the records that it covers."""

    def broken(self: t.Any, message: t.Any) -> None:
        if message.type != "STATE":
            write_message(self, message)
            return
        self._buffer[:0] = self.format_message(message)
        self.flush()

    return broken


def run_tests(name: str) -> tuple[bool, str]:
    """Whether the chaos tests notice a mutant, and how."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "--tb=line", *TESTS],
        cwd=ROOT,
        env={**os.environ, VARIABLE: name, "CHAOS_SCHEDULES": SCHEDULES},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return False, "survived"
    found = re.search(r"(?:AssertionError|Error|Hung): (.{0,90})", done.stdout)
    return done.returncode == 1, found[1] if found else done.stdout[-300:]


def main() -> int:
    """Try all mutants, or those that are named."""
    survivors = 0
    for name in sys.argv[1:] or MUTANTS:
        started = time.monotonic()
        noticed, how = run_tests(name)
        survivors += not noticed
        verdict = "noticed" if noticed else "SURVIVED"
        took = time.monotonic() - started
        sys.stdout.write(f"| {name} | {verdict} | {took:.0f} s | {how} |\n")
        sys.stdout.flush()
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main())
