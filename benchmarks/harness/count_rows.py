"""Counts what a candidate wrote and compares it with what the sandbox holds.

Runs as a process of its own, so that the harness stays small:
`count_rows.py FORM WORK TRUTH` prints one JSON object.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAMS = ("sms_chats", "sms_messages", "swell_messages")


def singer(work: Path) -> Iterator[tuple[str, Any]]:
    """Ids of RECORD messages."""
    with (work / "stdout").open("rb") as lines:
        for line in lines:
            message = json.loads(line)
            if message["type"] == "RECORD":
                yield message["stream"], message["record"]["id"]


def airbyte(work: Path) -> Iterator[tuple[str, Any]]:
    """Ids of RECORD messages."""
    with (work / "stdout").open("rb") as lines:
        for line in lines:
            message = json.loads(line)
            if message["type"] == "RECORD":
                yield message["record"]["stream"], message["record"]["data"]["id"]


def dlt_extract(work: Path) -> Iterator[tuple[str, Any]]:
    """Ids in the extracted package; a chat's messages lie inside it."""
    for path in work.glob("pipelines/bench/normalize/extracted/*/new_jobs/*.gz"):
        stream = path.name.partition(".")[0]
        if stream not in STREAMS:
            continue
        with gzip.open(path) as lines:
            for line in lines:
                rows = json.loads(line)
                for row in rows if isinstance(rows, list) else [rows]:
                    yield from _nested(stream, row)


def dlt_load(work: Path) -> Iterator[tuple[str, Any]]:
    """Ids in the files that were loaded."""
    tables = ("sms_chats", "sms_chats__messages", "swell_messages")
    for stream, table in zip(STREAMS, tables, strict=True):
        for path in work.glob(f"loaded/messages/{table}/*.jsonl*"):
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
                for line in lines:
                    yield stream, json.loads(line)["id"]


def _nested(stream: str, row: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield stream, row["id"]
    for message in row.get("messages") or ():
        yield "sms_messages", message["id"]


FORMS = {
    "singer": singer,
    "airbyte": airbyte,
    "dlt-extract": dlt_extract,
    "dlt-load": dlt_load,
}


def main() -> None:
    """Count."""
    form, work, truth_path = sys.argv[1:]
    rows: dict[str, int] = defaultdict(int)
    ids: dict[str, set[Any]] = defaultdict(set)
    problem = None
    try:
        for stream, row_id in FORMS[form](Path(work)):
            rows[stream] += 1
            ids[stream].add(row_id)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it is a result
        problem = f"{type(error).__name__}: {error}"[:300]
    truth = json.loads(Path(truth_path).read_text())
    held = {stream: {row["id"] for row in truth[stream]} for stream in STREAMS}
    counts = {
        stream: {
            "rows": rows[stream],
            "held": len(held[stream]),
            "missing": len(held[stream] - ids[stream]),
            "unknown": len(ids[stream] - held[stream]),
        }
        for stream in STREAMS
    }
    json.dump({"streams": counts, "problem": problem}, sys.stdout)


if __name__ == "__main__":
    main()
