"""One reading of an open question about a vendor, tried out with the tap as a process."""

from __future__ import annotations

import typing as t

from chaos.runner import Runner
from chaos.spec import RunPlan, ScenarioSpec
from medchat_swell_sandbox import Dataset, Fault, Quirks, Sandbox

if t.TYPE_CHECKING:
    from medchat_swell_sandbox.request_log import RequestRecord
    from typing_extensions import Self

    from support.tap_process import Run

SETTINGS: dict[str, t.Any] = {
    "medchat_page_size": 7,
    "medchat_window_pages": 2,
    "swell_page_size": 6,
    "swell_window_days": 4,
    "swell_lookback_days": 3,
    "swell_counts_lookback_days": 3,
    "max_concurrency": 2,
}
PAGED_STREAMS = {"medchat": ("sms_chats", "sms_messages"), "swell": ("swell_messages",)}
FULL_DAY_OF_CHANGES = RunPlan(
    before=("add_message", "change_chat", "add_chat", "add_swell_message", "change_swell_message")
)


class Readings:
    """Runs the tap under readings; a context manager."""

    def __init__(self, vendor: t.Literal["medchat", "swell"]) -> None:
        self.vendor = vendor
        self._runner = Runner()
        self.sandbox = Sandbox(Dataset())

    def __enter__(self) -> Self:
        for part in (self._runner, self.sandbox):
            part.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        for part in (self.sandbox, self._runner):
            part.__exit__(*error)

    def holds_all(self, settings: dict[str, t.Any] | None = None, **quirks: object) -> None:
        """Check that two runs, with changes between, leave the target with the truth."""
        scenario = self._runner.play(
            ScenarioSpec(
                seed=11,
                chats=60 * (self.vendor == "medchat"),
                swell_messages=80 * (self.vendor == "swell"),
                days=16,
                vendors=self.vendor,
                settings=tuple({**SETTINGS, **(settings or {})}.items()),
                quirks=tuple(quirks.items()),
                runs=(RunPlan(), FULL_DAY_OF_CHANGES),
            )
        )
        assert [run.code for run in scenario.runs[:2]] == [0, 0]
        self.scenario = scenario

    def run(
        self,
        settings: dict[str, t.Any] | None = None,
        *faults: Fault,
        hurry: bool = True,
        **quirks: object,
    ) -> Run:
        """Run once, with one vendor's streams; `sandbox` and `requests` tell the rest."""
        self.sandbox.reload(
            Dataset.generate(
                seed=12,
                chats=40 * (self.vendor == "medchat"),
                swell_messages=60 * (self.vendor == "swell"),
                days=12,
            )
        )
        return self.run_again(None, settings, *faults, hurry=hurry, **quirks)

    def run_again(
        self,
        state: dict[str, t.Any] | None,
        settings: dict[str, t.Any] | None = None,
        *faults: Fault,
        hurry: bool = True,
        **quirks: object,
    ) -> Run:
        """Run on the data that are there."""
        self.sandbox.quirks = Quirks().replace(**quirks)
        self.sandbox.faults.clear()
        self.sandbox.faults.add(*faults)
        self.sandbox.reset_log()
        config = self.sandbox.tap_config(**{**SETTINGS, **(settings or {})})
        other = "swell" if self.vendor == "medchat" else "medchat"
        for name in ("swell_api_token", "medchat_org_id", "medchat_access_token"):
            if name.startswith(other):
                del config[name]
        return self._runner.cli(config=config, state=state, hurry=hurry)

    @property
    def requests(self) -> list[RequestRecord]:
        """What the last `run` asked."""
        return self.sandbox.requests

    def fails(
        self, sentence: str, settings: dict[str, t.Any] | None = None, **quirks: t.Any
    ) -> Run:
        """Check that a run ends with exit 1 and one sentence, and moves no bookmark."""
        run = self.run(settings, **quirks)
        assert run.code == 1, run.log
        assert any(sentence in line for line in run.errors), run.errors
        bookmarks = (run.states or [{}])[-1].get("bookmarks", {})
        for stream in PAGED_STREAMS[self.vendor]:
            assert _is_at_its_start(bookmarks.get(stream, {})), bookmarks
        return run

    def waits(self, form: t.Literal["seconds", "date", "reset"]) -> None:
        """Check that a 429 is obeyed, in whatever form it asks for two seconds."""
        fault = Fault("rate_limited", after=2, retry_after=2, retry_after_form=form)
        run = self.run({"max_concurrency": 1}, fault, hurry=False)
        assert run.code == 0
        limited = next(request for request in self.requests if request.fault)
        after = next(request for request in self.requests if request.number > limited.number)
        # An HTTP date has whole seconds.
        assert after.started - limited.started > 0.9


def _is_at_its_start(bookmark: dict[str, t.Any]) -> bool:
    has_read_windows = any(window[2] for window in bookmark.get("windows", ()))
    has_come_on = has_read_windows or bookmark.get("at") != bookmark.get("since")
    return not bookmark or not (bookmark.get("finished") or has_come_on)
