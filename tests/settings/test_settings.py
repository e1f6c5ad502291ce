from __future__ import annotations

import typing as t
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from tap_medchat_swell import settings
from tap_medchat_swell.config_validation import problems
from tap_medchat_swell.settings import Options, as_ids, secret_values

UTC = timezone.utc
GOOD: dict[str, t.Any] = {
    "medchat_org_id": "org-1",
    "medchat_access_token": "medchat-token",
    "swell_api_token": "swell-token",
    "start_date": "2024-01-01",
}
ASCII_ONLY = "must contain only printable ASCII characters."
ADDRESS = "must start with https:// (http:// is allowed only for this machine itself)."
NO_PARTS = "must not contain a user name, password, query or fragment."
DATE = "must be a date or a date and time, such as 2024-01-01T00:00:00Z."
IDS = "must be a list of whole numbers, such as 3,7."
BAD: list[tuple[dict[str, t.Any], str]] = [
    ({"medchat_page_size": 1}, "medchat_page_size must be at least 2."),
    ({"medchat_page_size": 1001}, "medchat_page_size must be at most 1000."),
    ({"medchat_page_size": "10"}, "medchat_page_size must be a whole number."),
    ({"medchat_page_size": 1.5}, "medchat_page_size must be a whole number."),
    ({"max_concurrency": True}, "max_concurrency must be a whole number."),
    ({"max_concurrency": 65}, "max_concurrency must be at most 64."),
    ({"swell_page_size": 101}, "swell_page_size must be at most 100."),
    ({"swell_window_days": 7}, "swell_window_days must be at most 6."),
    ({"swell_window_days": 0}, "swell_window_days must be at least 1."),
    ({"medchat_rescan_days": 0}, "medchat_rescan_days must be at least 1."),
    (
        {"medchat_lookback_days": 0},
        "medchat_lookback_days is no longer supported: use medchat_rescan_days instead.",
    ),
    ({"batch_config": {"encoding": 1}}, "batch_config is not supported: "),
    ({"emit_activate_version_messages": True}, "emit_activate_version_messages is not supported: "),
    ({"account_name": 5}, "account_name must be text."),
    ({"account_name": "north\nclinic"}, f"account_name {ASCII_ONLY}"),
    ({"medchat_org_id": ".."}, "medchat_org_id must be an organization ID."),
    ({"requests_per_minute": 0}, "requests_per_minute must be at least 1."),
    ({"swell_location_ids": "3,x"}, f"swell_location_ids {IDS}"),
    ({"swell_team_ids": [1, "b"]}, f"swell_team_ids {IDS}"),
    ({"swell_contact_ids": {"a": 1}}, f"swell_contact_ids {IDS}"),
    ({"swell_contact_ids": -4}, f"swell_contact_ids {IDS}"),
    ({"swell_contact_ids": "²"}, f"swell_contact_ids {IDS}"),
    ({"medchat_org_id": 5}, "medchat_org_id must be text."),
    ({"swell_api_token": ["secret"]}, "swell_api_token must be text."),
    ({"swell_api_token": "tok\nen"}, f"swell_api_token {ASCII_ONLY}"),
    ({"swell_api_token": "tokén"}, f"swell_api_token {ASCII_ONLY}"),
    ({"user_agent": "a\r\nX-Header: b"}, f"user_agent {ASCII_ONLY}"),
    ({"medchat_accept": "a\x7f"}, f"medchat_accept {ASCII_ONLY}"),
    ({"swell_counts_split": "day"}, "swell_counts_split must be one of all, location, team."),
    ({"medchat_filter": "Name eq 'Jane"}, "medchat_filter has a quote without its partner"),
    ({"medchat_filter": ["x eq 1"]}, "medchat_filter must be text."),
    ({"swell_status": "open"}, "swell_status must be one of Open, Close."),
    ({"swell_counts_parameters": "x"}, "swell_counts_parameters must be one of date, range."),
    ({"start_date": "soon"}, f"start_date {DATE}"),
    ({"start_date": 20240101}, "start_date must be text."),
    ({"end_date": "2024-13-01"}, f"end_date {DATE}"),
    ({"swell_api_url": "ftp://example.com"}, f"swell_api_url {ADDRESS}"),
    ({"swell_api_url": "http://example.com/api"}, f"swell_api_url {ADDRESS}"),
    ({"swell_api_url": "http://127.0.0.1.example.com"}, f"swell_api_url {ADDRESS}"),
    ({"swell_api_url": "http://localhost.example.com"}, f"swell_api_url {ADDRESS}"),
    ({"swell_api_url": "http://10.0.0.1"}, f"swell_api_url {ADDRESS}"),
    ({"medchat_api_url": "https://u:p@example.com"}, f"medchat_api_url {NO_PARTS}"),
    ({"medchat_api_url": "https://example.com?x=1"}, f"medchat_api_url {NO_PARTS}"),
    ({"medchat_api_url": "https://example.com#x"}, f"medchat_api_url {NO_PARTS}"),
    ({"medchat_api_url": "https:///nowhere"}, "medchat_api_url must be a URL such as"),
    ({"medchat_api_url": "nowhere"}, "medchat_api_url must be a URL such as"),
    ({"medchat_api_url": "https://example.com:port"}, "medchat_api_url is not a valid URL."),
    ({"medchat_api_url": "https://[::1"}, "medchat_api_url is not a valid URL."),
    ({"medchat_api_url": "https://a..b/x"}, "medchat_api_url is not a valid URL."),
    ({"medchat_api_url": "https://platform .com/x"}, "medchat_api_url is not a valid URL."),
    (
        {"swell_api_url": "https://platform.swellcx.com\r\n.evil.example"},
        f"swell_api_url {ASCII_ONLY}",
    ),
    ({"swell_api_url": "https://platform.sw\u0435llcx.com"}, f"swell_api_url {ASCII_ONLY}"),
    ({"swell_api_url": f"https://{'a' * 64}.com"}, "swell_api_url is not a valid URL."),
    ({"swell_date_sent_timezone": "Mars"}, "swell_date_sent_timezone must be the IANA name"),
    ({"swell_date_sent_timezone": "../x"}, "swell_date_sent_timezone must be the IANA name"),
    ({"swell_date_sent_timezone": "/etc/x"}, "swell_date_sent_timezone must be the IANA name"),
    ({"end_date": "2024-01-01"}, "end_date must be after start_date."),
    ({"end_date": "2023-12-31"}, "end_date must be after start_date."),
    ({"start_date": "1989-12-31"}, "start_date must not be before 1990-01-01."),
    ({"end_date": "9000-01-01"}, "end_date must not be more than 100 years from now."),
    ({"start_date": None}, "start_date is missing. "),
    ({"start_date": ""}, "start_date is missing. "),
    (
        {"medchat_org_id": None},
        "medchat_org_id is missing: MedChat needs medchat_org_id and medchat_access_token.",
    ),
    (
        {"medchat_access_token": ""},
        "medchat_access_token is missing: MedChat needs medchat_org_id and medchat_access_token.",
    ),
    (
        {"medchat_org_id": "", "medchat_access_token": "", "swell_api_token": ""},
        "No credentials: set medchat_org_id and medchat_access_token for MedChat, swell_api_token",
    ),
    (
        {"swell_counts_split": "location"},
        "swell_counts_split is location: list the IDs in swell_location_ids.",
    ),
    (
        {"swell_counts_split": "team", "swell_team_ids": []},
        "swell_counts_split is team: list the IDs in swell_team_ids.",
    ),
    (
        {"swell_counts_split": "team", "swell_location_ids": "3"},
        "swell_counts_split is team: list the IDs in swell_team_ids.",
    ),
    (
        {"stream_maps": {"sms_chats": {"name": "md5(config['hash_salt'] + name)"}}},
        "hash_salt is missing: stream_maps uses it.",
    ),
    (
        {"stream_maps": {"sms_chats": {"name": "hmac_name(name)"}}},
        "pseudonym_key is missing, which stream_maps needs.",
    ),
    (
        {"privacy_profile": "safe_harbor"},
        "pseudonym_key is missing, which privacy_profile needs.",
    ),
    (
        {"privacy_profile": "pseudonymized", "pseudonym_key": "15 characters.."},
        "pseudonym_key must have at least 16 characters.",
    ),
    (
        {"privacy_profile": "anonymous", "pseudonym_key": "x" * 16},
        "privacy_profile must be one of none, pseudonymized, safe_harbor, deidentified.",
    ),
    (
        {"phone_region": "XX"},
        "phone_region must be the two letters of a country, such as US.",
    ),
]
FINE: list[dict[str, t.Any]] = [
    {},
    {"swell_api_token": ""},
    {"swell_api_token": "\t"},
    {"medchat_org_id": "", "medchat_access_token": None},
    {"medchat_rescan_days": 1, "requests_per_minute": 1},
    {"medchat_rescan_days": None, "end_date": None},
    {"medchat_lookback_days": ""},
    {"emit_activate_version_messages": "False\r", "batch_config": {}},
    {"account_name": "North Clinic #2"},
    {"swell_counts_split": "all\r", "swell_counts_parameters": "range\r"},
    {"swell_date_sent_timezone": "UTC\r"},
    {"swell_status": "Close\r"},
    {"medchat_filter": "startswith(Name, 'Zo\u00eb')\r"},
    {"swell_status": " "},
    {"swell_location_ids": "3, 7", "swell_counts_split": "location"},
    {"swell_team_ids": [5], "swell_counts_split": "team"},
    {"swell_api_url": "http://localhost:8080/x/"},
    {"swell_api_url": "http://127.9.9.9"},
    {"swell_api_url": "http://[::1]:8080"},
    {"swell_api_url": "https://example.com:8443/x"},
    {"swell_date_sent_timezone": "America/Denver"},
    {"start_date": "2024-01-01T00:00:00+05:00", "end_date": "2024-01-01"},
    {"swell_api_token": r's3cr3t/+&"\x'},
    {"something_else": 1},
]


@pytest.mark.parametrize(("changes", "sentence"), BAD)
def test_every_problem_has_its_sentence(changes: dict[str, t.Any], sentence: str) -> None:
    found = problems({**GOOD, **changes})

    assert len(found) == 1, found
    assert found[0].startswith(sentence)


@pytest.mark.parametrize(("changes", "sentence"), BAD)
def test_no_problem_quotes_a_value(changes: dict[str, t.Any], sentence: str) -> None:
    text = " ".join(problems({**GOOD, **changes})).replace(sentence, "")

    assert not [
        value
        for value in changes.values()
        if isinstance(value, str) and len(value) > 1 and value in text
    ]


@pytest.mark.parametrize("changes", FINE)
def test_no_problem(changes: dict[str, t.Any]) -> None:
    assert problems({**GOOD, **changes}) == []


def test_all_problems_are_told_at_once() -> None:
    changes = {
        "swell_page_size": 0,
        "start_date": "x",
        "end_date": 5,
        "medchat_access_token": None,
        "swell_counts_split": "team",
        "stream_maps": {"sms_chats": {"name": "md5(config['hash_salt'])"}},
    }

    assert len(problems({**GOOD, **changes})) == len(changes)


@pytest.mark.parametrize("setting", settings.SETTINGS, ids=lambda setting: setting.name)
def test_a_setting_of_a_wrong_type_is_told(setting: settings.Setting) -> None:
    found = problems({**GOOD, setting.name: {"nested": "s3cr3t-value"}})

    assert any(problem.startswith(setting.name) for problem in found)
    assert "s3cr3t-value" not in " ".join(found)


def test_end_may_lie_in_the_near_future() -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)

    assert problems({**GOOD, "end_date": tomorrow.isoformat()}) == []


class TestOptions:
    def test_defaults(self) -> None:
        options = Options.from_config(GOOD)

        assert options.start_date == datetime(2024, 1, 1, tzinfo=UTC)
        assert options.end_date is None
        assert options.medchat_api_url == "https://medchatapp.com/smschatapi"
        assert options.swell_api_url == "https://platform.swellcx.com/api/v1"
        assert options.medchat_rescan_days is None
        assert options.account_name == "default"
        assert options.swell_window_days == 6
        assert options.swell_page_size == 100
        assert options.swell_location_ids == ()
        assert options.hash_salt == ""
        assert options.swell_date_sent_timezone is UTC

    def test_values(self) -> None:
        options = Options.from_config(
            {
                **GOOD,
                "start_date": "2024-01-01T02:00:00+02:00",
                "end_date": "2024-02-01",
                "swell_location_ids": "7, 3,7",
                "swell_team_ids": [5, "139"],
                "swell_contact_ids": '["2", 9]',
                "swell_date_sent_timezone": "America/Denver",
                "medchat_access_token": " medchat-token\n",
                "medchat_rescan_days": 7,
            }
        )

        assert options.start_date == datetime(2024, 1, 1, tzinfo=UTC)
        assert options.end_date == datetime(2024, 2, 1, tzinfo=UTC)
        assert options.swell_location_ids == ("7", "3")
        assert options.swell_team_ids == ("5", "139")
        assert options.swell_contact_ids == ("2", "9")
        assert options.swell_date_sent_timezone == ZoneInfo("America/Denver")
        assert options.medchat_access_token == "medchat-token"
        assert options.medchat_rescan_days == 7

    @pytest.mark.parametrize("blank", [None, "", " "])
    def test_blank_is_the_default(self, blank: str | None) -> None:
        everything = dict.fromkeys((s.name for s in settings.SETTINGS), blank)

        assert Options.from_config({**everything, **GOOD}) == Options.from_config(GOOD)

    def test_trailing_carriage_returns_are_trimmed(self) -> None:
        """As docker leaves them when it reads an environment file from Windows."""
        values = {"swell_counts_split": "all", "swell_date_sent_timezone": "UTC", **GOOD}
        with_returns = {name: f"{value}\r" for name, value in values.items()}

        assert problems(with_returns) == []
        assert Options.from_config(with_returns) == Options.from_config(values)


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        (None, ()),
        ("", ()),
        ([], ()),
        ("3", ("3",)),
        (3, ("3",)),
        ("3,,7,", ("3", "7")),
        ([3, "7", 3], ("3", "7")),
        ("[3, 7]", ("3", "7")),
    ],
)
def test_ids(value: object, ids: tuple[str, ...]) -> None:
    assert as_ids(value) == ids


class TestSecretValues:
    @pytest.mark.parametrize(
        "config",
        [
            {"swell_api_token": "s3cr3t"},
            {"medchat_access_token": ["s3cr3t"]},
            {"hash_salt": {"a": [{"b": "s3cr3t"}]}},
            {"swell_token": "s3cr3t"},
            {"password": "s3cr3t"},
            {"MEDCHAT_API_KEY": "s3cr3t"},
            {"stream_map_config": {"a_salt": "s3cr3t"}},
            {"swell_api_url": "https://user:s3cr3t@example.com"},
            {"swell_api_url": "https://example.com/?token=s3cr3t&x=1"},
        ],
    )
    def test_secrets_wherever_they_stand(self, config: dict[str, t.Any]) -> None:
        assert "s3cr3t" in set(secret_values(config))

    def test_salts_of_stream_maps(self) -> None:
        told = {"any": "long enough", "year": 2026, "clinic": "north"}
        maps = {"sms_chats": {"name": "md5('salt' + name)", "text": "name"}}

        assert set(secret_values({"stream_map_config": told, "stream_maps": maps})) == {
            "long enough",
            "md5('salt' + name)",
        }

    def test_numbers_count_too(self) -> None:
        assert list(secret_values({"swell_api_token": 12345678})) == ["12345678"]

    def test_what_is_no_secret(self) -> None:
        plain = [setting.name for setting in settings.SETTINGS if not setting.secret]

        assert list(secret_values(dict.fromkeys(plain, "value"))) == []

    @pytest.mark.parametrize("url", [5, None, "https://[", "x"])
    def test_addresses_that_are_none(self, url: object) -> None:
        assert list(secret_values({"swell_api_url": url})) == []


def test_every_secret_setting_is_marked_for_meltano() -> None:
    properties = settings.CONFIG_JSONSCHEMA["properties"]
    secrets = {name for name, schema in properties.items() if schema.get("secret")}

    assert secrets == {"medchat_access_token", "swell_api_token", "pseudonym_key", "hash_salt"}


@pytest.mark.parametrize(
    ("value", "number"), [("7", 7), ("-1", -1), ("7.5", "7.5"), ("1_0", "1_0"), ("", ""), (3, 3)]
)
def test_whole_numbers_given_as_text(value: object, number: object) -> None:
    """Meltano's `config set` stores them so."""
    config = {"max_retries": value, "account_name": "7"}

    assert settings.with_numbers(config) == {"max_retries": number, "account_name": "7"}
