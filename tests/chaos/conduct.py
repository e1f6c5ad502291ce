"""What every run must keep to, however it went: P2, P3, P4 and P6."""

from __future__ import annotations

import re
import typing as t
from datetime import date, datetime, timedelta

from medchat_swell_sandbox import wording

from .schedule import FATAL, RETRIED, RETRIED_BRIEFLY, Schedule, Stop

if t.TYPE_CHECKING:
    from medchat_swell_sandbox import Sandbox
    from medchat_swell_sandbox.request_log import RequestRecord
    from support.tap_process import Json, Run

MOST_RETRIES = 6
MOST_BRIEF_RETRIES = 2
STOP_SECONDS = 10.0  # 2 are promised, of a machine with nothing else to do: test_stopping
EXTRA_STATES = 2  # a sweep's beginning, from where on it tells how far it writes, and its end
SIGNALS = {"SIGTERM": 15, "SIGINT": 2}
SHORTEST_TELLING = 5
FILTER = re.compile(r"CreatedDateTime g[et] (\S+) and CreatedDateTime lt (\S+)")
UNORDERED = "came in another order each"
LEFT_OUT = re.compile(r"MedChat left \w+ out of all")


def check_run(
    run: Run, schedule: Schedule, stop: Stop | None, given: Json | None, sandbox: Sandbox
) -> None:
    """Check a run by its output, its log and what it asked."""
    requests = sandbox.requests
    _check_ending(run, stop, requests, sandbox)
    _check_log(run, sandbox)
    if not run.code and not (stop and "deaf" in stop.how):  # who hears the end
        _check_final_state(run, schedule)
    # Who is told to stop says where it stands.
    _check_states(run, requests, run.seconds_after_signal is not None)
    _check_resumption(given, requests, dict(schedule.settings))


def _check_ending(
    run: Run, stop: Stop | None, requests: list[RequestRecord], sandbox: Sandbox
) -> None:
    how = stop.how if stop and run.seconds_after_signal is not None else None
    if how is None or "kill" not in how.lower():
        assert "Traceback" not in run.log, run.log
        assert "A mistake in" not in run.log, run.log
        assert run.rest == b"", "half a line"
    allowed = {0}
    if _may_fail(requests) or must_fail(run, sandbox):
        allowed.add(1)
    if stop and stop.how == "deaf":
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
        assert run.errors or (stop and stop.how == "deaf"), run.log


def must_fail(run: Run, sandbox: Sandbox) -> bool:
    """Whether the vendor's answers leave no other choice than a loud error."""
    chats = list(sandbox.dataset.chats.values())
    unordered = sandbox.quirks.medchat_order == "unstable" and UNORDERED in run.log
    without = sandbox.quirks.medchat_expanded_empty != "array" and not all(
        chat.messages and chat.memberships and chat.executions for chat in chats
    )
    return unordered or (without and LEFT_OUT.search(run.log) is not None)


def _may_fail(requests: list[RequestRecord]) -> bool:
    """Whether so much went wrong that giving up is right."""
    faults = [request.fault for request in requests if request.fault]
    return (
        any(fault in FATAL for fault in faults)
        or sum(fault in RETRIED_BRIEFLY for fault in faults) > MOST_BRIEF_RETRIES
        or sum(fault in RETRIED for fault in faults) > MOST_RETRIES
    )


def _check_log(run: Run, sandbox: Sandbox) -> None:
    """Check that no secret and nothing of a patient's is told (P4)."""
    secrets = [sandbox.medchat_access_token, sandbox.swell_api_token]
    told = [text for text in secrets if text in run.log or text.encode() in b"\n".join(run.lines)]
    chats = list(sandbox.dataset.chats.values())
    private = {*wording.NAMES, *wording.TEXTS, *(chat.user_phone for chat in chats)}
    private |= {contact.phone for contact in list(sandbox.dataset.contacts.values())}
    told += [text for text in private if text and len(text) >= SHORTEST_TELLING and text in run.log]
    assert not told, told


def _check_final_state(run: Run, schedule: Schedule) -> None:
    """Check that a run which finished left nothing under way in its STATE."""
    expected = set(streams_of(schedule))
    bookmarks = run.state["bookmarks"]
    assert expected <= set(bookmarks), bookmarks
    for stream in expected:
        bookmark = bookmarks[stream]
        assert bookmark["replication_key_value"], stream
        assert bookmark["finished"], stream
        leftovers = bookmark.keys() & {"sweep", "at", "started", "progress_markers"}
        assert not leftovers, (stream, bookmark, run.code)


def streams_of(schedule: Schedule) -> list[str]:
    """The streams that a schedule reads."""
    streams = []
    if schedule.vendors != "swell":
        streams += ["sms_chats", "sms_messages"]
        streams += ["sms_memberships", "sms_text_bot_executions"] * schedule.all_streams
    if schedule.vendors != "medchat":
        streams += ["swell_messages", "swell_message_counts"]
    return streams


def _check_states(run: Run, requests: list[RequestRecord], more: int) -> None:
    chats, days, counts = _asked(requests)
    windows = len(set(chats)) + len(set(days)) + -(-len(set(counts)) // 7)
    most = windows + EXTRA_STATES + more
    assert len(run.states) <= most, (len(run.states), windows)


def _asked(
    requests: list[RequestRecord],
) -> tuple[list[tuple[str, str]], list[tuple[str, str]], list[str]]:
    """Windows of chats and of messages, and days of counts, as they were asked for."""
    chats, days, counts = [], [], []
    for request in requests:
        query = request.query
        match = FILTER.fullmatch(query.get("$filter", ""))
        if match:
            chats.append((match[1], match[2]))
        elif request.path.endswith("/count"):
            counts.append(query.get("date") or query["from_date"])
        elif "from_date" in query:
            days.append((query["from_date"], query["to_date"]))
    return chats, days, counts


def _check_resumption(
    given: Json | None, requests: list[RequestRecord], settings: dict[str, t.Any]
) -> None:
    """Check that nothing before the frontier is asked for but the overlap (P6)."""
    bookmarks = (given or {}).get("bookmarks", {})
    chats, days, counts = _asked(requests)
    sweep = bookmarks.get("sms_chats", {}).get("sweep")
    if sweep and chats:
        frontier = sweep["windows"][-1][0] if sweep["windows"] else _epoch(sweep["start"])
        first_asked = min(_epoch(begin) for begin, _ in chats)
        assert first_asked >= frontier, ("sms_chats", first_asked, frontier)
    for stream, asked, setting in (
        ("swell_messages", [begin for begin, _ in days], "swell_lookback_days"),
        ("swell_message_counts", counts, "swell_counts_lookback_days"),
    ):
        first = _first_day(bookmarks.get(stream, {}), settings[setting])
        if first and asked:
            assert min(asked) >= str(first), (stream, min(asked), bookmarks.get(stream))


def _first_day(bookmark: Json, lookback: int) -> date | None:
    if bookmark.get("at"):
        return date.fromisoformat(bookmark["at"])
    if not bookmark.get("finished"):
        return None
    value = date.fromisoformat(bookmark["replication_key_value"][:10])
    return value - timedelta(days=lookback)


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
