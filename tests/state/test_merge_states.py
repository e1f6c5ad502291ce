"""Runs over parts of the history, merged, are as good as one run over all of it."""

from __future__ import annotations

import copy
import json
import random
import typing as t
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone

import pytest
from medchat_swell_sandbox import Dataset, Fault, Sandbox
from support import state_fixtures
from support.tap_process import Json, Run
from support.tap_runs import DEFAULT_STREAMS, Cli, assert_whole, sync

from tap_medchat_swell.errors import TapError
from tap_medchat_swell.medchat import bookmark as medchat
from tap_medchat_swell.medchat.bookmark import History, Window
from tap_medchat_swell.merge_states import merge_states
from tap_medchat_swell.swell import bookmark as swell
from tap_medchat_swell.swell.bookmark import DayBookmark, Unsettled
from tap_medchat_swell.time_ranges import DAY, DayRange, TimeRange

Config = dict[str, t.Any]
UTC = timezone.utc
MIDNIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
CHANGES = ("add_chat", "add_backdated_chat", "add_message", "change_chat", "add_swell_message")


def text(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def shards(config: Config, *days_ago: int, overlap: int = 0) -> list[Config]:
    """The configurations of runs that share the history, cut so many days ago."""
    cuts = [text(MIDNIGHT - timedelta(days=days)) for days in days_ago]
    ends = [text(MIDNIGHT - timedelta(days=days - overlap)) for days in days_ago]
    starts = [config["start_date"], *cuts]
    return [
        {**config, "start_date": start} | ({"end_date": end} if end else {})
        for start, end in zip(starts, [*ends, None], strict=True)
    ]


def named(states: list[Json]) -> dict[str, Json]:
    return {f"state-{number}.json": state for number, state in enumerate(states)}


def old_rows(run: Run, before: datetime) -> list[str]:
    """The chats and messages of MedChat's that a run wrote although they are older."""
    rows = [*run.records("sms_chats"), *run.records("sms_messages")]
    return [row["id"] for row in rows if row["created_date_time"] < text(before)[:19]]


@pytest.fixture
def config(sandbox: Sandbox) -> Config:
    return sandbox.tap_config(
        medchat_page_size=5, medchat_window_pages=2, swell_page_size=10, swell_window_days=2
    )


def test_the_next_run_writes_nothing_old(sandbox: Sandbox, config: Config) -> None:
    runs = [sync(shard) for shard in shards(config, 15, 9, 4)]
    begin = datetime.now(UTC)
    sandbox.reset_log()

    night = sync(config, merge_states(named([run.state for run in runs])))

    assert [run.code for run in (*runs, night)] == [0] * 5, night.log
    assert_whole(Run(0, b"".join(run.stdout for run in runs), ""), sandbox)
    assert old_rows(night, begin) == []
    assert "start_date again" not in night.log
    lookback = MIDNIGHT - timedelta(days=3 + 3)
    asked = [r.query.get("from_date", r.query.get("date", "9")) for r in sandbox.requests]
    assert min(asked) >= str(lookback.date())


@pytest.mark.parametrize("seed", range(6))
def test_any_parts_in_any_order_and_changes_meanwhile(seed: int) -> None:
    """Some parts overlap, one is interrupted and resumed."""
    rng = random.Random(seed)
    data = Dataset.generate(seed=seed, chats=40, messages_per_chat=3, swell_messages=60, days=20)
    with Sandbox(data) as sandbox:
        config = sandbox.tap_config(medchat_page_size=5, medchat_window_pages=2)
        config |= {"swell_page_size": 10, "swell_window_days": 3, "swell_lookback_days": seed % 2}
        cuts = sorted(rng.sample(range(1, 19), rng.randint(1, 4)), reverse=True)
        parts = shards(config, *cuts, overlap=rng.choice([0, 0, 1, 3]))
        rng.shuffle(parts)
        runs, states = [], list[Json]()
        for number, part in enumerate(parts):
            if number == 0:
                sandbox.faults.add(Fault("status", status=403, after=rng.randint(2, 6), times=None))
                runs.append(sync(part))
                assert runs[-1].code == 1
                sandbox.faults.clear()
            runs.append(sync(part, runs[-1].state if number == 0 and runs[-1].states else None))
            assert runs[-1].code == 0, runs[-1].log
            states.append(runs[-1].state)
            for _ in range(3):
                data.mutate(rng, rng.choice(CHANGES))
        rng.shuffle(states)
        data.change_chat(next(iter(data.chats)), status="Changed")
        night = datetime.now(UTC)
        runs += [sync(config, merge_states(named(states)))]

        assert runs[-1].code == 0, runs[-1].log
        assert_whole(Run(0, b"".join(run.stdout for run in runs), ""), sandbox)
        assert old_rows(sync(config, runs[-1].state), night) == []


def test_an_interrupted_last_part_is_finished_by_the_next_run(
    sandbox: Sandbox, config: Config
) -> None:
    first, last = shards(config, 12)
    done = sync(first)
    sandbox.faults.add(
        Fault("status", status=403, where="medchat", after=3, times=None),
        Fault("status", status=403, where="swell", after=9, times=None),
    )
    stopped = sync(last)
    sandbox.faults.clear()
    assert stopped.code == 1

    night = sync(config, merge_states(named([done.state, stopped.state])))

    assert night.code == 0, night.log
    runs = [done, stopped, night]
    assert_whole(Run(0, b"".join(run.stdout for run in runs), ""), sandbox)
    assert "start_date again" not in night.log


def test_parts_that_did_not_follow_each_other_are_refused(config: Config) -> None:
    first, _, last = shards(config, 12, 8)
    states = [sync(part).state for part in (first, last)]

    for stream in DEFAULT_STREAMS:
        parts = [{"bookmarks": {stream: state["bookmarks"][stream]}} for state in states]
        with pytest.raises(TapError, match=f"{stream}: nothing .* has been read"):
            merge_states(named(parts))


@pytest.mark.parametrize(("end", "start"), [(0, 12), (12, 24), (18, 24), (6, 18)])
def test_no_gap_of_hours_is_claimed(config: Config, end: int, start: int) -> None:
    """Swell's bookmark is a day, and must not hide that part of it was not asked for."""
    day = MIDNIGHT - timedelta(days=8)
    before = sync({**config, "end_date": text(day + timedelta(hours=end))}).state
    after = sync({**config, "start_date": text(day + timedelta(hours=start))}).state

    for stream in ("sms_chats", "swell_messages"):
        parts = [{"bookmarks": {stream: state["bookmarks"][stream]}} for state in (before, after)]
        with pytest.raises(TapError, match="has been read"):
            merge_states(named(parts))


@pytest.mark.parametrize(
    "other", [{"account_name": "south"}, {"swell_location_ids": "1", "medchat_filter": "Id ne 'x'"}]
)
def test_other_accounts_and_settings_are_refused(config: Config, other: Config) -> None:
    first, last = shards(config, 12)
    states = [sync(first).state, sync({**last, **other}).state]

    with pytest.raises(TapError, match=r"state-0.json and state-1.json cannot be merged: .* other"):
        merge_states(named(states))


def test_states_of_version_1(config: Config) -> None:
    """They merge with each other; with later ones only once a run has written them again."""
    old = state_fixtures.load_state("finished")
    new = sync({**config, "start_date": "2026-01-20"}).state

    merged = merge_states({"one": old, "two": copy.deepcopy(old)})

    for stream, bookmark in merged["bookmarks"].items():
        assert bookmark["version"] == 2
        assert bookmark["scope"] == old["bookmarks"][stream]["scope"]
    with pytest.raises(TapError, match="another version of the tap"):
        merge_states({"one": old, "two": new})
    new["bookmarks"]["sms_chats"]["version"] = 3
    with pytest.raises(TapError, match="newer tap-medchat-swell"):
        merge_states({"one": new})


def test_a_damaged_bookmark_is_refused(config: Config) -> None:
    state = sync(config).state
    for stream in DEFAULT_STREAMS:
        damaged = copy.deepcopy(state)
        damaged["bookmarks"][stream]["since"] = "soon"

        with pytest.raises(TapError, match=f"{stream}: the bookmark in state-1.json is damaged"):
            merge_states(named([state, damaged]))


def test_one_state_is_its_own_union(config: Config) -> None:
    state = sync(config).state

    merged = merge_states({"one": state, "none": {}, "same": copy.deepcopy(state)})

    merged["bookmarks"]["swell_message_counts"]["changes_since"] = None  # it has none
    assert merged == state


def test_the_command(config: Config, cli: Cli) -> None:
    runs = [sync(part) for part in shards(config, 12)]
    files = [cli.file(f"{number}.json", run.state) for number, run in enumerate(runs)]

    merged = cli("--merge-states", *files)
    refused = cli("--merge-states", files[0], cli.file("other.json", {"a": 1}))

    assert merged.code == 0, merged.log
    assert json.loads(merged.stdout) == merge_states(named([run.state for run in runs]))
    assert (refused.code, refused.stdout) == (1, b"")
    assert refused.errors == ["The state has no bookmarks: this tap did not write it."]
    for wrong in (["--merge-states"], files, ["--merge-states", "missing.json"]):
        assert cli(*wrong).code == 2


class TestWindows:
    @staticmethod
    def union(*parts: list[tuple[int, int, int, int | None]]) -> list[Window]:
        histories = [
            History(
                tuple(
                    Window(TimeRange(start, end), 5, read, digests=(digest,))
                    for start, end, read, digest in part
                )
            )
            for part in parts
        ]
        return [*medchat.union(histories).windows]

    def test_neighbors_stay_as_they_are(self) -> None:
        united = self.union([(10, 20, 8, 1), (20, 30, 0, None)], [(0, 10, 9, 2)])

        assert united == [
            Window(TimeRange(0, 10), 5, 9, digests=(2,)),
            Window(TimeRange(10, 20), 5, 8, digests=(1,)),
            Window(TimeRange(20, 30), 5, 0, digests=(None,)),
        ]

    def test_the_same_window_was_read_when_it_was_first(self) -> None:
        """What came later is written again."""
        [window] = self.union([(0, 10, 9, 2)], [(0, 10, 7, 2)])

        assert window == Window(TimeRange(0, 10), 5, 7, digests=(2,))

    @pytest.mark.parametrize("other", [(0, 10, 7, 3), (0, 10, 7, None), (0, 10, 0, None)])
    def test_another_result_is_doubtful(self, other: tuple[int, int, int, int | None]) -> None:
        read = min(filter(None, (9, other[2])))

        [window] = self.union([(0, 10, 9, 2)], [other])

        assert window == Window(TimeRange(0, 10), 0, read, changed=True, digests=(None,))

    def test_windows_that_overlap_are_cut_and_doubtful(self) -> None:
        united = self.union([(0, 10, 9, 1), (10, 20, 9, 2)], [(15, 25, 7, 3), (25, 30, 7, 4)])

        pieces = [(w.range.start, w.range.end, w.read, w.digests[0]) for w in united]
        assert pieces == [
            (0, 10, 9, 1),
            (10, 15, 9, None),
            (15, 20, 7, None),
            (20, 25, 7, None),
            (25, 30, 7, 4),
        ]
        assert [w.changed for w in united] == [False, True, True, True, False]

    def test_a_gap(self) -> None:
        with pytest.raises(
            TapError, match="created from 1970-01-01T00:00:10Z to 1970-01-01T00:00:11Z"
        ):
            self.union([(0, 10, 9, 1)], [(11, 20, 9, 2)])


class TestDays:
    first = DayBookmark(
        date(2024, 1, 1),
        date(2024, 2, 1),
        datetime(2024, 6, 3, tzinfo=UTC),
        finished=datetime(2024, 6, 2, tzinfo=UTC),
        changes_since=datetime(2024, 6, 2, 12, tzinfo=UTC),
        changes_form="%Y-%m-%d",
    )
    later = replace(first, since=first.value, value=date(2024, 3, 1), changes_form=None)

    @pytest.mark.parametrize("turned", [False, True])
    def test_values_chain(self, *, turned: bool) -> None:
        both = [self.later, self.first] if turned else [self.first, self.later]

        united = swell.union(both, 0)

        assert united == replace(self.first, value=self.later.value)

    @pytest.mark.parametrize("apart", [0, 1])
    def test_days_between_are_a_gap(self, apart: int) -> None:
        beside = replace(self.later, since=self.first.value + apart * DAY)
        beyond = replace(beside, since=beside.since + DAY)

        assert swell.union([self.first, beside], apart).value == self.later.value
        with pytest.raises(
            TapError, match=r"nothing between 2024-02-01 and 2024-02-0[23] has been"
        ):
            swell.union([self.first, beyond], apart)

    def test_one_inside_another_does_not_lead_back(self) -> None:
        inside = replace(self.first, since=date(2024, 1, 5), value=date(2024, 1, 9))

        assert swell.union([self.first, inside], 0).value == self.first.value

    def test_changes_are_asked_for_since_the_first_run_started(self) -> None:
        interrupted = replace(
            self.later,
            finished=None,
            at=date(2024, 2, 20),
            started=datetime(2024, 6, 1, tzinfo=UTC),
            changes_since=None,
        )

        united = swell.union([self.first, interrupted], 0)

        assert united.changes_since == united.finished == interrupted.started
        assert united.at is None

    def test_unsettled_windows_are_kept_once(self) -> None:
        week = DayRange(date(2024, 1, 8), date(2024, 1, 14))
        next_week = DayRange(date(2024, 1, 14), date(2024, 1, 20))
        one = replace(self.first, unsettled=(Unsettled(week, 3, 2),))
        same = replace(self.later, unsettled=(Unsettled(week, 3, 1), Unsettled(next_week, 1, 1)))
        other = replace(self.later, unsettled=(Unsettled(week, 4, 3),))

        assert swell.union([one, same], 0).unsettled == (
            Unsettled(week, 3, 1),
            Unsettled(next_week, 1, 1),
        )
        assert swell.union([one, other], 0).unsettled == (Unsettled(week, None, 2),)
