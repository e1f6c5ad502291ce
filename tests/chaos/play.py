"""Makes a schedule happen: sandbox, runs, kills and changes, and the checks after each."""

from __future__ import annotations

import copy
import json
import random
import signal
import time
import typing as t
from dataclasses import dataclass, field
from datetime import timedelta

from medchat_swell_sandbox import Dataset, Quirks, Sandbox
from medchat_swell_sandbox.clock import utc_now
from support.tap_process import Json, Run, Running, TapServer

from . import conduct
from .ledger import Ledger, View
from .promise import MEDCHAT, SWELL, Promise
from .schedule import RunPlan, Schedule
from .target import Target

if t.TYPE_CHECKING:
    from pathlib import Path

    from medchat_swell_sandbox.request_log import RequestRecord
    from typing_extensions import Self

MOST_QUIET_RUNS = 3
QUIET_FOR = 0.1  # seconds
SETTLES_IN = 30.0  # seconds; it takes milliseconds where the machine is free
QUIET = RunPlan()
FEW_CHANGES = ("add_message", "change_chat", "add_backdated_chat", "change_swell_message")
DISCOVERY = {
    "medchat_org_id": "any",
    "medchat_access_token": "any-token",
    "swell_api_token": "any-token",
    "start_date": "2024-01-01",
}


class Stage:
    """A sandbox and a fork server, used for one schedule after the other."""

    def __init__(self, package_root: Path | None = None) -> None:
        self._sandbox = Sandbox(Dataset())
        self._server = TapServer(package_root)

    def __enter__(self) -> Self:
        self._sandbox.__enter__()
        self._server.__enter__()
        found = self._server.run(DISCOVERY, None, None, "--discover")
        self._catalog: Json = json.loads(b"\n".join(found.lines))
        return self

    def __exit__(self, *error: object) -> None:
        self._server.__exit__(*error)
        self._sandbox.__exit__(*error)

    def play(self, schedule: Schedule) -> Story:
        """Play a schedule; raises AssertionError where a promise is broken."""
        story = self.prepare(schedule)
        try:
            story.play()
        except AssertionError as error:
            raise AssertionError(f"{error}\n{story.told()}") from None
        return story

    def prepare(self, schedule: Schedule) -> Story:
        """A schedule's beginning, for who wants to play the runs one by one."""
        self._sandbox.on_request = None
        self._sandbox.faults.clear()
        story = Story(schedule, self._sandbox, self._server, self._selected(schedule))
        story.set_up()
        return story

    def _selected(self, schedule: Schedule) -> Json | None:
        if not schedule.all_streams:
            return None
        catalog = copy.deepcopy(self._catalog)
        vendors = ("sms_", "swell_")
        prefix = {"both": vendors, "medchat": vendors[:1], "swell": vendors[1:]}
        for entry in catalog["streams"]:
            wanted = entry["tap_stream_id"].startswith(prefix[schedule.vendors])
            for metadata in entry["metadata"]:
                if not metadata["breadcrumb"]:
                    metadata["metadata"]["selected"] = wanted
        return catalog


def _is_done(request: RequestRecord, seconds_ago: float) -> bool:
    return request.ended is not None and time.monotonic() - request.ended > seconds_ago


@dataclass
class Story:
    """One schedule being played. `runs` holds what came of each run."""

    schedule: Schedule
    sandbox: Sandbox
    server: TapServer
    catalog: Json | None
    runs: list[Run] = field(default_factory=list)
    ticks: list[int] = field(default_factory=list)

    def play(self) -> None:
        """Play all runs, then quiet ones until two have completed."""
        for plan in self.schedule.runs:
            self.run(plan)
        self._run_until_complete()
        self.run(RunPlan(before=FEW_CHANGES))
        self._run_until_complete()

    def told(self) -> str:
        """What the runs made of it, for who has to find out why."""
        lines = []
        for number, (tick, run) in enumerate(zip(self.ticks, self.runs, strict=False)):
            starts = {
                stream: [bookmark.get(name, {}) for name in ("sweep", "finished")]
                if "sms" in stream
                else [bookmark.get(name) for name in ("started", "at", "finished")]
                for stream, bookmark in (run.states or [{}])[-1].get("bookmarks", {}).items()
            }
            lines.append(f"run {number} at tick {tick}: exit {run.code}, {len(run.lines)} lines")
            lines += [f"  {stream}: {json.dumps(found)[:300]}" for stream, found in starts.items()]
            lines += [f"  {line}" for line in run.errors]
        return "\n".join(lines)

    def set_status(self, chat_id: str, status: str) -> None:
        """Change a chat's status."""
        self.sandbox.dataset.change_chat(chat_id, status=status)
        self.ledger.observe()

    def set_up(self) -> None:
        """Make the data and a new, empty target."""
        schedule, sandbox = self.schedule, self.sandbox
        dataset = Dataset.generate(
            seed=schedule.seed,
            chats=schedule.chats,
            messages_per_chat=schedule.messages_per_chat,
            swell_messages=schedule.swell_messages,
            days=schedule.days,
        )
        if schedule.burst:
            import_at_once(dataset)
        sandbox.reload(dataset)
        sandbox.quirks = Quirks(throttle_window_seconds=0.3).replace(**dict(schedule.quirks))
        sandbox.jitter_ms = schedule.jitter_ms
        # Not the data's own seed: what is added would get the ids of what is there.
        self.rng = random.Random(f"changes {schedule.seed}")
        self.config = self._config()
        start = sandbox.dataset.oldest()
        view = View(sandbox.quirks, start, self._location_filter())
        self.ledger = Ledger(sandbox.dataset, view)
        self.promise = Promise(self.ledger, sandbox.quirks, self.config)
        self.target = Target()

    def _config(self) -> Json:
        quirks = self.sandbox.quirks
        config = self.sandbox.tap_config(
            **{name: value for name, value in self.schedule.settings if value is not None}
        )
        if self.schedule.vendors == "swell":
            del config["medchat_org_id"], config["medchat_access_token"]
        if self.schedule.vendors == "medchat":
            del config["swell_api_token"]
        if quirks.swell_count_date == "ignored":
            config["swell_counts_parameters"] = "range"
        config["swell_location_ids"] = list(self._location_filter())
        config["swell_date_sent_timezone"] = quirks.swell_date_sent_zone
        return config

    def _location_filter(self) -> tuple[int, ...]:
        return (1, 2, 3, 4) if self.sandbox.quirks.swell_repeat_across_locations else ()

    def _run_until_complete(self) -> None:
        for _ in range(MOST_QUIET_RUNS):
            if self.runs and self.runs[-1].code == 0 and self.has_all_of_last_run:
                return
            self.run(QUIET)
        last = self.runs[-1]
        excused = conduct.must_fail(last, self.sandbox)
        assert excused or last.code == 0, f"does not complete: {last.log}"

    def run(self, plan: RunPlan) -> None:
        """Run once, and check what came of it."""
        for kind in plan.before:
            self._change(kind)
        sandbox, given = self.sandbox, copy.deepcopy(self.target.state)
        self._settle()
        sandbox.faults.clear()
        sandbox.reset_log()
        sandbox.faults.add(*plan.faults)
        tick = self.ledger.tick
        self.ticks.append(tick)
        run = self._watched(plan, given)
        sandbox.on_request = None
        self.runs.append(run)
        self.target.receive(run)
        self.promise.note(tick, run.states)
        conduct.check_run(run, self.schedule, plan.stop, given, sandbox)
        self.has_all_of_last_run = not (plan.stop and "deaf" in plan.stop.how)
        if run.code == 0 and self.has_all_of_last_run:
            self.promise.check(self._facets(), tick, given, self.target)

    def _settle(self) -> None:
        """Wait for what a killed run has asked: it is not the next one's.

        And a moment longer: its last requests may not have reached the sandbox yet.
        """
        deadline = time.monotonic() + SETTLES_IN
        quiet_for = QUIET_FOR if self.runs and self.runs[-1].code else 0
        while not all(_is_done(request, quiet_for) for request in self.sandbox.requests):
            assert time.monotonic() < deadline, "a request of the run before never ended"
            time.sleep(0.002)

    def _facets(self) -> list[str]:
        streams = conduct.streams_of(self.schedule)
        return [facet for facet in (*MEDCHAT, *SWELL) if facet.partition(".")[0] in streams]

    def _watched(self, plan: RunPlan, given: Json | None) -> Run:
        """Run the tap, with changes and the end at the requests and lines they are due."""
        asked = 0
        running: list[Running] = []

        def on_request(*_: object) -> None:
            nonlocal asked
            asked += 1
            for number, kind in plan.during:
                if number == asked:
                    self._change(kind)
            if plan.stop and plan.stop.after == "request" and asked == plan.stop.at and running:
                self._stop(running[0], plan.stop.how)

        def on_line(process: Running, number: int) -> None:
            if plan.stop and plan.stop.after == "line" and number == plan.stop.at:
                self._stop(process, plan.stop.how)

        self.sandbox.on_request = on_request
        small = bool(plan.stop and plan.stop.after == "line")
        process = self.server.start(self.config, given, self.catalog, small_pipe=small)
        running.append(process)
        process.on_line = on_line
        return process.finish()

    def _stop(self, process: Running, how: str) -> None:
        if "deaf" in how:
            process.stop_reading()
        if how != "deaf":
            process.signal(signal.SIGKILL if "kill" in how else getattr(signal, how))

    def _change(self, kind: str) -> None:
        if kind == "move_contact" and self._location_filter():
            return  # messages that come into a filter's view bear no sign of it
        self.sandbox.dataset.mutate(self.rng, kind)
        self.ledger.observe()


def import_at_once(dataset: Dataset) -> None:
    """Let the chats have been created at whole seconds, two in each."""
    begin = utc_now().replace(microsecond=0) - timedelta(hours=1)
    chats = dataset.chats_created(None, None)
    for number, chat in enumerate(chats):
        chat.created = begin + timedelta(seconds=number // 2)
    dataset.load_chats(chats)
