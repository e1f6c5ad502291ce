"""What every run must keep to, however it went: P2, P3, P4, P5 and P6."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from medchat_swell_sandbox import wording

from . import bookmarks
from .spec import (
    FATAL,
    MEDCHAT_OUTAGES,
    RETRIED,
    RETRIED_BRIEFLY,
    STATUSES,
    SWELL_OUTAGES,
    RunPlan,
    ScenarioSpec,
)

if t.TYPE_CHECKING:
    from medchat_swell_sandbox import Quirks, Sandbox
    from medchat_swell_sandbox.request_log import RequestRecord
    from support.tap_process import Json, Run

MOST_RETRIES = 6
MOST_BRIEF_RETRIES = 2
STOP_SECONDS = 10.0  # 2 are promised, of a machine with nothing else to do: test_stopping
EXTRA_STATES = 2  # a scan's beginning, from where on it announces how far it writes, and its end
SIGNALS = {"SIGTERM": 15, "SIGINT": 2}
SHORTEST_SECRET = 5
HALF_A_DAY = 12
FILTER = re.compile(r"CreatedDateTime g[et] (\S+) and CreatedDateTime lt (\S+)")
LOGIN = re.compile("redirect|web page|login page")
NO_CHATS = "No chats at all"
UNORDERED = "came in another order each"
LEFT_OUT = re.compile(r"MedChat left \w+ out of all")


@dataclass(frozen=True)
class Played:
    """A run that has ended, and the circumstances it had."""

    run: Run
    plan: RunPlan
    spec: ScenarioSpec
    sandbox: Sandbox
    quirks: list[Quirks]
    """Every set of quirks that the vendors had during the run."""
    given: Json | None
    is_same_scope: bool
    """Whether the run's clock, streams and filters are those of every run before it."""

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams that it read."""
        return self.spec.streams_of(self.plan)

    @property
    def signaled(self) -> str | None:
        """How it was stopped, if the signal came in time."""
        stop = self.plan.stop
        return stop.how if stop and self.run.seconds_after_signal is not None else None

    @property
    def closed_stdout(self) -> bool:
        """Whether nobody may have seen its end."""
        return bool(self.plan.stop and "closed_stdout" in self.plan.stop.how)


def check_run(played: Played) -> None:
    """Check a run by its output, its log and what it asked."""
    run, requests = played.run, played.sandbox.requests
    _check_ending(played, requests)
    _check_log(run, played.sandbox)
    _check_concurrency(played)
    if not run.code and not played.closed_stdout:
        _check_final_state(played, requests)
    _check_states(played, requests)
    if played.is_same_scope:
        _check_resumption(played, requests, dict(played.spec.settings))


def _check_ending(played: Played, requests: list[RequestRecord]) -> None:
    run, how = played.run, played.signaled
    if how is None or "kill" not in how.lower():
        assert "Traceback" not in run.log, run.log
        assert "please report" not in run.log, run.log
        assert run.rest == b"", "half a line"
    allowed = {0}
    if _may_fail(played, requests) or must_fail(played):
        allowed.add(1)
    if played.plan.stop and played.plan.stop.how == "closed_stdout":
        allowed.add(1)
    if how in SIGNALS:
        allowed.add(128 + SIGNALS[how])
        took = run.seconds_after_signal or 0
        assert took < STOP_SECONDS, f"stopped after {took:.1f} s"
        if not run.lines:  # it came before Python could listen
            allowed |= {-SIGNALS[how], 1}
    elif how is not None:
        allowed.add(-9)
    assert run.code in allowed, f"exit {run.code}, not one of {allowed}\n{run.log}"
    if run.code == 1 and how is None:
        assert run.errors or played.closed_stdout, run.log


def must_fail(played: Played) -> bool:
    """Whether the vendor's answers leave no other choice than a loud error."""
    log = played.run.log
    unordered = UNORDERED in log and any(q.medchat_order == "unstable" for q in played.quirks)
    chats = list(played.sandbox.dataset.chats.values())
    without = played.sandbox.quirks.medchat_expanded_empty != "array" and not all(
        chat.messages and chat.memberships and chat.executions for chat in chats
    )
    # Without a 422 a refused day looks like refused credentials.
    unclear = any(q.swell_validation_failure != "422" for q in played.quirks)
    unclear &= any(LOGIN.search(line) is not None for line in played.run.errors)
    return unordered or unclear or (without and LEFT_OUT.search(log) is not None)


def _may_fail(played: Played, requests: list[RequestRecord]) -> bool:
    """Whether so much went wrong that giving up is right."""
    faults = [request.fault for request in requests if request.fault]
    brief = (*RETRIED_BRIEFLY, *SWELL_OUTAGES, *MEDCHAT_OUTAGES)
    is_day_off = abs(played.plan.clock_error_hours) > HALF_A_DAY
    planned = [fault for fault in played.plan.faults if fault.kind == "status"]
    return (
        any(fault in FATAL for fault in faults)
        or ("status" in faults and any(fault.status not in STATUSES for fault in planned))
        or (played.plan.newest_days is not None and played.plan.newest_days.kind in faults)
        or sum(fault in brief for fault in faults) > MOST_BRIEF_RETRIES
        or sum(fault in RETRIED for fault in faults) > MOST_RETRIES
        # Days that Swell refuses, since they have not begun, may be all that such a run asks for.
        or (is_day_off and any(request.status in {422, 302} for request in requests))
    )


def _check_concurrency(played: Played) -> None:
    most = dict(played.spec.settings).get("max_concurrency", 8)
    for vendor, peak in played.sandbox.peak_concurrency.items():
        assert peak <= most, (vendor, peak)


def _check_log(run: Run, sandbox: Sandbox) -> None:
    """Check that no secret and no patient data leaves (P4)."""
    secrets = [sandbox.medchat_access_token, sandbox.swell_api_token]
    leaked = [text for text in secrets if text in run.log or text.encode() in b"\n".join(run.lines)]
    chats = list(sandbox.dataset.chats.values())
    private = {*wording.NAMES, *wording.TEXTS, *(chat.user_phone for chat in chats)}
    private |= {contact.phone for contact in list(sandbox.dataset.contacts.values())}
    leaked += [
        text for text in private if text and len(text) >= SHORTEST_SECRET and text in run.log
    ]
    assert not leaked, leaked


def _check_final_state(played: Played, requests: list[RequestRecord]) -> None:
    """Check that the STATE of a run that completed holds no reading in progress."""
    run = played.run
    found = bookmarks.bookmarks_of(run.state)
    is_bare = any(q.swell_links == q.swell_meta == "absent" for q in played.quirks)
    for stream in played.streams:
        bookmark = found[stream]
        assert bookmark["replication_key_value"], stream
        # An empty account and an outage look alike.
        if stream == "swell_messages" and is_bare and not run.records(stream):
            continue
        if stream.startswith("sms") and has_seen_no_chats(run, requests):
            continue
        assert bookmarks.finished(bookmark), stream
        leftovers = bookmarks.unfinished(bookmark)
        assert not leftovers, (stream, bookmark, run.code)


def has_seen_no_chats(run: Run, requests: list[RequestRecord]) -> bool:
    """Whether an outage has kept the run from seeing any chat, so that its scan stays open."""
    return NO_CHATS in run.log and any(request.fault in MEDCHAT_OUTAGES for request in requests)


def _check_states(played: Played, requests: list[RequestRecord]) -> None:
    chats, days, counts = _asked(requests)
    swell = sum(stream.startswith("swell") for stream in played.streams)
    # A stream that has nothing to ask for still writes where it ends.
    windows = len(set(chats)) + max(swell, len(set(days)) + -(-len(set(counts)) // 7))
    told_to_stop = played.run.seconds_after_signal is not None  # writes one more
    most = windows + EXTRA_STATES + told_to_stop
    assert len(played.run.states) <= most, (len(played.run.states), windows)


def _asked(
    requests: list[RequestRecord],
) -> tuple[list[tuple[str, str]], list[tuple[str, str]], list[str]]:
    """Windows of chats and of messages, and days of counts, as they were asked for."""
    chats, days, counts = [], [], []
    for request in requests:
        query = request.query
        match = FILTER.fullmatch(query.get("$filter", ""))
        if match and query.get("$top") != "1":  # else a probe, which reads nothing
            chats.append((match[1], match[2]))
        elif request.path.endswith("/count"):
            counts.append(query.get("date") or query["from_date"])
        elif "from_date" in query:
            days.append((query["from_date"], query["to_date"]))
    return chats, days, counts


def _check_resumption(
    played: Played, requests: list[RequestRecord], settings: dict[str, t.Any]
) -> None:
    """Check that nothing that has been read is asked for but the documented overlap (P6)."""
    known = bookmarks.bookmarks_of(played.given)
    chats, days, counts = _asked(requests)
    medchat = [stream for stream in played.streams if stream.startswith("sms_")]
    read_until = [bookmarks.chats_read_until(known.get(stream, {})) for stream in medchat]
    if chats and None not in read_until:
        first_asked = min(bookmarks.epoch(begin) for begin, _ in chats)
        assert first_asked >= min(filter(None, read_until)), ("sms_chats", first_asked, read_until)
    for stream, asked, setting in (
        ("swell_messages", [begin for begin, _ in days], "swell_lookback_days"),
        ("swell_message_counts", counts, "swell_counts_lookback_days"),
    ):
        bookmark = known.get(stream, {})
        first = bookmarks.first_day(bookmark, settings[setting])
        again = bookmarks.unsettled(bookmark)  # also in parts
        new = [day for day in asked if not any(begin <= day <= end for begin, end in again)]
        if first and new:
            assert min(new) >= str(first), (stream, min(new), bookmark)
