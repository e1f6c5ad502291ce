"""What may happen: one value that holds a whole story, and how to draw it."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from hypothesis import strategies as st
from medchat_swell_sandbox import Fault
from medchat_swell_sandbox.mutations import KINDS

Pairs = tuple[tuple[str, t.Any], ...]
Draw = t.Callable[[st.SearchStrategy[t.Any]], t.Any]


@dataclass(frozen=True)
class Stop:
    """How a run is cut off: a signal's name or `deaf` (the target dies), and when.

    `at` counts requests or lines of output. A `deaf` target loses what is in the pipe.
    """

    how: str
    after: t.Literal["request", "line"]
    at: int


@dataclass(frozen=True)
class RunPlan:
    """One run: changes before it and, by number of request, during it; trouble; its end."""

    before: tuple[str, ...] = ()
    during: tuple[tuple[int, str], ...] = ()
    faults: tuple[Fault, ...] = ()
    stop: Stop | None = None


@dataclass(frozen=True)
class Schedule:
    """A story: what the vendors hold and how they behave, and run after run."""

    seed: int = 1
    chats: int = 20
    messages_per_chat: int = 3
    swell_messages: int = 40
    days: int = 20
    burst: bool = False
    """Whether chats were imported: two in every second, at whole seconds."""
    vendors: t.Literal["both", "medchat", "swell"] = "both"
    all_streams: bool = False
    jitter_ms: int = 0
    settings: Pairs = ()
    quirks: Pairs = ()
    runs: tuple[RunPlan, ...] = ()


MEDCHAT_QUIRKS: dict[str, tuple[t.Any, ...]] = {
    "medchat_envelope": ("value", "Value", "items", "Data", "results"),
    "medchat_empty": ("204", "empty_body"),
    "medchat_casing": ("pascal", "lower", "mixed", "rotating"),
    "medchat_casing_with_expand": ("pascal", "rotating"),
    "medchat_casing_nested": ("pascal", "lower", "mixed"),
    "medchat_max_top": (2, 3, 7),
    "medchat_page_cap": (2, 3, 5),
    "medchat_next_link": ("present", "always", "other_origin"),
    "medchat_order": ("shuffled_ties", "shuffled_ties", "unstable"),
    "medchat_orderby_ignored": (True,),
    "medchat_date_zone": ("none", "+00:00", "+05:00"),
    "medchat_date_digits": (0, 6, 7, None),
    "medchat_chat_date_null_every": (1, 3),
    "medchat_message_date_null_every": (1, 3),
    "medchat_case_sensitive_names": (True,),
    "medchat_chat_id_name": ("chatId", "smsChatId", None),
    "medchat_message_id_name": ("messageId", "smsMessageId", None),
    "medchat_message_chat_id": (True,),
    "medchat_expanded_empty": ("omitted", "null"),
    "medchat_error_shape": ("Message", "error"),
    "medchat_numbers_as_strings": (True,),
    "medchat_throttle_per_minute": (10, 40),
}
SWELL_QUIRKS: dict[str, tuple[t.Any, ...]] = {
    "swell_to_date": ("exclusive",),
    "swell_max_range_days": (6,),
    "swell_tomorrow_refused": (True,),
    "swell_filter_zone": ("America/Denver", "Asia/Tokyo", 12, -12),
    "swell_date_sent_zone": ("Asia/Tokyo",),
    "swell_date_sent": ("object", "null"),
    "swell_date_sent_null_every": (3,),
    "swell_date_sent_shift_hours": (30, -30),
    "swell_created_at": ("some", "none"),
    "swell_created_at_zone": ("UTC", "Asia/Kolkata"),
    "swell_order": ("latest", "unspecified", "unstable"),
    "swell_per_page_clamp": (2, 5),
    "swell_updated_after_hours": (72,),
    "swell_validation_failure": ("302", "html"),
    "swell_updated_after": ("Y-m-d", "Y-m-d H:i", "none"),
    "swell_repeat_across_locations": (True,),
    "swell_counts_as_strings": (True,),
    "swell_count_date": ("ignored",),
    "swell_ids_as_strings": (True,),
    "swell_read_as_int": (True,),
    "swell_tags": ("objects", "empty"),
    "swell_empty_dates": ("empty_string",),
    "swell_nulls": (True,),
    "swell_closed_word": ("Closed",),
    "swell_throttle_per_minute": (10, 40),
}
# Of these at most one is drawn: where all hints lie together nothing can be known.
SWELL_HINTS: tuple[Pairs, ...] = (
    (),
    (),
    *(
        (("swell_links", value),)
        for value in ("full", "full_no_token", "http", "other_host", "null", "absent")
    ),
    (("swell_meta", "simple"),),
    (("swell_meta", "absent"),),
    (("swell_meta", "absent"), ("swell_links", "absent")),
    (("swell_last_page_shift", -1),),
    (("swell_last_page_shift", 2),),
    (("swell_total_shift", -1),),
    (("swell_total_shift", 3),),
    (("swell_hints", "next_null"),),
    (("swell_hints", "last_page_now"),),
    (("swell_hints", "last_page_now"), ("swell_links", "absent")),
)
# Kinds of trouble by what the tap promises against them.
WAITED_OUT = "rate_limited"
RETRIED = ("status", "reset", "reset_mid_body", "cut_body", "length_too_long", "cut_chunked")
RETRIED_BRIEFLY = (
    "length_too_short",
    "truncated_json",
    "html",
    "data_null",
    "wrong_envelope",
    "rows_not_objects",
    "invalid_utf8",
    "deep_nesting",
    "empty",
    "no_content",
)
HARMLESS = ("slow", "trickle")
FATAL = ("login_redirect",)
STATUSES = (500, 502, 503, 504, 408, 425)

ADDITIONS = ("add_chat", "add_message", "add_message", "add_swell_message")
CHANGES = (*KINDS, *ADDITIONS, "change_chat", "change_message", "change_swell_message")


@st.composite
def faults(draw: Draw) -> Fault:
    """A fault that passes."""
    kinds = (WAITED_OUT, *RETRIED, *RETRIED_BRIEFLY, *HARMLESS, *HARMLESS, *FATAL)
    kind = draw(st.sampled_from(kinds))
    often = kind in HARMLESS
    briefly = kind in RETRIED_BRIEFLY
    return Fault(
        kind,
        where=draw(st.sampled_from(("any", "medchat", "swell"))),
        times=draw(st.integers(5, 40)) if often else 1 if briefly else draw(st.integers(1, 3)),
        after=draw(st.integers(0, 40)),
        every=draw(st.integers(1, 3)),
        status=draw(st.sampled_from(STATUSES)),
        retry_after=draw(st.sampled_from((None, 0, 1))),
        retry_after_form=draw(st.sampled_from(("seconds", "date", "reset"))),
        delay_ms=draw(st.sampled_from((1, 3))) if kind == "trickle" else draw(st.integers(2, 30)),
        pieces=4,
        size=500,
    )


@st.composite
def stops(draw: Draw) -> Stop:
    """A sudden end."""
    how = draw(st.sampled_from(("SIGKILL", "SIGKILL", "SIGTERM", "SIGINT", "deaf", "deaf+kill")))
    after: t.Any = "line" if "deaf" in how else draw(st.sampled_from(("request", "line")))
    return Stop(how, after, draw(st.integers(1, 80 if after == "request" else 400)))


@st.composite
def run_plans(draw: Draw) -> RunPlan:
    """One run."""
    changes = st.sampled_from(CHANGES)
    return RunPlan(
        before=tuple(draw(st.lists(changes, max_size=6))),
        during=tuple(draw(st.lists(st.tuples(st.integers(1, 60), changes), max_size=8))),
        faults=tuple(draw(st.lists(faults(), max_size=3))) if draw(st.booleans()) else (),
        stop=draw(stops()) if draw(st.integers(0, 9)) < 6 else None,
    )


@st.composite
def quirk_sets(draw: Draw, menu: dict[str, tuple[t.Any, ...]]) -> Pairs:
    """A few switches of one vendor."""
    if draw(st.integers(0, 3)) == 0:
        return ()
    names = draw(st.lists(st.sampled_from(list(menu)), max_size=6, unique=True))
    return tuple((name, draw(st.sampled_from(menu[name]))) for name in names)


@st.composite
def setting_sets(draw: Draw) -> Pairs:
    """Settings that make many pages and windows out of few rows."""
    lookback = draw(st.sampled_from((None, None, None, None, 0, 3, 30)))
    return (
        ("medchat_page_size", draw(st.integers(2, 20))),
        ("medchat_window_pages", draw(st.integers(1, 4))),
        ("medchat_lookback_days", lookback),
        ("swell_page_size", draw(st.integers(3, 20))),
        ("swell_window_days", draw(st.integers(1, 6))),
        ("swell_lookback_days", draw(st.integers(0, 4))),
        ("swell_counts_lookback_days", draw(st.integers(0, 4))),
        ("max_concurrency", draw(st.sampled_from((1, 2, 8)))),
    )


@st.composite
def schedules(draw: Draw) -> Schedule:
    """A story."""
    vendors = draw(st.sampled_from(("both", "both", "both", "medchat", "swell")))
    medchat, swell = vendors != "swell", vendors != "medchat"
    quirks: Pairs = ()
    if medchat:
        quirks += draw(quirk_sets(MEDCHAT_QUIRKS))
    if swell:
        quirks += draw(quirk_sets(SWELL_QUIRKS)) + draw(st.sampled_from(SWELL_HINTS))
    throttled = any("throttle" in name for name, _ in quirks)
    longest = (40,) if throttled else (60, 90, 60, 400) if swell else (90, 200, 720)
    return Schedule(
        seed=draw(st.integers(1, 10_000)),
        chats=draw(st.integers(0, 120)) if medchat else 0,
        messages_per_chat=draw(st.integers(1, 5)),
        swell_messages=draw(st.integers(0, 150)) if swell else 0,
        days=draw(st.one_of(st.integers(1, 30), st.integers(1, 30), st.sampled_from(longest))),
        burst=draw(st.integers(0, 4)) == 0,
        vendors=vendors,
        all_streams=draw(st.integers(0, 4)) == 0,
        jitter_ms=draw(st.sampled_from((0, 0, 1, 4))),
        settings=draw(setting_sets()),
        quirks=quirks,
        runs=tuple(draw(st.lists(run_plans(), min_size=2, max_size=6))),
    )


def told(value: object) -> str:
    """A schedule as Python, without what is as it is by default."""
    if isinstance(value, tuple):
        inner = ", ".join(told(item) for item in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if not dataclasses.is_dataclass(value):
        return repr(value)
    parts = [
        f"{field.name}={told(getattr(value, field.name))}"
        for field in dataclasses.fields(value)
        if getattr(value, field.name) != field.default
    ]
    return f"{type(value).__name__}({', '.join(parts)})"
