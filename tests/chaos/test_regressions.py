"""Scenarios in which a promise was once broken, each named after what was wrong."""

from __future__ import annotations

import functools
import itertools
import typing as t
from datetime import date, timedelta

import pytest
from medchat_swell_sandbox import Fault

from .runner import Runner
from .spec import MEDCHAT_OUTAGES, NEWEST_DAYS, SWELL_OUTAGES, RunPlan, ScenarioSpec, Stop

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .runner import Scenario

SIGNAL_TIMES = 3  # a signal never arrives at quite the same moment
UNSTABLE_TIMES = 8  # an order that changes with every request
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
    ScenarioSpec, chats=0, vendors="swell", settings=SMALL, runs=(RunPlan(),)
)
MEDCHAT_ONCE = functools.partial(
    ScenarioSpec, chats=120, vendors="medchat", settings=SMALL, runs=(RunPlan(),)
)
MORE_MESSAGES = RunPlan(before=("add_swell_message",) * 5)
FOUND: dict[str, ScenarioSpec] = {
    # Unbuffered standard output writes only part of a line when a signal interrupts it.
    "a_signal_cuts_no_line": ScenarioSpec(
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
    # The last window of a scan had a STATE of its own besides the scan's last one.
    "state_at_most_once_per_window": ScenarioSpec(
        seed=900, chats=23, days=400, settings=SMALL, runs=(RunPlan(), RunPlan())
    ),
    # After chats of one second, which are read separately, windows ended at other places
    # than planned.
    "state_at_most_once_per_window_out_of_step": ScenarioSpec(
        seed=545,
        chats=61,
        days=3,
        vendors="medchat",
        settings=(*SMALL, ("medchat_page_size", 3), ("medchat_window_pages", 3)),
        quirks=(("medchat_order", "shuffled_ties"),),
        runs=(RunPlan(), RunPlan(), RunPlan(), RunPlan()),
    ),
    # Windows of one day, in a zone behind UTC, where today has not begun.
    "today_is_refused_where_it_is_still_yesterday": ScenarioSpec(
        seed=302,
        chats=0,
        swell_messages=60,
        days=9,
        vendors="swell",
        settings=SMALL,
        quirks=(("swell_filter_zone", -12), ("swell_tomorrow_refused", True)),
        runs=(RunPlan(), RunPlan(before=("add_swell_message",))),
    ),
    # The rest of an interrupted scan holds only chats without messages.
    "rest_of_a_scan_without_messages": ScenarioSpec(
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
    # A page in random order looks ordered by chance, above all if some chats have no time.
    "random_order_that_looks_sorted": ScenarioSpec(
        seed=3234,
        chats=120,
        messages_per_chat=2,
        days=24,
        vendors="medchat",
        settings=SMALL,
        quirks=(("medchat_order", "unstable"), ("medchat_chat_date_null_every", 3)),
        runs=(RunPlan(),),
    ),
    # Chats without a time seemed so dense that pages were requested without end.
    "no_chat_has_a_time": ScenarioSpec(
        seed=9039,
        chats=109,
        days=90,
        vendors="medchat",
        settings=SMALL,
        quirks=(("medchat_chat_date_null_every", 1),),
        runs=(RunPlan(during=((40, "add_backdated_chat"),)),),
    ),
    # A page of copies of one message, without a hint about more, was taken for the end.
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
    # No chat has a time, so none reached the window ends that the last scan had planned.
    "planned_window_end_that_no_chat_reaches": ScenarioSpec(
        seed=787,
        chats=67,
        days=16,
        vendors="medchat",
        settings=SMALL,
        quirks=(("medchat_chat_date_null_every", 1),),
        runs=(RunPlan(during=((20, "delete_chat"),)), RunPlan(before=("add_message",))),
    ),
    # One 204 among good responses is a failure, not the absence of chats.
    "a_passing_204_is_not_no_chats": ScenarioSpec(
        seed=12,
        chats=40,
        vendors="medchat",
        settings=SMALL,
        runs=(RunPlan(faults=(Fault("no_content"),)),),
    ),
    # Once totals had turned out wrong, one pass was enough, even in an order that changes.
    "totals_lie_and_the_order_changes": SWELL_ONCE(
        seed=45,
        swell_messages=137,
        days=40,
        quirks=(("swell_order", "unstable"), ("swell_total_shift", 3)),
    ),
    # With pages of two rows in random order, a second page equals the first by chance.
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
    "one_server_error_is_retried": ScenarioSpec(
        chats=40, settings=SMALL, runs=(RunPlan(faults=(Fault("status", status=503, after=5),)),)
    ),
    # A stream that is selected later needs the windows that the others have read already.
    "a_stream_selected_later_is_read_whole": MEDCHAT_ONCE(
        seed=21,
        days=400,
        settings=(*SMALL, ("medchat_rescan_days", 30)),
        runs=(RunPlan(streams=("sms_chats",)), RunPlan(streams=("sms_chats", "sms_messages"))),
    ),
    "a_short_page_is_not_the_end": MEDCHAT_ONCE(
        chats=40,
        settings=(*SMALL, ("medchat_window_pages", 20)),
        quirks=(("medchat_short_pages", 2),),
    ),
    "a_page_without_a_new_chat_is_not_the_end": MEDCHAT_ONCE(
        seed=33,
        chats=400,
        messages_per_chat=1,
        days=60,
        settings=(*SMALL, ("medchat_page_size", 10), ("medchat_window_pages", 4)),
        quirks=(("medchat_short_pages", 1),),
    ),
    "to_date_is_exclusive": SWELL_ONCE(
        swell_messages=60, days=12, quirks=(("swell_to_date", "exclusive"),)
    ),
    "a_null_next_link_is_one_hint_of_three": SWELL_ONCE(
        swell_messages=60,
        days=4,
        quirks=(("swell_hints", "next_null"), ("swell_per_page_clamp", 3)),
    ),
    # Rows with one created_at come in an order that depends on the page (PostgreSQL's top-N sort).
    "postgres_orders_ties_by_page": SWELL_ONCE(
        seed=4, swell_messages=30, days=3, campaigns=(60,), quirks=(("swell_order", "postgres"),)
    ),
    # Copies in one window made losses in another look harmless.
    "copies_vouch_for_no_other_window": SWELL_ONCE(
        seed=5,
        swell_messages=60,
        days=12,
        campaigns=(40, 40),
        quirks=(("swell_order", "postgres"), ("swell_repeat_across_locations", True)),
    ),
    # 200s with an empty list that hold an error, or lack what every other answer has.
    **{
        f"{kind}_is_no_empty_window": SWELL_ONCE(
            seed=6,
            swell_messages=60,
            days=12,
            runs=(RunPlan(faults=(Fault(kind, where="swell", after=4, times=20),)),),
        )
        for kind in SWELL_OUTAGES
    },
    "empty_pages_behind_one_that_announces_them": SWELL_ONCE(
        seed=7,
        swell_messages=90,
        days=4,
        runs=(RunPlan(faults=(Fault("empty_page", where="swell", from_page=2, times=60),)),),
    ),
    # Anything from 200 to 500 counted as a refusal of days that have not begun.
    **{
        f"{fault.kind}_{fault.status}_is_no_refusal_of_{count}_days": SWELL_ONCE(
            seed=8,
            swell_messages=60,
            days=count,
            settings=(*SMALL, ("swell_window_days", 6)),
            runs=(RunPlan(newest_days=fault),),
        )
        for fault in NEWEST_DAYS
        for count in (1, 10)
    },
    # All that the run asks for is refused, not only the days that have not begun.
    "a_refusal_of_everything_is_no_empty_account": SWELL_ONCE(
        seed=8,
        swell_messages=60,
        days=1,
        runs=(
            RunPlan(
                streams=("swell_messages",),
                faults=(Fault("status", status=422, where="messages", times=None),),
            ),
        ),
    ),
    # updated_after was asked for in whole days, and refused where the first lay too far back.
    "changes_since_an_exact_time": SWELL_ONCE(
        seed=10,
        swell_messages=60,
        days=30,
        quirks=(("swell_updated_after_hours", 72),),
        runs=(
            RunPlan(),
            RunPlan(
                before=("change_swell_message",) * 12,
                stop=Stop(how="SIGKILL", after="request", at=1),
            ),
            RunPlan(days_later=2.5),
        ),
    ),
    # One failed updated_after, and `finished` moved past the changes behind it.
    "a_failed_updated_after_is_asked_again": SWELL_ONCE(
        seed=11,
        swell_messages=60,
        days=30,
        settings=(*SMALL, ("swell_window_days", 6), ("max_concurrency", 1)),
        runs=(
            RunPlan(),
            RunPlan(
                before=("change_swell_message",) * 12,
                stop=Stop(how="SIGKILL", after="request", at=1),
            ),
            RunPlan(
                days_later=1,
                faults=(Fault("status", status=404, where="updated_after", times=None),),
            ),
            RunPlan(),
        ),
    ),
    # Messages that came while an unstable order was read stood in for others.
    "growth_in_an_unstable_order": SWELL_ONCE(
        seed=12,
        swell_messages=6,
        days=4,
        settings=(*SMALL, ("swell_window_days", 6), ("max_concurrency", 1)),
        quirks=(("swell_order", "unstable"),),
        runs=(
            RunPlan(
                streams=("swell_messages",),
                during=tuple((number, "add_backdated_swell_message") for number in range(2, 9)),
            ),
        ),
    ),
    # Every hint said "one page", though the page was full.
    "a_full_page_is_not_the_last": SWELL_ONCE(
        seed=13,
        swell_messages=10,
        days=1,
        settings=(*SMALL, ("swell_window_days", 6)),
        quirks=(
            ("swell_total_shift", -5),
            ("swell_last_page_shift", -1),
            ("swell_hints", "next_null"),
        ),
    ),
    # PHP's filtered arrays are objects from the second page on.
    "data_as_an_object": SWELL_ONCE(
        seed=14, swell_messages=40, days=3, quirks=(("swell_data_as_object", True),)
    ),
    # Totals that count copies disagree with every window, for good.
    "totals_count_copies": SWELL_ONCE(
        seed=15,
        swell_messages=60,
        days=9,
        quirks=(("swell_distinct_total", True),),
        runs=(RunPlan(), MORE_MESSAGES, MORE_MESSAGES),
    ),
    # A while of empty bodies passed for "no chats".
    **{
        f"{kind}_for_a_while_is_not_no_chats": MEDCHAT_ONCE(
            seed=16, runs=(RunPlan(faults=(Fault(kind, where="medchat", after=8, times=40),)),)
        )
        for kind in MEDCHAT_OUTAGES
    },
    **{
        f"{kind}_from_the_first_request_is_not_no_chats": MEDCHAT_ONCE(
            seed=17, runs=(RunPlan(faults=(Fault(kind, where="medchat", times=3),)),)
        )
        for kind in MEDCHAT_OUTAGES
    },
    **{
        f"{kind}_for_all_of_a_first_run_is_not_no_chats": MEDCHAT_ONCE(
            seed=17, runs=(RunPlan(faults=(Fault(kind, where="medchat", times=30),)),)
        )
        for kind in MEDCHAT_OUTAGES
    },
    **{
        f"{kind}_in_a_later_run_is_not_no_chats": MEDCHAT_ONCE(
            seed=18,
            runs=(
                RunPlan(),
                RunPlan(
                    before=("add_chat",) * 6,
                    faults=(Fault(kind, where="medchat", after=20, times=40),),
                ),
            ),
        )
        for kind in MEDCHAT_OUTAGES
    },
    # A bookmark from a clock that was days ahead hid the messages of the days between.
    "a_clock_was_ahead": ScenarioSpec(
        seed=19,
        days=9,
        settings=(*SMALL, ("swell_lookback_days", 0), ("swell_counts_lookback_days", 0)),
        runs=(RunPlan(clock_error_hours=100), MORE_MESSAGES),
    ),
    # A merged STATE still holds the reading that has completed since; its clock was ahead.
    "a_merged_state_and_a_clock_that_was_ahead": ScenarioSpec(
        seed=20,
        chats=60,
        days=9,
        merges_states=True,
        settings=SMALL,
        runs=(
            RunPlan(clock_error_hours=3, stop=Stop(how="SIGTERM", after="request", at=12)),
            RunPlan(clock_error_hours=3),
            RunPlan(before=("add_message", "change_chat", "add_swell_message") * 3),
        ),
    ),
    "a_stream_selected_while_a_scan_is_interrupted": MEDCHAT_ONCE(
        seed=22,
        runs=(
            RunPlan(streams=("sms_chats",), stop=Stop(how="SIGTERM", after="request", at=30)),
            RunPlan(),
        ),
    ),
    "other_locations_are_read_from_start_date": SWELL_ONCE(
        seed=23, swell_messages=60, days=30, runs=(RunPlan(locations=(1,)), RunPlan())
    ),
    # Here nothing but the last days' windows brings what came after the last run.
    "days_that_are_not_over_are_read_again": SWELL_ONCE(
        seed=27,
        swell_messages=60,
        days=9,
        settings=(*SMALL, ("swell_lookback_days", 0)),
        quirks=(("swell_updated_after", "none"),),
        runs=(RunPlan(), MORE_MESSAGES),
    ),
    "half_a_document_is_no_empty_account": MEDCHAT_ONCE(
        seed=28, runs=(RunPlan(faults=(Fault("truncated_json", where="medchat", times=2),)),)
    ),
    "chats_change_between_runs": MEDCHAT_ONCE(
        seed=29,
        chats=20,
        runs=(RunPlan(), RunPlan(before=("add_message", "change_chat") * 4)),
    ),
    "casing_changes_with_every_request": MEDCHAT_ONCE(
        seed=31, chats=20, quirks=(("medchat_casing", "rotating"),)
    ),
    # The target dies after some line: what it has got is all that the next run may rely on.
    "a_target_dies_at_any_line": ScenarioSpec(
        seed=30,
        chats=60,
        days=9,
        settings=SMALL,
        runs=tuple(
            RunPlan(stop=Stop(how="closed_stdout+kill", after="line", at=at))
            for at in range(24, 44, 2)
        ),
    ),
    "old_windows_are_rescanned_in_time": MEDCHAT_ONCE(
        seed=25,
        chats=60,
        days=400,
        settings=(*SMALL, ("medchat_rescan_days", 3)),
        runs=(RunPlan(), RunPlan(before=("change_chat",) * 12), RunPlan(days_later=3.5)),
    ),
    "cut_collections_are_completed": MEDCHAT_ONCE(
        seed=24,
        chats=40,
        quirks=(("medchat_expanded_cap", 1), ("medchat_expanded_cap_link", True)),
    ),
}


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner() as running:
        yield running


def times(spec: ScenarioSpec) -> int:
    """How often to play a scenario that takes another course each time."""
    if "unstable" in dict(spec.quirks).values():
        return UNSTABLE_TIMES
    has_signal = any(plan.stop and "closed" not in plan.stop.how for plan in spec.runs)
    return SIGNAL_TIMES if has_signal else 1


@pytest.mark.parametrize("name", FOUND)
def test_found(name: str, runner: Runner) -> None:
    for _ in range(times(FOUND[name])):
        runner.play(FOUND[name])


def test_a_change_reverted_between_two_scans(runner: Runner) -> None:
    """A chat's status changes and changes back between two scans that complete.

    The only scan that saw it was killed before its STATE, so the next one computes the same
    digests as the one before, while the target holds a status that is no longer true.
    """
    for line, stopped in itertools.product(range(3, 12), ("SIGKILL", "closed_stdout+kill")):
        scenario = runner.prepare(ScenarioSpec(seed=5, chats=20, vendors="medchat", settings=SMALL))
        scenario.run(RunPlan())
        chat = scenario.sandbox.dataset.chats_created(None, None)[0]
        was = chat.status
        scenario.set_status(chat.id, "Unheard of")
        scenario.run(RunPlan(stop=Stop(how=stopped, after="line", at=line)))
        scenario.set_status(chat.id, was)
        scenario.run(RunPlan())
        scenario.run(RunPlan())  # the one before may have resumed the killed one's scan
        assert scenario.runs[-1].code == 0


def test_changes_behind_a_refused_updated_after_come_later(runner: Runner) -> None:
    scenario = runner.prepare(SWELL_ONCE(seed=11, swell_messages=60, days=30))
    scenario.run(RunPlan())
    for _ in range(12):
        scenario.sandbox.dataset.mutate(scenario.rng, "change_swell_message")
    scenario.history.observe()
    scenario.clock.offset += timedelta(days=1)

    scenario.sandbox.faults.add(Fault("status", status=422, where="updated_after", times=None))
    offset = scenario.clock.offset.total_seconds()
    refused = scenario.cli(
        config=scenario.config, state=scenario.target.state, clock_offset=offset, hurry=True
    )
    scenario.target.receive(refused)
    scenario.oracle.note(refused.states)
    scenario.run(RunPlan())

    assert refused.code == 0
    assert "refused updated_after" in refused.log


def test_answers_come_in_another_order(runner: Runner) -> None:
    """The first days' answers never come; the run is stopped when those of later days have."""
    settings = (*SMALL, ("max_concurrency", 8))
    spec = SWELL_ONCE(seed=32, swell_messages=90, days=12, settings=settings)
    scenario = runner.prepare(spec)
    first = date.fromisoformat(scenario.config["start_date"][:10])
    slow = tuple(
        Fault("slow", where=f"from_date={first + timedelta(days=n)}", times=None, delay_ms=60_000)
        for n in range(-1, 2)
    )

    # At most ten requests are under way, so at the 30th, answers of later days have been used.
    stop = Stop(how="SIGTERM", after="request", at=30)
    scenario.run(RunPlan(faults=slow, stop=stop, streams=("swell_messages",)))
    scenario.run(RunPlan(streams=("swell_messages",)))


def test_what_comes_during_a_scan_is_all_that_comes_again(runner: Runner) -> None:
    scenario = runner.prepare(MEDCHAT_ONCE(seed=26))
    scenario.run(RunPlan(during=tuple((number, "add_message") for number in range(2, 12))))

    # What was created in the second in which a run starts comes again with the next one.
    scenario.run(RunPlan(days_later=1))
    scenario.run(RunPlan(days_later=1))

    assert len(scenario.runs[1].records("sms_messages")) <= 10
    assert not scenario.runs[2].records("sms_messages")


def test_unchanged_rows_do_not_come_again_when_ties_move(runner: Runner) -> None:
    quirks = (("medchat_order", "shuffled_ties"),)
    spec = MEDCHAT_ONCE(seed=21, burst=True, quirks=quirks)
    scenario = runner.prepare(spec)

    for _ in range(3):
        scenario.run(RunPlan())

    assert [len(run.records("sms_chats")) for run in scenario.runs] == [120, 0, 0]
    assert not any(run.records("sms_messages") for run in scenario.runs[1:])


def test_a_page_cap_below_top_costs_no_reading_chat_by_chat(runner: Runner) -> None:
    cap, chats = 6, 600
    settings = (*SMALL, ("medchat_page_size", 20), ("medchat_window_pages", 4))
    quirks = (("medchat_page_cap", cap), ("medchat_order", "shuffled_ties"))
    scenario = runner.play(
        MEDCHAT_ONCE(chats=chats, days=40, burst=True, settings=settings, quirks=quirks)
    )
    scenario.run(RunPlan())

    assert len(scenario.sandbox.requests) < 3 * chats / (cap - 1)


def test_one_chat_per_page_is_refused(runner: Runner) -> None:
    """Pages of one row cannot overlap, so nothing would show that rows moved."""
    scenario = runner.prepare(MEDCHAT_ONCE(chats=20, quirks=(("medchat_page_cap", 1),)))

    run = scenario.cli(config=scenario.config, hurry=True)

    assert run.code == 1
    assert "one chat" in run.errors[0]
    assert not any(run.state["bookmarks"].values())


def crowded_second(runner: Runner, chats: int, *quirks: tuple[str, t.Any]) -> Scenario:
    """A scenario whose chats were all created at one instant."""
    quirks = (("medchat_order", "shuffled_ties"), *quirks)
    settings = (*SMALL, ("medchat_page_size", 20))
    scenario = runner.prepare(MEDCHAT_ONCE(chats=chats, settings=settings, quirks=quirks))
    dataset = scenario.sandbox.dataset
    rows = dataset.chats_created(None, None)
    for chat in rows:
        chat.created = rows[0].created
    dataset.load_chats(rows)
    scenario.history.observe()
    return scenario


def test_a_crowded_second_of_capped_pages_is_read_more_than_once(runner: Runner) -> None:
    scenario = crowded_second(runner, 40, ("medchat_page_cap", 4))

    scenario.run(RunPlan())

    assert scenario.runs[0].code == 0


def test_a_crowded_second_whose_order_depends_on_the_page_is_read_whole(runner: Runner) -> None:
    """The same query gets the same page, so other passes need another $top."""
    scenario = crowded_second(runner, 40, ("medchat_page_cap", 4), ("medchat_order", "postgres"))

    scenario.run(RunPlan())

    assert scenario.runs[0].code == 0


def test_a_crowded_second_is_read_with_a_larger_top(runner: Runner) -> None:
    scenario = crowded_second(runner, 30)

    scenario.run(RunPlan())

    tops = [int(r.query["$top"]) for r in scenario.sandbox.requests if "$top" in r.query]
    assert max(tops) >= 30
    assert len(tops) < 40


def test_zero_counts_for_every_day_warn(runner: Runner) -> None:
    """from_date = to_date, compared as bare dates, counts nothing (W14)."""
    settings = (*SMALL, ("swell_counts_parameters", "range"))
    scenario = runner.prepare(
        SWELL_ONCE(
            swell_messages=60,
            days=20,
            settings=settings,
            quirks=(("swell_count_to_date", "exclusive"),),
        )
    )

    run = scenario.cli(config=scenario.config, hurry=True)

    assert run.code == 0
    warnings = [line for line in run.log.splitlines() if "WARNING" in line]
    assert any("swell_counts_parameters" in line for line in warnings), warnings
