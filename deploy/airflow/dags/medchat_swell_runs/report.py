"""One report over all accounts, from the reports of their runs."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Json = dict[str, t.Any]


def table(reports: Mapping[str, Json | None]) -> str:
    """A line per account, those that failed first, with what the tap said of each."""
    rows = [("account", "result", "written", "requests", "seconds", "verdict")]
    for account, report in sorted(reports.items(), key=lambda item: (is_complete(item[1]), item)):
        streams = (report or {}).get("streams", ())
        rows.append(
            (
                account,
                "complete" if is_complete(report) else "failed",
                _sum(streams, "rows_written"),
                _sum(streams, "requests"),
                str((report or {}).get("seconds", "")),
                (report or {}).get("verdict") or "The task ended without a report: see its log.",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def is_complete(report: Json | None) -> bool:
    """Whether a run read everything."""
    return report is not None and report["result"] == "complete"


def _sum(streams: Sequence[Json], column: str) -> str:
    return f"{sum(stream[column] or 0 for stream in streams):,}"
