"""The one declaration of every setting.

The README's table, `meltano.yml`, `.env.example` and the Hub entry are generated from
`SETTINGS` (see `scripts/generate.py`); the configuration's JSON schema and `Options`,
the typed view that the rest of the tap reads, follow from it here.
"""

from __future__ import annotations

import dataclasses
import re
import typing as t
import zoneinfo
from urllib.parse import urlsplit

from tap_medchat_swell.timestamps import parse_timestamp

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

_SECRET_NAME = re.compile("token|secret|passw|salt|api_?key|credential", re.IGNORECASE)
SHORTEST_SALT = 8  # what is shorter, and not called a salt, is a word or a number

Kind = t.Literal["string", "integer", "date", "ids", "choice", "url", "timezone"]

# Of the kinds that are no text.
JSON_TYPES = {"integer": ["integer", "null"], "ids": ["array", "string", "null"]}


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting; `minimum` and `maximum` hold for whole numbers, inclusively."""

    name: str
    kind: Kind
    description: str
    default: str | int | None = None
    secret: bool = False
    required: bool = False
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    example: str = ""

    @property
    def json_schema(self) -> dict[str, t.Any]:
        """The setting as the SDK wants it in `config_jsonschema`."""
        schema: dict[str, t.Any] = {
            "type": JSON_TYPES.get(self.kind, ["string", "null"]),
            "description": self.description,
        }
        if self.kind == "ids":
            schema["items"] = {"type": ["integer", "string"]}
        if self.default is not None:
            schema["default"] = self.default
        if self.minimum is not None:
            schema["minimum"] = self.minimum
        if self.maximum is not None:
            schema["maximum"] = self.maximum
        if self.choices:
            schema["enum"] = [*self.choices, None]
        if self.secret:
            schema |= {"secret": True, "writeOnly": True}
        return schema


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "medchat_org_id",
        "string",
        "MedChat organization id: Admin > Developer > MedChat Auth.",
        example="00000000-0000-0000-0000-000000000000",
    ),
    Setting(
        "medchat_access_token",
        "string",
        "MedChat access token with the scope read.sms_chats: Admin > Developer > MedChat Auth.",
        secret=True,
    ),
    Setting(
        "medchat_api_url",
        "url",
        "Address of MedChat's SMS chat API, without /external/orgs.",
        default="https://medchatapp.com/smschatapi",
    ),
    Setting(
        "medchat_accept",
        "string",
        "Accept header: it names the version of MedChat's API.",
        default="application/vnd.medchat+json;v=1.0",
    ),
    Setting(
        "medchat_lookback_days",
        "integer",
        "Read again only chats created in this many days before the last finished "
        "sweep. New messages on older chats are then missed. Unset: every sweep reads "
        "all chats since start_date.",
        minimum=0,
    ),
    Setting(
        "medchat_page_size",
        "integer",
        "Chats per request ($top). Lowered by itself where MedChat refuses it.",
        default=100,
        minimum=2,  # pages overlap by a chat
        maximum=1000,
    ),
    Setting(
        "medchat_window_pages",
        "integer",
        "Close a MedChat window after about this many pages: what a stopped run reads "
        "again at most.",
        default=50,
        minimum=1,
        maximum=500,
    ),
    Setting(
        "swell_api_token",
        "string",
        "Swell API token: Swell > Settings > API tokens.",
        secret=True,
    ),
    Setting(
        "swell_api_url",
        "url",
        "Address of Swell's API, without /messages.",
        default="https://platform.swellcx.com/api/v1",
    ),
    Setting(
        "swell_location_ids",
        "ids",
        "Read only messages of these locations: a list, or numbers with commas.",
        example="3,7",
    ),
    Setting(
        "swell_team_ids",
        "ids",
        "Read only messages of these teams: a list, or numbers with commas.",
        example="5,139",
    ),
    Setting(
        "swell_contact_ids",
        "ids",
        "Read only messages of these contacts (counts cannot be filtered by contact): "
        "a list, or numbers with commas.",
        example="2,9",
    ),
    Setting(
        "swell_page_size",
        "integer",
        "Messages per request (per_page). Swell allows 100 at most.",
        default=100,
        minimum=1,
        maximum=100,
    ),
    Setting(
        "swell_window_days",
        "integer",
        "Days from from_date to to_date of one request. Swell allows a week; 6 days' "
        "difference is right however it counts a week.",
        default=6,
        minimum=1,
        maximum=6,
    ),
    Setting(
        "swell_lookback_days",
        "integer",
        "Read again the messages of this many days before the bookmark, for late "
        "changes such as read or closed.",
        default=3,
        minimum=0,
    ),
    Setting(
        "swell_counts_split",
        "choice",
        "One count a day in all, or one for each of swell_location_ids or swell_team_ids.",
        default="all",
        choices=("all", "location", "team"),
    ),
    Setting(
        "swell_counts_parameters",
        "choice",
        "How a day is asked for: date=D, or from_date=D&to_date=D.",
        default="date",
        choices=("date", "range"),
    ),
    Setting(
        "swell_counts_lookback_days",
        "integer",
        "Ask again for the counts of this many days before the bookmark: a day's "
        "count is final only when the day is over everywhere.",
        default=3,
        minimum=0,
    ),
    Setting(
        "swell_date_sent_timezone",
        "timezone",
        "Time zone (IANA name) in which Swell's date_sent is read for date_sent_utc.",
        default="UTC",
        example="America/Denver",
    ),
    Setting(
        "start_date",
        "date",
        "Read what was created at or after this instant (date, or date and time; UTC "
        "where no offset is given).",
        required=True,
        example="2024-01-01T00:00:00Z",
    ),
    Setting(
        "end_date",
        "date",
        "Read only what was created before this instant. Unset: up to now.",
        example="2025-01-01T00:00:00Z",
    ),
    Setting(
        "max_concurrency",
        "integer",
        "Requests to one vendor under way together. 1 is plain sequential reading.",
        default=8,
        minimum=1,
        maximum=64,
    ),
    Setting(
        "requests_per_minute",
        "integer",
        "Ask each vendor at most this often. Unset: as fast as the vendor's answers "
        "and rate-limit headers allow.",
        minimum=1,
    ),
    Setting(
        "connect_timeout_seconds",
        "integer",
        "How long to wait for a connection.",
        default=10,
        minimum=1,
        maximum=300,
    ),
    Setting(
        "read_timeout_seconds",
        "integer",
        "How long to wait for the next bytes of an answer; a whole answer may take "
        "ten times as long.",
        default=60,
        minimum=1,
        maximum=3600,
    ),
    Setting(
        "max_retries",
        "integer",
        "How often one request is sent again after a failure that may pass. Waiting "
        "for a rate limit (429, or 503 with Retry-After) does not count.",
        default=6,
        minimum=0,
        maximum=100,
    ),
    Setting(
        "retry_seconds",
        "integer",
        "Give up on a request after this time, waits for rate limits included.",
        default=900,
        minimum=1,
    ),
    Setting(
        "max_response_mb",
        "integer",
        "Refuse an answer larger than this many MiB, unpacked.",
        default=32,
        minimum=1,
        maximum=1024,
    ),
    Setting(
        "user_agent",
        "string",
        "User-Agent header of every request.",
        default="tap-medchat-swell",
    ),
    Setting(
        "hash_salt",
        "string",
        "Secret text that stream maps may mix into hashes as config['hash_salt']; the "
        "de-identified variant in meltano.yml needs it.",
        secret=True,
    ),
)

CONFIG_JSONSCHEMA: dict[str, t.Any] = {
    "type": "object",
    "properties": {setting.name: setting.json_schema for setting in SETTINGS},
    "required": [setting.name for setting in SETTINGS if setting.required],
}

CREDENTIALS = {
    "MedChat": ("medchat_org_id", "medchat_access_token"),
    "Swell": ("swell_api_token",),
}


@dataclasses.dataclass(frozen=True)
class Options:
    """A valid configuration, typed. Instants are UTC; ids are as the vendor wants them."""

    medchat_org_id: str
    medchat_access_token: str
    medchat_api_url: str
    medchat_accept: str
    medchat_lookback_days: int | None
    medchat_page_size: int
    medchat_window_pages: int
    swell_api_token: str
    swell_api_url: str
    swell_location_ids: tuple[str, ...]
    swell_team_ids: tuple[str, ...]
    swell_contact_ids: tuple[str, ...]
    swell_page_size: int
    swell_window_days: int
    swell_lookback_days: int
    swell_counts_split: str
    swell_counts_parameters: str
    swell_counts_lookback_days: int
    swell_date_sent_timezone: zoneinfo.ZoneInfo
    start_date: datetime
    end_date: datetime | None
    max_concurrency: int
    requests_per_minute: int | None
    connect_timeout_seconds: int
    read_timeout_seconds: int
    max_retries: int
    retry_seconds: int
    max_response_mb: int
    user_agent: str
    hash_salt: str

    @classmethod
    def from_config(cls, config: Mapping[str, t.Any]) -> Options:
        """Read a configuration in which `problems` found nothing."""
        return cls(**{s.name: _typed(s, config.get(s.name)) for s in SETTINGS})


def _typed(setting: Setting, value: t.Any) -> t.Any:
    if is_blank(value):
        value = setting.default
    if setting.kind == "ids":
        return as_ids(value)
    if setting.kind == "date":
        return parse_timestamp(value)
    if setting.kind == "timezone":
        return zoneinfo.ZoneInfo(value)
    if setting.kind in ("string", "url"):
        return "" if value is None else value.strip()
    return value


def is_blank(value: t.Any) -> bool:
    """Whether a setting is left open; `NAME=` in an environment file leaves it so, too."""
    return value is None or (isinstance(value, str) and not value.strip())


def as_ids(value: t.Any) -> tuple[str, ...]:
    """Ids out of a list, a JSON list or `3,7,20`; ValueError for anything else."""
    parts = value if isinstance(value, list) else str(value or "").strip("[] ").split(",")
    ids = [str(part).strip().strip("\"'") for part in parts]
    if any(part and not (part.isascii() and part.isdigit()) for part in ids):
        raise ValueError
    return tuple(dict.fromkeys(part for part in ids if part))


def secret_values(config: Mapping[str, t.Any]) -> Iterator[str]:
    """Every value that must never be shown, also where it stands in a wrong shape.

    Settings that this tap does not know count too when they are named like a secret:
    they are secrets under a misspelt name.
    """
    known = {setting.name: setting.secret for setting in SETTINGS}
    for name, value in config.items():
        if known.get(name, bool(_SECRET_NAME.search(name))):
            yield from _texts(value)
    yield from _salts(config.get("stream_map_config"), config.get("stream_maps"))
    for name in ("medchat_api_url", "swell_api_url"):
        yield from _url_secrets(config.get(name))


def _salts(map_config: t.Any, maps: t.Any) -> Iterator[str]:
    """What may be a salt: values told to stream maps, and expressions with a literal."""
    for name, value in (map_config if isinstance(map_config, dict) else {"": map_config}).items():
        shortest = 0 if _SECRET_NAME.search(str(name)) else SHORTEST_SALT
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
    """Whether everything that the vendor's streams need is there."""
    return not any(is_blank(config.get(name)) for name in CREDENTIALS[vendor])
