"""What all streams share: records written the lean way or the SDK's, a bookmark that is
a frontier, and failures that leave the other vendor's streams alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.resources
import json
import re
import typing as t
from abc import ABC, abstractmethod
from functools import cached_property

import msgspec
from singer_sdk import Stream
from singer_sdk.exceptions import MapExpressionError
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib.catalog import Metadata

from tap_medchat_swell import bookmark as bookmarks
from tap_medchat_swell.errors import TapError
from tap_medchat_swell.record_mapper import EXTRAS, Row, RowType
from tap_medchat_swell.redaction import explain

if t.TYPE_CHECKING:
    from collections.abc import Container, Generator, Iterable, Iterator, Mapping
    from datetime import datetime

    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.metrics import Counter
    from singer_sdk.singerlib import Catalog, RecordMessage

    from tap_medchat_swell.http.rate_limiter import RateLimiter
    from tap_medchat_swell.settings import Options
    from tap_medchat_swell.tap import TapMedchatSwell

FORMING = re.compile("stream_map|faker|flattening")  # settings of the SDK
ENCODER = msgspec.json.Encoder()
AT_ONCE = 200  # records handed to the writer together
# A record on its way: encoded, or as it is where the SDK must see it.
Item = bytes | Row


def load_schema(name: str) -> dict[str, t.Any]:
    """A stream's schema from the folder `schemas`."""
    folder = importlib.resources.files("tap_medchat_swell") / "schemas"
    schema: dict[str, t.Any] = json.loads((folder / f"{name}.json").read_text("utf-8"))
    return schema


class WindowedStream(Stream, ABC):
    """A stream that is read window by window and bookmarks the frontier."""

    # Rows are typed when they are normalize_key; doing it again costs most of a plain tap's time.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE
    vendor: t.ClassVar[str]
    ids: t.ClassVar[tuple[str, ...]] = ()  # other names that the vendor may use for the id
    _tap: TapMedchatSwell

    def __init__(self, tap: TapMedchatSwell) -> None:
        super().__init__(tap, schema=load_schema(self.name))
        self._schema_written = False
        self._written = 0
        self._counter: Counter | None = None

    @property
    def options(self) -> Options:
        """The configuration, typed."""
        return self._tap.options

    @property
    def rate_limiter(self) -> RateLimiter:
        """The one rate_limiter to the stream's vendor."""
        return self._tap.rate_limiters[self.vendor]

    @property
    def full_table(self) -> bool:
        """Whether the catalog asks for everything, whatever the bookmark says."""
        return self.replication_method == "FULL_TABLE"

    def apply_catalog(self, catalog: Catalog) -> None:
        """Take over what the catalog says; columns that its schema lacks are not written."""
        keys, frontier = self.primary_keys, self.replication_key
        super().apply_catalog(catalog)
        self.replication_key = frontier  # by no other, and without one all would be read anew
        entry = catalog.get_stream(self.name)
        if entry is None:
            return
        if entry.key_properties is None:
            self.primary_keys = keys
        given = entry.schema.to_dict()
        lacking = list(_lacking(given, self.schema)) if given.get("properties") else []
        keys_lacking = {path[1] for path in lacking} & {*self.primary_keys}
        if keys_lacking:
            msg = f"The catalog has no {min(keys_lacking)} of {self.name}: write it anew."
            raise TapError(msg)
        for path in lacking:
            entry.metadata[path] = Metadata(selected=False)
        if lacking:
            columns = ", ".join(".".join(path[1::2]) for path in lacking)
            self.logger.warning(
                "The catalog has no %s: not written. Write it anew with --discover.", columns
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
    def form(self) -> bytes:
        """A key for the records' digests, so that all is written again in another form.

        It differs when stream maps, flattening or the selected fields do. Empty for a plain
        stream, whose digests are made of what is written.
        """
        if self._is_plain:
            return b""
        made_by = {name: self.config[name] for name in self.config if FORMING.match(name)}
        chosen = sorted(path for path in self.mask if self.mask[path])
        text = json.dumps([made_by, chosen], sort_keys=True, default=str)
        return hashlib.blake2b(text.encode(), digest_size=8).digest()

    @cached_property
    def rows(self) -> RowType:
        """Makes records out of the vendor's rows."""
        wanted = None
        if self._is_plain:
            wanted = frozenset(
                name
                for name in (*self.schema["properties"], EXTRAS)
                if self.mask["properties", name]
            )
        return RowType(self.schema, {"id": self.ids}, wanted)

    def pack(self, records: list[Row]) -> list[Item]:
        """Make records ready for `write`: encoded already where nobody must see them."""
        if self._is_plain:
            return [ENCODER.encode(record) for record in records]
        return list(records)

    def write(self, items: list[Item], extracted: datetime) -> None:
        """Write records, up to a dry run's limit; `extracted` is when they were sent."""
        if self._is_plain:
            self._write_encoded(t.cast("list[bytes]", items), extracted)
        else:
            limit = self.ABORT_AT_RECORD_COUNT
            items = items[: None if limit is None else max(0, limit - self._written)]
            for record in items:
                self._write_by_sdk(t.cast("Row", record))
        self._written += len(items)
        if self._counter is not None:
            self._counter.increment(len(items))

    def _write_by_sdk(self, record: Row) -> None:
        """Write a record through the SDK; raises TapError where a stream map fails on it."""
        try:
            self._write_record_message(record)
        except Exception as error:
            if isinstance(error, TapError) or not self.config.get("stream_maps"):
                raise
            msg = f"stream_maps fails on a record of {self.name}: {_map_mistake(error)}"
            raise TapError(msg) from None

    @cached_property
    def _announced(self) -> dict[str, Container[str]]:
        """Per name that a stream map gives this stream, the columns of its SCHEMA."""
        return {
            stream_map.stream_alias: stream_map.transformed_schema["properties"]
            for stream_map in self.stream_maps
        }

    def _generate_record_messages(self, record: Row) -> Generator[RecordMessage, None, None]:
        """The SDK's, without nulls that no column is announced for: flattened objects."""
        is_flat = self.stream_maps[0].flattening_enabled
        for message in super()._generate_record_messages(record):
            if is_flat:
                columns = self._announced[message.stream]
                message.record = {
                    name: value
                    for name, value in message.record.items()
                    if value is not None or name in columns
                }
            yield message

    def _write_encoded(self, items: list[bytes], extracted: datetime) -> None:
        head = b'{"type":"RECORD","stream":%b,"record":' % ENCODER.encode(self.name)
        tail = b',"time_extracted":%b}\n' % ENCODER.encode(extracted)
        for start in range(0, len(items), AT_ONCE):  # a window's lines need not be in memory twice
            lines = (tail + head).join(items[start : start + AT_ONCE])
            self._tap.message_writer.write_lines(head + lines + tail)

    @property
    def has_enough(self) -> bool:
        """Whether a dry run has seen what it wanted of this stream."""
        limit = self.ABORT_AT_RECORD_COUNT
        return limit is not None and self._written >= limit

    @property
    def is_dry_run(self) -> bool:
        """Whether records are only tried out: then the bookmark must stay."""
        return self.ABORT_AT_RECORD_COUNT is not None

    def _write_schema_message(self) -> None:
        # MedChat's streams are read in one pass: whoever leads announces the others.
        if not self._schema_written:
            self._schema_written = True
            super()._write_schema_message()

    # What is read

    @abstractmethod
    def read(self) -> None:
        """Read, check and write every window, moving the frontier after each."""

    def readers_peers(self) -> list[WindowedStream]:
        """The streams that one `read` writes; none where another stream's has written this one."""
        return [self]

    def get_records(self, context: Context | None) -> Iterable[Record]:
        """Not used: records are written per page, as one by one costs too much."""
        raise NotImplementedError(context)

    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, t.Any], t.Any, t.Any]:
        """Read the stream in place of the SDK's record loop, which knows no windows."""
        del context, write_messages
        peers = self.readers_peers()
        try:
            with contextlib.ExitStack() as stack:
                for peer in peers:
                    peer._write_schema_message()  # noqa: SLF001 - of this class
                    peer._counter = stack.enter_context(peer.get_record_counter())  # noqa: SLF001
                    stack.enter_context(peer.get_sync_timer())
                if peers:
                    self.read()
        except Exception as error:  # noqa: BLE001 - the other vendor's streams are read all the same
            self._fail(peers, error)
        self.write_state()
        yield from ()

    def _fail(self, peers: list[WindowedStream], error: Exception) -> None:
        """Note a failure, so that other streams are still read and the run then fails."""
        self.logger.error("%s", explain(error))
        self._tap.failures |= dict.fromkeys((peer.name for peer in peers), error)

    def idle(self) -> None:
        """What has to be done often, also while waiting for answers."""
        self._tap.message_writer.flush_if_due()
        self._tap.check_stop()

    def move_bookmark(self, value: datetime, scope: str, **details: object) -> None:
        """Replace the bookmark, but for a dry run; see `bookmarks.write`."""
        if not self.is_dry_run:
            key = str(self.replication_key)
            bookmarks.write(
                self.get_context_state(None), key=key, value=value, scope=scope, **details
            )

    def write_state(self) -> None:
        """Write STATE, if it has changed, behind all records before it."""
        self._tap.state_writer.write_state(self.tap_state)

    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """None: the frontier never passes what was read, so nothing is to be capped."""


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
