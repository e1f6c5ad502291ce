"""A run: all selected streams are read at once; how it stops, ends and is reported."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import typing as t
import uuid
from functools import cached_property

from singer_sdk.singerlib.encoding.simple import StateMessage

from tap_medchat_swell import pipeline, progress, run_report
from tap_medchat_swell.errors import ShutdownRequested, TapError
from tap_medchat_swell.http.rate_limiter import RateLimiter
from tap_medchat_swell.settings import CREDENTIALS, ENV_PREFIX, Options
from tap_medchat_swell.sync_windows import SyncWindows
from tap_medchat_swell.timestamps import now

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Generator, Mapping, Sequence
    from types import FrameType

    from singer_sdk import Tap

    from tap_medchat_swell.record_mapper import Row
    from tap_medchat_swell.scan import VendorScan
    from tap_medchat_swell.stream import VendorStream
    from tap_medchat_swell.writer import BufferedWriter

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# How long a signal waits for the line that is being written.
STOP_SECONDS = 1.5
REPORT_SECONDS = 1.2  # the report of a run that is stuck is saved before that


@contextlib.contextmanager
def signals_deferred() -> Generator[None]:
    """Keep signals pending: the SDK's own handler, which is set for a moment, exits with 0."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _tell(report: dict[str, t.Any], path: str, logger: logging.Logger) -> None:
    """Save a report, and log it as the last lines of its run."""
    _save(report, path, logger)
    logger.info("Run report:\n%s", run_report.table(report))


def _save(report: dict[str, t.Any], path: str, logger: logging.Logger) -> None:
    if path:
        try:
            run_report.save(report, path)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "not a valid path"
            logger.warning("The report cannot be written to report_path: %s.", why)


def _new_head(tap: Tap | type[Tap]) -> dict[str, t.Any]:
    """What a report says first of a run that begins now."""
    return {
        "run_id": str(uuid.uuid4()),
        "started_at": now(),
        "tap_version": tap.plugin_version,
    }


@contextlib.contextmanager
def refusals_reported(
    tap: type[Tap], config: Mapping[str, t.Any], *, is_run: bool
) -> Generator[None]:
    """Report a run that is refused before it begins, whatever its configuration holds."""
    head = _new_head(tap)
    try:
        yield
    except Exception as error:
        if is_run:
            texts = {
                name: value.strip() for name, value in config.items() if isinstance(value, str)
            }
            head |= {"account_name": texts.get("account_name") or "default", "until": None}
            # A variable that cannot be read keeps all others from being part of `config`.
            path = texts.get("report_path") or os.environ.get(f"{ENV_PREFIX}REPORT_PATH", "")
            _tell(run_report.build((), {}, {}, error, head), path.strip(), tap.logger)
        raise


class SyncRun:
    """One run of a tap; streams and scans know it as `stream.RunContext`."""

    def __init__(
        self, tap: Tap, scans: Callable[[Sequence[VendorStream]], list[VendorScan]]
    ) -> None:
        """`scans` are those that read the given streams."""
        self.tap = tap
        self._scans = scans
        self._failures: dict[str, Exception] = {}
        self._stop_signal: int | None = None
        self._already_read: set[str] = set()
        self._running: list[VendorScan] = []
        self._show_progress: Callable[[], None] = lambda: None
        self._head = _new_head(tap)

    @cached_property
    def options(self) -> Options:
        """The configuration, typed."""
        return Options.from_config(self.tap.config)

    @property
    def message_writer(self) -> BufferedWriter:
        """Where messages go."""
        return t.cast("BufferedWriter", self.tap.message_writer)

    @cached_property
    def rate_limiters(self) -> dict[str, RateLimiter]:
        """One rate limiter per vendor, shared by all its streams."""
        limits = (self.options.max_concurrency, self.options.requests_per_minute)
        return {vendor: RateLimiter(*limits) for vendor in CREDENTIALS}

    @property
    def selected(self) -> list[VendorStream]:
        """The selected streams."""
        return t.cast("list[VendorStream]", [s for s in self.tap.streams.values() if s.selected])

    # Reading

    def start(self) -> None:
        """Sync as the command line does; when told to stop, write STATE first."""
        ended_by: BaseException | None = None
        try:
            self._read_all()
        except ShutdownRequested as error:
            ended_by = error
            # Also where it has not changed: what was written since then ends with it.
            self.message_writer.write_message(StateMessage(value=self.tap.state))
            raise
        except BaseException as error:
            ended_by = error
            raise
        finally:
            report = self._make_report(ended_by)
            _tell(report, self.options.report_path, self.tap.logger)

    def _read_all(self) -> None:
        self.check_stop()
        if all(stream.name == SyncWindows.name for stream in self.selected):
            raise TapError(
                "No stream is selected, so nothing would be read. Select streams in the "
                "catalog (in Meltano: meltano select tap-medchat-swell --list, or the "
                "plugin's `select` setting; a wildcard does not select optional streams)."
            )
        self.tap.sync_all()
        self.end()

    def read_with_others(self, stream: VendorStream) -> None:
        """Read all selected streams, both vendors at once, unless another one had that done."""
        if stream.name in self._already_read:
            self._already_read.discard(stream.name)
            return
        selected = self.selected
        self._already_read = {other.name for other in selected} - {stream.name}
        with contextlib.ExitStack() as stack:
            for other in selected:
                stack.enter_context(other.under_way(stream.name))
            self._running = self._scans(selected)
            for client in {scan.client for scan in self._running}:
                stack.enter_context(contextlib.closing(client))
            self._show_progress = progress.shown(self._running, self.rate_limiters)
            pipeline.run(self._running, self.options.max_concurrency, self._on_tick)

    def _on_tick(self) -> None:
        """What has to be done often, also while waiting for answers."""
        self.message_writer.flush_if_due()
        self._show_progress()
        self.check_stop()

    def write_state(self) -> None:
        """Write STATE, if it has changed, after all records before it."""
        self.tap.state_writer.write_state(self.tap.state)

    def note_window(self, row: Row) -> None:
        """Write a row of sync_windows, if that is selected."""
        stream = self.tap.streams.get(SyncWindows.name)
        if isinstance(stream, SyncWindows) and stream.selected:
            head = {name: self._head[name] for name in ("run_id", "tap_version")}
            stream.add(head | row)

    def note_failure(self, streams: Sequence[VendorStream], error: Exception) -> None:
        """Make the run fail at its end."""
        self._failures |= dict.fromkeys((stream.name for stream in streams), error)

    def end(self) -> None:
        """Write what is held; raise TapError if a stream failed.

        It repeats the reasons, because some orchestrators show only the last line.
        """
        self.message_writer.flush()
        if self._failures:
            reasons = dict.fromkeys(
                str(error) if isinstance(error, TapError) else f"{type(error).__name__}: see above."
                for error in self._failures.values()
            )
            raise TapError(
                f"Not read completely: {', '.join(self._failures)}. The state keeps what was read; "
                f"the next run resumes from there. {' '.join(reasons)}"
            )

    # Stopping

    def handle_signals(self) -> None:
        """From now on, SIGINT and SIGTERM stop the run where nothing is half done."""
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                signal.signal(number, self._request_stop)

    def check_stop(self) -> None:
        """Raise ShutdownRequested if a signal has arrived; called where nothing is half done."""
        if self._stop_signal is not None:
            raise ShutdownRequested(self._stop_signal)

    def _request_stop(self, signum: int, frame: FrameType | None) -> None:
        """Remember the signal, and end the process even if the target does not read any more."""
        del frame
        self._stop_signal = signum
        for seconds, function, argument in (
            (REPORT_SECONDS, self._save_stuck, signum),
            (STOP_SECONDS, os._exit, 128 + signum),
        ):
            last_resort = threading.Timer(seconds, function, (argument,))
            last_resort.daemon = True
            last_resort.start()

    # The report

    def _save_stuck(self, signum: int) -> None:
        """Save the report of a run that is stuck, in another thread."""
        report = self._make_report(ShutdownRequested(signum))
        _save(report, self.options.report_path, self.tap.logger)

    def _make_report(self, ended_by: BaseException | None) -> dict[str, t.Any]:
        head = {
            **self._head,
            "account_name": self.options.account_name,
            "until": self.options.end_date,
        }
        return run_report.build(self._running, self.rate_limiters, self._failures, ended_by, head)
