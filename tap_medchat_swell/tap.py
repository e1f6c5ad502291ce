"""The tap: which streams exist for which settings, and how a run begins and ends."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import sys
import threading
import typing as t
import uuid
from functools import cached_property

import click
from singer_sdk import Tap
from singer_sdk.cli import plugin_cli
from singer_sdk.helpers._catalog import get_selected_schema
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.mapper import CustomStreamMap
from singer_sdk.singerlib.encoding.simple import StateMessage
from singer_sdk.tap_base import CliTestOptionValue
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR
from typing_extensions import override

from tap_medchat_swell import pipeline, progress, redaction, run_report, settings
from tap_medchat_swell.bookmark import check_state
from tap_medchat_swell.catalog import (
    checked_schemas,
    meltano_patterns,
    pattern_problems,
    without_unnamed,
)
from tap_medchat_swell.check.run import Known
from tap_medchat_swell.check.run import run as run_check
from tap_medchat_swell.cli import (
    FAILED,
    TapCommand,
    load_config,
    read_environment,
    read_object,
    unknown_settings,
)
from tap_medchat_swell.config_validation import problems
from tap_medchat_swell.errors import ShutdownRequested, TapError
from tap_medchat_swell.http.rate_limiter import RateLimiter
from tap_medchat_swell.medchat import streams as medchat
from tap_medchat_swell.privacy.pseudonyms import pseudonymizers
from tap_medchat_swell.stream import load_schema
from tap_medchat_swell.stream_maps import map_problems
from tap_medchat_swell.swell.api import SwellApi
from tap_medchat_swell.swell.counts import CountScan, SwellMessageCounts
from tap_medchat_swell.swell.messages import MessageScan, SwellMessages
from tap_medchat_swell.sync_windows import SyncWindows
from tap_medchat_swell.timestamps import now
from tap_medchat_swell.writer import BufferedWriter

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
    from types import FrameType

    from singer_sdk import Stream
    from singer_sdk.helpers.capabilities import CapabilitiesEnum
    from singer_sdk.mapper import StreamMap

    from tap_medchat_swell.cli import Json
    from tap_medchat_swell.record_mapper import Row
    from tap_medchat_swell.scan import VendorScan
    from tap_medchat_swell.stream import VendorStream

STREAMS: tuple[type[VendorStream], ...] = (
    medchat.SmsChats,
    medchat.SmsMemberships,
    medchat.SmsMessages,
    medchat.SmsTextBotExecutions,
    SwellMessageCounts,
    SwellMessages,
    SyncWindows,
)
KEYS: dict[str, t.Any] = {stream.name: stream.primary_keys for stream in STREAMS}  # type: ignore[misc]
# Read only if they are named: see `without_unnamed`.
OPTIONAL = [s.name for s in STREAMS if not s.selected_by_default]  # type: ignore[misc]
FLATTENING_DEPTH = 2  # spreads all columns of swell_messages
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# How long a signal waits for the line that is being written.
STOP_SECONDS = 1.5
REPORT_SECONDS = 1.2  # the report of a run that is stuck is saved before that


@contextlib.contextmanager
def _signals_deferred() -> Generator[None]:
    """Keep signals pending: the SDK's own handler, which is set for a moment, exits with 0."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether a line of the SDK's says more than what it leaves out, as every night."""
    return not str(record.msg).startswith(("Skipping parse of env", "Skipping deselected stream"))


class TapMedchatSwell(Tap):
    """Patient text messages from MedChat (SMS chats) and Swell CX (messages)."""

    name = "tap-medchat-swell"
    config_jsonschema: t.ClassVar[dict[str, t.Any]] = settings.CONFIG_JSONSCHEMA
    message_writer_class = BufferedWriter
    message_writer: BufferedWriter
    # No BATCH: the SDK's batches pass by stream maps and deselection, so that hashed and
    # deselected patient data would stand in clear in the files.
    capabilities: t.ClassVar[list[CapabilitiesEnum]] = [
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    def __init__(
        self,
        *,
        config: Json | None = None,
        parse_env_config: bool = False,
        validate_config: bool = True,
        catalog: Json | None = None,
        **kwargs: t.Any,
    ) -> None:
        """Set the tap up; raises TapError if the configuration, catalog or state is invalid.

        The configuration is complete, its secrets are protected and it is validated before the
        SDK sees it: the SDK's own sentences quote values.
        """
        self.failures: dict[str, Exception] = {}
        self._stop_signal: int | None = None
        self._already_read: set[str] = set()
        self._running: list[VendorScan] = []
        self._show_progress: Callable[[], None] = lambda: None
        self._head = {"run_id": str(uuid.uuid4()), "started_at": now()}
        config = dict(config or {}) | (self.read_environment() if parse_env_config else {})
        redaction.protect_config(config)
        config = {n: v.strip() if isinstance(v, str) else v for n, v in config.items()}
        config = {name: value for name, value in config.items() if not settings.is_blank(value)}
        config = settings.with_numbers(config)
        self._rename_profile(config)
        invalid = self._sdk_setting_problems(config)
        schemas = checked_schemas(catalog, {name: load_schema(name) for name in KEYS})
        if validate_config:
            self._check_config(config, invalid, schemas)
        if catalog is not None:
            catalog = self._as_selected(catalog, config, schemas)
        with _signals_deferred():
            super().__init__(
                config=self._for_the_sdk(config, invalid),
                validate_config=False,
                catalog=catalog,
                **kwargs,
            )
            if threading.current_thread() is threading.main_thread():
                for number in STOP_SIGNALS:
                    signal.signal(number, self._request_stop)

    # Configuration

    @classmethod
    def known_settings(cls) -> dict[str, Json]:
        """The JSON schema of each setting, the SDK's own included."""
        cls.append_builtin_config(cls.config_jsonschema)
        properties: dict[str, Json] = cls.config_jsonschema["properties"]
        return properties

    @classmethod
    def read_environment(cls) -> Json:
        """The settings in the environment, or in a `.env` file."""
        return read_environment(cls.known_settings())

    @cached_property
    def options(self) -> settings.Options:
        """The configuration, typed."""
        return settings.Options.from_config(self.config)

    def _check_config(
        self, config: Json, invalid: Mapping[str, str], schemas: Mapping[str, Json]
    ) -> None:
        """Log what is ignored; raise TapError with all that is wrong, `invalid` included."""
        unknown = sorted(unknown_settings(config, self.known_settings()))
        found = [*invalid.values(), *problems(config)]
        if "stream_maps" not in invalid:
            found += map_problems(config.get("stream_maps") or {}, schemas)
        if found:
            # The hints too: a misspelled credential may be the reason.
            raise TapError(f"Config validation failed: {' '.join([*found, *unknown])}")
        for sentence in unknown:
            self.logger.warning("%s", sentence)
        for vendor, names in settings.CREDENTIALS.items():
            if not settings.has_credentials(vendor, config):
                self.logger.info("%s is skipped: %s is not set.", vendor, " and ".join(names))

    def _rename_profile(self, config: Json) -> None:
        """Replace a former privacy_profile, whose key was hash_salt."""
        new = settings.FORMER_PROFILES.get(str(config.get("privacy_profile")))
        if new is None:
            return
        self.logger.warning(
            "privacy_profile %s is now called %s. Its columns end with _pseudonym in place of "
            "_hash, and pseudonym_key replaces hash_salt. See docs/privacy.md.",
            config["privacy_profile"],
            new,
        )
        config["privacy_profile"] = new
        if "hash_salt" in config:
            config.setdefault("pseudonym_key", config["hash_salt"])

    def _as_selected(self, catalog: Json, config: Json, schemas: Mapping[str, Json]) -> Json:
        """The catalog as Meltano's `select` means it; says which selected streams are not read.

        Raises TapError for patterns that match nothing.
        """
        given = {entry["tap_stream_id"] for entry in catalog["streams"]}
        for vendor in settings.CREDENTIALS:
            own = {
                name for name, stream in zip(KEYS, STREAMS, strict=True) if stream.vendor == vendor
            }
            if settings.has_credentials(vendor, config) and not given & own:
                self.logger.warning(
                    "%s is not read: the catalog has none of its streams (%s). Regenerate it "
                    "with --discover.",
                    vendor,
                    ", ".join(sorted(own)),
                )
        patterns = meltano_patterns()
        if patterns is None:
            return catalog
        found = [*pattern_problems(patterns, schemas)]
        if found:
            raise TapError(" ".join(found))
        return without_unnamed(catalog, patterns, OPTIONAL)

    def _sdk_setting_problems(self, config: Mapping[str, t.Any]) -> dict[str, str]:
        """A sentence for each invalid setting of the SDK; it quotes no value."""
        own = {setting.name for setting in settings.SETTINGS}
        found: dict[str, str] = {}
        for name, schema in sorted(self.known_settings().items()):
            if name in own or name not in config:
                continue
            validator = DEFAULT_JSONSCHEMA_VALIDATOR({"properties": {name: schema}})
            try:
                for error in validator.iter_errors({name: config[name]}):
                    place = ".".join(map(str, error.path))
                    found[name] = f"{place} is not valid ({error.validator})."
            except AttributeError:  # the SDK's schema of __else__ is itself invalid
                found[name] = f"{name} is not valid."
        return found

    def _for_the_sdk(self, config: Json, invalid: Collection[str]) -> Json:
        """The configuration with what the SDK's stream maps and flattening need.

        Its `invalid` settings are left out: discovery works with any configuration.
        """
        left_out = {*invalid, *settings.REFUSED}
        usable = {name: value for name, value in config.items() if name not in left_out}
        if "hash_salt" in usable:
            map_config = usable.get("stream_map_config") or {}
            usable["stream_map_config"] = {"hash_salt": usable["hash_salt"], **map_config}
        if usable.get("flattening_enabled"):
            usable.setdefault("flattening_max_depth", FLATTENING_DEPTH)
        return usable

    @override
    def setup_mapper(self) -> None:
        """Set up stream maps for the selected part of each schema."""
        # Not the SDK's own, which looks for a deselected stream's key in an empty schema.
        super(Tap, self).setup_mapper()
        for name, entry in self.catalog.items():
            schema, selection = entry.schema.to_dict(), entry.metadata.resolve_selection()
            if selection[()]:
                schema = get_selected_schema(name, schema, selection)
                if name in self.streams and self.options.privacy_profile != "none":
                    schema = t.cast("VendorStream", self.streams[name]).profile.schema
            keys = KEYS.get(name) if entry.key_properties is None else entry.key_properties
            self._register(name, schema, keys)

    def _register(self, name: str, schema: dict[str, t.Any], keys: t.Any) -> None:
        """Set up a stream's maps; raises TapError where flattening gives two columns one name."""
        try:
            self.mapper.register_raw_stream_schema(name, schema, keys)
            self._add_map_functions(self.mapper.stream_maps[name])
        except ValueError as error:
            *_, column = str(error).rpartition("Duplicate column name produced in schema: ")
            if column == str(error):
                raise
            raise TapError(
                f"flattening_separator or flattening_max_key_length gives two columns of {name} "
                f"the name {column}. Choose another."
            ) from None

    def _add_map_functions(self, stream_maps: Iterable[StreamMap]) -> None:
        """Let stream maps make the pseudonyms of privacy profiles: hmac_phone and so on."""
        codes = pseudonymizers(self.options.pseudonym_key, self.options.phone_region)
        functions = {f"hmac_{kind}": code for kind, code in codes.items()}
        for stream_map in stream_maps:
            if isinstance(stream_map, CustomStreamMap) and self.options.pseudonym_key:
                t.cast("dict[str, t.Any]", stream_map.expr_evaluator.functions).update(functions)

    @override
    def load_state(self, state: dict[str, t.Any]) -> None:
        """Load the state; raises TapError if it is invalid."""
        check_state(state)
        super().load_state(state)

    @cached_property
    def rate_limiters(self) -> dict[str, RateLimiter]:
        """One rate limiter per vendor, shared by all its streams."""
        limits = (self.options.max_concurrency, self.options.requests_per_minute)
        return {vendor: RateLimiter(*limits) for vendor in settings.CREDENTIALS}

    # Streams

    @override
    def discover_streams(self) -> Sequence[Stream]:
        """The streams of the vendors with credentials; all streams if there are none."""
        vendors = [v for v in settings.CREDENTIALS if settings.has_credentials(v, self.config)]
        wanted = {*vendors, SyncWindows.vendor}
        return [stream(self) for stream in STREAMS if not vendors or stream.vendor in wanted]

    # Running

    def check(self, form: str) -> bool:
        """Ask the vendors how they behave, and print a page; whether a sync would work."""
        streams = {
            name: Known(stream.vendor, stream.full_schema, stream.ids, stream.selected)
            for name, stream in t.cast("dict[str, VendorStream]", self.streams).items()
            if stream.vendor
        }
        report = run_check(self.options, self.rate_limiters, streams, self.plugin_version)
        text = json.dumps(report.document(), indent=2) if form == "json" else report.text()
        print(redaction.REDACTOR.text(text), flush=True)  # noqa: T201 - no record is written
        return report.works

    @override  # type: ignore[misc]  # final in the SDK, as `sync_all` is
    def run_sync_dry_run(  # ty: ignore[override-of-final-method]
        self, dry_run_record_limit: int | None = 1, streams: Iterable[Stream] | None = None
    ) -> bool:
        """Try streams."""
        super().run_sync_dry_run(dry_run_record_limit, streams)
        self._end()
        return True

    def read_with_others(self, stream: VendorStream) -> None:
        """Read all selected streams, both vendors at once, unless another one had that done."""
        if stream.name in self._already_read:
            self._already_read.discard(stream.name)
            return
        selected = t.cast("list[VendorStream]", [s for s in self.streams.values() if s.selected])
        self._already_read = {other.name for other in selected} - {stream.name}
        with contextlib.ExitStack() as stack:
            for other in selected:
                stack.enter_context(other.under_way(stream.name))
            self._running = self._scans(selected)
            for client in {scan.client for scan in self._running}:
                stack.enter_context(contextlib.closing(client))
            self._show_progress = progress.shown(self._running, self.rate_limiters)
            pipeline.run(self._running, self.options.max_concurrency, self._on_tick)

    def _scans(self, streams: Sequence[VendorStream]) -> list[VendorScan]:
        chats = [stream for stream in streams if isinstance(stream, medchat.MedChatStream)]
        scans: list[VendorScan] = [medchat.ChatScan(self, chats)] if chats else []
        api = SwellApi(self.options, self.rate_limiters["Swell"])
        for stream in streams:
            if isinstance(stream, SwellMessages):
                scans.append(MessageScan(self, stream, api))
            elif isinstance(stream, SwellMessageCounts):
                scans.append(CountScan(self, stream, api))
        return scans

    def _on_tick(self) -> None:
        """What has to be done often, also while waiting for answers."""
        self.message_writer.flush_if_due()
        self._show_progress()
        self.check_stop()

    def write_state(self) -> None:
        """Write STATE, if it has changed, after all records before it."""
        self.state_writer.write_state(self.state)

    def note_window(self, row: Row) -> None:
        """Write a row of sync_windows, if that is selected."""
        stream = self.streams.get(SyncWindows.name)
        if isinstance(stream, SyncWindows) and stream.selected:
            head = {"run_id": self._head["run_id"], "tap_version": self.plugin_version}
            stream.add(head | row)

    def note_failure(self, streams: Sequence[VendorStream], error: Exception) -> None:
        """Make the run fail at its end."""
        self.failures |= dict.fromkeys((stream.name for stream in streams), error)

    def _end(self) -> None:
        """Write what is held; raise TapError if a stream failed.

        It repeats the reasons, because some orchestrators show only the last line.
        """
        self.message_writer.flush()
        if self.failures:
            reasons = dict.fromkeys(
                str(error) if isinstance(error, TapError) else f"{type(error).__name__}: see above."
                for error in self.failures.values()
            )
            raise TapError(
                f"Not read completely: {', '.join(self.failures)}. The state keeps what was read; "
                f"the next run resumes from there. {' '.join(reasons)}"
            )

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

    def _save_stuck(self, signum: int) -> None:
        """Save the report of a run that is stuck, in another thread."""
        self._save(self._make_report(ShutdownRequested(signum)))

    def run(self) -> None:
        """Sync as the command line does; when told to stop, write STATE first."""
        # What the imports have left behind lives as long as the run: without this the
        # garbage collector walks through it again and again.
        gc.freeze()
        gc.enable()
        gc.set_threshold(20_000)  # records are many, and never refer to each other in circles
        ended_by: BaseException | None = None
        try:
            self._read_all()
        except ShutdownRequested as error:
            ended_by = error
            # Also where it has not changed: what was written since then ends with it.
            self.message_writer.write_message(StateMessage(value=self.state))
            raise
        except BaseException as error:
            ended_by = error
            raise
        finally:
            self._report(ended_by)

    def _read_all(self) -> None:
        self.check_stop()
        if not any(s.selected for s in self.streams.values() if s.name != SyncWindows.name):
            raise TapError(
                "No stream is selected, so nothing would be read. Select streams in the "
                "catalog (in Meltano: meltano select tap-medchat-swell --list, or the "
                "plugin's `select` setting; a wildcard does not select optional streams)."
            )
        self.sync_all()
        self._end()

    def _report(self, ended_by: BaseException | None) -> None:
        """Log the run's report, and save it where it is wanted."""
        report = self._make_report(ended_by)
        self._save(report)
        self.logger.info("Run report:\n%s", run_report.table(report))

    def _make_report(self, ended_by: BaseException | None) -> dict[str, t.Any]:
        head = {
            **self._head,
            "tap_version": self.plugin_version,
            "account_name": self.options.account_name,
            "until": self.options.end_date,
        }
        return run_report.build(self._running, self.rate_limiters, self.failures, ended_by, head)

    def _save(self, report: dict[str, t.Any]) -> None:
        if self.options.report_path:
            try:
                run_report.save(report, self.options.report_path)
            except OSError as error:
                self.logger.warning(
                    "The report cannot be written to report_path: %s.", error.strerror
                )

    # Command line

    @override
    @plugin_cli
    def cli(cls) -> click.Command:  # noqa: N805 - the decorator passes the class
        """The command, with redacted output."""
        redaction.install()
        if cls._level_is_wanted():
            del os.environ["SINGER_SDK_LOG_CONFIG"]
        try:
            return super().cli
        except Exception as error:
            if "SINGER_SDK_LOG_CONFIG" in os.environ:
                sys.exit("SINGER_SDK_LOG_CONFIG is not a valid logging configuration.")
            if not isinstance(error, ValueError):
                raise
            prefix = settings.ENV_PREFIX
            sys.exit(f"{prefix}LOGLEVEL or LOGLEVEL is not a log level such as DEBUG or INFO.")

    @staticmethod
    def _level_is_wanted() -> bool:
        """Whether Meltano's log configuration would hide the level that the user wants.

        It sets Meltano's own level. Without it, lines are plain text, which Meltano always shows.
        """
        variables = ("SINGER_SDK_LOG_CONFIG", "MELTANO_EXTRACTOR_NAME")
        return all(map(os.environ.get, (*variables, f"{settings.ENV_PREFIX}LOGLEVEL")))

    @override
    @classmethod
    def get_singer_command(cls) -> click.Command:
        """The SDK's options on this tap's command."""
        command = super().get_singer_command()
        parts = ("name", "callback", "params", "help", "context_settings")
        command.params.append(
            click.Option(
                ["--check"],
                is_flag=False,
                flag_value="text",
                type=click.Choice(["text", "json"]),
                help="Ask both vendors how they behave, and print a page: would a sync work, and "
                "with which settings? Reads no data.",
            )
        )
        return TapCommand(**{part: getattr(command, part) for part in parts}, logger=cls.logger)

    @override
    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> t.Any:
        """Read configuration files and, for ENV, the environment.

        Here rather than in the SDK, so that secrets are protected before anything is logged.
        """
        result = super().cb_config(ctx, param, ())
        for path in value:
            if path != "ENV":
                result.config |= load_config(path)
        redaction.protect_config(result.config)
        if "ENV" in value:
            result.config |= cls.read_environment()
        return result

    @override
    @classmethod
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        """Try the selected streams only: others may need scopes that the token lacks."""
        if value == CliTestOptionValue.Schema.value:
            super().cb_test(ctx, param, value)
        elif value != CliTestOptionValue.Disabled.value:
            tap = cls(config=ctx.params["config"].config)
            tap.run_sync_dry_run(streams=[s for s in tap.streams.values() if s.selected])
            ctx.exit()

    @override
    @classmethod
    def invoke(  # type: ignore[override] # as in the SDK
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: t.Any = None,
        state: t.IO[str] | None = None,
        catalog: t.IO[str] | None = None,
        check: str | None = None,
    ) -> None:
        """Run the tap, or check the vendors.

        The SDK's method would call `sync_all`, which does not stop gracefully.
        """
        if about:
            cls.print_about(about_format)
            return
        cls.logger.addFilter(_is_news)
        cls.print_version(print_fn=cls.logger.info)
        tap = cls(
            config=config.config if config else None,
            state=read_object(state, "state") if state else None,
            catalog=read_object(catalog, "catalog") if catalog else None,
        )
        if check is None:
            tap.run()
        elif not tap.check(check):
            sys.exit(FAILED)
