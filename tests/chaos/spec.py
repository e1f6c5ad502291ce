"""What may happen: one value that holds a whole scenario, and how to draw it."""

from __future__ import annotations

import dataclasses
import typing as t
from dataclasses import dataclass

from hypothesis import strategies as st
from medchat_swell_sandbox import Fault
from medchat_swell_sandbox.mutations import KINDS

if t.TYPE_CHECKING:
    from medchat_swell_sandbox.faults import FaultKind

Pairs = tuple[tuple[str, t.Any], ...]
Draw = t.Callable[[st.SearchStrategy[t.Any]], t.Any]
MEDCHAT_STREAMS = ("sms_chats", "sms_memberships", "sms_messages", "sms_text_bot_executions")
SWELL_STREAMS = ("swell_message_counts", "swell_messages")
UNSELECTED = ("sms_memberships", "sms_text_bot_executions")  # unless a catalog selects them


@dataclass(frozen=True)
class Stop:
    """How a run is cut off: a signal's name or `closed_stdout` (the target dies), and when.

    `at` counts requests or lines of output. A target that dies loses what is in the pipe.
    """

    how: str
    after: t.Literal["request", "line"]
    at: int


@dataclass(frozen=True)
class RunPlan:
    """One run: what happens before it, during it (by number of request) and at its end."""

    before: tuple[str, ...] = ()
    during: tuple[tuple[int, str], ...] = ()
    faults: tuple[Fault, ...] = ()
    newest_days: Fault | None = None
    """What befalls every question to Swell that includes today or later."""
    stop: Stop | None = None
    days_later: float = 0
    """How much time passes before it, on both clocks."""
    clock_error_hours: float = 0
    """How far the tap's clock is ahead of the vendors'."""
    switches: tuple[tuple[int, str, t.Any], ...] = ()
    """Quirks that change for good at a request, 0 being before the run."""
    streams: tuple[str, ...] | None = None
    """The selected streams, where they differ from the scenario's."""
    locations: tuple[int, ...] | None = None
    """swell_location_ids, where they differ from the scenario's."""
    unacknowledged: int = 0
    """How many of the last STATEs the orchestrator never gets to see."""


@dataclass(frozen=True)
class ScenarioSpec:
    """A scenario: what the vendors hold and how they behave, and run after run."""

    seed: int = 1
    chats: int = 20
    messages_per_chat: int = 3
    swell_messages: int = 40
    days: float = 20
    campaigns: tuple[int, ...] = ()
    """Sizes of bursts of Swell messages that share one created_at."""
    burst: bool = False
    """Whether chats were imported: two in every second, at whole seconds."""
    vendors: t.Literal["both", "medchat", "swell"] = "both"
    all_streams: bool = False
    jitter_ms: int = 0
    merges_states: bool = False
    """Whether a STATE is merged into the one before, as Meltano can be told to."""
    settings: Pairs = ()
    quirks: Pairs = ()
    runs: tuple[RunPlan, ...] = ()

    @property
    def available_streams(self) -> tuple[str, ...]:
        """The streams of the vendors that there are credentials for."""
        medchat = MEDCHAT_STREAMS * (self.vendors != "swell")
        if "medchat_expanded_cap" in dict(self.quirks):  # the sandbox continues only Messages
            medchat = tuple(stream for stream in medchat if stream not in UNSELECTED)
        return medchat + SWELL_STREAMS * (self.vendors != "medchat")

    def streams_of(self, plan: RunPlan) -> tuple[str, ...]:
        """The streams that a run reads."""
        if plan.streams is not None:
            return plan.streams
        everything = self.available_streams
        return tuple(s for s in everything if self.all_streams or s not in UNSELECTED)

    def locations_of(self, plan: RunPlan) -> tuple[int, ...]:
        """The location filter of a run; empty for none."""
        if plan.locations is not None:
            return plan.locations
        return (1, 2, 3, 4) if dict(self.quirks).get("swell_repeat_across_locations") else ()

    @property
    def location_filters(self) -> set[tuple[int, ...]]:
        """Every location filter that a run has."""
        return {self.locations_of(plan) for plan in (RunPlan(), *self.runs)}


MEDCHAT_QUIRKS: dict[str, tuple[t.Any, ...]] = {
    "medchat_envelope": ("value", "Value", "items", "Data", "results"),
    "medchat_empty": ("204", "empty_body"),
    "medchat_casing": ("pascal", "lower", "mixed", "rotating"),
    "medchat_casing_with_expand": ("pascal", "rotating"),
    "medchat_casing_nested": ("pascal", "lower", "mixed"),
    "medchat_max_top": (2, 3, 7),
    "medchat_page_cap": (2, 3, 5),
    "medchat_short_pages": (2,),
    "medchat_max_skip": (25, 40),
    "medchat_next_link": ("present", "always", "other_origin"),
    "medchat_order": ("shuffled_ties", "postgres", "unstable"),
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
# Of these at most one is drawn.
MEDCHAT_PAIRS: tuple[Pairs, ...] = (
    (),
    (),
    (),
    (("medchat_expanded_cap", 1), ("medchat_expanded_cap_link", True)),
    (("medchat_expanded_cap", 3), ("medchat_expanded_cap_link", True)),
)
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
    "swell_order": ("latest", "unspecified", "unstable", "postgres", "postgres"),
    "swell_data_as_object": (True,),
    "swell_per_page_clamp": (2, 5),
    "swell_updated_after_hours": (72,),
    "swell_updated_after": ("Y-m-d", "Y-m-d H:i", "Y-m-d H:i:s", "iso", "none"),
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
    (("swell_distinct_total", True),),
    (("swell_hints", "next_null"),),
    (("swell_hints", "last_page_now"),),
    (("swell_hints", "last_page_now"), ("swell_links", "absent")),
)
# Quirks that a vendor may take up or drop at any request: they change no row's content.
SWITCHES: dict[str, tuple[t.Any, ...]] = {
    "medchat_casing": ("camel", "pascal", "lower", "rotating"),
    "medchat_envelope": ("array", "value", "Data"),
    "medchat_order": ("stable", "shuffled_ties", "postgres", "unstable"),
    "medchat_orderby_ignored": (True, False),
    "medchat_page_cap": (None, 2, 3, 5),
    "medchat_short_pages": (None, 2),
    "medchat_max_top": (None, 2, 7),
    "swell_order": ("id", "latest", "postgres"),
    "swell_per_page_clamp": (None, 2, 5),
    "swell_links": ("page_only", "full", "null", "absent"),
}
# Kinds of trouble by what the tap promises against them.
WAITED_OUT = "rate_limited"
RETRIED = ("status", "reset", "reset_mid_body", "cut_body", "length_too_long", "cut_chunked")
# 200s without rows, which an outage may send for a while.
MEDCHAT_OUTAGES: tuple[FaultKind, ...] = ("empty", "no_content", "json_null")
SWELL_OUTAGES: tuple[FaultKind, ...] = (
    "empty_status_error",
    "empty_message",
    "empty_code",
    "empty_data",
    "empty_page",
)
RETRIED_BRIEFLY = (
    "length_too_short",
    "truncated_json",
    "html",
    "data_null",
    "wrong_envelope",
    "rows_not_objects",
    "invalid_utf8",
    "deep_nesting",
    *MEDCHAT_OUTAGES,
)
# None of these says that a day has not begun.
NEWEST_DAYS = (
    *(Fault("status", status=status) for status in (302, 401, 403, 404, 405, 500)),
    Fault("login_redirect"),
    Fault("html"),
    Fault("wrong_envelope"),
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
def outages(draw: Draw, vendors: str, quirks: dict[str, t.Any]) -> Fault | None:
    """A while of 200s that hold nothing; None where a vendor's own empty pages look the same."""
    vendor = draw(st.sampled_from(("medchat", "swell"))) if vendors == "both" else vendors
    own_204 = quirks.get("medchat_empty", "envelope") != "envelope"
    has_no_hints = quirks.get("swell_meta") or quirks.get("swell_links") == "absent"
    if own_204 if vendor == "medchat" else has_no_hints:
        return None
    return Fault(
        draw(st.sampled_from(MEDCHAT_OUTAGES if vendor == "medchat" else SWELL_OUTAGES)),
        where=vendor,
        times=draw(st.integers(2, 40)),
        after=draw(st.integers(0, 30)),
        from_page=draw(st.sampled_from((1, 1, 2))) if vendor == "swell" else 1,
    )


@st.composite
def stops(draw: Draw) -> Stop:
    """A sudden end."""
    how = draw(
        st.sampled_from(
            ("SIGKILL", "SIGKILL", "SIGTERM", "SIGINT", "closed_stdout", "closed_stdout+kill")
        )
    )
    closes = "closed_stdout" in how
    after: t.Any = "line" if closes else draw(st.sampled_from(("request", "line")))
    return Stop(how, after, draw(st.integers(1, 80 if after == "request" else 400)))


def rarely(draw: Draw, strategy: st.SearchStrategy[t.Any], default: t.Any) -> t.Any:
    """Something in one of five runs."""
    return draw(strategy) if draw(st.integers(0, 4)) == 0 else default


@st.composite
def switches(draw: Draw, vendors: str) -> tuple[int, str, t.Any]:
    """A quirk that changes."""
    names = [name for name in SWITCHES if vendors == "both" or name.startswith(vendors)]
    name = draw(st.sampled_from(names))
    return draw(st.integers(0, 40)), name, draw(st.sampled_from(SWITCHES[name]))


@st.composite
def run_plans(draw: Draw, spec: ScenarioSpec) -> RunPlan:
    """One run."""
    changes = st.sampled_from(CHANGES)
    trouble = draw(st.lists(faults(), max_size=3)) if draw(st.booleans()) else []
    trouble.append(rarely(draw, outages(spec.vendors, dict(spec.quirks)), None))
    newest = st.sampled_from(NEWEST_DAYS) if spec.vendors != "medchat" else st.none()
    streams = st.lists(st.sampled_from(spec.available_streams), min_size=1, unique=True)
    return RunPlan(
        before=tuple(draw(st.lists(changes, max_size=6))),
        during=tuple(draw(st.lists(st.tuples(st.integers(1, 60), changes), max_size=8))),
        faults=tuple(fault for fault in trouble if fault is not None),
        newest_days=rarely(draw, newest, None),
        stop=draw(stops()) if draw(st.integers(0, 9)) < 6 else None,
        days_later=draw(st.sampled_from((0, 0, 0, 0, 0.3, 1, 1, 2.5, 8))),
        clock_error_hours=rarely(draw, st.sampled_from((-50, -3, -0.05, 0.05, 3, 50, 100)), 0),
        switches=tuple(rarely(draw, st.lists(switches(spec.vendors), max_size=3), ())),
        streams=rarely(draw, streams.map(sorted).map(tuple), None),
        locations=rarely(draw, st.sampled_from(((), (1,), (2, 3))), None),
        unacknowledged=rarely(draw, st.integers(1, 4), 0),
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
    return (
        ("medchat_page_size", draw(st.integers(2, 20))),
        ("medchat_window_pages", draw(st.integers(1, 4))),
        ("medchat_rescan_days", draw(st.sampled_from((None, None, None, 1, 3, 7)))),
        ("swell_page_size", draw(st.integers(3, 20))),
        ("swell_window_days", draw(st.integers(1, 6))),
        ("swell_lookback_days", draw(st.integers(0, 4))),
        ("swell_counts_lookback_days", draw(st.integers(0, 4))),
        ("max_concurrency", draw(st.sampled_from((1, 2, 8)))),
    )


@st.composite
def specs(draw: Draw) -> ScenarioSpec:
    """A scenario."""
    vendors = draw(st.sampled_from(("both", "both", "both", "medchat", "swell")))
    medchat, swell = vendors != "swell", vendors != "medchat"
    quirks: Pairs = ()
    if medchat:
        quirks += draw(quirk_sets(MEDCHAT_QUIRKS)) + draw(st.sampled_from(MEDCHAT_PAIRS))
    if swell:
        quirks += draw(quirk_sets(SWELL_QUIRKS)) + draw(st.sampled_from(SWELL_HINTS))
    throttled = any("throttle" in name for name, _ in quirks)
    longest = (40,) if throttled else (60, 90, 60, 400) if swell else (90, 200, 720)
    spec = ScenarioSpec(
        seed=draw(st.integers(1, 10_000)),
        chats=draw(st.integers(0, 120)) if medchat else 0,
        messages_per_chat=draw(st.integers(1, 5)),
        swell_messages=draw(st.integers(0, 150)) if swell else 0,
        days=draw(st.one_of(st.integers(1, 30), st.integers(1, 30), st.sampled_from(longest))),
        campaigns=tuple(rarely(draw, st.lists(st.integers(2, 60), max_size=2), ())) * swell,
        burst=draw(st.integers(0, 4)) == 0,
        vendors=vendors,
        all_streams=draw(st.integers(0, 4)) == 0,
        jitter_ms=draw(st.sampled_from((0, 0, 1, 4))),
        merges_states=draw(st.integers(0, 4)) == 0,
        settings=draw(setting_sets()),
        quirks=quirks,
    )
    runs = draw(st.lists(run_plans(spec), min_size=2, max_size=6))
    return dataclasses.replace(spec, runs=tuple(runs))


def describe(value: object) -> str:
    """A scenario as Python, without what is as it is by default."""
    if isinstance(value, tuple):
        inner = ", ".join(describe(item) for item in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if not dataclasses.is_dataclass(value):
        return repr(value)
    parts = [
        f"{field.name}={describe(getattr(value, field.name))}"
        for field in dataclasses.fields(value)
        if getattr(value, field.name) != field.default
    ]
    return f"{type(value).__name__}({', '.join(parts)})"
