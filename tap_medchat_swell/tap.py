"""The tap: which streams exist for which settings, and how a run begins and ends."""

from __future__ import annotations

import difflib
import gc
import os
import sys
import threading
import typing as t
from functools import cached_property

from singer_sdk import Tap
from singer_sdk.cli import plugin_cli
from singer_sdk.configuration._dict_config import parse_environment_config
from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.helpers._catalog import get_selected_schema
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.plugin_base import JSONSchemaValidator, PluginBase, _ConfigInput
from singer_sdk.singerlib.encoding.simple import StateMessage

from tap_medchat_swell import redaction, settings
from tap_medchat_swell.bookmark import check_state
from tap_medchat_swell.cli import TapCommand, load_config, load_document
from tap_medchat_swell.config_validation import problems
from tap_medchat_swell.errors import ShutdownRequested, SyncFailedError, TapError
from tap_medchat_swell.http.rate_limiter import RateLimiter
from tap_medchat_swell.medchat.streams import (
    SmsChats,
    SmsMemberships,
    SmsMessages,
    SmsTextBotExecutions,
)
from tap_medchat_swell.swell.streams import SwellMessageCounts, SwellMessages
from tap_medchat_swell.writer import BufferedWriter

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import FrameType

    import click
    from singer_sdk import Stream
    from singer_sdk.helpers.capabilities import CapabilitiesEnum

    from tap_medchat_swell.stream import WindowedStream

STREAMS: tuple[type[WindowedStream], ...] = (
    SmsChats,
    SmsMemberships,
    SmsMessages,
    SmsTextBotExecutions,
    SwellMessageCounts,
    SwellMessages,
)
KEYS: dict[str, t.Any] = {stream.name: stream.primary_keys for stream in STREAMS}  # type: ignore[misc]
BAD_CATALOG = "The catalog is not one that --discover wrote: write it anew."
# How long a signal waits for the writing of a line to come to its end.
STOP_SECONDS = 1.5


def _names_of(catalog: dict[str, t.Any]) -> set[str]:
    return {entry["tap_stream_id"] for entry in catalog.get("streams") or ()}


def _hide_unknown_names(schema: dict[str, t.Any]) -> None:
    """Have objects without known names flattened to JSON text, not to columns by chance."""
    for definition in schema.get("properties", {}).values():
        if definition.get("properties") == {}:
            del definition["properties"]


def guard(config: dict[str, t.Any]) -> None:
    """Keep the configuration's secrets out of all output."""
    redaction.REDACTOR.protect(settings.secret_values(config), settings.tokens(config))


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

    def __init__(self, **kwargs: t.Any) -> None:
        self.failures: dict[str, Exception] = {}
        self._stop_signal: int | None = None
        catalog = kwargs.get("catalog")
        try:
            if isinstance(catalog, dict) and not _names_of(catalog) & KEYS.keys():
                raise TapError(BAD_CATALOG)  # the SDK would read nothing, and call it success
            super().__init__(**kwargs)
        except (KeyError, TypeError, AttributeError, ValueError):
            if kwargs.get("catalog") and getattr(self, "_streams", None) is None:
                raise TapError(BAD_CATALOG) from None
            raise

    # Configuration

    @classproperty
    def _env_var_config(cls) -> dict[str, t.Any]:  # noqa: N805 - as the decorator wants it
        """What the environment holds: read by the SDK, one by one to tell which is wrong."""
        cls.append_builtin_config(cls.config_jsonschema)
        parse_environment_config({}, cls._env_var_prefix)  # takes .env into the environment
        config: dict[str, t.Any] = {}
        for name, definition in cls.config_jsonschema["properties"].items():
            variable = f"{cls._env_var_prefix}{name.upper()}"
            if settings.is_blank(os.environ.get(variable)):
                continue
            schema = {"properties": {name: definition}}
            try:
                config |= parse_environment_config(schema, cls._env_var_prefix)
            except ValueError:
                msg = f"{variable} must hold a whole number, or a list or an object as JSON."
                raise TapError(msg) from None
        return config

    @cached_property
    def options(self) -> settings.Options:
        """The configuration, typed."""
        return settings.Options.from_config(self.config)

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        """Validate in own words: the SDK's quote the values, secrets included."""
        guard(self._config)
        self.append_builtin_config(self.config_jsonschema)
        errors = [*self._builtin_problems(), *problems(self._config)]
        if errors and raise_errors:
            summary = f"Config validation failed: {' '.join(errors)}"
            raise ConfigValidationError(summary, errors=errors, schema={})
        return errors

    def _builtin_problems(self) -> list[str]:
        """What is wrong with the SDK's own settings. Sets their defaults, as the SDK does."""
        own = {setting.name for setting in settings.SETTINGS}
        properties = self.config_jsonschema["properties"]
        found: list[str] = []
        for name in sorted(properties.keys() - own):
            validator = JSONSchemaValidator({"properties": {name: properties[name]}})
            try:
                found += [
                    f"{'.'.join(map(str, error.path))} is not valid ({error.validator})."
                    for error in validator.iter_errors(self._config)
                ]
            except AttributeError:  # text in an object's place, where defaults would go
                found.append(f"{name} is not valid.")
        if self._config.get("batch_config"):
            found.append(
                "batch_config is not supported: batches would pass by stream maps and deselection."
            )
        return found

    def setup_mapper(self) -> None:
        """Set up stream maps, in which config['hash_salt'] is the setting."""
        salt = self._config.get("hash_salt")
        if salt:
            map_config = self._config.get("stream_map_config") or {}
            self._config["stream_map_config"] = {"hash_salt": salt, **map_config}
        # Past the SDK's own, which looks for a deselected stream's key in an empty schema.
        super(Tap, self).setup_mapper()
        for name, entry in self.catalog.items():
            schema, selection = entry.schema.to_dict(), entry.metadata.resolve_selection()
            if self._config.get("flattening_enabled"):
                _hide_unknown_names(schema)
            if selection[()]:
                schema = get_selected_schema(name, schema, selection)
            keys = KEYS.get(name) if entry.key_properties is None else entry.key_properties
            self.mapper.register_raw_stream_schema(name, schema, keys)

    def load_state(self, state: dict[str, t.Any]) -> None:
        """Take over the state; raises TapError for what is none."""
        check_state(state)
        super().load_state(state)

    @cached_property
    def rate_limiters(self) -> dict[str, RateLimiter]:
        """A rate_limiter per vendor, for all its streams."""
        limits = (self.options.max_concurrency, self.options.requests_per_minute)
        return {vendor: RateLimiter(*limits) for vendor in settings.CREDENTIALS}

    # Streams

    def discover_streams(self) -> Sequence[Stream]:
        """The streams of the vendors with credentials; without any, all."""
        vendors = [v for v in settings.CREDENTIALS if settings.has_credentials(v, self.config)]
        return [stream(self) for stream in STREAMS if not vendors or stream.vendor in vendors]

    def run_discovery(self) -> str:
        """Print the catalog as it is: it is made of `schemas` and holds no secret.

        The guard would take a token that is also a column's name for a leak.
        """
        sys.stdout.flush()
        sys.stdout.buffer.write(f"{self.catalog_json_text}\n".encode())
        sys.stdout.buffer.flush()
        return self.catalog_json_text

    # Running

    def run_connection_test(self) -> bool:  # type: ignore[misc]
        """Try what is selected, of both vendors; raises SyncFailedError if a stream cannot be read.

        Final in the SDK, which tries all streams, also those that need scopes of their own.
        """
        chosen = [stream for stream in self.streams.values() if stream.selected]
        return self.run_sync_dry_run(streams=chosen)

    def run_sync_dry_run(  # type: ignore[misc]
        self, dry_run_record_limit: int | None = 1, streams: Iterable[Stream] | None = None
    ) -> bool:
        """Try streams; final in the SDK, as `sync_all` is."""
        super().run_sync_dry_run(dry_run_record_limit, streams)
        self._end()
        return True

    def sync_all(self) -> None:  # type: ignore[misc]
        """Sync all streams; raises SyncFailedError at the end if one could not be read.

        Final in the SDK, which ends a run with its first failure. Here the other
        vendor's streams are still read, and the failure must not be lost.
        """
        self._tell_what_is_left_out()
        super().sync_all()
        self._end()

    def _end(self) -> None:
        self.message_writer.flush()
        if self.failures:
            raise SyncFailedError(self.failures)

    def _tell_what_is_left_out(self) -> None:
        known = self.config_jsonschema["properties"]
        for name in sorted(set(self.config) - set(known)):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Is {near[0]} meant?" if near else ""
            self.logger.warning("%s is no setting of this tap.%s", name, hint)
        for vendor, names in settings.CREDENTIALS.items():
            if not settings.has_credentials(vendor, self.config):
                self.logger.info("%s is not read: no %s.", vendor, " and ".join(names))

    def check_stop(self) -> None:
        """Raise ShutdownRequested if a signal has come: called where nothing is half done."""
        if self._stop_signal is not None:
            raise ShutdownRequested(self._stop_signal)

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """Note the signal. The SDK exits with 0 from wherever the signal came upon it."""
        del frame
        self._stop_signal = signum
        # For a target that reads no more, so that a write never ends.
        last_resort = threading.Timer(STOP_SECONDS, os._exit, (128 + signum,))
        last_resort.daemon = True
        last_resort.start()

    def run(self) -> None:
        """Sync as the command line does: when told to stop, write the frontier first."""
        # What the imports have left behind lives as long as the run: without this the
        # garbage collector walks through it again and again.
        gc.freeze()
        gc.enable()
        gc.set_threshold(20_000)  # records are many, and never refer to each other in circles
        try:
            self.check_stop()
            self.sync_all()
        except ShutdownRequested:
            # Also where it has not changed: what was written since then ends with it.
            self.message_writer.write_message(StateMessage(value=self.state))
            raise

    # Command line

    @plugin_cli
    def cli(cls) -> click.Command:  # noqa: N805 - as the decorator wants it
        """The command, with guarded output."""
        redaction.install()
        try:
            return super().cli
        except Exception as error:
            if "SINGER_SDK_LOG_CONFIG" in os.environ:
                sys.exit("SINGER_SDK_LOG_CONFIG names no logging configuration that can be used.")
            if not isinstance(error, ValueError):
                raise
            sys.exit(
                f"{cls._env_var_prefix}LOGLEVEL or LOGLEVEL is no level, such as DEBUG or INFO."
            )

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """The SDK's options on this tap's command."""
        command = super().get_singer_command()
        return TapCommand(
            name=command.name,
            callback=command.callback,
            params=command.params,
            help=command.help,
            context_settings=command.context_settings,
            logger=cls.logger,
        )

    @classmethod
    def cb_config(
        cls: type[PluginBase],
        ctx: click.Context,
        param: click.Option,
        value: tuple[str, ...],
    ) -> _ConfigInput:
        """Read configuration files, guarding their secrets from the first moment."""
        del ctx, param
        config: dict[str, t.Any] = {}
        for path in value:
            if path != "ENV":
                config |= load_config(path)
        guard(config)
        return _ConfigInput(config=config, parse_env="ENV" in value)

    @classmethod
    def invoke(  # type: ignore[override]
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,
        state: t.IO[str] | None = None,
        catalog: t.IO[str] | None = None,
    ) -> None:
        """Run the tap: the SDK's, with errors in plain words and a stop that resumes."""
        super(Tap, cls).invoke(about=about, about_format=about_format)
        cls.print_version(print_fn=cls.logger.info)
        config = config or _ConfigInput()
        tap = cls(
            config=config.config,
            state=load_document(state, "state") if state else None,
            catalog=load_document(catalog, "catalog") if catalog else None,
            parse_env_config=config.parse_env,
        )
        tap.run()
