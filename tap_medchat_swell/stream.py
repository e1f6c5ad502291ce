"""What all streams share: how records are written, the catalog and the bookmark.

Records are encoded and written by page where possible, and through the SDK where stream maps,
flattening or a dry run need it.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.resources
import json
import logging
import math
import re
import traceback
import typing as t
from functools import cached_property

import msgspec
from singer_sdk import Stream
from singer_sdk.exceptions import MapExpressionError
from singer_sdk.helpers._catalog import get_selected_schema  # noqa: PLC2701 - see sdk_private.py
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib.catalog import Metadata
from typing_extensions import override

from tap_medchat_swell import bookmark as bookmarks
from tap_medchat_swell.errors import TapError
from tap_medchat_swell.privacy.profiles import KEY_ID, Profile, compile_profile, describe_classes
from tap_medchat_swell.record_mapper import Row, RowMapper, merge_schemas

if t.TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.metrics import Counter
    from singer_sdk.singerlib import Catalog, RecordMessage

    from tap_medchat_swell.bookmark import Scope
    from tap_medchat_swell.http.rate_limiter import RateLimiter
    from tap_medchat_swell.settings import Options
    from tap_medchat_swell.writer import BufferedWriter

AFFECTS_OUTPUT = re.compile("stream_map|faker|flattening")  # settings of the SDK
ENCODER = msgspec.json.Encoder()
BEGINNING = "Beginning sync"  # of the SDK's line
AT_ONCE = 200  # records handed to the writer together
# A record on its way: encoded, or as it is where the SDK must see it.
Item = bytes | Row
ITEM_BYTES = 1000  # what one that is not encoded takes in memory, about


def encoded(item: Item) -> bytes:
    """The item's JSON text."""
    return item if isinstance(item, bytes) else ENCODER.encode(item)


def size_of(items: Iterable[Item]) -> int:
    """About how many bytes the items take in memory."""
    return sum(len(item) if isinstance(item, bytes) else ITEM_BYTES for item in items)


def load_schema(name: str) -> dict[str, t.Any]:
    """A stream's schema from the folder `schemas`."""
    folder = importlib.resources.files("tap_medchat_swell") / "schemas"
    schema: dict[str, t.Any] = json.loads((folder / f"{name}.json").read_text("utf-8"))
    describe_classes(schema["properties"])
    return schema


class RunContext(t.Protocol):
    """What streams and scans need of the run that they are part of."""

    @property
    def options(self) -> Options:
        """The configuration, typed."""

    @property
    def message_writer(self) -> BufferedWriter:
        """Where messages go."""

    @property
    def rate_limiters(self) -> dict[str, RateLimiter]:
        """The rate limiter of each vendor."""

    def read_with_others(self, stream: VendorStream) -> None:
        """Read all selected streams, unless that has been done for another one."""

    def write_state(self) -> None:
        """Write STATE, if it has changed, after all records before it."""

    def note_window(self, row: Row) -> None:
        """Write a row of sync_windows, if that is selected."""

    def note_failure(self, streams: Sequence[VendorStream], error: Exception) -> None:
        """Make the run fail at its end."""


class VendorStream(Stream):
    """A stream of either vendor."""

    # Rows are typed by the record mapper; doing it again costs most of a plain tap's time.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE
    vendor: t.ClassVar[str]
    ids: t.ClassVar[tuple[str, ...]] = ()  # other names that the vendor may use for the id

    def __init__(self, tap: Tap) -> None:
        super().__init__(tap, schema=load_schema(self.name))
        self.run: RunContext = t.cast("t.Any", tap).sync_run
        self._schema_written = False
        self.rows_written = 0
        self._rows_seen = self._written_before = 0  # in windows that have been read
        self._begun = False
        self._counter: Counter | None = None

    @override
    def apply_catalog(self, catalog: Catalog) -> None:
        """Apply the catalog. Columns that it adds are filled, ones that it lacks not written."""
        keys, replication_key = self.primary_keys, self.replication_key
        super().apply_catalog(catalog)
        self.replication_key = replication_key  # a catalog cannot change or remove it
        entry = catalog.get_stream(self.name)
        if entry is None:
            return
        if entry.key_properties is None:
            self.primary_keys = keys
        given = entry.schema.to_dict()
        lacking = list(_lacking(given, self.schema)) if given.get("properties") else []
        keys_lacking = {path[1] for path in lacking} & {*self.primary_keys}
        if keys_lacking:
            raise TapError(
                f"Invalid catalog: {self.name} has no {min(keys_lacking)}. Regenerate it "
                "with --discover."
            )
        for path in lacking:
            entry.metadata[path] = Metadata(selected=False)
        if lacking:
            columns = ", ".join(".".join(path[1::2]) for path in lacking)
            self.logger.warning(
                "Not in the catalog, so not written: %s. Regenerate it with --discover.", columns
            )

    # What is written

    @cached_property
    def _is_plain(self) -> bool:
        """Whether records can be encoded as they are, past the SDK's per-record path.

        No map, no flattening, no nested field deselected, no dry run.
        """
        maps = self.stream_maps
        nested = (path for path in self.mask if len(path) > 2)  # noqa: PLR2004
        return (
            len(maps) == 1
            and type(maps[0]) is SameRecordTransform
            and not maps[0].flattening_enabled
            and self._stream_version is None
            and self.ABORT_AT_RECORD_COUNT is None
            and all(self.mask[path] or not self.mask[path[:2]] for path in nested)
        )

    @cached_property
    def output_fingerprint(self) -> bytes:
        """A key for the records' digests, so that all is written again in another form.

        It differs when stream maps, flattening or the selected fields do. Empty for a plain
        stream, whose digests are made of what is written.
        """
        if self._is_plain:
            return b""
        made_by = {name: self.config[name] for name in self.config if AFFECTS_OUTPUT.match(name)}
        chosen = sorted(path for path in self.mask if self.mask[path])
        text = json.dumps([made_by, chosen], sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=8).digest()

    @cached_property
    def rows(self) -> RowMapper:
        """Turns the vendor's rows into records, with the columns that the catalog adds."""
        options = self.run.options
        constants = {
            "account_name": options.account_name,
            "pseudonym_key_id": options.pseudonym_key_id,
        }
        return RowMapper(self._columns, {"id": self.ids}, self.profile.sources, constants)

    @property
    def full_schema(self) -> dict[str, t.Any]:
        """The stream's schema with the columns that the catalog adds."""
        return merge_schemas(self.schema, self.effective_schema)

    @cached_property
    def _columns(self) -> dict[str, t.Any]:
        """The schema of records before the privacy profile, with what the catalog adds."""
        schema = self.full_schema
        if self.run.options.privacy_profile == "none":
            return schema
        return {**schema, "properties": schema["properties"] | KEY_ID}

    @property
    def _hides_time(self) -> bool:
        """Whether records do not say when they were read, which is close to when they were made."""
        return self.run.options.privacy_profile == "safe_harbor"

    @cached_property
    def profile(self) -> Profile:
        """What the privacy profile makes of the selected columns."""
        selected = get_selected_schema(self.name, self._columns, self.mask)
        own = {**self.schema, "properties": self.schema["properties"] | KEY_ID}
        return compile_profile(self.run.options, self.name, own, selected, self.primary_keys)

    def pack(self, records: list[Row]) -> list[Item]:
        """Make records ready for `write`: encoded unless the SDK must see them."""
        finish = self.profile.finish
        if finish:
            records = [finish(record) for record in records]
        if self._is_plain:
            return [ENCODER.encode(record) for record in records]
        return list(records)

    def write(self, items: Sequence[Item], extracted: datetime) -> None:
        """Write records, up to a dry run's limit; `extracted` is when they were sent."""
        if self._is_plain:
            self._write_encoded(t.cast("Sequence[bytes]", items), extracted)
        else:
            limit = self.ABORT_AT_RECORD_COUNT
            items = items[: None if limit is None else max(0, limit - self.rows_written)]
            for record in items:
                self._write_by_sdk(t.cast("Row", record))
        self.rows_written += len(items)
        if self._counter is not None:
            self._counter.increment(len(items))

    def _write_by_sdk(self, record: Row) -> None:
        """Write a record through the SDK; raises TapError where a stream map fails on it."""
        try:
            self._write_record_message(record)
        except Exception as error:
            if isinstance(error, TapError) or not self.config.get("stream_maps"):
                raise
            raise TapError(
                f"stream_maps fails on {_failing_column(error)} of {self.name}: "
                f"{_map_mistake(error)}"
            ) from None

    @cached_property
    def _announced(self) -> dict[str, list[str]]:
        """Per name that a stream map gives this stream, the columns of its SCHEMA."""
        return {
            stream_map.stream_alias: [*stream_map.transformed_schema["properties"]]
            for stream_map in self.stream_maps
        }

    @override
    def _generate_record_messages(self, record: Row) -> Generator[RecordMessage, None, None]:
        """The SDK's; flattened records have every announced column, null or not."""
        is_flat = self.stream_maps[0].flattening_enabled
        for message in super()._generate_record_messages(record):
            if is_flat:
                columns = self._announced[message.stream]
                message.record = dict.fromkeys(columns) | {
                    name: value
                    for name, value in message.record.items()
                    if value is not None or name in columns
                }
            if self._hides_time:
                message.time_extracted = None
            yield message

    def _write_encoded(self, items: Sequence[bytes], extracted: datetime) -> None:
        head = b'{"type":"RECORD","stream":%b,"record":' % ENCODER.encode(self.name)
        tail = b',"time_extracted":%b}\n' % ENCODER.encode(extracted)
        if self._hides_time:
            tail = b"}\n"
        for start in range(0, len(items), AT_ONCE):  # a window's lines need not be in memory twice
            lines = (tail + head).join(items[start : start + AT_ONCE])
            self.run.message_writer.write_lines(head + lines + tail)

    @property
    def has_enough(self) -> bool:
        """Whether a dry run has seen what it wanted of this stream."""
        limit = self.ABORT_AT_RECORD_COUNT
        return limit is not None and self.rows_written >= limit

    @property
    def rows_read(self) -> int:
        """How many rows have come, as far as is known before a window's end."""
        return self._rows_seen + self.rows_written - self._written_before

    def end_window(self, rows_seen: int) -> int:
        """A window has been read that had so many rows; returns how many were written of it."""
        written = self.rows_written - self._written_before
        self._written_before = self.rows_written
        self._rows_seen += rows_seen
        return written

    @override
    def _write_schema_message(self) -> None:
        # All streams are announced before any is read; the SDK would do it again in their turn.
        if not self._schema_written:
            self._schema_written = True
            super()._write_schema_message()

    # Bookmark

    def load_bookmark(self, scope: Scope) -> bookmarks.Bookmark:
        """The bookmark if it can be trusted, else an empty one."""
        if self.replication_method == "FULL_TABLE":
            return {}
        bookmark, reason = bookmarks.load(self.get_context_state(None), scope)
        if reason is not None:
            self.warn_bookmark(reason)
        return bookmark

    def warn_bookmark(self, reason: str) -> None:
        """Warn that the bookmark cannot be used."""
        self.logger.warning(
            "The bookmark of %s %s; reading everything from start_date again.", self.name, reason
        )

    def move_bookmark(self, value: datetime, scope: Scope, details: dict[str, t.Any]) -> None:
        """Replace the bookmark, except in a dry run; see `bookmark.write`."""
        if self.ABORT_AT_RECORD_COUNT is None:
            key = str(self.replication_key)
            bookmark = self.get_context_state(None)
            bookmarks.write(bookmark, key=key, value=value, scope=scope, details=details)

    # Reading

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        """Not used: records are written by page, since one by one costs too much."""
        raise NotImplementedError(context)

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, t.Any], t.Any, t.Any]:
        # The SDK reads one stream after the other. Here the first one has all of them read.
        del context, write_messages
        self.run.read_with_others(self)
        yield from ()

    @contextlib.contextmanager
    def under_way(self, first: str) -> Generator[None]:
        """Announce the stream, and count its records and its time while it is read."""
        self._write_schema_message()
        method = self.replication_method.lower()
        self.log(f"{BEGINNING} of '%s' in %s mode, read along with '%s'", self.name, method, first)
        # The SDK's counter starts anew with each line that it logs, so it logs one.
        counter = self.get_record_counter(log_interval=math.inf)
        with counter as self._counter, self.get_sync_timer():
            yield

    @override
    def log(self, message: str, *args: t.Any, level: int = logging.INFO, **kwargs: t.Any) -> None:
        """Log a message of the SDK's; that a stream begins only once, when it does."""
        if message.startswith(BEGINNING):
            if self._begun:
                return
            self._begun = True
        super().log(message, *args, level=level, **kwargs)

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """None: a bookmark never passes what was read, so nothing is to be capped."""


def _lacking(
    given: Mapping[str, t.Any], own: Mapping[str, t.Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """The breadcrumbs of what a schema of this stream has and the given one has not."""
    for name, definition in own.get("properties", {}).items():
        here = (*path, "properties", name)
        other = given.get("properties", {}).get(name)
        if other is None:
            yield here
        elif "properties" in other:  # else the object is wanted as a whole
            yield from _lacking(other, definition, here)


def _failing_column(error: Exception) -> str:
    """The column whose expression fails: only the SDK's call of it knows."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "property_name" in frame.f_locals:
            return str(frame.f_locals["property_name"] or "__filter__")
    return "a record"


def _map_mistake(error: Exception) -> str:
    """What is wrong, without the expression and what it was applied to."""
    if isinstance(error, MapExpressionError):
        cause = error.__cause__
        unknown = getattr(cause, "name", None) or getattr(cause, "func_name", None)
        return f"{unknown or 'something'} is not known there ({type(cause).__name__})."
    return (
        f"{type(error).__name__}. Any field but a key may be null: write "
        "md5(name) if name else None."
    )
