"""The tap: which streams exist for which settings, and what the SDK has to know of them."""

from __future__ import annotations

import gc
import json
import os
import sys
import typing as t
from functools import cached_property

import click
from singer_sdk import Tap
from singer_sdk.cli import plugin_cli
from singer_sdk.helpers._catalog import get_selected_schema  # noqa: PLC2701 - see sdk_private.py
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.mapper import CustomStreamMap
from singer_sdk.tap_base import CliTestOptionValue
from typing_extensions import override

from tap_medchat_swell import configuration, redaction, settings
from tap_medchat_swell.bookmark import check_state
from tap_medchat_swell.catalog import as_selected, checked_schemas
from tap_medchat_swell.cli import (
    FAILED,
    TapCommand,
    load_config,
    log_level_is_wanted,
    read_environment,
    read_object,
)
from tap_medchat_swell.errors import TapError
from tap_medchat_swell.medchat import streams as medchat
from tap_medchat_swell.privacy.pseudonyms import pseudonymizers
from tap_medchat_swell.stream import load_schema
from tap_medchat_swell.swell.api import SwellApi
from tap_medchat_swell.swell.counts import CountScan, SwellMessageCounts
from tap_medchat_swell.swell.messages import MessageScan, SwellMessages
from tap_medchat_swell.sync_run import SyncRun, refusals_reported, signals_deferred
from tap_medchat_swell.sync_windows import SyncWindows
from tap_medchat_swell.writer import BufferedWriter

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Sequence

    from singer_sdk import Stream
    from singer_sdk.helpers.capabilities import CapabilitiesEnum
    from singer_sdk.mapper import StreamMap

    from tap_medchat_swell.cli import Json
    from tap_medchat_swell.scan import VendorScan
    from tap_medchat_swell.stream import VendorStream

__all__ = ["TapMedchatSwell"]

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
# Read only if they are named: see `as_selected`.
OPTIONAL = [s.name for s in STREAMS if not s.selected_by_default]  # type: ignore[misc]


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
        config = dict(config or {}) | (self.read_environment() if parse_env_config else {})
        redaction.protect_config(config)
        config = configuration.prepared(config, self.logger)
        known = self.known_settings()
        invalid = configuration.sdk_setting_problems(config, known)
        schemas = checked_schemas(catalog, {name: load_schema(name) for name in KEYS})
        if validate_config:
            configuration.check(config, known, invalid, schemas, self.logger)
        if catalog is not None:
            catalog = as_selected(catalog, schemas, OPTIONAL)
            self._warn_of_missing(catalog, config)
        with signals_deferred():
            super().__init__(
                config=configuration.for_the_sdk(config, invalid),
                validate_config=False,
                catalog=catalog,
                **kwargs,
            )
            self.sync_run.handle_signals()

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

    def _warn_of_missing(self, catalog: Json, config: Json) -> None:
        """Say which vendors are not read, because the catalog has none of their streams."""
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

    @override
    def setup_mapper(self) -> None:
        """Set up stream maps for the selected part of each schema."""
        # Not the SDK's own, which looks for a deselected stream's key in an empty schema.
        super(Tap, self).setup_mapper()
        for name, entry in self.catalog.items():
            schema, selection = entry.schema.to_dict(), entry.metadata.resolve_selection()
            if selection[()]:
                schema = get_selected_schema(name, schema, selection)
                if name in self.streams and self.sync_run.options.privacy_profile != "none":
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
        options = self.sync_run.options
        codes = pseudonymizers(options.pseudonym_key, options.phone_region)
        functions = {f"hmac_{kind}": code for kind, code in codes.items()}
        for stream_map in stream_maps:
            if isinstance(stream_map, CustomStreamMap) and options.pseudonym_key:
                t.cast("dict[str, t.Any]", stream_map.expr_evaluator.functions).update(functions)

    @override
    def load_state(self, state: dict[str, t.Any]) -> None:
        """Load the state; raises TapError if it is invalid."""
        check_state(state)
        super().load_state(state)

    # Streams

    @override
    def discover_streams(self) -> Sequence[Stream]:
        """The streams of the vendors with credentials; all streams if there are none."""
        vendors = [v for v in settings.CREDENTIALS if settings.has_credentials(v, self.config)]
        wanted = {*vendors, SyncWindows.vendor}
        return [stream(self) for stream in STREAMS if not vendors or stream.vendor in wanted]

    @cached_property
    def sync_run(self) -> SyncRun:
        """The run that this tap is for."""
        return SyncRun(self, self._scans)

    def check(self, form: str) -> bool:
        """Ask the vendors how they behave, and print a page; whether a sync would work."""
        from tap_medchat_swell.check import page, run  # noqa: PLC0415 - no other run needs it

        streams = t.cast("dict[str, VendorStream]", self.streams)
        asked = {name: stream for name, stream in streams.items() if stream.vendor}
        limiters, version = self.sync_run.rate_limiters, self.plugin_version
        document = run.run(self.sync_run.options, limiters, asked, version)
        text = json.dumps(document, indent=2) if form == "json" else page.text(document)
        print(redaction.REDACTOR.text(text), flush=True)  # noqa: T201 - no record is written
        return bool(document["works"])

    @override  # type: ignore[misc]  # final in the SDK, as `sync_all` is
    def run_sync_dry_run(  # ty: ignore[override-of-final-method]
        self, dry_run_record_limit: int | None = 1, streams: Iterable[Stream] | None = None
    ) -> bool:
        """Try streams."""
        super().run_sync_dry_run(dry_run_record_limit, streams)
        self.sync_run.end()
        return True

    def _scans(self, streams: Sequence[VendorStream]) -> list[VendorScan]:
        chats = [stream for stream in streams if isinstance(stream, medchat.MedChatStream)]
        scans: list[VendorScan] = [medchat.ChatScan(self.sync_run, chats)] if chats else []
        api = SwellApi(self.sync_run.options, self.sync_run.rate_limiters["Swell"])
        for stream in streams:
            if isinstance(stream, SwellMessages):
                scans.append(MessageScan(self.sync_run, stream, api))
            elif isinstance(stream, SwellMessageCounts):
                scans.append(CountScan(self.sync_run, stream, api))
        return scans

    # Command line

    @override
    @plugin_cli
    def cli(cls) -> click.Command:  # noqa: N805 - the decorator passes the class
        """The command, with redacted output."""
        redaction.install()
        if log_level_is_wanted():
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

    @override
    @classmethod
    def get_singer_command(cls) -> click.Command:
        """The SDK's options on this tap's command."""
        command = super().get_singer_command()
        command.params += (
            click.Option(
                ["--merge-states"],
                is_flag=True,
                help="Print one state for what the runs that left the given state files have "
                "read, each a part of the history.",
            ),
            click.Argument(["state_files"], nargs=-1, type=click.File()),
        )
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
        with refusals_reported(cls, result.config, is_run=ctx.meta["is_run"]):
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
        merge_states: bool = False,
        state_files: Sequence[t.IO[str]] = (),
    ) -> None:
        """Run the tap, check the vendors, or merge states.

        The SDK's method would call `sync_all`, which does not stop gracefully.
        """
        if about:
            cls.print_about(about_format)
            return
        if merge_states != bool(state_files):
            raise click.UsageError("State files go with --merge-states, and it with them.")
        if merge_states:
            from tap_medchat_swell.merge_states import merge_states as merged  # noqa: PLC0415

            states = {file.name: read_object(file, "state") for file in state_files}
            click.echo(json.dumps(merged(states)))
            return
        cls.logger.addFilter(_is_news)
        cls.print_version(print_fn=cls.logger.info)
        given = config.config if config else {}
        with refusals_reported(cls, given, is_run=check is None):
            tap = cls(
                config=given,
                state=read_object(state, "state") if state else None,
                catalog=read_object(catalog, "catalog") if catalog else None,
            )
        # What the imports have left behind lives as long as the process: without this the
        # garbage collector walks through it again and again.
        gc.freeze()
        gc.enable()
        gc.set_threshold(20_000)  # records are many, and never refer to each other in circles
        if check is None:
            tap.sync_run.start()
        elif not tap.check(check):
            sys.exit(FAILED)
