"""The one declaration of every setting.

Each field of `Options` declares one setting: its type in the tap, its kind, description,
default and bounds. `SETTINGS` and the configuration's JSON schema are derived from it here;
docs/settings.md, `meltano.yml`, `.env.example` and the Hub entry by `scripts/generate.py`.
"""
# ruff: noqa: RUF009 - these functions return `dataclasses.field`

from __future__ import annotations

import dataclasses
import re
import typing as t
from urllib.parse import urlsplit

from tap_medchat_swell.timestamps import named_zone, parse_timestamp

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime, tzinfo

_SECRET_NAME = re.compile(r"token|secret|passw|salt|api_?key|_key\b|credential", re.IGNORECASE)
PRIVACY_SCOPE = ("privacy_profile", "pseudonym_key_id", "phone_region")
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
MIN_SALT_LENGTH = 8  # shorter values not named like a secret are ordinary words or numbers

Kind = t.Literal[
    "string", "integer", "date", "ids", "choice", "url", "timezone", "filter", "region", "path"
]

# All other kinds are text.
JSON_TYPES = {"integer": ["integer", "null"], "ids": ["array", "string", "integer", "null"]}


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting; `minimum` and `maximum` are inclusive, of text the number of characters."""

    kind: Kind
    description: str
    default: str | int | None = None
    secret: bool = False
    required: bool = False
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    example: str = ""
    name: str = ""

    @property
    def json_schema(self) -> dict[str, t.Any]:
        """The setting as the SDK expects it in `config_jsonschema`."""
        schema: dict[str, t.Any] = {
            "type": JSON_TYPES.get(self.kind, ["string", "null"]),
            "description": self.description,
        }
        if self.kind == "ids":
            schema["items"] = {"type": ["integer", "string"]}
        least = "minimum" if self.kind == "integer" else "minLength"
        bounds = {"default": self.default, least: self.minimum, "maximum": self.maximum}
        schema |= {name: value for name, value in bounds.items() if value is not None}
        if self.choices:
            schema["enum"] = [*self.choices, None]
        if self.secret:
            schema |= {"secret": True, "writeOnly": True}
        return schema


def _setting(kind: Kind, default: str | int | None, description: str, **details: t.Any) -> t.Any:
    """A dataclass field that carries a Setting; typed Any so that fields can state their type."""
    setting = Setting(kind, description, default, **details)
    return dataclasses.field(metadata={"setting": setting})


def _integer(
    default: int | None, minimum: int, maximum: int | None, description: str, example: str = ""
) -> t.Any:
    bounds = {"minimum": minimum, "maximum": maximum}
    return _setting("integer", default, description, example=example, **bounds)


@dataclasses.dataclass(frozen=True)
class Options:
    """A valid configuration, typed. Instants are UTC; ids are text, as the vendors want them."""

    # fmt: off
    account_name: str = _setting("string", "default",
        "Name of the account, written to every record. Set a different one for each account that "
        "you load into the same tables.", example="north-clinic")
    medchat_org_id: str = _setting("string", None,
        "MedChat organization ID: Admin > Developer > MedChat Auth.",
        example="00000000-0000-0000-0000-000000000000")
    medchat_access_token: str = _setting("string", None,
        "MedChat access token with the scope read.sms_chats: Admin > Developer > MedChat Auth.",
        secret=True)
    medchat_api_url: str = _setting("url", "https://medchatapp.com/smschatapi",
        "Base URL of MedChat's SMS chat API, without /external/orgs.")
    medchat_accept: str = _setting("string", "application/vnd.medchat+json;v=1.0",
        "Accept header for MedChat; it selects the API version.")
    medchat_filter: str = _setting("filter", None,
        "Read only chats that match this OData filter: eq, ne, gt, ge, lt, le, and, or, "
        "parentheses, startswith, endswith. A chat that stops matching is not read again: its "
        "rows stay as they were.", example="startswith(Name, 'Jane') or Status ne 'Ended'")
    medchat_rescan_days: int | None = _integer(None, 1, None,
        "Re-read chats without recent activity at least every this many days. Until then, new "
        "messages on those chats are not seen. Unset: every run re-reads all chats.", example="7")
    medchat_page_size: int = _integer(100, 2, 1000,  # 2: pages overlap by one chat
        "Chats per request ($top). Reduced automatically if MedChat refuses it.")
    medchat_window_pages: int = _integer(40, 1, 500,
        "Approximate pages per MedChat window. An interrupted run re-reads at most one window.")
    swell_api_token: str = _setting("string", None,
        "Swell API token: Swell > Settings > API tokens.", secret=True)
    swell_token_placement: str = _setting("choice", "query",
        "How to send swell_api_token: in the URL, as Swell documents it, or in the header "
        "Authorization, which keeps it out of proxy logs. --check shows whether Swell takes it.",
        choices=("query", "header"))
    swell_api_url: str = _setting("url", "https://platform.swellcx.com/api/v1",
        "Base URL of Swell's API, without /messages.")
    swell_location_ids: tuple[str, ...] = _setting("ids", None,
        "Read only messages of these locations: location IDs, separated by commas.", example="3,7")
    swell_team_ids: tuple[str, ...] = _setting("ids", None,
        "Read only messages of these teams: team IDs, separated by commas.", example="5,139")
    swell_contact_ids: tuple[str, ...] = _setting("ids", None,
        "Read only messages of these contacts: contact IDs, separated by commas. Message counts "
        "cannot be filtered by contact.", example="2,9")
    swell_status: str = _setting("choice", None,
        "Read only messages with this status. A message that changes to another status is not "
        "read again: its row stays as it was. Message counts cannot be filtered by status.",
        choices=("Open", "Close"))
    swell_page_size: int = _integer(100, 1, 100,
        "Messages per request (per_page). Swell allows at most 100.")
    swell_window_days: int = _integer(6, 1, 6,
        "Days between from_date and to_date in one request. Swell allows one week; 6 is safe "
        "whichever way it counts a week.")
    swell_lookback_days: int = _integer(3, 0, None,
        "Re-read messages from this many days before the bookmark, to pick up late changes such "
        "as read or closed.")
    swell_counts_split: str = _setting("choice", "all",
        "One message count per day in total, or one for each of swell_location_ids or "
        "swell_team_ids.", choices=("all", "location", "team"))
    swell_counts_parameters: str = _setting("choice", "date",
        "How to request the count of a day: date=D, or from_date=D&to_date=D.",
        choices=("date", "range"))
    swell_counts_lookback_days: int = _integer(3, 0, None,
        "Re-read the counts of this many days before the bookmark. The count of a day is final "
        "only after the day has ended in every time zone.")
    swell_date_sent_timezone: tzinfo = _setting("timezone", "UTC",
        "Time zone (IANA name) of Swell's date_sent, used to compute date_sent_utc.",
        example="America/Denver")
    start_date: datetime = _setting("date", None,
        "Read data created at or after this time (a date, or a date and time; UTC unless it has "
        "an offset).", required=True, example="2024-01-01T00:00:00Z")
    end_date: datetime | None = _setting("date", None,
        "Read only data created before this time. Unset: up to now.",
        example="2025-01-01T00:00:00Z")
    max_concurrency: int = _integer(8, 1, 64,
        "Maximum concurrent requests per vendor. 1 reads sequentially.")
    requests_per_minute: int | None = _integer(None, 1, None,
        "Maximum requests per minute to each vendor. Unset: as fast as the vendor's responses and "
        "rate-limit headers allow.", example="60")
    connect_timeout_seconds: int = _integer(10, 1, 300, "Timeout for opening a connection.")
    read_timeout_seconds: int = _integer(60, 1, 3600,
        "Timeout for the next bytes of a response. A whole response may take ten times as long.")
    max_retries: int = _integer(6, 0, 100,
        "Maximum retries per request for transient errors. Waiting for a rate limit (429, or 503 "
        "with Retry-After) does not count.")
    retry_seconds: int = _integer(900, 1, None,
        "Maximum time to spend on one request, including retries and waiting for rate limits.")
    max_response_mb: int = _integer(32, 1, 1024,
        "Maximum size of one response in MiB, decompressed.")
    user_agent: str = _setting("string", "tap-medchat-swell", "User-Agent header of every request.")
    privacy_profile: str = _setting("choice", "none",
        "What becomes of personal data before it is written. pseudonymized: keyed pseudonyms in "
        "place of names, phone numbers and email addresses, and no free text. safe_harbor: none of "
        "these, years in place of dates, surrogates in place of keys. deidentified is a former "
        "name of pseudonymized. See docs/privacy.md.",
        choices=("none", "pseudonymized", "safe_harbor", "deidentified"))
    pseudonym_key: str = _setting("string", None,
        "Secret key of pseudonyms and surrogates, at least 16 characters. Required by "
        "privacy_profile and by hmac_phone, hmac_email and hmac_name in stream maps.",
        secret=True, minimum=16)
    pseudonym_key_id: str = _setting("string", "1",
        "Name of pseudonym_key, written to every record under a privacy_profile. Change it "
        "whenever you change the key: everything is then written again.", example="2025-01")
    phone_region: str = _setting("region", "US",
        "Where phone numbers without a country code are from (two letters), for pseudonyms.",
        example="CA")
    report_path: str = _setting("path", None,
        "File to which every run writes its report as JSON, also after a failure.",
        example="output/run-report.json")
    hash_salt: str = _setting("string", None,
        "Secret text for hashing in stream maps, available as config['hash_salt'].", secret=True)
    # fmt: on

    @property
    def privacy_scope(self) -> dict[str, str]:
        """What has everything written again when it changes; never the key itself."""
        if self.privacy_profile == "none":
            return {}
        return {name: getattr(self, name) for name in PRIVACY_SCOPE}

    @classmethod
    def from_config(cls, config: Mapping[str, t.Any]) -> Options:
        """Convert a configuration in which `problems` found nothing."""
        return cls(**{s.name: _typed(s, config.get(s.name)) for s in SETTINGS})


SETTINGS: tuple[Setting, ...] = tuple(
    dataclasses.replace(field.metadata["setting"], name=field.name)
    for field in dataclasses.fields(Options)
)
# Former settings, and those that the SDK would obey: why they are refused, and what to do instead.
REFUSED = {
    "batch_config": "is not supported: batches would bypass stream maps and deselection",
    "emit_activate_version_messages": (
        "is not supported: records that have not changed are not written again, so the target "
        "would delete them. To find rows that the vendors have deleted, run with --full-refresh: "
        "they keep an older _sdc_extracted_at"
    ),
    "medchat_lookback_days": "is no longer supported: use medchat_rescan_days instead",
}

# A former value of privacy_profile, and what it is called now.
FORMER_PROFILES = {"deidentified": "pseudonymized"}

ENV_PREFIX = "TAP_MEDCHAT_SWELL_"

CONFIG_JSONSCHEMA: dict[str, t.Any] = {
    "type": "object",
    "properties": {setting.name: setting.json_schema for setting in SETTINGS},
    "required": [setting.name for setting in SETTINGS if setting.required],
}

CREDENTIALS = {
    "MedChat": ("medchat_org_id", "medchat_access_token"),
    "Swell": ("swell_api_token",),
}


def _typed(setting: Setting, value: t.Any) -> t.Any:
    value = setting.default if is_blank(value) else value
    value = value.strip() if isinstance(value, str) else value
    if setting.kind == "ids":
        return as_ids(value)
    if setting.kind == "date":
        return parse_timestamp(value)
    if setting.kind == "timezone":
        return named_zone(str(value))
    return value if setting.kind == "integer" else value or ""


def with_numbers(config: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The configuration with whole numbers in place of their text, which Meltano hands over."""
    integers = {s.name for s in SETTINGS if s.kind == "integer"} | {"flattening_max_depth"}
    return {
        name: int(value)
        if name in integers and isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value)
        else value
        for name, value in config.items()
    }


def is_blank(value: t.Any) -> bool:
    """Whether a setting is unset; `NAME=` in an environment file does not set it."""
    return value is None or (isinstance(value, str) and not value.strip())


def is_off(value: t.Any) -> bool:
    """Whether a setting is unset, or asks for nothing."""
    return is_blank(value) or str(value).strip().lower() in {"false", "{}"}


def as_ids(value: t.Any) -> tuple[str, ...]:
    """IDs from a list, a JSON list, `3,7,20` or a number; raises ValueError for anything else."""
    text = "" if value is None else str(value)
    parts = value if isinstance(value, list) else text.strip().strip("[]").split(",")
    ids = [str(part).strip().strip("\"'") for part in parts]
    if any(part and not (part.isascii() and part.isdigit()) for part in ids):
        raise ValueError
    return tuple(dict.fromkeys(part for part in ids if part))


def secret_values(config: Mapping[str, t.Any]) -> Iterator[str]:
    """Every value that must never be shown, whatever its type.

    An unknown setting counts if it is named like a secret: it may be a misspelled one.
    """
    known = {setting.name: setting.secret for setting in SETTINGS}
    for name, value in config.items():
        if known.get(name, bool(_SECRET_NAME.search(name))):
            yield from _texts(value)
    yield from _salts(config.get("stream_map_config"), config.get("stream_maps"))
    for name in ("medchat_api_url", "swell_api_url"):
        yield from _url_secrets(config.get(name))


def _salts(map_config: t.Any, maps: t.Any) -> Iterator[str]:
    """Possible salts: values for stream maps, and expressions that contain a literal."""
    for name, value in (map_config if isinstance(map_config, dict) else {"": map_config}).items():
        shortest = 0 if _SECRET_NAME.search(str(name)) else MIN_SALT_LENGTH
        yield from (text for text in _texts(value) if len(text) >= shortest)
    yield from (text for text in _texts(maps) if "'" in text or '"' in text)


def tokens(config: Mapping[str, t.Any]) -> Iterator[str]:
    """The secrets that are sent to the vendors."""
    credentials = {name for names in CREDENTIALS.values() for name in names}
    for setting in SETTINGS:
        if setting.secret and setting.name in credentials:
            yield from _texts(config.get(setting.name))


def _texts(value: t.Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _url_secrets(url: t.Any) -> Iterator[str]:
    if not isinstance(url, str):
        return
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    yield from filter(None, (parts.username, parts.password, parts.query))
    yield from filter(None, (pair.partition("=")[2] for pair in parts.query.split("&")))


def has_credentials(vendor: str, config: Mapping[str, t.Any]) -> bool:
    """Whether all credentials of a vendor are set."""
    return not any(is_blank(config.get(name)) for name in CREDENTIALS[vendor])
