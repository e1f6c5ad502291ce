"""`make report DB=...`: a page about a database that the dbt package built.

One file without scripts that loads nothing: counts and times, nothing about single patients.
"""

from __future__ import annotations

import argparse
import bisect
import html
import io
import os
import re
import sys
import typing as t
from collections import Counter
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from string import Template

import altair as alt  # ty: ignore[import-not-found]
import duckdb
import psycopg2  # ty: ignore[import-not-found]

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date

Row = dict[str, t.Any]
Cell = str | int | float | None
TEMPLATE = Path(__file__).with_name("report.html")
DAYS = 90
CHART_WIDTH = 420
CHART_LOCATIONS = 12
VENDORS = {"medchat": "MedChat", "swell": "Swell"}
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# Readable on white and on near black, and different to color-blind eyes.
BLUE, ORANGE, GREEN, PURPLE = "#2f80c8", "#cf6a0c", "#0d8f74", "#8f6bd8"
VENDOR_COLORS = alt.Scale(domain=list(VENDORS.values()), range=[GREEN, PURPLE])
# Upper ends of how long threads wait, in minutes.
AGES = {
    "under 1 h": 60,
    "1 to 4 h": 4 * 60,
    "4 to 24 h": 24 * 60,
    "1 to 3 days": 3 * 1440,
    "3 to 7 days": 7 * 1440,
    "7 to 30 days": 30 * 1440,
    "over 30 days": float("inf"),
}
INK = "currentColor"  # the page's
LOOK = {
    "autosize": {"type": "fit", "contains": "padding"},
    "background": "transparent",
    "font": "sans-serif",
    "aria": False,  # the table has the numbers
    "view": {"stroke": None},
    "axis": {
        **{f"{part}Color": INK for part in ("label", "title", "tick", "domain", "grid")},
        **{f"{part}FontSize": 12 for part in ("label", "title")},
        "gridOpacity": 0.15,
        "domainOpacity": 0.5,
        "tickOpacity": 0.5,
        "titleFontWeight": "normal",
        "labelLimit": 170,
    },
    "legend": {"labelColor": INK, "labelFontSize": 12, "orient": "top"},
}
UNITS = {"min": 1, "h": 60, "days": 1440}
QUERIES = {
    "days": """
        SELECT vendor, day, sum(inbound_messages) AS received, sum(outbound_messages) AS sent,
            sum(automated_messages) AS automated, count(automated_share) AS is_known,
            sum(opt_outs) AS opt_outs, sum(opt_ins) AS opt_ins
        FROM {daily_metrics} WHERE day > {since} GROUP BY vendor, day ORDER BY vendor, day""",
    "locations": """
        SELECT vendor, account_name, coalesce(max(location_name), 'no location') AS location,
            count(*) AS waits, count(*) FILTER (WHERE outcome = 'open') AS waiting,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY response_minutes) AS median,
            percentile_cont(0.9) WITHIN GROUP (ORDER BY response_minutes) AS p90,
            percentile_cont(0.5) WITHIN GROUP (ORDER BY response_business_minutes) AS business
        FROM {response_times} WHERE started_on > {since}
        GROUP BY vendor, account_name, location_id ORDER BY vendor, waits DESC, location""",
    "replies": """
        SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY response_minutes) AS median
        FROM {response_times} WHERE started_on > {since}""",
    "hours": """
        SELECT cast(extract(isodow FROM sent_at_local) AS integer) AS weekday,
            cast(extract(hour FROM sent_at_local) AS integer) AS hour, count(*) AS received
        FROM {messages} WHERE direction = 'inbound' AND NOT is_scheduled AND sent_on > {since}
        GROUP BY 1, 2""",
    "threads": "SELECT vendor, waiting_minutes FROM {conversations} WHERE state = 'open'",
    "opted_out": """
        SELECT vendor, count(DISTINCT account_name || ' ' || contact_key) AS contacts
        FROM {consent_events} WHERE current_state_at_vendor = 'opted_out' GROUP BY vendor""",
}
MARTS = ("messages", "conversations", "response_times", "daily_metrics", "consent_events")


def main() -> None:
    """Write the page."""
    os.umask(0o077)
    parser = argparse.ArgumentParser(description="Write a page about what the dbt package built.")
    parser.add_argument("--database", required=True, help="a DuckDB file or a PostgreSQL URL")
    parser.add_argument("--schema", default="medchat_swell", help="the schema of the marts")
    parser.add_argument("--output", type=Path, help="the page")
    given = parser.parse_args()
    is_url = "://" in given.database
    if not is_url and not Path(given.database).is_file():
        parser.error(f"{given.database} does not exist: `make demo` writes output/demo.duckdb")
    output = given.output or Path(
        "output/report.html" if is_url else Path(given.database).with_suffix(".html")
    )
    try:
        found = ask(given.database, given.schema)
    except (duckdb.Error, psycopg2.Error) as error:
        reason = str(error).splitlines()[0]
        sys.exit(
            f"{reason}\nIf the marts are not there, build them (meltano run dbt-duckdb:build) or "
            "name their schema (SCHEMA=...)."
        )
    output.write_text(page(found), "utf-8")
    print(f"The page is {output}: open it in a browser.")


def ask(database: str, schema: str) -> dict[str, list[Row]]:
    """What the marts say, by query."""
    marts = {name: f'"{schema}".medchat_swell__{name}' for name in MARTS}
    since = f"(SELECT max(day) - {DAYS} FROM {marts['daily_metrics']})"  # noqa: S608
    connection: t.Any = (
        psycopg2.connect(database)
        if "://" in database
        else duckdb.connect(database, read_only=True)
    )
    found = {}
    with closing(connection), closing(connection.cursor()) as cursor:
        for name, query in QUERIES.items():
            cursor.execute(query.format(since=since, **marts))
            columns = [column[0] for column in cursor.description]
            found[name] = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return found


def page(found: dict[str, list[Row]]) -> str:
    """The page as HTML."""
    days = [row["day"] for row in found["days"]]
    period = f"{min(days)} to {max(days)}" if days else "no messages with times"
    sections = (messages, hours, waiting, opt_outs, response_times)
    return Template(TEMPLATE.read_text("utf-8")).substitute(
        period=period,
        tiles="".join(tiles(found)),
        sections="".join(f"{''.join(section(found))}</section>" for section in sections),
    )


def tiles(found: dict[str, list[Row]]) -> Iterator[str]:
    """The most important numbers."""
    for label, number in (
        ("received", f"{total(found['days'], 'received'):,}"),
        ("sent", f"{total(found['days'], 'sent'):,}"),
        ("median reply", duration(found["replies"][0]["median"])),
        ("threads waiting now", f"{len(found['threads']):,}"),
        ("contacts opted out now", f"{total(found['opted_out'], 'contacts'):,}"),
    ):
        yield f"<div><dt>{label}</dt><dd>{number}</dd></div>\n"


# Sections


def messages(found: dict[str, list[Row]]) -> Iterator[str]:
    """Messages per day by vendor and direction."""
    yield from heading("Messages per day", "Received above the line, sent below it.")
    rows = []
    for vendor, own in by_vendor(found["days"]):
        bars = [
            {"day": str(row["day"]), "direction": word, "messages": sign * int(row[word])}
            for row in own
            for word, sign in (("received", 1), ("sent", -1))
        ]
        busiest = max(own, key=lambda row: row["received"] + row["sent"])
        received, sent = total(own, "received"), total(own, "sent")
        yield figure(
            day_chart(bars, vendor),
            f"{vendor}: messages per day",
            f"Bars per day. {received:,} received and {sent:,} sent in all; most on "
            f"{busiest['day']}: {busiest['received']} received, {busiest['sent']} sent.",
        )
        is_known = any(row["is_known"] for row in own)
        rows.append((vendor, received, sent, total(own, "automated") if is_known else "not known"))
    yield table(("vendor", "received", "sent", "of these automated"), rows)


def day_chart(bars: list[Row], vendor: str) -> alt.Chart:
    """Bars up and down from zero."""
    return (
        chart(bars, 190)
        .mark_bar(width=max(1.5, 300 / DAYS))
        .encode(
            x=alt.X("day:T", title=None, axis=alt.Axis(format="%b %-d", grid=False, tickCount=6)),
            y=alt.Y(
                "messages:Q",
                title=f"{vendor} messages",
                axis=alt.Axis(
                    labelExpr="format(abs(datum.value), ',')", tickCount=6, tickMinStep=1
                ),
            ),
            color=colors("direction", {"received": BLUE, "sent": ORANGE}),
        )
    )


def response_times(found: dict[str, list[Row]]) -> Iterator[str]:
    """Response time by location."""
    yield from heading(
        "Response time by location",
        "Bar: median time to the first manual reply, by the clock. "
        "Line: nine of ten replies came within this time. "
        "MedChat's locations are the clinic's own numbers, "
        "unless <code>medchat_swell_locations</code> names them.",
    )
    rows = found["locations"]
    several = len({row["account_name"] for row in rows}) > 1
    for row in rows:
        place = f"{row['account_name']}: {row['location']}" if several else row["location"]
        row |= {"location": place, "vendor": VENDORS[row["vendor"]]}
    shown = [row for row in rows if row["median"] is not None]
    shown = sorted(shown, key=lambda row: -row["waits"])[:CHART_LOCATIONS]
    if shown:
        slowest, quickest = (end(shown, key=lambda row: row["median"]) for end in (max, min))
        yield figure(
            location_chart(shown),
            "Response time by location",
            f"Bars per location. Slowest median: {slowest['location']}, "
            f"{duration(slowest['median'])}; quickest: {quickest['location']}, "
            f"{duration(quickest['median'])}.",
        )
    if len(shown) < len(rows):
        yield f"<p>The chart has the {len(shown)} locations with most waits that were answered.</p>"
    cells = [
        (
            *(row[name] for name in ("location", "vendor", "waits", "waiting")),
            *(timed(row[name]) for name in ("median", "p90")),
            timed(row["business"], "h"),
        )
        for row in rows
    ]
    heads = "location", "vendor", "waits", "waiting", "median", "90 %", "in business hours"
    yield table(heads, cells)


def location_chart(rows: list[Row]) -> alt.LayerChart:
    """Medians as bars, 90th percentiles as lines, in a unit that suits them."""
    longest = max(row["p90"] for row in rows)
    unit, size = [(u, size) for u, size in UNITS.items() if size * 2 < longest or u == "min"][-1]
    places = [
        {
            "place": f"{row['vendor']} {row['location']}",
            "vendor": row["vendor"],
            "median": row["median"] / size,
            "p90": row["p90"] / size,
        }
        for row in rows
    ]
    names = alt.Axis(
        grid=False, ticks=False, labelExpr="slice(datum.label, indexof(datum.label, ' '))"
    )
    base = chart(places, 75 + 26 * len(rows)).encode(
        y=alt.Y("place:N", title=None, sort=None, axis=names),
        color=alt.Color("vendor:N", title=None, scale=VENDOR_COLORS),
    )
    return base.mark_bar(size=12).encode(
        x=alt.X("median:Q", title=unit, axis=alt.Axis(tickCount=5))
    ) + base.mark_tick(thickness=2.5, size=18, opacity=1).encode(x="p90:Q")


def hours(found: dict[str, list[Row]]) -> Iterator[str]:
    """A heat map of hour and weekday."""
    yield from heading(
        "When patients write",
        "Messages received by weekday and hour, in each location's time zone (the package's "
        "variables <code>medchat_swell_timezone</code> and "
        "<code>medchat_swell_location_hours</code>).",
    )
    counts = Counter({(r["weekday"], r["hour"]): int(r["received"]) for r in found["hours"]})
    if counts:
        (weekday, hour), most = counts.most_common(1)[0]
        peak = f"Most: {most:,} on {WEEKDAYS[weekday - 1]} from {span(hour)}."
        yield figure(
            hour_chart(counts),
            "Messages received by weekday and hour",
            f"Heat map. {peak}",
        )
        yield f"<p>{peak}</p>\n"
    rows = []
    for number, name in enumerate(WEEKDAYS, start=1):
        own = [counts[number, hour] for hour in range(24)]
        busiest = own.index(max(own))
        rows.append((name, sum(own), sum(own[8:17]), span(busiest) if any(own) else ""))
    yield table(("weekday", "received", "8:00 to 17:00", "busiest hour"), rows if counts else [])


def span(hour: int) -> str:
    """An hour of the day."""
    return f"{hour}:00 to {hour + 1}:00"


def hour_chart(counts: Counter[tuple[int, int]]) -> alt.Chart:
    """A cell per hour of the week; the more messages, the stronger its color."""
    cells = [
        {"weekday": name, "hour": hour, "received": counts[number, hour]}
        for number, name in enumerate(WEEKDAYS, start=1)
        for hour in range(24)
    ]
    clock = alt.Axis(
        grid=False, values=[0, 6, 12, 18], labelExpr="datum.value + ':00'", labelAngle=0
    )
    return (
        chart(cells, 210)
        .mark_rect(fill=BLUE, stroke="currentColor", strokeOpacity=0.15, strokeWidth=0.5)
        .encode(
            x=alt.X("hour:O", title=None, axis=clock),
            y=alt.Y("weekday:N", title=None, sort=None, axis=alt.Axis(grid=False)),
            fillOpacity=alt.FillOpacity(
                "received:Q",
                scale=alt.Scale(domainMin=0, range=[0, 1]),
                legend=None,
            ),
        )
    )


def waiting(found: dict[str, list[Row]]) -> Iterator[str]:
    """Threads by age of wait."""
    yield from heading(
        "Threads that wait for a reply",
        "By how long they wait, at the time of the last build, by the clock.",
    )
    ends = list(AGES.values())[:-1]
    ages = Counter(
        (VENDORS[row["vendor"]], list(AGES)[bisect.bisect(ends, row["waiting_minutes"])])
        for row in found["threads"]
    )
    if ages:
        oldest = max(row["waiting_minutes"] for row in found["threads"])
        yield figure(
            age_chart(ages),
            "Threads by how long they wait",
            f"Bars per age. {ages.total():,} threads wait, the oldest for {duration(oldest)}.",
        )
    rows: list[tuple[Cell, ...]] = [
        (age, *(ages[vendor, age] for vendor in VENDORS.values())) for age in AGES
    ]
    yield table(("waiting", *VENDORS.values()), rows if ages else [])


def age_chart(ages: Counter[tuple[str, str]]) -> alt.Chart:
    """Bars with both vendors."""
    bars = [
        {"age": age, "vendor": vendor, "threads": ages[vendor, age]}
        for age in AGES
        for vendor in VENDORS.values()
    ]
    return (
        chart(bars, 230)
        .mark_bar(size=16)
        .encode(
            x=alt.X("threads:Q", title="threads", axis=alt.Axis(tickMinStep=1, tickCount=5)),
            y=alt.Y("age:N", title=None, sort=None, axis=alt.Axis(grid=False, ticks=False)),
            color=alt.Color("vendor:N", title=None, scale=VENDOR_COLORS),
        )
    )


def opt_outs(found: dict[str, list[Row]]) -> Iterator[str]:
    """Opt-outs and opt-ins."""
    yield from heading(
        "Opt-outs",
        "Messages that are an opt-out or opt-in keyword, per week. Contacts opted out: by their "
        "last keyword at this vendor.",
    )
    weeks: Counter[tuple[date, str]] = Counter()
    for row in found["days"]:
        monday = row["day"] - timedelta(days=row["day"].weekday())
        weeks[monday, "opt-outs"] += int(row["opt_outs"])
        weeks[monday, "opt-ins"] += int(row["opt_ins"])
    if weeks.total():
        out, back = (total(found["days"], name) for name in ("opt_outs", "opt_ins"))
        yield figure(
            week_chart(weeks),
            "Opt-outs and opt-ins per week",
            f"Bars per week. {out:,} opt-outs and {back:,} opt-ins in all.",
        )
    now = {row["vendor"]: int(row["contacts"]) for row in found["opted_out"]}
    names = {name: vendor for vendor, name in VENDORS.items()}
    rows = [
        (name, total(own, "opt_outs"), total(own, "opt_ins"), now.get(names[name], 0))
        for name, own in by_vendor(found["days"])
    ]
    yield table(("vendor", "opt-outs", "opt-ins", "contacts opted out now"), rows)


def week_chart(weeks: Counter[tuple[date, str]]) -> alt.Chart:
    """Bars side by side."""
    monday = alt.Axis(grid=False, labelAngle=0, labelOverlap="greedy")
    bars = [
        {"week": f"{week:%b} {week.day}", "event": event, "messages": number}
        for (week, event), number in sorted(weeks.items(), key=lambda item: item[0][0])
    ]
    return (
        chart(bars, 190)
        .mark_bar()
        .encode(
            x=alt.X("week:N", title="week from", sort=None, axis=monday),
            xOffset=alt.XOffset("event:N", sort=None),
            y=alt.Y("messages:Q", title="messages", axis=alt.Axis(tickMinStep=1, tickCount=4)),
            color=colors("event", {"opt-outs": ORANGE, "opt-ins": BLUE}),
        )
    )


# Parts


def heading(title: str, words: str) -> Iterator[str]:
    """The beginning of a section."""
    yield f'<section id="{slug(title)}">\n<h2>{title}</h2>\n<p>{words}</p>\n'


def slug(title: str) -> str:
    """A title as an HTML id."""
    return re.sub(r"\W+", "-", title.lower())


def by_vendor(rows: list[Row]) -> Iterator[tuple[str, list[Row]]]:
    """The rows of each vendor that has some."""
    for vendor, name in VENDORS.items():
        if own := [row for row in rows if row["vendor"] == vendor]:
            yield name, own


def total(rows: Iterable[Row], column: str) -> int:
    """A column's sum."""
    return int(sum(row[column] for row in rows))


def duration(minutes: float | None, unit: str | None = None) -> str:
    """A time in a unit that suits it."""
    if minutes is None:
        return ""
    suits = "min" if minutes < UNITS["h"] else "h" if minutes < 2 * UNITS["days"] else "days"
    unit = unit or suits
    return f"{minutes / UNITS[unit]:.{0 if unit == 'min' else 1}f}\u00a0{unit}"


def timed(minutes: float | None, unit: str | None = None) -> str | None:
    """A cell with a time; its value is in minutes."""
    if minutes is None:
        return None
    return f'<data value="{minutes:.4f}">{duration(minutes, unit)}</data>'


def table(heads: tuple[str, ...], rows: Iterable[tuple[Cell, ...]]) -> str:
    """A table; a sentence where it would be empty."""
    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>\n" for row in rows)
    if not body:
        return '<p class="none">There is nothing to show: the marts have no such rows.</p>\n'
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return f'<div class="table"><table>\n<tr>{head}</tr>\n{body}</table></div>\n'


def cell(content: Cell) -> str:
    """A number, a time, or a text."""
    if isinstance(content, str) and not content.startswith("<data"):
        return f"<td>{html.escape(content)}</td>"
    words = f"{content:,}" if isinstance(content, int) else content or ""
    return f'<td class="number">{words}</td>'


# Charts


def chart(rows: list[Row], height: int) -> alt.Chart:
    """A chart over rows; its size includes axes and legend."""
    return alt.Chart(alt.InlineData(values=rows), width=CHART_WIDTH, height=height)


def colors(field: str, meanings: dict[str, str]) -> alt.Color:
    """A color for each value of a field."""
    scale = alt.Scale(domain=list(meanings), range=list(meanings.values()))
    return alt.Color(f"{field}:N", title=None, scale=scale)


def figure(drawing: alt.Chart | alt.LayerChart, title: str, words: str) -> str:
    """A chart as SVG that takes its text color from the page."""
    file = io.StringIO()
    drawing.configure(**LOOK).save(file, format="svg")
    # Names of parts are the page's, not the chart's alone.
    drawn = re.sub(r'(\bid="|url\(#)', rf"\1{slug(title)}-", file.getvalue())
    drawn = re.sub(r' (xmlns(:xlink)?|version|width|height)="[^"]*"', "", drawn, count=5)
    label = html.escape(f"{title}. {words}")
    drawn = drawn.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    return f"<figure>\n{drawn}\n</figure>\n"


if __name__ == "__main__":
    main()
