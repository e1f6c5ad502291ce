"""Schedules that once broke a promise, each named after what was wrong."""

from __future__ import annotations

import functools
import typing as t

import pytest
from medchat_swell_sandbox import Fault

from .play import Stage
from .schedule import RunPlan, Schedule, Stop

if t.TYPE_CHECKING:
    from collections.abc import Iterator

TIMES = 3  # where a signal falls is never quite the same
SMALL = (
    ("medchat_page_size", 4),
    ("medchat_window_pages", 2),
    ("swell_page_size", 5),
    ("swell_window_days", 1),
    ("swell_lookback_days", 1),
    ("swell_counts_lookback_days", 1),
    ("max_concurrency", 2),
)
SWELL_ONCE = functools.partial(
    Schedule, chats=0, vendors="swell", settings=SMALL, runs=(RunPlan(),)
)
FOUND: dict[str, Schedule] = {
    # An unbuffered standard output writes only a part when a signal comes upon it.
    "a_signal_cuts_no_line": Schedule(
        seed=779,
        chats=60,
        swell_messages=40,
        days=3,
        settings=SMALL,
        runs=(
            RunPlan(stop=Stop(how="SIGINT", after="line", at=8)),
            RunPlan(stop=Stop(how="SIGTERM", after="line", at=8)),
            RunPlan(before=("change_message",), stop=Stop(how="SIGINT", after="line", at=4)),
        ),
    ),
    # The last window of a reading had a STATE of its own besides the one of its end.
    "state_at_most_once_per_window": Schedule(
        seed=900, chats=23, days=400, settings=SMALL, runs=(RunPlan(), RunPlan())
    ),
    # Behind chats of one second, read apart, windows end elsewhere than was foreseen.
    "state_at_most_once_per_window_out_of_step": Schedule(
        seed=545,
        chats=61,
        days=3,
        vendors="medchat",
        settings=(*SMALL, ("medchat_page_size", 3), ("medchat_window_pages", 3)),
        quirks=(("medchat_order", "shuffled_ties"),),
        runs=(RunPlan(), RunPlan(), RunPlan(), RunPlan()),
    ),
    # Windows of one day, a zone behind UTC: today has not come there yet.
    "today_is_refused_where_it_is_still_yesterday": Schedule(
        seed=302,
        chats=0,
        swell_messages=60,
        days=9,
        vendors="swell",
        settings=SMALL,
        quirks=(("swell_filter_zone", -12), ("swell_tomorrow_refused", True)),
        runs=(RunPlan(), RunPlan(before=("add_swell_message",))),
    ),
    # A sweep that was stopped goes on among chats that happen to have no messages.
    "rest_of_a_sweep_without_messages": Schedule(
        seed=7126,
        chats=30,
        messages_per_chat=1,
        days=15,
        vendors="medchat",
        settings=SMALL,
        quirks=(("medchat_expanded_empty", "omitted"),),
        runs=tuple(
            RunPlan(before=("add_chat",), stop=Stop(how="SIGKILL", after="request", at=at))
            for at in (9, 4, 12, 5)
        ),
    ),
    # By chance a page of chats in no order looks ordered, above all where some have no time.
    "no_order_that_looks_like_one": Schedule(
        seed=3234,
        chats=120,
        messages_per_chat=2,
        days=24,
        vendors="medchat",
        settings=SMALL,
        quirks=(("medchat_order", "unstable"), ("medchat_chat_date_null_every", 3)),
        runs=(RunPlan(),),
    ),
    # Chats without any time seemed so dense that endless pages were asked for.
    "no_chat_has_a_time": Schedule(
        seed=9039,
        chats=109,
        days=90,
        vendors="medchat",
        settings=SMALL,
        quirks=(("medchat_chat_date_null_every", 1),),
        runs=(RunPlan(during=((40, "add_backdated_chat"),)),),
    ),
    # A page of copies of one message, and no hint about more, passed for the end.
    "copies_fill_a_page": SWELL_ONCE(
        seed=91,
        swell_messages=106,
        days=1,
        quirks=(
            ("swell_repeat_across_locations", True),
            ("swell_per_page_clamp", 2),
            ("swell_meta", "absent"),
            ("swell_links", "absent"),
        ),
    ),
    # The same, where the hints contradict each other.
    "copies_fill_a_page_of_contradicting_hints": SWELL_ONCE(
        seed=741,
        swell_messages=59,
        days=26,
        quirks=(
            ("swell_repeat_across_locations", True),
            ("swell_per_page_clamp", 2),
            ("swell_order", "latest"),
            ("swell_hints", "last_page_now"),
        ),
    ),
    # No chat has a time, so the ends that the last sweep foresaw were told of in vain.
    "an_end_is_foreseen_that_none_reaches": Schedule(
        seed=787,
        chats=67,
        days=16,
        vendors="medchat",
        settings=SMALL,
        quirks=(("medchat_chat_date_null_every", 1),),
        runs=(RunPlan(during=((20, "delete_chat"),)), RunPlan(before=("add_message",))),
    ),
    # One 204 among good answers is trouble, not the absence of chats.
    "a_passing_204_is_not_no_chats": Schedule(
        seed=12,
        chats=40,
        vendors="medchat",
        settings=SMALL,
        runs=(RunPlan(faults=(Fault("no_content"),)),),
    ),
    # Once totals had proven to lie, one reading was enough, even in an order that changes.
    "totals_lie_and_the_order_changes": SWELL_ONCE(
        seed=45,
        swell_messages=137,
        days=40,
        quirks=(("swell_order", "unstable"), ("swell_total_shift", 3)),
    ),
    # Pages of two rows in no order: a second page is like the first by chance at times.
    "a_page_comes_twice_by_chance": SWELL_ONCE(
        seed=313,
        swell_messages=80,
        days=25,
        quirks=(
            ("swell_per_page_clamp", 2),
            ("swell_order", "unstable"),
            ("swell_repeat_across_locations", True),
        ),
    ),
}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as running:
        yield running


@pytest.mark.parametrize("name", FOUND)
def test_found(name: str, stage: Stage) -> None:
    for _ in range(TIMES):
        stage.play(FOUND[name])


@pytest.mark.parametrize("stopped", ["SIGKILL", "deaf+kill"])
def test_a_change_taken_back_while_nobody_looked(stage: Stage, stopped: str) -> None:
    """A chat's status goes there and back between two finished sweeps.

    The one sweep that saw it was killed before its STATE came, so the next one's sums
    are as they were, while the target holds the status that is no longer true.
    """
    for line in range(3, 12):
        story = stage.prepare(Schedule(seed=5, chats=20, vendors="medchat", settings=SMALL))
        story.run(RunPlan())
        chat = story.sandbox.dataset.chats_created(None, None)[0]
        was = chat.status
        story.set_status(chat.id, "Unheard of")
        story.run(RunPlan(stop=Stop(how=stopped, after="line", at=line)))
        story.set_status(chat.id, was)
        story.run(RunPlan())
        story.run(RunPlan())  # the one before may have gone on with the killed one's sweep
        assert story.runs[-1].code == 0
