"""No secret and no patient data in any output: canaries are planted and looked for."""

from __future__ import annotations

import json
import re
import socket
import sys
import typing as t

import pytest
from medchat_swell_sandbox import Fault, Quirks, Sandbox
from support import canaries
from support.canaries import MEDCHAT_TOKEN, NAME, PHONE, SALT, SWELL_TOKEN, TEXT, found, leaks
from support.tap_process import Run
from support.tap_runs import STREAMS, Cli, discover, only, select, sync

from tap_medchat_swell import progress
from tap_medchat_swell.redaction import MASK

if t.TYPE_CHECKING:
    from collections.abc import Iterator

Config = dict[str, t.Any]
DEBUG = {"TAP_MEDCHAT_SWELL_LOGLEVEL": "DEBUG", "LOGLEVEL": "DEBUG"}
LOG_CONFIG = """
version: 1
disable_existing_loggers: false
formatters:
  json:
    "()": singer_sdk.logging.StructuredFormatter
handlers:
  stderr:
    class: logging.StreamHandler
    formatter: json
    stream: ext://sys.stderr
loggers:
  singer_sdk.mapper: {level: DEBUG}
root:
  level: DEBUG
  handlers: [stderr]
"""
BODY, PAGE, HEADERS = (
    canaries.poisoned_body(),
    canaries.poisoned_page(),
    canaries.poisoned_headers(),
)
FAULTS: list[Fault] = [
    *(
        Fault("status", status=status, body=BODY, headers=HEADERS)
        for status in (301, 302, 307, 400, 401, 403, 404, 406, 409, 410, 415, 418, 422)
    ),
    *(Fault("status", status=status, body=BODY, headers=HEADERS) for status in (500, 503)),
    Fault("status", status=503, body=BODY, headers=HEADERS, retry_after=0.01),
    Fault("status", status=429, body=BODY, headers=HEADERS, retry_after=0.3),
    Fault("status", status=200, body=BODY),
    Fault("status", status=200, body=f'{{"data": ["{PHONE}"'),
    Fault("status", status=200, body=json.dumps([NAME, TEXT])),
    Fault("status", status=200, body=json.dumps({"data": [{"id": PHONE, "text": TEXT}]})),
    Fault("status", status=200, body=json.dumps({"data": [{"id": [SWELL_TOKEN, NAME]}]})),
    Fault("status", status=200, body=json.dumps({"data": [{TEXT: {}} | {"id": 1}] * 2})),
    Fault("html", body=PAGE, headers=HEADERS),
    Fault("login_redirect"),
    Fault("reset"),
    Fault("reset_mid_body"),
    Fault("cut_body"),
    Fault("length_too_long"),
    Fault("length_too_short"),
    Fault("cut_chunked"),
    Fault("truncated_json"),
    Fault("empty"),
    Fault("no_content"),
    Fault("data_null"),
    Fault("wrong_envelope"),
    Fault("rows_not_objects"),
    Fault("wrong_types"),
    Fault("invalid_utf8"),
    Fault("lone_surrogates"),
    Fault("deep_nesting"),
    Fault("million_keys", size=3000),
    Fault("huge_body", size=2),
    Fault("gzip_bomb", size=3),
    Fault("slow", delay_ms=1500),
]


def fault_id(fault: Fault) -> str:
    return f"{fault.kind}-{fault.status}" if fault.kind == "status" else fault.kind


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with canaries.sandbox() as running:
        yield running


@pytest.fixture
def config(sandbox: Sandbox) -> Config:
    return sandbox.tap_config(
        hash_salt=SALT,
        max_retries=0,
        retry_seconds=1,
        read_timeout_seconds=1,
        max_response_mb=1,
        medchat_page_size=2,
    )


def assert_clean(run: Run) -> None:
    assert leaks(run) == []
    assert "Traceback" not in run.log


def test_progress_lines(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "INTERVAL", 0.0)

    run = sync({**config, "max_retries": 6})

    assert run.log.count(" a second") > 3
    assert_clean(run)


def report_of(cli: Cli) -> Run:
    """The JSON report, to be searched as a log is."""
    text = (cli.folder / "report.json").read_text("utf-8")
    assert json.loads(text)["streams"]
    return Run(0, b"", text)


def test_the_search_finds_what_it_looks_for() -> None:
    run = Run(0, b"", "")
    for value in (*canaries.SECRETS, *canaries.PATIENT):
        for form in canaries.forms(value):
            assert leaks(Run(0, b"", f"x{form}y"))
            assert leaks(Run(0, f"x{form}y".encode(), ""))
    assert leaks(run) == []
    record = json.dumps({"type": "RECORD", "record": {"text": TEXT}})
    assert leaks(Run(0, record.encode(), "")) == []
    echo = json.dumps({"type": "RECORD", "record": {"text": SWELL_TOKEN}})
    assert leaks(Run(0, echo.encode(), "")) != []


@pytest.mark.parametrize("fault", FAULTS, ids=fault_id)
def test_failures(sandbox: Sandbox, config: Config, cli: Cli, fault: Fault) -> None:
    sandbox.faults.add(Fault(**{**vars(fault), "times": None}))
    if fault.retry_after == 0.01:
        config["max_retries"] = 1

    run = cli(config={**config, "report_path": "report.json"}, env=DEBUG)

    assert_clean(run)
    assert_clean(report_of(cli))
    assert run.code == 1 or fault.kind in ("invalid_utf8", "lone_surrogates"), run.log
    assert "please report" not in run.log
    assert sandbox.requests


@pytest.mark.parametrize("fault", [None, *FAULTS], ids=lambda fault: fault and fault_id(fault))
@pytest.mark.parametrize("after", [0, 4])
def test_check(sandbox: Sandbox, config: Config, cli: Cli, fault: Fault | None, after: int) -> None:
    """Whatever comes, --check prints no contents of rows, bodies or headers."""
    if fault is not None:
        sandbox.faults.add(Fault(**{**vars(fault), "times": None, "after": after}))

    run = cli("--check=json" if after else "--check", config=config, env=DEBUG)

    assert_clean(run)
    assert "please report" not in run.log
    assert "MedChat" in run.stdout.decode(), run.log


def test_check_of_names_that_are_data(sandbox: Sandbox, config: Config, cli: Cli) -> None:
    keys = {NAME: 1, PHONE: 2, f"x{PHONE}": 3, TEXT: 4, canaries.EMAIL: 5, SWELL_TOKEN: 6}
    rows = [{"id": number, "contact": keys, **keys} for number in (1, 2, 3)]
    for where, body in (("medchat", rows), ("swell", {"data": rows})):
        sandbox.faults.add(
            Fault("status", where=where, status=200, body=json.dumps(body), times=None)
        )

    for form in ("--check", "--check=json"):
        run = cli(form, config=config)
        assert_clean(run)
        assert "sms_chats" in run.stdout.decode()


@pytest.mark.parametrize("status", [401, 422, 500])
def test_failures_at_the_usual_level(
    sandbox: Sandbox, config: Config, cli: Cli, status: int
) -> None:
    sandbox.faults.add(Fault("status", status=status, body=BODY, headers=HEADERS, times=None))

    run = cli(config=config)

    assert run.code == 1
    assert_clean(run)


@pytest.mark.parametrize("where", ["medchat", "swell"])
def test_failures_after_good_pages(sandbox: Sandbox, config: Config, cli: Cli, where: str) -> None:
    """Half of the data has been read, and stands in variables, when it goes wrong."""
    sandbox.faults.add(
        Fault("status", where=where, status=422, body=BODY, times=None, after=2),
    )
    run = cli(config=config, env=DEBUG)

    assert run.code == 1
    assert_clean(run)
    assert run.of_type("RECORD")


class TestGoodRuns:
    @pytest.mark.parametrize("level", ["DEBUG", "INFO", "WARNING"])
    def test_logs_and_state(self, config: Config, cli: Cli, level: str) -> None:
        report = {"report_path": "report.json"}
        run = cli(config={**config, **report}, env=dict.fromkeys(DEBUG, level))

        assert run.code == 0, run.log
        assert_clean(run)
        assert_clean(report_of(cli))
        assert {PHONE, NAME, TEXT} <= {
            *(r["user_phone_number"] for r in run.records("sms_chats")),
            *(r["contact"]["name"] for r in run.records("swell_messages")),
            *(r["text"] for r in run.records("sms_messages")),
        }

    def test_structured_logging(self, config: Config, cli: Cli) -> None:
        env = {**DEBUG, "SINGER_SDK_LOG_CONFIG": cli.file("log.yaml", LOG_CONFIG)}
        maps = {
            "sms_chats": {"__filter__": f"name != {NAME!r} and user_phone_number != '1'"},
            "sms_messages": {"text": "md5(config['hash_salt'] + text)"},
            "swell_messages": {"contact": None, "__else__": None, "id": "id", "text": "text"},
        }

        run = cli(config={**config, "stream_maps": maps}, env=env)

        assert run.code == 0, run.log
        log = re.sub(r"name != .*? and user_phone", "", run.log)  # the filter, as it was given
        assert found((*canaries.SECRETS, PHONE, TEXT), log=log) == []
        assert run.log.count('"level"') > 10

    def test_structured_logging_of_failures(
        self, sandbox: Sandbox, config: Config, cli: Cli
    ) -> None:
        sandbox.faults.add(Fault("status", status=422, body=BODY, headers=HEADERS, times=None))
        env = {**DEBUG, "SINGER_SDK_LOG_CONFIG": cli.file("log.yaml", LOG_CONFIG)}

        run = cli(config=config, env=env)

        assert run.code == 1
        assert_clean(run)

    def test_logging_to_a_file(self, sandbox: Sandbox, config: Config, cli: Cli) -> None:
        """Past the guarded standard streams, only what log records hold is written."""
        sandbox.faults.add(Fault("status", where="swell", status=500, body=BODY, times=None))
        handler = "class: logging.FileHandler\n    filename: tap.log"
        for old in ("class: logging.StreamHandler", "stream: ext://sys.stderr"):
            assert old in LOG_CONFIG
        text = LOG_CONFIG.replace("class: logging.StreamHandler", handler)
        text = text.replace("    stream: ext://sys.stderr\n", "")

        run = cli(config=config, env={**DEBUG, "SINGER_SDK_LOG_CONFIG": cli.file("l.yaml", text)})

        written = (cli.folder / "tap.log").read_text("utf-8")
        assert "500 Internal Server Error" in written, "a log at DEBUG"
        assert_clean(Run(run.code, run.stdout, written))

    def test_maps_that_fail_on_a_record(self, config: Config, cli: Cli) -> None:
        maps = {"sms_messages": {"text": "int(text)"}, "sms_chats": {"x": "name['y']"}}

        run = cli(config={**config, "stream_maps": maps}, env=DEBUG)

        assert run.code == 1
        assert_clean(run)

    @pytest.mark.parametrize("full", [False, True], ids=["lean", "full"])
    def test_an_echoed_token_is_redacted_in_records(
        self, sandbox: Sandbox, config: Config, cli: Cli, *, full: bool
    ) -> None:
        chat = sandbox.dataset.add_chat(name=f"x{MEDCHAT_TOKEN}y", user_phone=PHONE)
        sandbox.dataset.add_message(chat.id, text=f"see ?token={SWELL_TOKEN}&a=b")
        sandbox.quirks = Quirks(swell_links="full")
        if full:
            config["stream_maps"] = {"sms_chats": {"id": "id"}, "sms_messages": {"id": "id"}}

        run = cli(config=config)

        assert run.code == 0, run.log
        assert_clean(run)
        assert f"x{MASK}y" in {record["name"] for record in run.records("sms_chats")}
        assert f"see ?token={MASK}&a=b" in {r["text"] for r in run.records("sms_messages")}

    def test_links_are_not_told(self, sandbox: Sandbox, config: Config, cli: Cli) -> None:
        """At DEBUG, urllib3 logs addresses, and MedChat's may lead to anything."""
        link = f"smsChats('1')/Messages?$skiptoken={PHONE}"
        chat: Config = {
            "id": "1",
            "createdDateTime": None,
            "messages": [],
            "messages@nextLink": link,
        }
        body = json.dumps([chat])
        sandbox.faults.add(Fault("status", where="medchat", status=200, body=body))

        run = cli(config=config, env=DEBUG)

        assert any("skiptoken" in str(request.query) for request in sandbox.requests)
        assert PHONE not in run.log

    def test_expressions_are_not_told(self, config: Config, cli: Cli) -> None:
        maps = {
            "sms_chats": {"name": f"md5('{SALT}' + nme)", "__filter__": f"name != '{PHONE}'"},
            "swell_messages": {"__filter__": "text and contact['phone']"},
        }

        run = cli(config={**config, "stream_maps": maps}, env=DEBUG)

        assert run.code == 1
        assert "uses nme, which is not known there" in run.errors[-1]
        assert_clean(run)

    @pytest.mark.parametrize("expression", [f"md5('{SALT}' + ", f"'{SALT}"])
    def test_expressions_that_are_none(self, config: Config, cli: Cli, expression: str) -> None:
        run = cli(config={**config, "stream_maps": {"sms_chats": {"name": expression}}}, env=DEBUG)

        assert run.code == 1
        assert "is not a valid expression" in run.errors[-1]
        assert_clean(run)

    def test_odd_dates_and_keys_are_not_told(
        self, sandbox: Sandbox, config: Config, cli: Cli
    ) -> None:
        sandbox.quirks = Quirks(medchat_chat_id_name=None, medchat_message_id_name=None)
        catalog = select(discover(config), only(*STREAMS))

        run = cli(config=config, catalog=catalog, env=DEBUG)

        assert run.code == 0, run.log
        assert_clean(run)


class TestModes:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["--help"],
            ["--version"],
            ["--about"],
            ["--about", "--format=json"],
            ["--about", "--format=markdown"],
            ["--discover"],
            ["--test"],
            ["--test=schema"],
        ],
        ids=" ".join,
    )
    def test_every_mode(self, config: Config, cli: Cli, arguments: list[str]) -> None:
        run = cli(*arguments, config=config, env=DEBUG)

        assert run.code == 0, run.log
        assert_clean(run)
        variables = dict(canaries.variables(config))
        assert_clean(cli("--config=ENV", *arguments, env={**DEBUG, **variables}))

    def test_test_that_fails(self, sandbox: Sandbox, config: Config, cli: Cli) -> None:
        sandbox.faults.add(Fault("status", status=401, body=BODY, headers=HEADERS, times=None))

        run = cli("--test", config=config, env=DEBUG)

        assert run.code == 1
        assert_clean(run)


WRONG_SETTINGS: list[Config] = [
    {"swell_api_token": [SWELL_TOKEN]},
    {"swell_api_token": {"token": SWELL_TOKEN, "more": [SALT]}},
    {"swell_api_token": f"{SWELL_TOKEN}\n\x00"},
    {"swell_api_token": f"{SWELL_TOKEN}é"},
    {"medchat_access_token": {MEDCHAT_TOKEN: MEDCHAT_TOKEN}},
    {"medchat_org_id": {"token": MEDCHAT_TOKEN}},
    {"start_date": SWELL_TOKEN},
    {"end_date": [SWELL_TOKEN]},
    {"swell_window_days": SWELL_TOKEN},
    {"max_concurrency": [MEDCHAT_TOKEN]},
    {"swell_location_ids": SWELL_TOKEN},
    {"swell_team_ids": [{"a": SWELL_TOKEN}]},
    {"swell_counts_split": SWELL_TOKEN},
    {"swell_date_sent_timezone": SWELL_TOKEN},
    {"swell_api_url": f"https://user:{SALT}@example.com"},
    {"swell_api_url": f"https://example.com?token={SWELL_TOKEN}"},
    {"swell_api_url": f"http://{SWELL_TOKEN}"},
    {"medchat_api_url": MEDCHAT_TOKEN},
    {"medchat_api_url": f"http://example.com/{MEDCHAT_TOKEN}"},
    {"user_agent": f"a\r\nAuthorization: {MEDCHAT_TOKEN}"},
    {"stream_maps": SWELL_TOKEN},
    {"stream_maps": {"sms_chats": SWELL_TOKEN}},
    {"stream_maps": {"sms_chats": {"name": [SWELL_TOKEN]}}},
    {"stream_maps": {"sms_chats": {"name": SWELL_TOKEN}}},
    {"stream_map_config": SALT},
    {"flattening_enabled": SWELL_TOKEN},
    {"flattening_max_depth": {"a": SWELL_TOKEN}},
    {"batch_config": {"token": SWELL_TOKEN}},
    {"faker_config": SWELL_TOKEN},
]


class TestWrongInput:
    @pytest.mark.parametrize("wrong", WRONG_SETTINGS, ids=lambda wrong: next(iter(wrong)))
    def test_settings(self, config: Config, cli: Cli, wrong: Config) -> None:
        run = cli(config={**config, **wrong}, env=DEBUG)

        assert run.code == 1, run.log
        assert run.errors
        assert_clean(run)
        assert_clean(cli("--test", config={**config, **wrong}, env=DEBUG))

    @pytest.mark.parametrize(
        "name", ["swell_token", "SWELL_API_TOKEN", "password", "apiKey", "pseudonyms_key"]
    )
    def test_misspelt_settings(self, config: Config, cli: Cli, name: str) -> None:
        del config["start_date"]

        run = cli(config={name: SWELL_TOKEN}, env=DEBUG)

        assert run.code == 1
        assert_clean(run)

    @pytest.mark.parametrize(
        "text",
        [
            f'{{"swell_api_token": "{PHONE}mc/Canary"',
            json.dumps({"swell_api_token": SWELL_TOKEN})[:-1],
            json.dumps([{"swell_api_token": SWELL_TOKEN}]),
            json.dumps(SWELL_TOKEN),
            SWELL_TOKEN,
            f"swell_api_token: {SWELL_TOKEN}",
        ],
        ids=range(6),
    )
    def test_configuration_files(self, cli: Cli, text: str) -> None:
        run = cli(config=text, env=DEBUG)

        assert run.code == 1
        assert_clean(run)

    def test_configuration_in_place_of_its_path(self, config: Config, cli: Cli) -> None:
        for text in (json.dumps(config), f" {json.dumps(config)}"):
            run = cli(f"--config={text}", env=DEBUG)

            assert run.code == 1
            assert_clean(run)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("SWELL_API_TOKEN", f"{SWELL_TOKEN}\n"),
            ("MAX_CONCURRENCY", SWELL_TOKEN),
            ("STREAM_MAPS", SWELL_TOKEN),
            ("STREAM_MAPS", json.dumps({"a": SWELL_TOKEN})),
            ("STREAM_MAP_CONFIG", f'{{"salt": "{SALT}'),
            ("SWELL_LOCATION_IDS", SWELL_TOKEN),
            ("SWELL_LOCATION_IDS", json.dumps({"a": SWELL_TOKEN})),
            ("START_DATE", SWELL_TOKEN),
            ("FLATTENING_ENABLED", SWELL_TOKEN),
        ],
    )
    def test_variables(self, config: Config, cli: Cli, name: str, value: str) -> None:
        variables = dict(canaries.variables(config))
        env = {**DEBUG, **variables, f"TAP_MEDCHAT_SWELL_{name}": value}

        run = cli("--config=ENV", env=env)

        assert run.code in (0, 1), run.log
        assert_clean(run)

    @pytest.mark.parametrize("kind", ["state", "catalog"])
    @pytest.mark.parametrize(
        "text",
        [
            TEXT,
            json.dumps(TEXT),
            json.dumps({"bookmarks": {NAME: TEXT}, "streams": {PHONE: TEXT}}),
            json.dumps({"streams": [{"tap_stream_id": NAME, "schema": {PHONE: TEXT}}]}),
            json.dumps({"streams": [NAME], "bookmarks": [PHONE, SWELL_TOKEN]}),
            f'{{"bookmarks": "{PHONE}',
        ],
        ids=range(6),
    )
    def test_state_and_catalog(self, config: Config, cli: Cli, kind: str, text: str) -> None:
        run = cli(config=config, env=DEBUG, **{kind: text})

        assert found(canaries.SECRETS, stdout=run.stdout.decode(), log=run.log) == []
        assert found((PHONE, TEXT), log=run.log) == []
        assert "Traceback" not in run.log

    def test_bookmarks_that_hold_something_else(self, config: Config, cli: Cli) -> None:
        bookmark = {
            "replication_key_value": TEXT,
            "version": 1,
            "scope": SWELL_TOKEN,
            "finished": {"started": NAME, "windows": [[PHONE, 1, 2]]},
        }
        state = {"bookmarks": {"sms_chats": bookmark, "swell_messages": bookmark}}

        run = cli(config=config, state=state, env=DEBUG)

        assert run.code == 0, run.log
        # The first STATE may be the given one; nothing of it stays.
        assert_clean(Run(0, run.stdout.splitlines()[-1], run.log))


def refused_address() -> str:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


def test_a_refused_connection_with_the_token_in_its_address(config: Config, cli: Cli) -> None:
    """With the plain SDK this prints the token five times."""
    address = refused_address()

    run = cli(
        config={**config, "swell_api_url": address, "max_retries": 1, "retry_seconds": 9},
        env=DEBUG,
    )

    assert run.code == 1
    assert "Swell cannot be reached" in run.log
    assert_clean(run)


SABOTAGE = """
from tap_medchat_swell import redaction
redaction.Redactor.protect = lambda *_: None
redaction.LEAKY_LOGGERS = redaction.re.compile("none of them")
from tap_medchat_swell.__main__ import main
main()
"""


def test_without_the_redaction_the_canaries_are_found(config: Config, cli: Cli) -> None:
    """So the tests above can fail: urllib3 logs the address with its token at DEBUG."""
    run = cli.fresh(config=config, env=DEBUG, command=(sys.executable, "-c", SABOTAGE))

    assert run.code == 0, run.log
    assert SWELL_TOKEN in {value for _, value, _ in leaks(run)}
