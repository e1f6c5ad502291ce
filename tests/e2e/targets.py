"""Every target that is tried, how it is set, and what it is known to change.

docs/targets.md has the table of these in words; a test writes and checks it.
"""

from __future__ import annotations

import ast
import csv
import gzip
import io
import json
import re
import tempfile
import typing as t
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import duckdb
from support.tap_runs import Record

from .loads import FORMS, Text

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .tools import S3, PostgreSQL

DATE = re.compile(r"\d{4}-\d\d-\d\d")
TIME = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.\d+Z$")
WRITES = {
    "upserts": "is updated",
    "appends": "is written again",
    "overwrites": "the file is overwritten",
}
HEADINGS = (
    *("target", "tried by", "a row that is there"),
    *("plain", "flattened by the tap", "flattened by the target"),
    *("what it changes", "what to set"),
)
NESTED = ("plain", "mapped", "mapped by meltano-map-transform")
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Place:
    """Where a target writes in one run: below a folder, or under a name on a server."""

    folder: Path
    name: str
    stage: str
    server: Callable[[str], t.Any]

    @property
    def postgres(self) -> PostgreSQL:
        """The database server."""
        return t.cast("PostgreSQL", self.server("postgres"))

    @property
    def s3(self) -> S3:
        """The object store."""
        return t.cast("S3", self.server("s3"))


Reader = Callable[[Place, str], list[Record]]


@dataclass(frozen=True)
class Loss:
    """Something that a target does not store as it came."""

    note: str
    change: Callable[[t.Any], t.Any]


EMPTY_IS_NULL = Loss("`''` becomes NULL", lambda value: None if value == "" else value)
ALL_TEXT = Loss(
    "every value is text",
    lambda value: str(value) if isinstance(value, bool | int | float) else value,
)
ESCAPED = Loss(
    r"line feeds and tabs are stored as `\n`, `\r` and `\t`",
    lambda value: (
        value.replace("\n", r"\n").replace("\r", r"\r").replace("\t", r"\t")
        if isinstance(value, str)
        else value
    ),
)
DATES_ARE_TIMES = Loss(
    "dates get a time, `T00:00:00`",
    lambda value: f"{value}T00:00:00" if DATE.fullmatch(str(value)) else value,
)
WHOLE_SECONDS = Loss(
    "times lose their fractions of seconds",
    lambda value: TIME.sub(r"\1Z", value) if isinstance(value, str) else value,
)
PYTHON = Loss(
    "nested values are Python (`{'id': None}`), not JSON",
    lambda value: Text(value, ast.literal_eval) if isinstance(value, dict | list) else value,
)


@dataclass(frozen=True)
class Failure:
    """What becomes of a form that does not load, and what the test sees of it."""

    note: str
    error: str


@dataclass(frozen=True)
class Target:
    """A target, as it is tried and as docs/targets.md describes it.

    `writes` is one of WRITES. `fails` has the forms that do not load, and how.
    """

    package: str
    environment: str
    writes: str
    config: Callable[[Place], dict[str, t.Any]]
    rows: Reader
    command: str = ""
    label: str = ""
    losses: tuple[Loss, ...] = ()
    fails: Mapping[str, Failure] = field(default_factory=dict)
    flattens: bool = False
    advice: str = ""
    in_make_test: bool = False

    @property
    def program(self) -> str:
        """The command."""
        return self.command or self.environment

    @property
    def name(self) -> str:
        """The package without its version, and the label."""
        return " ".join([re.split("[= ]", self.package)[0], self.label]).strip()

    @property
    def forms(self) -> list[str]:
        """The forms that it is tried with."""
        return [name for name, form in FORMS.items() if self.flattens or not form.target]

    def verdict(self, form: str) -> str:
        """What came of a form, in a word."""
        if form in self.fails:
            return self.fails[form].note
        return "yes" if form in self.forms else "not tried"


# How targets are set


def duckdb_config(place: Place) -> dict[str, t.Any]:
    return {"filepath": str(place.folder / "x.duckdb"), "default_target_schema": place.name}


def postgres_config(place: Place) -> dict[str, t.Any]:
    return {
        "host": "127.0.0.1",
        "port": place.postgres.port,
        "user": "tap",
        "password": "none is needed",
        "database": "postgres",
        "default_target_schema": place.name,
    }


def s3_config(place: Place) -> dict[str, t.Any]:
    """For targets of PipelineWise's family: the first name is one's, the second another's."""
    return {
        "s3_bucket": place.s3.bucket(place.name),
        "s3_key_prefix": f"{place.stage}/",
        "path_template": f"{place.stage}/{{stream}}-{{date_time}}.json",
        "work_dir": str(place.folder),
        "temp_dir": str(place.folder),
        "aws_access_key_id": "any",
        "aws_secret_access_key": "any",
        "aws_endpoint_url": place.s3.url,
    }


def plinxore_config(form: str, place: Place) -> dict[str, t.Any]:
    aws = {
        "aws_access_key_id": "any",
        "aws_secret_access_key": "any",
        "aws_region": "us-east-1",
        "aws_bucket": place.s3.bucket(place.name),
        "aws_endpoint_override": place.s3.url,
    }
    return {
        "format": {"format_type": form},
        "cloud_provider": {"cloud_provider_type": "aws", "aws": aws},
        "prefix": place.stage,
    }


# How they are read


def duckdb_rows(place: Place, table: str) -> list[Record]:
    return duckdb_table(place.folder / "x.duckdb", place.name, table)


def duckdb_table(file: Path, schema: str, table: str) -> list[Record]:
    """A table's rows."""
    with duckdb.connect(str(file), read_only=True) as connection:
        return _fetched(connection.execute(f'SELECT * FROM "{schema}"."{table}"'))


def _fetched(cursor: duckdb.DuckDBPyConnection) -> list[Record]:
    columns = [column[0] for column in cursor.description or ()]
    return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]


def postgres_rows(place: Place, table: str) -> list[Record]:
    return place.postgres.rows(table, place.name)


def csv_rows(text: str) -> list[Record]:
    # A missing value and an empty one look the same.
    rows = csv.DictReader(io.StringIO(text, newline=""))
    return [{name: value or None for name, value in row.items()} for row in rows]


def json_rows(text: str) -> list[Record]:
    # Texts may hold what str.splitlines would take for the end of a line.
    return [json.loads(line) for line in text.split("\n") if line]


def singer_rows(text: str) -> list[Record]:
    return [message["record"] for message in json_rows(text) if message["type"] == "RECORD"]


def parquet_rows(data: bytes) -> list[Record]:
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        file, copy = Path(folder, "x.parquet"), Path(folder, "x.json")
        file.write_bytes(data)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"COPY (SELECT * FROM '{file}') TO '{copy}' (FORMAT json)")
        return json_rows(copy.read_text("utf-8"))


def in_files(parse: Callable[[str], list[Record]]) -> Reader:
    """The rows in all files of a stream, whose names start with the stream's."""

    def rows(place: Place, table: str) -> list[Record]:
        files = [file for file in sorted(place.folder.rglob("*")) if file.is_file()]
        wanted = [file for file in files if re.match(rf"{table}[-.]", file.name)]
        return [row for file in wanted for row in parse(_text(file.read_bytes()))]

    return rows


def in_s3(parse: Callable[[str], list[Record]]) -> Reader:
    """The rows in all objects of a stream, those of the first run first."""
    return lambda place, table: [
        row for data in place.s3.objects(place.name, table) for row in parse(_text(data))
    ]


def parquet_in_s3(place: Place, table: str) -> list[Record]:
    objects = place.s3.objects(place.name, table)
    return [row for data in objects for row in parquet_rows(data)]


def _text(data: bytes) -> str:
    return (gzip.decompress(data) if data.startswith(GZIP) else data).decode("utf-8")


TARGETS = [
    Target(
        "target-duckdb==0.8.0 duckdb<1.3",
        "target-duckdb",
        writes="upserts",
        config=duckdb_config,
        rows=duckdb_rows,
        losses=(EMPTY_IS_NULL,),
        advice="Keep the pin: with DuckDB 1.3 or later it loses the first row of every batch.",
        in_make_test=True,
    ),
    Target(
        "meltanolabs-target-postgres==0.8.1",
        "target-postgres",
        writes="upserts",
        config=postgres_config,
        rows=postgres_rows,
        flattens=True,
        advice="The best one. Set `sanitize_null_text_characters: true`: PostgreSQL has no "
        "U+0000, and one in a text would stop every load.",
        in_make_test=True,
    ),
    Target(
        "meltanolabs-target-csv==0.5.0",
        "target-csv",
        writes="overwrites",
        config=lambda place: {
            "output_path": str(place.folder),
            "file_naming_scheme": "{stream_name}.csv",
        },
        rows=in_files(csv_rows),
        losses=(EMPTY_IS_NULL, ALL_TEXT, PYTHON),
        flattens=True,
        fails={
            "flattened by the target": Failure(
                "stops at an object that is null", "fields not in fieldnames"
            )
        },
        advice="Set `flattening_enabled` in the tap. Put the time into `file_naming_scheme`: a "
        "file of the same name is overwritten, so that only the last run's rows are left.",
        in_make_test=True,
    ),
    Target(
        "target-s3-jsonl==2.0.1",
        "target-s3-jsonl",
        writes="appends",
        config=s3_config,
        rows=in_s3(json_rows),
        advice="One object per stream and run.",
        in_make_test=True,
    ),
    Target(
        "target-jsonl==0.1.4",
        "target-jsonl",
        writes="appends",
        config=lambda place: {
            "destination_path": str(place.folder),
            "do_timestamp_file": False,
        },
        rows=in_files(json_rows),
        advice="It needs an environment of its own: its jsonschema 2.6 breaks the tap.",
    ),
    Target(
        "target-singer-jsonl==0.1.0",
        "target-singer-jsonl",
        writes="appends",
        config=lambda place: {
            "destination": "local",
            "local": {"folder": str(place.folder / place.stage)},
        },
        rows=in_files(singer_rows),
    ),
    Target(
        "pipelinewise-target-postgres==2.1.2",
        "target-postgres-pipelinewise",
        command="target-postgres",
        writes="upserts",
        config=lambda place: {
            **postgres_config(place),
            "dbname": "postgres",
            "data_flattening_max_level": 0,
        },
        rows=postgres_rows,
        losses=(EMPTY_IS_NULL, ESCAPED),
        advice="Not for texts.",
    ),
    Target(
        "pipelinewise-target-s3-csv==2.0.0",
        "target-s3-csv",
        writes="appends",
        config=s3_config,
        rows=in_s3(csv_rows),
        losses=(EMPTY_IS_NULL, ALL_TEXT),
        fails=dict.fromkeys(
            (*NESTED, "pseudonymized"),
            Failure("columns shift", r"\S+ \S+ (additional_properties|contact)"),
        ),
        advice="Set `flattening_enabled` in the tap. One object per stream and run.",
    ),
    Target(
        "plinxore-target-s3==0.1.7",
        "target-s3",
        label="Parquet",
        writes="appends",
        config=partial(plinxore_config, "parquet"),
        rows=parquet_in_s3,
        losses=(WHOLE_SECONDS,),
        fails=dict.fromkeys(NESTED, Failure("stops", "'NoneType' object has no attribute 'items'")),
        advice="Set `flattening_enabled` in the tap.",
    ),
    Target(
        "plinxore-target-s3==0.1.7",
        "target-s3",
        label="JSON lines",
        writes="appends",
        config=partial(plinxore_config, "jsonl"),
        rows=in_s3(json_rows),
        losses=(DATES_ARE_TIMES,),
    ),
]


def documented() -> str:
    """The table of docs/targets.md."""
    lines = [f"| {' | '.join(HEADINGS)} |", "| -- " * len(HEADINGS) + "|"]
    for target in TARGETS:
        cells = [
            f"`{target.package}`" + (f", {target.label}" if target.label else ""),
            "`make test`" if target.in_make_test else "`make targets`",
            WRITES[target.writes],
            *(target.verdict(form) for form in ("plain", "flattened", "flattened by the target")),
            "; ".join(loss.note for loss in target.losses) or "nothing",
            target.advice,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
