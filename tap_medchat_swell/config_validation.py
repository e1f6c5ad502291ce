"""Checks that find a configuration that can never work before any request is sent."""

from __future__ import annotations

import ipaddress
import os
import re
import typing as t
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from tap_medchat_swell.odata_filter import filter_problem
from tap_medchat_swell.privacy.pseudonyms import is_region
from tap_medchat_swell.settings import CREDENTIALS, REFUSED, SETTINGS, as_ids, is_blank, is_off
from tap_medchat_swell.timestamps import named_zone, now, parse_timestamp

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_medchat_swell.settings import Setting

_HOST = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*\.?", re.ASCII)
_PRINTABLE = re.compile(r"[ -~]*")
# Per kind of text, what makes something of it unless it is wrong, and what it must be.
FORMS: dict[str, tuple[t.Callable[[str], t.Any], str]] = {
    "date": (parse_timestamp, "a date or a date and time, such as 2024-01-01T00:00:00Z"),
    "timezone": (named_zone, "the IANA name of a time zone, such as America/Denver"),
    "region": (is_region, "the two letters of a country, such as US"),
}


def problems(config: Mapping[str, t.Any]) -> list[str]:
    """Everything that is wrong with a configuration, as sentences that quote no value."""
    return [
        *_value_problems(config),
        *_credential_problems(config),
        *_combination_problems(config),
        *_date_problems(config),
    ]


def _value_problems(config: Mapping[str, t.Any]) -> Iterator[str]:
    for setting in SETTINGS:
        value = config.get(setting.name)
        if is_blank(value):
            if setting.required:
                yield f"{setting.name} is missing. {setting.description}"
            continue
        problem = _problem(setting, value)
        if problem:
            yield f"{setting.name} {problem}."
    for name, reason in REFUSED.items():
        if not is_off(config.get(name)):
            yield f"{name} {reason}."


def _problem(setting: Setting, value: t.Any) -> str | None:
    if setting.kind == "integer":
        return _integer_problem(setting, value)
    if setting.kind == "ids":
        return _ids_problem(value)
    if not isinstance(value, str):
        return "must be text"
    if setting.kind == "filter":
        return filter_problem(value.strip())
    if setting.kind == "path":
        return _path_problem(Path(value.strip()))
    return _text_problem(setting, value.strip())


def _text_problem(setting: Setting, value: str) -> str | None:
    if not _PRINTABLE.fullmatch(value):
        return "must contain only printable ASCII characters"  # header-safe, no look-alike letters
    if setting.choices and value not in setting.choices:
        return f"must be one of {', '.join(setting.choices)}"
    if setting.kind == "url":
        return _url_problem(value)
    if setting.minimum is not None and len(value) < setting.minimum:
        return f"must have at least {setting.minimum} characters"
    parse, form = FORMS.get(setting.kind, (str, ""))
    return None if parse(value) else f"must be {form}"


def _path_problem(path: Path) -> str | None:
    try:
        if path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
            return "must be a file in a folder that exists and can be written to"
    except (OSError, ValueError):
        return "is not a valid path"
    return None


def _integer_problem(setting: Setting, value: t.Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return "must be a whole number"
    if setting.minimum is not None and value < setting.minimum:
        return f"must be at least {setting.minimum}"
    if setting.maximum is not None and value > setting.maximum:
        return f"must be at most {setting.maximum}"
    return None


def _ids_problem(value: t.Any) -> str | None:
    try:
        as_ids(value)
    except ValueError:
        return "must be a list of whole numbers, such as 3,7"
    return None


def _url_problem(value: str) -> str | None:
    try:
        parts = urlsplit(value)
        parts.port  # noqa: B018 - reading it validates it
    except ValueError:
        return "is not a valid URL"
    if parts.username or parts.password or parts.query or parts.fragment:
        return "must not contain a user name, password, query or fragment"
    if not parts.hostname:
        return "must be a URL such as https://example.com/api"
    if ":" not in parts.hostname and not _HOST.fullmatch(parts.hostname):
        return "is not a valid URL"
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname)):
        return None
    return "must start with https:// (http:// is allowed only for this machine itself)"


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _credential_problems(config: Mapping[str, t.Any]) -> Iterator[str]:
    missing = {
        vendor: [name for name in names if is_blank(config.get(name))]
        for vendor, names in CREDENTIALS.items()
    }
    begun = [vendor for vendor, names in CREDENTIALS.items() if missing[vendor] != list(names)]
    for vendor in begun:
        if missing[vendor]:
            needs = " and ".join(CREDENTIALS[vendor])
            yield f"{' and '.join(missing[vendor])} is missing: {vendor} needs {needs}."
    if not begun:
        yield (
            "No credentials: set medchat_org_id and medchat_access_token for MedChat, "
            "swell_api_token for Swell, or all three."
        )


def _combination_problems(config: Mapping[str, t.Any]) -> Iterator[str]:
    if set(str(config.get("medchat_org_id")).strip()) == {"."}:
        yield "medchat_org_id must be an organization ID."  # dots would change the URL's path
    maps = str(config.get("stream_maps") or "")
    if "hash_salt" in maps and is_blank(config.get("hash_salt")):
        yield "hash_salt is missing: stream_maps uses it."
    uses_key = {
        "privacy_profile": config.get("privacy_profile", "none") != "none",
        "stream_maps": "hmac_" in maps,
    }
    if any(uses_key.values()) and is_blank(config.get("pseudonym_key")):
        users = " and ".join(name for name, uses in uses_key.items() if uses)
        yield f"pseudonym_key is missing, which {users} needs."
    split = str(config.get("swell_counts_split")).strip()
    ids = config.get(f"swell_{split}_ids")
    if split in ("location", "team") and not _ids_problem(ids) and not as_ids(ids):
        yield f"swell_counts_split is {split}: list the IDs in swell_{split}_ids."


def _date_problems(config: Mapping[str, t.Any]) -> Iterator[str]:
    start = parse_timestamp(config.get("start_date"))
    end = parse_timestamp(config.get("end_date"))
    if start and end and end <= start:
        yield "end_date must be after start_date."
    if start and start.date() < date(1990, 1, 1):
        yield "start_date must not be before 1990-01-01."
    if end and end > now() + timedelta(days=36500):
        yield "end_date must not be more than 100 years from now."
