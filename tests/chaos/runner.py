"""Makes a scenario happen: sandbox, runs, kills and changes, and the checks after each run."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
import signal
import tempfile
import time
import typing as t
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from medchat_swell_sandbox import Dataset, Quirks, Sandbox
from medchat_swell_sandbox.clock import utc_now
from support.clocks import VendorClock
from support.tap_runs import Cli

from . import bookmarks, invariants
from .history import History, View
from .invariants import Played
from .oracle import Begun, Oracle
from .spec import RunPlan, ScenarioSpec
from .target import Target

if t.TYPE_CHECKING:
    from medchat_swell_sandbox.request_log import RequestRecord
    from support.tap_process import Json, Run, Running
    from typing_extensions import Self

MOST_QUIET_RUNS = 3
QUIET_FOR = 0.1  # seconds
SETTLES_IN = 30.0  # seconds; it takes milliseconds on a machine that is not busy
QUIET = RunPlan()
FEW_CHANGES = ("add_message", "change_chat", "add_backdated_chat", "change_swell_message")
DISCOVERY = {
    "medchat_org_id": "any",
    "medchat_access_token": "any-token",
    "swell_api_token": "any-token",
    "start_date": "2024-01-01",
}


class Runner:
    """A sandbox and a folder for the tap, used for one scenario after the other.

    Coverage is not measured: the tap may be a mutant.
    """

    def __init__(self) -> None:
        self._sandbox = Sandbox(Dataset())
        self._clock = VendorClock()
        self._entered = ExitStack()

    def __enter__(self) -> Self:
        for resource in (self._clock, self._sandbox):
            self._entered.enter_context(resource)
        folder = self._entered.enter_context(tempfile.TemporaryDirectory(prefix="tap-runs-"))
        self.cli = Cli(Path(folder), measured=False)
        self._catalog: Json = json.loads(self.cli("--discover", config=DISCOVERY).stdout)
        return self

    def __exit__(self, *_: object) -> None:
        self._entered.close()

    def play(self, spec: ScenarioSpec) -> Scenario:
        """Play a scenario; raises AssertionError where a promise is broken."""
        scenario = self.prepare(spec)
        try:
            scenario.play()
        except AssertionError as error:
            raise AssertionError(f"{error}\n{scenario.describe()}") from None
        return scenario

    def prepare(self, spec: ScenarioSpec) -> Scenario:
        """A scenario that has not begun, for tests that play its runs one by one."""
        self._sandbox.on_request = None
        self._sandbox.faults.clear()
        self._clock.offset = timedelta()
        scenario = Scenario(spec, self._sandbox, self.cli, self._clock, self._catalog)
        scenario.set_up()
        return scenario


def _is_done(request: RequestRecord, seconds_ago: float) -> bool:
    return request.ended is not None and time.monotonic() - request.ended > seconds_ago


@dataclass
class Scenario:
    """A scenario being played. `runs` holds the result of each run."""

    spec: ScenarioSpec
    sandbox: Sandbox
    cli: Cli
    clock: VendorClock
    catalog: Json
    runs: list[Run] = field(default_factory=list)
    begun: list[Begun] = field(default_factory=list)

    def play(self) -> None:
        """Play all runs, then quiet ones until two have completed."""
        for plan in self.spec.runs:
            self.run(plan)
        self._run_until_complete()
        self.run(RunPlan(before=FEW_CHANGES))
        self._run_until_complete()

    def describe(self) -> str:
        """How each run ended, to find out what went wrong."""
        lines = []
        for number, (begun, run) in enumerate(zip(self.begun, self.runs, strict=False)):
            lines.append(
                f"run {number} at tick {begun.tick}, {begun.vendor_time:%m-%d %H:%M} "
                f"(tap {begun.tap_time:%m-%d %H:%M}): exit {run.code}, {len(run.lines)} lines"
            )
            found = bookmarks.bookmarks_of((run.states or [{}])[-1])
            lines += [
                f"  {stream}: {json.dumps(bookmarks.describe(stream, bookmark))[:300]}"
                for stream, bookmark in found.items()
            ]
            lines += [f"  {line}" for line in run.errors]
        return "\n".join(lines)

    def set_status(self, chat_id: str, status: str) -> None:
        """Change a chat's status."""
        self.sandbox.dataset.change_chat(chat_id, status=status)
        self.history.observe()

    def set_up(self) -> None:
        """Make the data and a new, empty target."""
        spec, sandbox = self.spec, self.sandbox
        # Not the data's own seed: what is added would get the ids of what is there.
        self.rng = random.Random(f"changes {spec.seed}")
        sandbox.reload(self._dataset())
        sandbox.quirks = Quirks(throttle_window_seconds=0.3).replace(**dict(spec.quirks))
        sandbox.jitter_ms = spec.jitter_ms
        self.config = self._config()
        start = sandbox.dataset.oldest()
        view = View(sandbox.quirks, start, spec.location_filters)
        self.history = History(sandbox.dataset, view)
        self.oracle = Oracle(self.history, sandbox.quirks, self.config)
        self.target = Target(merges_states=spec.merges_states)

    def _dataset(self) -> Dataset:
        spec = self.spec
        dataset = Dataset.generate(
            seed=spec.seed,
            chats=spec.chats,
            messages_per_chat=spec.messages_per_chat,
            swell_messages=spec.swell_messages,
            days=spec.days,
        )
        if spec.burst:
            import_at_once(dataset)
        for size in spec.campaigns:
            days_ago = self.rng.random() * spec.days
            dataset.add_campaign(size, created=utc_now() - timedelta(days=days_ago))
        return dataset

    def _config(self) -> Json:
        quirks = self.sandbox.quirks
        config = self.sandbox.tap_config(
            **{name: value for name, value in self.spec.settings if value is not None}
        )
        if self.spec.vendors == "swell":
            del config["medchat_org_id"], config["medchat_access_token"]
        if self.spec.vendors == "medchat":
            del config["swell_api_token"]
        if quirks.swell_count_date == "ignored":
            config["swell_counts_parameters"] = "range"
        config["swell_date_sent_timezone"] = quirks.swell_date_sent_zone
        return config

    def _selected(self, plan: RunPlan) -> Json | None:
        """The catalog of a run; None where it reads the default streams."""
        if plan.streams is None and not self.spec.all_streams:
            return None
        catalog = copy.deepcopy(self.catalog)
        streams = self.spec.streams_of(plan)
        for entry in catalog["streams"]:
            for metadata in entry["metadata"]:
                if not metadata["breadcrumb"]:
                    metadata["metadata"]["selected"] = entry["tap_stream_id"] in streams
        return catalog

    def _run_until_complete(self) -> None:
        for _ in range(MOST_QUIET_RUNS):
            if self.runs and self.runs[-1].code == 0 and self._is_whole(self.played):
                return
            self.run(QUIET)
        last = self.runs[-1]
        excused = invariants.must_fail(self.played)
        assert excused or last.code == 0, f"does not complete: {last.log}"

    def _is_whole(self, played: Played) -> bool:
        """Whether the target has received all that the run wrote, of every stream."""
        usual = self.spec.streams_of(QUIET), self.spec.locations_of(QUIET)
        its_own = played.streams, self.spec.locations_of(played.plan)
        return usual == its_own and not played.closed_stdout

    def run(self, plan: RunPlan) -> None:
        """Run once, and check the result."""
        self.clock.offset += timedelta(days=plan.days_later)
        self.history.observe()
        for kind in plan.before:
            self._change(kind)
        sandbox, given = self.sandbox, copy.deepcopy(self.target.state)
        self._settle()
        sandbox.faults.clear()
        sandbox.reset_log()
        sandbox.faults.add(*plan.faults)
        begun = self._begin(plan, given)
        quirks: list[Quirks] = []
        run = self._watched(plan, given, quirks)
        sandbox.on_request = None
        self.runs.append(run)
        self.target.receive(run, plan.unacknowledged)
        self.oracle.note(run.states)
        scopes = {(run.streams, run.locations, run.has_right_clock) for run in self.begun}
        is_same_scope = len(scopes) == 1 and begun.has_right_clock
        self.played = Played(run, plan, self.spec, sandbox, quirks, given, is_same_scope)
        invariants.check_run(self.played)
        if completed := self._completed_streams(self.played):
            self.oracle.check(completed, given, run.state, self.target)

    def _completed_streams(self, played: Played) -> list[str]:
        """The streams that were read to the end, in a run that may have failed otherwise."""
        is_open = invariants.has_seen_no_chats(played.run, played.sandbox.requests)
        if played.run.code == 0 and not played.closed_stdout and not is_open:
            return list(played.streams)
        before = bookmarks.bookmarks_of(played.given)
        after = bookmarks.bookmarks_of((played.run.states or [{}])[-1])
        return [
            stream
            for stream in played.streams
            if stream in after
            and not bookmarks.unfinished(after[stream])
            and bookmarks.finished(after[stream])
            and bookmarks.finished(after[stream]) != bookmarks.finished(before.get(stream, {}))
        ]

    def _begin(self, plan: RunPlan, given: Json | None) -> Begun:
        now, error = utc_now(), timedelta(hours=plan.clock_error_hours)
        locations = self.spec.locations_of(plan)
        streams = self.spec.streams_of(plan)
        begun = Begun(self.history.tick, now, now + error, streams, locations)
        self.begun.append(begun)
        self.oracle.begin(begun, given)
        return begun

    def _settle(self) -> None:
        """Wait for the requests of a killed run: they are not the next one's.

        And a moment longer: its last requests may not have reached the sandbox yet.
        """
        deadline = time.monotonic() + SETTLES_IN
        quiet_for = QUIET_FOR if self.runs and self.runs[-1].code else 0
        while not all(_is_done(request, quiet_for) for request in self.sandbox.requests):
            assert time.monotonic() < deadline, "a request of the run before never ended"
            time.sleep(0.002)

    def _watched(self, plan: RunPlan, given: Json | None, quirks: list[Quirks]) -> Run:
        """Run the tap; changes, switches and the end come at the requests and lines planned."""
        asked = 0
        running: list[Running] = []

        def on_request(_: int, vendor: str, path: str, query: dict[str, str]) -> None:
            nonlocal asked
            asked += 1
            if plan.newest_days and vendor == "swell" and _asks_for_today(query):
                self.sandbox.faults.add(dataclasses.replace(plan.newest_days, where=path))
            self._switch(plan, asked, quirks)
            for number, kind in plan.during:
                if number == asked:
                    self._change(kind)
            if plan.stop and plan.stop.after == "request" and asked == plan.stop.at and running:
                self._stop(running[0], plan.stop.how)

        def on_line(process: Running, number: int) -> None:
            if plan.stop and plan.stop.after == "line" and number == plan.stop.at:
                self._stop(process, plan.stop.how)

        self._switch(plan, 0, quirks)
        self.sandbox.on_request = on_request
        process = self.cli.begin(
            config={**self.config, "swell_location_ids": list(self.spec.locations_of(plan))},
            state=given,
            catalog=self._selected(plan),
            hurry=True,
            small_pipe=bool(plan.stop and plan.stop.after == "line"),
            clock_offset=self.clock.offset.total_seconds() + plan.clock_error_hours * 3600,
        )
        running.append(process)
        process.on_line = on_line
        return process.finish()

    def _switch(self, plan: RunPlan, asked: int, quirks: list[Quirks]) -> None:
        due = {name: value for number, name, value in plan.switches if number == asked}
        if due:
            self.sandbox.quirks = self.sandbox.quirks.replace(**due)
        if due or not asked:
            quirks.append(self.sandbox.quirks)

    def _stop(self, process: Running, how: str) -> None:
        if "closed_stdout" in how:
            process.stop_reading()
        if how != "closed_stdout":
            process.signal(signal.SIGKILL if "kill" in how else getattr(signal, how))

    def _change(self, kind: str) -> None:
        if kind == "move_contact" and self.spec.location_filters != {()}:
            return  # nothing marks messages that come into a filter's view
        self.sandbox.dataset.mutate(self.rng, kind)
        self.history.observe()


def _asks_for_today(query: dict[str, str]) -> bool:
    """Whether a question to Swell includes today, or everything up to now."""
    last_day = query.get("to_date") or query.get("date")
    return last_day is None or last_day >= str(utc_now().date())


def import_at_once(dataset: Dataset) -> None:
    """Let the chats have been created at whole seconds, two in each."""
    begin = utc_now().replace(microsecond=0) - timedelta(hours=1)
    chats = dataset.chats_created(None, None)
    for number, chat in enumerate(chats):
        chat.created = begin + timedelta(seconds=number // 2)
    dataset.load_chats(chats)
