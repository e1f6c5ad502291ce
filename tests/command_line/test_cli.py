"""The command line as a process: every mode, every wrong input."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from importlib.metadata import version

import pytest
from support.tap_runs import DEFAULT_STREAMS, Cli, assert_whole, discover, only, select

from tap_medchat_swell import settings

if t.TYPE_CHECKING:
    from medchat_swell_sandbox import Sandbox
    from support.tap_process import Run

Config = dict[str, t.Any]


def assert_refused(run: Run, *words: str) -> None:
    """Check that a run ended with one clear sentence."""
    assert run.code == 1, run.log
    assert run.stdout == b""
    assert len(run.errors) == 1, run.log
    assert "Traceback" not in run.log
    assert "File " not in run.log
    assert all(word in run.errors[0] for word in words), run.errors


def test_config_then_state(sandbox: Sandbox, config: Config, cli: Cli) -> None:
    first = cli.fresh(config=config)
    assert first.code == 0, first.log
    assert_whole(first, sandbox)
    assert first.streams == set(DEFAULT_STREAMS)

    chat = next(iter(sandbox.dataset.chats))
    message = sandbox.dataset.add_message(chat, text="news")
    added = sandbox.dataset.add_swell_message(text="more news")
    second = cli.fresh(config=config, state=first.state)

    assert second.code == 0, second.log
    assert [r["id"] for r in second.records("sms_messages")] == [message.id]
    assert second.records("sms_chats") == []
    assert added.id in {r["id"] for r in second.records("swell_messages")}
    assert len(second.records("swell_messages")) < len(first.records("swell_messages"))


def test_schema_comes_once_and_state_at_most_once_per_window(config: Config, cli: Cli) -> None:
    run = cli(config=config)

    schemas = [message["stream"] for message in run.of_type("SCHEMA")]
    assert sorted(schemas) == sorted(DEFAULT_STREAMS)
    states = [json.dumps(m["value"], sort_keys=True) for m in run.of_type("STATE")]
    assert len(set(states)) == len(states) < 25
    assert run.messages[-1]["type"] == "STATE"


def expands(sandbox: Sandbox) -> set[str | None]:
    """$expand of all requests but probes, which need no more than a time."""
    pages = (request for request in sandbox.requests if request.query["$top"] != "1")
    return {request.query.get("$expand") for request in pages}


def test_sms_messages_alone(sandbox: Sandbox, config: Config, cli: Cli) -> None:
    catalog = select(discover(config), only("sms_messages"))

    run = cli(config=config, catalog=catalog)

    assert run.code == 0, run.log
    assert run.streams == {"sms_messages"}
    assert_whole(run, sandbox, "sms_messages")
    assert {request.vendor for request in sandbox.requests} == {"medchat"}
    assert expands(sandbox) == {"Messages"}


@pytest.mark.parametrize(
    ("streams", "expand"),
    [
        (["sms_chats"], None),
        (["sms_chats", "sms_memberships"], "Memberships"),
        (["sms_text_bot_executions"], "TextBotExecutions"),
        (
            ["sms_memberships", "sms_messages", "sms_text_bot_executions"],
            "Memberships,Messages,TextBotExecutions",
        ),
    ],
)
def test_expand_names_only_what_is_selected(
    sandbox: Sandbox, config: Config, cli: Cli, streams: list[str], expand: str | None
) -> None:
    run = cli(config=config, catalog=select(discover(config), only(*streams)))

    assert run.code == 0, run.log
    assert run.streams == set(streams)
    assert_whole(run, sandbox, *streams)
    assert expands(sandbox) == {expand}


def test_nothing_selected_is_an_error(config: Config, cli: Cli) -> None:
    run = cli(config=config, catalog=select(discover(config), only()))

    assert run.code == 1
    assert run.messages == []
    assert "No stream is selected" in run.errors[-1]


def test_deselected_fields_are_in_no_line(sandbox: Sandbox, config: Config, cli: Cli) -> None:
    fields = {
        "sms_messages.text": False,
        "sms_messages.additional_properties": False,
        "sms_chats.user_phone_number": False,
        "swell_messages.contact.phone": False,
        "swell_messages.contact.country_code.code": False,
        "swell_messages.text": False,
    }
    run = cli(config=config, catalog=select(discover(config), {}, fields))

    assert run.code == 0, run.log
    schemas = {m["stream"]: m["schema"]["properties"] for m in run.of_type("SCHEMA")}
    for stream in DEFAULT_STREAMS:
        for record in run.records(stream):
            assert set(record) == set(schemas[stream])
    assert "text" not in schemas["sms_messages"]
    assert "user_phone_number" not in schemas["sms_chats"]
    contacts = [r["contact"] for r in run.records("swell_messages") if r["contact"]]
    assert contacts
    assert not any("phone" in contact for contact in contacts)
    assert all("name" in contact for contact in contacts)
    codes = [c["country_code"] for c in contacts if c["country_code"]]
    assert codes
    assert all(set(code) == {"short_name"} for code in codes)
    phones = {contact.phone for contact in sandbox.dataset.contacts.values()}
    assert not [phone for phone in phones if phone.encode() in run.stdout]


def test_full_table_reads_everything_again(sandbox: Sandbox, config: Config, cli: Cli) -> None:
    state = cli(config=config).state
    catalog = discover(config)
    for entry in catalog["streams"]:
        entry["replication_method"] = "FULL_TABLE"
        for part in entry["metadata"]:
            if not part["breadcrumb"]:
                part["metadata"]["forced-replication-method"] = "FULL_TABLE"

    run = cli(config=config, state=state, catalog=catalog)

    assert run.code == 0, run.log
    assert_whole(run, sandbox)


def test_config_in_several_files(config: Config, cli: Cli) -> None:
    secrets = {name: config.pop(name) for name in ("swell_api_token", "medchat_access_token")}

    run = cli("--config", cli.file("more.json", secrets), config=config)

    assert run.code == 0, run.log


def as_variables(config: Config) -> dict[str, str]:
    return {f"TAP_MEDCHAT_SWELL_{name.upper()}": str(value) for name, value in config.items()}


def test_environment_variables(sandbox: Sandbox, config: Config, cli: Cli) -> None:
    config["swell_location_ids"] = "1,2"
    config["swell_contact_ids"] = "[1, 2, 3]"

    run = cli("--config=ENV", env=as_variables(config))

    assert run.code == 0, run.log
    swell = [request.query for request in sandbox.requests if request.path.endswith("/messages")]
    assert {query["location_id"] for query in swell} == {"1,2"}
    assert {query["contact_id"] for query in swell} == {"1,2,3"}
    assert {query["per_page"] for query in swell} == {"10"}


def test_environment_variables_are_not_read_unasked(config: Config, cli: Cli) -> None:
    start = config.pop("start_date")

    run = cli(config=config, env=as_variables({"start_date": start}))

    assert_refused(run, "start_date is missing.")


def test_dotenv(config: Config, cli: Cli) -> None:
    """It is looked for in the current folder and those above it."""
    lines = [f'{name}="{value}"' for name, value in as_variables(config).items()]
    cli.file(".env", "\n".join(lines))

    run = cli.fresh("--config=ENV")

    assert run.code == 0, run.log
    assert len(run.records("sms_chats")) == 40


@pytest.mark.parametrize("ids", ["3", "3,7", "[3,7]", "[3, 7]\r", '["3", "7"]', "", " "])
def test_ids_in_the_environment(sandbox: Sandbox, config: Config, cli: Cli, ids: str) -> None:
    variables = as_variables({**config, "swell_location_ids": ids})

    run = cli("--config=ENV", "--test", env=variables)

    assert run.code == 0, run.log
    queries = [request.query for request in sandbox.requests if request.vendor == "swell"]
    expected = ",".join(number for number in ("3", "7") if number in ids) or None
    assert {query.get("location_id") for query in queries} == {expected}


@pytest.mark.parametrize("ids", [3, "3", [3], ["3"]])
def test_ids_in_a_file(sandbox: Sandbox, config: Config, cli: Cli, ids: object) -> None:
    run = cli("--test", config={**config, "swell_location_ids": ids})

    assert run.code == 0, run.log
    assert "Config validation failed" not in run.log
    queries = [request.query for request in sandbox.requests if request.vendor == "swell"]
    assert {query["location_id"] for query in queries} == {"3"}


def test_carriage_returns_in_the_environment(config: Config, cli: Cli) -> None:
    """As docker leaves them when it reads an environment file from Windows."""
    config |= {"swell_counts_split": "all", "swell_date_sent_timezone": "UTC"}
    config |= {"flattening_enabled": "true", "flattening_max_depth": 1}
    variables = {name: f"{value}\r" for name, value in as_variables(config).items()}

    run = cli("--config=ENV", env=variables)

    assert run.code == 0, run.log
    assert "contact__id" in run.records("swell_messages")[0]


class TestModes:
    def test_about(self, cli: Cli) -> None:
        run = cli("--about")

        assert run.code == 0
        text = run.stdout.decode()
        assert all(setting.name in text for setting in settings.SETTINGS)
        assert "batch" not in text.lower()

    def test_about_as_json(self, cli: Cli) -> None:
        run = cli("--about", "--format=json")

        about = json.loads(run.stdout)
        assert run.code == 0
        assert about["name"] == "tap-medchat-swell"
        assert "batch" not in about["capabilities"]
        assert {setting.name for setting in settings.SETTINGS} <= set(
            about["settings"]["properties"]
        )

    def test_version(self, cli: Cli) -> None:
        run = cli.fresh("--version")

        assert run.code == 0
        assert f"tap-medchat-swell v{version('tap-medchat-swell')}" in run.stdout.decode()

    def test_help(self, cli: Cli) -> None:
        run = cli("--help")

        assert run.code == 0
        for option in ("--config", "--state", "--catalog", "--discover", "--about", "--test"):
            assert option in run.stdout.decode()

    def test_test(self, sandbox: Sandbox, config: Config, cli: Cli) -> None:
        run = cli("--test", config=config)

        assert run.code == 0, run.log
        assert {stream: len(run.records(stream)) for stream in run.streams} == dict.fromkeys(
            DEFAULT_STREAMS, 1
        )
        assert b"replication_key_value" not in run.stdout
        assert {request.vendor for request in sandbox.requests} == {"medchat", "swell"}

    def test_test_with_a_wrong_token(self, config: Config, cli: Cli) -> None:
        config["medchat_access_token"] = "wrong-token"

        run = cli("--test", config=config)

        assert run.code == 1
        assert "MedChat rejected the credentials (401 Unauthorized)" in run.errors[-1]
        assert "Traceback" not in run.log
        assert run.records("swell_messages"), "the other vendor is tried, too"

    def test_test_of_schemas(self, sandbox: Sandbox, config: Config, cli: Cli) -> None:
        run = cli("--test=schema", config=config)

        assert run.code == 0, run.log
        assert {m["type"] for m in run.messages} == {"SCHEMA"}
        assert set(DEFAULT_STREAMS) <= run.streams
        assert sandbox.requests == []

    @pytest.mark.parametrize("word", ["swell_messages", "additional_properties", "true"])
    def test_the_catalog_holds_every_name(self, config: Config, cli: Cli, word: str) -> None:
        plain = cli("--discover", config=config)

        config |= {"swell_api_token": word, "stream_map_config": {"salt": word}}
        run = cli("--discover", config=config)

        assert run.stdout == plain.stdout

    def test_discover_needs_no_valid_config(self, cli: Cli) -> None:
        run = cli("--discover", config={"start_date": "never", "swell_page_size": 5000})

        assert run.code == 0
        assert len(json.loads(run.stdout)["streams"]) == 7


class TestWrongInput:
    def test_no_config(self, cli: Cli) -> None:
        run = cli()

        assert run.code == 1
        (error,) = run.errors
        assert error.startswith("Config validation failed: start_date is missing.")
        assert "No credentials: set medchat_org_id and" in error

    def test_no_credentials(self, config: Config, cli: Cli) -> None:
        start = {"start_date": config["start_date"]}

        assert_refused(cli(config=start), "No credentials: set", "swell_api_token")

    def test_config_file_missing(self, cli: Cli) -> None:
        assert_refused(cli.fresh("--config=nowhere.json"), "nowhere.json", "No such file")

    def test_config_is_a_folder(self, cli: Cli) -> None:
        assert_refused(cli("--config=."), "cannot be read")

    @pytest.mark.parametrize(
        "text",
        [
            '{"swell_api_token": "s3cr3t-token"}',
            '\'{"swell_api_token": "s3cr3t-token"}\'',
            "swell_api_token=s3cr3t-token",
        ],
    )
    def test_config_instead_of_its_path(self, cli: Cli, text: str) -> None:
        run = cli(f"--config={text}")

        assert_refused(run, "--config takes the path of a file")
        assert "s3cr3t" not in run.log

    @pytest.mark.parametrize("text", ["", "{", '{"a": }', "start_date: 2024", "[" * 100_000])
    def test_config_is_not_json(self, cli: Cli, text: str) -> None:
        assert_refused(cli(config=text), "configuration file", "is not JSON")

    def test_config_is_not_utf8(self, cli: Cli) -> None:
        (cli.folder / "bad.json").write_bytes(b'{"a": "\xff"}')

        assert_refused(cli("--config", str(cli.folder / "bad.json")), "is not UTF-8 text")

    def test_config_with_a_byte_order_mark(self, config: Config, cli: Cli) -> None:
        assert cli("--discover", config=f"\ufeff{json.dumps(config)}").code == 0

    def test_a_misspelt_setting_is_told(self, config: Config, cli: Cli) -> None:
        config["swell_api_tokn"] = config.pop("swell_api_token")

        run = cli(config=config)

        assert run.code == 0
        assert (
            "Unknown setting 'swell_api_tokn' (ignored). Did you mean 'swell_api_token'?" in run.log
        )
        assert "Swell is skipped: swell_api_token is not set." in run.log

    @pytest.mark.parametrize("document", [[], "text", 5, None])
    def test_config_is_no_object(self, cli: Cli, document: object) -> None:
        run = cli(config=json.dumps(document))

        assert_refused(run, "configuration file", "must contain a JSON object")

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"stream_maps": "x"}, "stream_maps is not valid"),
            ({"stream_maps": {"__else__": "text"}}, "stream_maps is not valid"),
            ({"stream_maps": {"sms_chats": {"__else__": "text"}}}, "stream_maps is not valid"),
            ({"flattening_enabled": "maybe"}, "flattening_enabled is not valid"),
            ({"batch_config": {"encoding": {"format": "jsonl"}}}, "batch_config is not supported"),
            ({"emit_activate_version_messages": True}, "run with --full-refresh"),
            (
                {"stream_maps": {"sms_chats": {"name": "("}}},
                "stream_maps.sms_chats.name is not a valid expression.",
            ),
            ({"stream_maps": {"sms_chats": {"id": None}}}, "key property 'id'"),
        ],
    )
    def test_the_sdks_own_settings(
        self, config: Config, cli: Cli, changes: Config, words: str
    ) -> None:
        run = cli(config={**config, **changes})

        assert run.code == 1
        assert words in run.errors[-1]
        assert "Traceback" not in run.log
        assert not run.of_type("STATE")

    @pytest.mark.parametrize("off", [False, "false", "False\r", "", None])
    def test_activate_version_messages_that_are_off(
        self, config: Config, cli: Cli, off: object
    ) -> None:
        """The SDK takes any text for yes."""
        catalog = discover(config)
        for entry in catalog["streams"]:
            entry["replication_method"] = "FULL_TABLE"

        run = cli(config={**config, "emit_activate_version_messages": off}, catalog=catalog)

        assert run.code == 0, run.log
        assert "Unknown setting" not in run.log
        assert {message["type"] for message in run.messages} == {"SCHEMA", "RECORD", "STATE"}

    def test_activate_version_messages_in_the_environment(self, config: Config, cli: Cli) -> None:
        variables = as_variables({**config, "emit_activate_version_messages": "true"})

        run = cli("--config=ENV", env=variables)

        assert_refused(run, "emit_activate_version_messages is not supported")
        assert "Unknown setting" not in run.log

    def test_a_stream_map_that_fails_on_records(self, config: Config, cli: Cli) -> None:
        run = cli(config={**config, "stream_maps": {"sms_chats": {"name": "md5(name, 1)"}}})

        assert run.code == 1
        assert "stream_maps fails on name of sms_chats: TypeError." in run.errors[-1]
        assert "Traceback" not in run.log
        assert run.records("swell_messages"), "the other vendor's streams are still read"

    def test_an_empty_state_file_is_an_empty_state(
        self, sandbox: Sandbox, config: Config, cli: Cli
    ) -> None:
        run = cli(config=config, state="")

        assert run.code == 0, run.log
        assert_whole(run, sandbox)

    @pytest.mark.parametrize("text", ["{", "nonsense"])
    def test_state_is_not_json(self, config: Config, cli: Cli, text: str) -> None:
        assert_refused(cli(config=config, state=text), "state file", "is not JSON")

    @pytest.mark.parametrize(
        ("document", "words"),
        [
            ([], "must contain a JSON object"),
            ({"bookmarks": []}, "one object per stream"),
            ({"bookmarks": {"sms_chats": "2024"}}, "one object per stream"),
        ],
    )
    def test_state_of_a_wrong_shape(
        self, config: Config, cli: Cli, document: object, words: str
    ) -> None:
        assert_refused(cli(config=config, state=document), words)

    @pytest.mark.parametrize("text", ["", "{", "nonsense"])
    def test_catalog_is_not_json(self, config: Config, cli: Cli, text: str) -> None:
        assert_refused(cli(config=config, catalog=text), "catalog file", "is not JSON")

    @pytest.mark.parametrize(
        "document",
        [
            {},
            {"streams": None},
            {"streams": []},
            {"streams": [{}]},
            {"streams": [5]},
            {"streams": [{"tap_stream_id": "another_taps", "metadata": [], "schema": {}}]},
            {"streams": [{"tap_stream_id": "sms_chats", "metadata": 5, "schema": {}}]},
        ],
    )
    def test_catalog_of_a_wrong_shape(self, config: Config, cli: Cli, document: object) -> None:
        assert_refused(
            cli(config=config, catalog=document), "Invalid catalog; regenerate it with --discover."
        )

    @pytest.mark.parametrize("option", ["--state", "--catalog"])
    def test_a_file_that_is_not_there(self, config: Config, cli: Cli, option: str) -> None:
        run = cli(option, "nowhere.json", config=config)

        assert run.code == 2
        assert "nowhere.json" in run.log
        assert "Traceback" not in run.log

    @pytest.mark.parametrize(
        ("name", "value", "what"),
        [
            ("MAX_CONCURRENCY", "eight", "a whole number"),
            ("STREAM_MAPS", "{", "a JSON object"),
            ("SWELL_WINDOW_DAYS", "6.5", "a whole number"),
            ("FLATTENING_ENABLED", "maybe", "true or false"),
        ],
    )
    def test_a_variable_of_a_wrong_type(self, cli: Cli, name: str, value: str, what: str) -> None:
        run = cli("--config=ENV", env={f"TAP_MEDCHAT_SWELL_{name}": value})

        assert_refused(run, f"TAP_MEDCHAT_SWELL_{name} must be {what}.")

    def test_a_misspelled_credential_is_hinted_at_if_it_is_the_only_one(self, cli: Cli) -> None:
        start = {"start_date": "2026-01-01"}

        assert_refused(
            cli(config={**start, "medchat_access_tokn": "x"}),
            "No credentials",
            "Unknown setting 'medchat_access_tokn' (ignored). Did you mean 'medchat_access_token'?",
        )
        assert_refused(
            cli(config=start, env={"TAP_MEDCHAT_SWELL_SWELL_TOKEN": "x"}),
            "Did you mean 'TAP_MEDCHAT_SWELL_SWELL_API_TOKEN'?",
        )

    def test_unknown_variables_are_noticed(self, config: Config, cli: Cli) -> None:
        unknown = "TAP_MEDCHAT_SWELL_SWELL_WINDOW_DAY"
        known = (
            "TAP_MEDCHAT_SWELL__SELECT",
            "TAP_MEDCHAT_SWELL_LOGLEVEL",
            "TAP_MEDCHAT_SWELL_STREAM_MAPS_SMS_CHATS_NAME",
            "TAP_MEDCHAT_SWELL_DEIDENTIFIED_SWELL_WINDOW_DAYS",
            "TAP_MEDCHAT_SWELL_DEIDENTIFIED_STREAM_MAPS_SMS_CHATS_NAME",
            "TAP_MEDCHAT_SWELL_DEIDENTIFIED__SELECT",
            "TAP_MEDCHAT_SWELL_SWELL_WINDOW_DAYS",
        )

        run = cli(config=config, env={unknown: "3", **dict.fromkeys(known, "DEBUG")})

        assert run.code == 0, run.log
        warnings = [line for line in run.log.splitlines() if "Unknown setting" in line]
        assert len(warnings) == 1
        assert f"'{unknown}' (ignored). Did you mean '{unknown}S'?" in warnings[0]

    def test_a_replaced_setting_names_its_successor(self, config: Config, cli: Cli) -> None:
        sentence = "medchat_lookback_days is no longer supported: use medchat_rescan_days instead."
        variables = as_variables({**config, "medchat_lookback_days": 3})

        for run in (
            cli(config={**config, "medchat_lookback_days": 3}),
            cli("--config=ENV", env=variables),
        ):
            assert_refused(run, sentence)
            assert "Unknown setting" not in run.log
        run = cli(config=config, env={"TAP_MEDCHAT_SWELL_MEDCHAT_LOOKBACK_DAYS": "3"})
        assert sentence in run.log
        assert "Did you mean" not in run.log

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("TAP_MEDCHAT_SWELL_USER_AGENT=M\xfcller".encode("latin-1"), "is not UTF-8 text"),
            ("TAP_MEDCHAT_SWELL_USER_AGENT=a".encode("utf-16"), "is not UTF-8 text"),
        ],
    )
    def test_a_dotenv_file_in_another_encoding(self, cli: Cli, content: bytes, words: str) -> None:
        (cli.folder / ".env").write_bytes(content)

        assert_refused(cli("--config=ENV"), str(cli.folder / ".env"), words)

    def test_a_dotenv_file_that_cannot_be_read(self, cli: Cli) -> None:
        (cli.folder / ".env").symlink_to("/proc/self/mem")

        assert_refused(cli("--config=ENV"), str(cli.folder / ".env"), "cannot be read")

    @pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
    def test_files_in_another_encoding(self, config: Config, cli: Cli, encoding: str) -> None:
        for kind in ("config", "state", "catalog"):
            path = cli.folder / f"{kind}.json"
            path.write_bytes(json.dumps({"a": "\xfc"}, ensure_ascii=False).encode(encoding))
            more = {} if kind == "config" else {"config": config}

            assert_refused(cli(f"--{kind}", str(path), **more), str(path), "is not UTF-8 text")

    @pytest.mark.parametrize("name", ["a=b.json", "{a}.json"])
    def test_odd_names_of_configuration_files(self, config: Config, cli: Cli, name: str) -> None:
        assert cli("--discover", "--config", cli.file(name, config)).code == 0

    def test_a_blank_variable_is_none(self, config: Config, cli: Cli) -> None:
        blank = ("MAX_CONCURRENCY", "SWELL_API_URL", "FLATTENING_MAX_DEPTH", "SWELL_TEAM_IDS")
        env = {f"TAP_MEDCHAT_SWELL_{name}": "" for name in blank}

        run = cli("--config=ENV", config=config, env=env)

        assert run.code == 0, run.log

    def test_a_log_level_that_is_none(self, config: Config, cli: Cli) -> None:
        run = cli(config=config, env={"TAP_MEDCHAT_SWELL_LOGLEVEL": "LOUD"})

        assert run.code == 1
        assert "LOGLEVEL is not a log level such as DEBUG" in run.log
        assert "Traceback" not in run.log

    @pytest.mark.parametrize("text", ["handlers: [", "version: 1\nhandlers: {a: {class: none}}"])
    def test_a_logging_configuration_that_is_none(
        self, config: Config, cli: Cli, text: str
    ) -> None:
        env = {"SINGER_SDK_LOG_CONFIG": cli.file("log.yaml", text)}

        run = cli(config=config, env=env)

        assert run.code == 1
        assert "SINGER_SDK_LOG_CONFIG is not a valid logging configuration" in run.log
        assert "Traceback" not in run.log

    @pytest.mark.parametrize(
        ("closed", "sentence"),
        [
            (">&-", "Standard output is closed"),
            (">/dev/full", "The output cannot be written: No space left on device."),
        ],
    )
    def test_nowhere_to_write(self, config: Config, cli: Cli, closed: str, sentence: str) -> None:
        words = (sys.executable, "-m", "tap_medchat_swell", "--config")
        path = cli.file("config.json", config)

        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {closed}', "sh", *words, path],
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 1
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr

    def test_an_option_that_is_not_there(self, cli: Cli) -> None:
        run = cli("--nonsense")

        assert run.code == 2
        assert "--nonsense" in run.log

    @pytest.mark.parametrize("values", [{"start_date": "soon"}, {"swell_window_days": 7}])
    def test_a_setting_that_can_never_work(
        self, sandbox: Sandbox, config: Config, cli: Cli, values: Config
    ) -> None:
        assert_refused(cli(config={**config, **values}), next(iter(values)))
        assert sandbox.requests == []
