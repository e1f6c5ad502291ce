"""`make demo`: both vendors simulated, read by Meltano into DuckDB, twice.

Everything runs on this machine. The first run reads all data; then the data changes at the
vendors, and the second run reads the changes.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import re
import signal
import subprocess
import sys
import typing as t
from datetime import datetime, timedelta, timezone
from pathlib import Path

import duckdb
from medchat_swell_sandbox import Dataset, Sandbox

if t.TYPE_CHECKING:
    from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
MELTANO = ROOT / ".venvs" / "meltano" / "bin" / "meltano"
REPORT = ROOT / ".venvs" / "report" / "bin" / "python"
DATABASE = ROOT / "output" / "demo.duckdb"
MELTANO_DATABASE = ROOT / ".meltano" / "demo.db"
SCHEMA = "tap_medchat_swell"
KEYS = {
    "sms_chats": ("id",),
    "sms_messages": ("id",),
    "swell_messages": ("id",),
    "swell_message_counts": ("date",),
}
CHART_DAYS = 14
CHART_WIDTH = 44
TEXT_WIDTH = 46
SEED = 20
ANSWERS = """
WITH places AS (
    SELECT vendor, location_id, any_value(location_name) AS place,
        sum(inbound_messages) AS received, sum(outbound_messages) AS sent,
        sum(opt_outs) AS opt_outs
    FROM medchat_swell.medchat_swell__daily_metrics
    GROUP BY ALL
), waits AS (
    SELECT vendor, location_id, median(response_minutes) AS minutes,
        count(*) FILTER (outcome = 'open') AS waiting
    FROM medchat_swell.medchat_swell__response_times
    GROUP BY ALL
)
SELECT places.vendor, coalesce(place, 'no location'), received, sent, minutes,
    coalesce(waiting, 0), opt_outs
FROM places
LEFT JOIN waits ON places.vendor = waits.vendor
    AND places.location_id IS NOT DISTINCT FROM waits.location_id
ORDER BY places.vendor, received + sent DESC
"""

Row = dict[str, t.Any]
Tables = dict[str, dict[tuple[t.Any, ...], Row]]


def main() -> None:
    """Run the demo."""
    signal.signal(signal.SIGTERM, _terminated)
    os.umask(0o077)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace", line_buffering=True)
    DATABASE.parent.mkdir(exist_ok=True)
    for leftover in (*DATABASE.parent.glob("demo.duckdb*"), MELTANO_DATABASE):
        leftover.unlink(missing_ok=True)
    dataset = simulated()
    with Sandbox(dataset) as sandbox:
        heading("1. A sandbox of MedChat and Swell")
        print(f"MedChat: {sandbox.medchat_api_url}\nSwell:   {sandbox.swell_api_url}")
        print("The data is made up, and no real vendor is contacted.")

        heading("2. First run: meltano run tap-medchat-swell target-duckdb")
        warn_of_own_settings()
        meltano(sandbox, "install", "tap-medchat-swell", "target-duckdb", "dbt-duckdb")
        written = run(sandbox)
        first = tables()
        show_totals(first, written)
        show_newest(first)
        show_chart(first)

        heading("3. Meanwhile, at the vendors")
        let_things_happen(dataset)

        heading("4. Second run: the same command")
        written = run(sandbox)
        second = tables()
        show_news(first, second, written)
        check(second, sandbox.truth())

        heading("5. From rows to answers: meltano run dbt-duckdb:build")
        meltano(sandbox, "run", "dbt-duckdb:build")
        show_answers()
    print()
    database = str(DATABASE.relative_to(ROOT))
    report = [str(REPORT), "scripts/report.py", "--database", database]
    subprocess.run(report, cwd=ROOT, check=True)  # noqa: S603 - our own
    show_ways_on()


def simulated() -> Dataset:
    """What the vendors hold at first."""
    return Dataset.generate(seed=SEED, chats=300, swell_messages=900, days=90)


def heading(text: str) -> None:
    """Begin a part."""
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n== {text}")


def _terminated(signum: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signum)


# Meltano


def environment(sandbox: Sandbox) -> dict[str, str]:
    """The process environment for Meltano: the sandbox instead of the real vendors."""
    drop = (
        "DBT_",
        "MEDCHAT_SWELL_",
        "TAP_MEDCHAT_SWELL",
        "TARGET_",
        "MELTANO_",
        "PYTHONDONTWRITEBYTECODE",
    )
    kept = {name: text for name, text in os.environ.items() if not name.startswith(drop)}
    config = {
        f"TAP_MEDCHAT_SWELL_{name.upper()}": str(value)
        # Small windows: what a window shares with a change is written again with it.
        for name, value in sandbox.tap_config(medchat_page_size=10, medchat_window_pages=1).items()
    }
    return (
        kept
        | config
        | {
            "MELTANO_ENVIRONMENT": "sandbox",
            "MELTANO_DATABASE_URI": f"sqlite:///{MELTANO_DATABASE}",
            "MELTANO_CLI_LOG_LEVEL": "info",
            "NO_COLOR": "1",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "TARGET_DUCKDB_FILEPATH": str(DATABASE),
            "DBT_DUCKDB_FILEPATH": str(DATABASE),
            "DBT_DUCKDB_VARS": "{medchat_swell_timezone: America/Denver}",
            "DBT_LOG_LEVEL": "warn",
        }
    )


def warn_of_own_settings() -> None:
    """Meltano reads .env too, so settings in it that the demo does not set apply."""
    with contextlib.suppress(FileNotFoundError):
        text = (ROOT / ".env").read_text(encoding="utf-8", errors="replace")
        if re.search(
            r"^TAP_MEDCHAT_SWELL_\w+(_ids|end_date|minute)=.", text, re.MULTILINE | re.IGNORECASE
        ):
            print("Your .env limits what is read, and applies to the demo as well.")


def meltano(sandbox: Sandbox, *arguments: str) -> list[str]:
    """Run Meltano, showing its log as it comes; returns its lines."""
    lines = []
    process = subprocess.Popen(  # noqa: S603 - our own Meltano
        [MELTANO, *arguments],
        cwd=ROOT,
        env=environment(sandbox),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    try:
        assert process.stdout is not None  # noqa: S101 - for the type checker
        for line in process.stdout:
            lines.append(line)
            show_log_line(line)
        status = process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()
    if status:
        print("".join(lines[-30:]))
        sys.exit(f"meltano {arguments[0]} failed with exit code {status}: see its log above.")
    return lines


def show_log_line(line: str) -> None:
    """Show one line of Meltano's log, without its date and without metrics."""
    text = re.sub(r"^\S+Z \[(\w+) *\] ", "", line.rstrip())
    if "METRIC" not in text and "env var settings" not in text and text:
        print("  |", text if len(text) < 100 else text[:97] + "...")  # noqa: PLR2004


def run(sandbox: Sandbox) -> dict[str, int]:
    """Run the tap into DuckDB; returns how many rows were written to each table."""
    lines = meltano(sandbox, "run", "tap-medchat-swell", "target-duckdb")
    written: dict[str, int] = dict.fromkeys(KEYS, 0)
    for line in lines:
        loading = re.search(r"Loading (\d+) rows into '.*\"(\w+)\"'", line)
        if loading:
            written[loading[2]] += int(loading[1])
    return written


# What has arrived


def tables() -> Tables:
    """Every table's rows by key."""
    held: Tables = {}
    with duckdb.connect(str(DATABASE), read_only=True) as connection:
        for name, keys in KEYS.items():
            cursor = connection.execute(f'SELECT * FROM "{SCHEMA}"."{name}"')  # noqa: S608
            columns = [column[0] for column in cursor.description or ()]
            rows = (dict(zip(columns, row, strict=True)) for row in cursor.fetchall())
            held[name] = {tuple(row[key] for key in keys): row for row in rows}
    return held


def show_totals(held: Tables, written: dict[str, int]) -> None:
    """Rows per stream."""
    print(f"\n{'stream':<24}{'rows':>8}{'written':>10}")
    for name, rows in held.items():
        print(f"{name:<24}{len(rows):>8}{written[name]:>10}")


def messages(held: Tables) -> list[tuple[datetime, str, str, str]]:
    """All messages of both vendors: when, vendor, direction, text; oldest first."""
    found = [
        (row["created_date_time"], "MedChat", row["direction"] or "", row["text"] or "")
        for row in held["sms_messages"].values()
    ]
    for row in held["swell_messages"].values():
        direction = {"from": "Inbound", "to": "Outbound"}.get(row["message_type"], "")
        moment = row["created_at"] or row["date_sent_utc"]
        found.append((moment, "Swell", direction, row["text"] or ""))
    return sorted(entry for entry in found if entry[0] is not None)


def show_newest(held: Tables) -> None:
    """The newest messages of both vendors."""
    print("\nThe newest messages (UTC):")
    for moment, vendor, direction, text in messages(held)[-8:]:
        print(f"  {moment:%Y-%m-%d %H:%M}  {vendor:<8}{direction:<9} {clipped(text)}")


def clipped(text: object) -> str:
    """A text in one line of printable characters, not too long."""
    line = "".join(char if char.isprintable() else " " for char in str(text))
    return line if len(line) <= TEXT_WIDTH else line[: TEXT_WIDTH - 3] + "..."


def show_chart(held: Tables) -> None:
    """Messages per day as bars."""
    today = datetime.now(timezone.utc).date()
    days = [today - timedelta(days=back) for back in range(CHART_DAYS - 1, -1, -1)]
    dates = [moment.date() for moment, *_ in messages(held)]
    counts = {day: dates.count(day) for day in days}
    most = max(1, *counts.values())
    bar = "\u2588" if "utf" in (sys.stdout.encoding or "").lower() else "#"
    print(f"\nMessages per day, the last {CHART_DAYS} days:")
    for day, count in counts.items():
        print(f"  {day:%a %d %b} {bar * round(count / most * CHART_WIDTH)} {count}")


# Changes at the vendors


def let_things_happen(dataset: Dataset) -> None:
    """A few things such as a day brings, told as they happen."""
    rng = random.Random(SEED)  # noqa: S311 - a story, no secret
    chats = dataset.chats_created(None, None)
    for chat in rng.sample(chats[: len(chats) // 2], 3):
        dataset.add_message(chat.id, text="A new text on an old thread", direction="Inbound")
        print(f"MedChat: a new message in the chat begun on {chat.created:%Y-%m-%d}")
    ended = next(chat for chat in reversed(chats) if chat.status == "Active")
    dataset.change_chat(ended.id, status="Ended")
    print(f"MedChat: the chat begun on {ended.created:%Y-%m-%d} has ended")
    contacts = list(dataset.contacts)
    for text in ("Is tomorrow at 10 still free?", "Yes, see you then!"):
        dataset.add_swell_message(rng.choice(contacts), text=text, message_type="from")
        print("Swell:   a new message")
    seen = next(row for row in dataset.messages_created(None, None)[300:] if not row.read)
    dataset.change_swell_message(seen.id, read=True)
    print(f"Swell:   message {seen.id}, created on {seen.created:%Y-%m-%d}, has been read")


def show_news(first: Tables, second: Tables, written: dict[str, int]) -> None:
    """What the second run brought."""
    print(f"\n{'stream':<24}{'rows':>8}{'written':>10}{'new':>6}{'changed':>9}{'repeated':>10}")
    for name, rows in second.items():
        new = rows.keys() - first[name].keys()
        changed = [key for key in rows.keys() - new if rows[key] != first[name][key]]
        repeated = written[name] - len(new) - len(changed)
        print(
            f"{name:<24}{len(rows):>8}{written[name]:>10}{len(new):>6}{len(changed):>9}"
            f"{repeated:>10}"
        )
    print("(repeated: unchanged rows of a window or day that was re-read; upserted by key)\n")
    for name, rows in second.items():
        for key, row in rows.items():
            before = first[name].get(key)
            if before is None:
                print(f"  new      {name} {key[0]}: {clipped(row.get('text') or '')}")
            elif before != row:
                print(f"  changed  {name} {key[0]}: {differences(before, row)}")


def differences(before: Row, after: Row) -> str:
    """The columns that differ, old value and new."""
    return ", ".join(
        f"{column} {clipped(before[column])} -> {clipped(after[column])}"
        for column in after
        if before[column] != after[column]
    )


def check(held: Tables, truth: dict[str, list[Row]]) -> None:
    """Compare the database with what the sandbox holds."""
    for name, rows in held.items():
        for wanted in truth[name]:
            key = tuple(wanted[column] for column in KEYS[name])
            for column in ("id", "text", "status", "read", "received", "sent"):
                # target-duckdb writes empty texts as NULL.
                if column in wanted and rows.get(key, {}).get(column) != (
                    None if wanted[column] == "" else wanted[column]
                ):
                    sys.exit(f"{name} {key}: {column} differs from the sandbox.")
        if name != "swell_message_counts" and len(rows) != len(truth[name]):
            sys.exit(f"{name}: {len(rows)} rows, but the sandbox holds {len(truth[name])}.")
    print("\nEvery row in the database equals the row in the sandbox.")


def show_answers() -> None:
    """What the marts say about each location: MedChat's are the clinic's numbers."""
    with duckdb.connect(str(DATABASE), read_only=True) as connection:
        rows = connection.execute(ANSWERS).fetchall()
    heads = f"{'received':>9}{'sent':>6}{'median reply':>14}{'waiting':>9}{'opt-outs':>10}"
    print(f"\n{'vendor':<9}{'location':<36}{heads}")
    for vendor, place, received, sent, minutes, waiting, opt_outs in rows:
        reply = "" if minutes is None else f"{minutes / 60:.1f} h"
        print(
            f"{vendor:<9}{place[:34]:<36}{received:>9}{sent:>6}{reply:>14}{waiting:>9}{opt_outs:>10}"
        )
    print("(median reply: by the clock, to the first manual message; texts here are random)")


def show_ways_on() -> None:
    """Print how to query the database, and what to do next."""
    database = DATABASE.relative_to(ROOT)
    heading("6. Where to go from here")
    print(f"The database is {database}. Open it with any DuckDB client, or run")
    print(
        '    make sql Q="SELECT direction, count(*) FROM sms_messages GROUP BY 1"\n'
        "\n"
        "With real credentials:\n"
        "    umask 077; cp .env.example .env      and fill in tokens, org id and start_date\n"
        "    .venvs/meltano/bin/meltano invoke tap-medchat-swell --check\n"
        "    .venvs/meltano/bin/meltano run tap-medchat-swell target-duckdb\n"
        "--check says in a minute whether it would work; the run writes output/prod.duckdb.\n"
        "README.md says where to create the tokens.\n"
        "All processes of the demo have ended."
    )


if __name__ == "__main__":
    main()
