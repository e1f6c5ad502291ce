"""The configuration, made complete and checked before the SDK sees it.

The SDK's own sentences quote values, which can be secrets.
"""

from __future__ import annotations

import typing as t

from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from tap_medchat_swell import settings
from tap_medchat_swell.cli import unknown_settings
from tap_medchat_swell.config_validation import problems
from tap_medchat_swell.errors import TapError
from tap_medchat_swell.stream_maps import map_problems

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Collection, Mapping

    from tap_medchat_swell.cli import Json

FLATTENING_DEPTH = 2  # spreads all columns of swell_messages


def prepared(config: Json, logger: logging.Logger) -> Json:
    """The configuration without blanks, with numbers as numbers and today's names."""
    config = {n: v.strip() if isinstance(v, str) else v for n, v in config.items()}
    config = {name: value for name, value in config.items() if not settings.is_blank(value)}
    config = settings.with_numbers(config)
    new = settings.FORMER_PROFILES.get(str(config.get("privacy_profile")))
    if new is None:
        return config
    logger.warning(
        "privacy_profile %s is now called %s. Its columns end with _pseudonym in place of "
        "_hash, and pseudonym_key replaces hash_salt. See docs/privacy.md.",
        config["privacy_profile"],
        new,
    )
    key = {"pseudonym_key": config["hash_salt"]} if "hash_salt" in config else {}
    return key | config | {"privacy_profile": new}


def check(
    config: Json,
    known: Mapping[str, Json],
    invalid: Mapping[str, str],
    schemas: Mapping[str, Json],
    logger: logging.Logger,
) -> None:
    """Log what is ignored; raise TapError with all that is wrong, `invalid` included."""
    unknown = sorted(unknown_settings(config, known))
    found = [*invalid.values(), *problems(config)]
    if "stream_maps" not in invalid:
        found += map_problems(config.get("stream_maps") or {}, schemas)
    if found:
        # The hints too: a misspelled credential may be the reason.
        raise TapError(f"Config validation failed: {' '.join([*found, *unknown])}")
    for sentence in unknown:
        logger.warning("%s", sentence)
    for vendor, names in settings.CREDENTIALS.items():
        if not settings.has_credentials(vendor, config):
            verb = "is" if len(names) == 1 else "are"
            logger.info("%s is skipped: %s %s not set.", vendor, " and ".join(names), verb)


def sdk_setting_problems(config: Mapping[str, t.Any], known: Mapping[str, Json]) -> dict[str, str]:
    """A sentence for each invalid setting of the SDK; it quotes no value."""
    own = {setting.name for setting in settings.SETTINGS}
    found: dict[str, str] = {}
    for name, schema in sorted(known.items()):
        if name in own or name not in config:
            continue
        validator = DEFAULT_JSONSCHEMA_VALIDATOR({"properties": {name: schema}})
        try:
            for error in validator.iter_errors({name: config[name]}):
                place = ".".join(map(str, error.path))
                found[name] = f"{place} is not valid ({error.validator})."
        except AttributeError:  # the SDK's schema of __else__ is itself invalid
            found[name] = f"{name} is not valid."
    return found


def for_the_sdk(config: Json, invalid: Collection[str]) -> Json:
    """The configuration with what the SDK's stream maps and flattening need.

    Its `invalid` settings are left out: discovery works with any configuration.
    """
    left_out = {*invalid, *settings.REFUSED}
    usable = {name: value for name, value in config.items() if name not in left_out}
    if "hash_salt" in usable:
        map_config = usable.get("stream_map_config") or {}
        usable["stream_map_config"] = {"hash_salt": usable["hash_salt"], **map_config}
    if usable.get("flattening_enabled"):
        usable.setdefault("flattening_max_depth", FLATTENING_DEPTH)
    return usable
