"""The dbt package over real loads, compared row by row with marts computed in plain Python."""

from __future__ import annotations

import calendar
import json
import re
import typing as t
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta, timezone

import duckdb
import pytest
import yaml
from medchat_swell_sandbox import Dataset, Sandbox
from support.privacy import KEY, code
from support.tap_runs import STREAMS, discover, only, select, sync

from .loads import piped
from .marts import Marts, Rules, in_one_form
from .report_page import assert_page, make_page, page_of
from .targets import duckdb_table
from .tools import ROOT

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.tap_process import Json
    from support.tap_runs import Record

    from .loads import Rows
    from .report_page import Page
    from .tools import Dbt, PostgreSQL

DBT = ROOT / "dbt"
# The clocks went forward on March 10, and February had 29 days.
AS_OF = datetime(2024, 3, 12, 18, 30)  # noqa: DTZ001 - UTC, as in the database
AUTUMN = timedelta(days=238)  # moves that day to November 3, when the clocks went back
UTC = timezone.utc
RULES = Rules(
    as_of=AS_OF,
    days_off=(datetime(2024, 2, 19).date(),),  # noqa: DTZ001
    zones=("America/Denver", "UTC"),
)
MARTS = (
    "messages",
    "conversations",
    "response_times",
    "daily_metrics",
    "consent_events",
    "reconciliation",
)
LOADED = ("sms_messages", "swell_messages")
PLACE = "path/to/tap-medchat-swell/dbt"  # in the README
EMPTY_WITHOUT_TIMES = ("response_times", "daily_metrics", "reconciliation")


def history(later_by: timedelta = timedelta()) -> Dataset:
    """Three weeks of both vendors, and what is easy to get wrong."""

    def at(text: str) -> datetime:
        return in_spring(text) + later_by

    dataset = Dataset.generate(
        seed=21,
        chats=50,
        swell_messages=220,
        days=24,
        now=AS_OF.replace(tzinfo=UTC)
        + later_by
        + timedelta(hours=5),  # some of it is still to be sent
    )
    clinic, later = dataset.add_chat, dataset.add_message
    bot = clinic(created=at("02-28 10:00"), user_phone="3035550101").id
    later(bot, created=at("02-28 23:58"), text="May I come on the 29th?")
    dataset.add_execution(bot, created=at("02-29 00:01"))
    later(bot, created=at("02-29 00:01"), direction="Outbound", text="We are closed.")
    later(bot, created=at("02-29 00:10:59"), direction="Outbound", text="This is a bot.")
    later(bot, created=at("02-29 00:11"), direction="Outbound", text="This is Ann.")
    later(bot, created=at("02-29 17:00"), text="Thanks")
    later(bot, created=at("02-29 17:30"), direction="Outbound", status="Failed")
    clocks = clinic(created=at("03-08 20:00"), user_phone="3035550102").id
    later(clocks, created=at("03-08 23:30"), text="Over the weekend")
    later(clocks, created=at("03-11 15:10"), direction="Outbound")
    later(clocks, created=at("03-10 07:30"), text="half past one in November")
    later(clocks, created=at("03-10 08:30"), text="half past one once more")
    contact = dataset.add_contact(location_ids=(1, 2))
    same = clinic(created=at("03-01 12:00"), user_phone=contact.phone).id
    swell = dataset.add_swell_message
    swell(contact.id, created=at("03-01 12:00:00"), text="Stop")
    swell(contact.id, created=at("03-02 12:00:00"), text="START")
    swell(contact.id, created=at("03-03 12:00:01"), text="one second over a day")
    swell(contact.id, created=at("03-03 12:00:01"), message_type="to")
    swell(contact.id, created=at("03-05 12:00"), text="a new session")
    swell(contact.id, created=at("03-07 12:00"), text="nobody has answered")
    later(same, created=at("03-04 12:00"), text="unsubscribe")
    return dataset


def in_spring(text: str) -> datetime:
    return datetime.fromisoformat(f"2024-{text}").replace(tzinfo=UTC)


def let_things_happen(dataset: Dataset) -> None:
    """Late rows and changes, in old threads too."""
    for chat in dataset.chats_created(None, None)[::10]:
        dataset.add_message(chat.id, created=in_spring("03-12 15:00"), text="years later")
        dataset.change_chat(chat.id, status="Ended")
    for number in list(dataset.contacts)[::5]:
        dataset.add_swell_message(number, created=in_spring("03-12 16:00"), message_type="to")
        dataset.add_swell_message(number, created=in_spring("02-25 16:00"), text="an import")
    changed = dataset.messages_created(None, None)[7]
    dataset.change_swell_message(changed.id, message_type="to", status="Close")


@dataclass
class Warehouse:
    """A database: how targets and dbt write to it, and how it is read."""

    target: str
    config: Json
    variables: dict[str, str]
    rows_of: Callable[[str, str], list[Record]]
    raw: str
    folder: Path
    url: str
    dbt: Dbt
    as_of: datetime = AS_OF
    state: Json | None = None
    rows: Rows = field(default_factory=dict)

    def load(self, sandbox: Sandbox, *streams: str, **settings: t.Any) -> None:
        """Run tap and target. What a full run without a profile would write is kept."""
        end_date = f"{self.as_of + timedelta(days=8):%Y-%m-%d}"
        config = sandbox.tap_config(end_date=end_date, medchat_page_size=10, **settings)
        catalog = select(discover(config), only(*streams))
        run = sync(config, self.state, catalog)
        assert run.code == 0, run.log
        self.state = run.state
        piped(self.target, self.target, self.config, run.stdout, self.folder)
        before = self.rows.get("swell_message_counts")
        config = sandbox.tap_config(end_date=end_date)
        full = sync(config, None, select(discover(config), dict.fromkeys(STREAMS, True)))
        self.rows = {stream: full.records(stream) for stream in STREAMS}
        if before:  # the counts of old days are not read again
            again = {row["date"]: row for row in run.records("swell_message_counts")}
            self.rows["swell_message_counts"] = [again.get(row["date"], row) for row in before]

    def build(self, command: str, **variables: t.Any) -> None:
        """Run dbt's run or build."""
        given = {
            "medchat_swell_schema": self.raw,
            "medchat_swell_timezone": RULES.zone,
            "medchat_swell_days_off": [day.isoformat() for day in RULES.days_off],
            "medchat_swell_zone_hypotheses": list(RULES.zones),
            "medchat_swell_as_of": self.as_of.isoformat(" "),
            "medchat_swell_warn_after_hours": 10**6,
            "medchat_swell_error_after_hours": 10**6,
            **variables,
        }
        options = ("--target", self.target.removeprefix("target-"), "--vars", json.dumps(given))
        self.dbt.run(command, *options, folder=DBT, output=self.folder, **self.variables)

    def page(self) -> Page:
        """The page about what dbt built."""
        return page_of(self.url, self.variables["MEDCHAT_SWELL_TARGET_SCHEMA"], self.folder)

    def mart(self, name: str) -> list[Record]:
        return self.rows_of("models", f"medchat_swell__{name}")


@pytest.fixture(params=["duckdb", "postgres"])
def warehouse(request: pytest.FixtureRequest, tmp_path: Path, dbt: Dbt) -> Warehouse:
    if request.param == "duckdb":
        file = tmp_path / "warehouse.duckdb"
        return Warehouse(
            "target-duckdb",
            {"filepath": str(file), "default_target_schema": "raw"},
            {"MEDCHAT_SWELL_DUCKDB": str(file), "MEDCHAT_SWELL_TARGET_SCHEMA": "models"},
            lambda schema, table: duckdb_table(file, schema, table),
            "raw",
            tmp_path,
            str(file),
            dbt,
        )
    server: PostgreSQL = request.getfixturevalue("postgres")
    names = {schema: f"{schema}_{abs(hash(tmp_path.name))}" for schema in ("raw", "models")}
    login = {"host": "127.0.0.1", "port": server.port, "user": "tap", "password": "none"}
    return Warehouse(
        "target-postgres",
        {**login, "database": "postgres", "default_target_schema": names["raw"]},
        {
            **{f"MEDCHAT_SWELL_PG{name.upper()}": str(value) for name, value in login.items()},
            "MEDCHAT_SWELL_PGDATABASE": "postgres",
            "MEDCHAT_SWELL_TARGET_SCHEMA": names["models"],
        },
        lambda schema, table: server.rows(table, names[schema]),
        names["raw"],
        tmp_path,
        f"postgresql://tap@127.0.0.1:{server.port}/postgres",
        dbt,
    )


def assert_marts(warehouse: Warehouse, rules: Rules) -> Marts:
    marts = Marts(warehouse.rows, rules)
    for name in MARTS:
        wanted = getattr(marts, name)
        assert len(wanted) > 5, name
        assert_rows(name, warehouse.mart(name), wanted)
    return marts


def assert_rows(name: str, rows: list[Record], wanted: list[Record]) -> None:
    """The same rows, with the same columns; columns that only order rows are left out."""
    columns = described(name)
    key = columns[0]
    held = {row[key]: row for row in rows}
    expected = {row[key]: row for row in wanted}
    assert len(held) == len(rows)
    assert held.keys() == expected.keys(), name
    for place, row in held.items():
        found = {column: in_one_form(row[column]) for column in columns}
        right = {column: in_one_form(expected[place][column]) for column in columns}
        assert found == pytest.approx(right, abs=1e-4), name


def described(name: str) -> list[str]:
    """A mart's columns as its YAML has them."""
    document = yaml.safe_load((DBT / "models" / "marts" / "_marts.yml").read_text("utf-8"))
    [model] = [m for m in document["models"] if m["name"] == f"medchat_swell__{name}"]
    return [column["name"] for column in model["columns"]]


def test_raw_data_in_full_and_after_late_changes(warehouse: Warehouse) -> None:
    """A second build over what the first one left gives what a full build would."""
    dataset = history()
    flattened = {"flattening_enabled": True} if warehouse.target == "target-postgres" else {}
    with Sandbox(dataset) as sandbox:
        warehouse.load(sandbox, *STREAMS, **flattened)
        clinic = next(iter(warehouse.rows["sms_messages"]))
        numbers = {clinic["sender_phone_number"], clinic["recipient_phone_number"]}
        locations = {"1": "North", **dict.fromkeys(numbers, "It's the front desk")}
        warehouse.build("run", medchat_swell_locations=locations)
        assert_marts(warehouse, replace(RULES, locations=locations))

        let_things_happen(dataset)
        warehouse.load(sandbox, *STREAMS, **flattened)
        warehouse.build("build", medchat_swell_locations=locations)
        marts = assert_marts(warehouse, replace(RULES, locations=locations))
        assert_columns_are_described(warehouse)
        assert_page(warehouse.page(), marts)


def assert_columns_are_described(warehouse: Warehouse) -> None:
    for name in MARTS:
        assert list(warehouse.mart(name)[0]) == described(name)


def test_pseudonymized_in_autumn_with_hours_by_location(warehouse: Warehouse) -> None:
    warehouse.as_of = AS_OF + AUTUMN
    with Sandbox(history(AUTUMN)) as sandbox:
        profile = {"privacy_profile": "pseudonymized", "pseudonym_key": KEY}
        warehouse.load(sandbox, *STREAMS, **profile)
    text = next(iter(warehouse.rows["sms_messages"]))
    clinics = [str(code("phone", text[f"{end}_phone_number"])) for end in ("sender", "recipient")]
    east, south = "America/New_York", "America/Phoenix"
    daily = dict.fromkeys(map(str.lower, calendar.day_name), "00:30-23:30")
    own = {"timezone": east, "business_hours": daily, "days_off": []}
    day_off = (AS_OF + AUTUMN - timedelta(days=22)).date()
    warehouse.build(
        "run",
        medchat_swell_days_off=[day_off.isoformat()],
        medchat_swell_location_hours={"1": own, **{key: {"timezone": south} for key in clinics}},
    )
    rules = replace(
        RULES,
        as_of=warehouse.as_of,
        days_off=(day_off,),
        pseudonym=lambda phone: code("phone", phone),
    )
    open_daily = replace(
        rules, zone=east, opens=time(0, 30), closes=time(23, 30), weekdays=7, days_off=()
    )
    places = {"1": open_daily, **dict.fromkeys(clinics, replace(rules, zone=south))}
    assert_marts(warehouse, replace(rules, places=places))


def test_safe_harbor(warehouse: Warehouse) -> None:
    """On PostgreSQL with the streams of one vendor only: the others' tables do not exist."""
    streams = STREAMS if warehouse.target == "target-duckdb" else ("swell_messages",)
    with Sandbox(history()) as sandbox:
        profile = {"privacy_profile": "safe_harbor", "pseudonym_key": KEY}
        warehouse.load(sandbox, *streams, **profile)
    warehouse.build("build")
    kept = {stream: rows if stream in streams else [] for stream, rows in warehouse.rows.items()}
    # Without times, nobody knows what is still to be sent.
    expected = Marts(kept, replace(RULES, as_of=AS_OF + timedelta(days=10)))
    for name in EMPTY_WITHOUT_TIMES:
        assert warehouse.mart(name) == [], name
    columns = "vendor direction sent_year text_length opt_out_keyword"
    assert counted(warehouse.mart("messages"), columns) == counted(expected.messages, columns)
    columns = "vendor event keyword occurred_year"
    events = warehouse.mart("consent_events")
    assert counted(events, columns) == counted(expected.consent_events, columns)
    personal = ("contact_phone", "contact_pseudonym", "sent_at", "sent_on", "location_id")
    for row in warehouse.mart("messages"):
        assert not any(row[column] for column in personal)
    threads = [row for row in expected.conversations if row["vendor"] == "medchat"]
    columns = "inbound_messages outbound_messages started_year"
    assert counted(warehouse.mart("conversations"), columns) == counted(threads, columns)
    page = warehouse.page()
    assert page.labels == []
    assert page.text.count("nothing to show") == 5


def test_no_page_without_marts(tmp_path: Path) -> None:
    file = tmp_path / "empty.duckdb"
    duckdb.connect(str(file)).close()

    done = make_page(file, "elsewhere", tmp_path / "page.html")

    assert done.returncode == 1
    assert "build them (meltano run dbt-duckdb:build) or name their schema" in done.stdout
    assert "Traceback" not in done.stdout
    assert not (tmp_path / "page.html").exists()


def counted(rows: list[Record], columns: str) -> Counter[tuple[t.Any, ...]]:
    return Counter(tuple(row[column] for column in columns.split()) for row in rows)


@pytest.mark.parametrize("warehouse", ["duckdb"], indirect=True)
def test_in_another_project_as_the_readme_says(warehouse: Warehouse) -> None:
    readme = (DBT / "README.md").read_text("utf-8")
    packages, settings = re.findall(r"```yaml\n((?:packages|vars):.*?)```", readme, re.DOTALL)
    project = warehouse.folder / "clinic"
    output = {"type": "duckdb", "path": warehouse.url, "schema": "analytics"}
    profile = {"clinic": {"target": "dev", "outputs": {"dev": output}}}
    project.mkdir()
    given = f"{settings}    medchat_swell_as_of: {AS_OF.isoformat(' ')}\n"
    (project / "packages.yml").write_text(packages.replace(PLACE, str(DBT)))
    (project / "dbt_project.yml").write_text(f"name: clinic\nprofile: clinic\n{given}")
    (project / "profiles.yml").write_text(yaml.safe_dump(profile))
    warehouse.config["default_target_schema"] = "tap_medchat_swell"
    with Sandbox(history()) as sandbox:
        warehouse.load(sandbox, *STREAMS)

    for command in readme_commands(readme):
        warehouse.dbt.run(*command, folder=project, output=warehouse.folder)

    messages = warehouse.rows_of("analytics", "medchat_swell__messages")
    loaded = [row for name in LOADED for row in warehouse.rows[name]]
    assert {row["message_id"] for row in messages} == {str(row["id"]) for row in loaded}
    zone = yaml.safe_load(settings)["vars"]["medchat_swell"]["medchat_swell_timezone"]
    rules = replace(RULES, zone=zone)
    assert all(row["sent_at_local"] == rules.local(row["sent_at"]) for row in messages)
    assert warehouse.rows_of("analytics_staging", "stg_medchat_swell__sms_chats")


def readme_commands(readme: str) -> list[list[str]]:
    [line] = re.findall(r"`(dbt deps && .*?)`", readme)
    return [command.split()[1:] for command in line.split(" && ")]
