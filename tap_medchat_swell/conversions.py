"""Conversions of single values and keys: what the vendor sends to what a column holds."""

from __future__ import annotations

import hashlib
import json
import math
import re
import typing as t
from functools import lru_cache

from tap_medchat_swell.errors import TapError
from tap_medchat_swell.timestamps import normalize_timestamp

if t.TYPE_CHECKING:
    from collections.abc import Container

MAX_FIELDS = 2000
MAX_DEPTH = 64
MAX_KEY_LENGTH = 255
INT64 = 1 << 63
PLAIN = frozenset({str, int, bool, type(None)})


class ConversionError(Exception):
    """A value that does not fit its column's type."""


class RowTooLargeError(TapError):
    """A row with more fields or levels than any message has."""

    def __init__(self) -> None:
        super().__init__(
            f"A row has more than {MAX_FIELDS} fields or {MAX_DEPTH} levels, which no message "
            "has. Reading stops there."
        )


@lru_cache(maxsize=MAX_FIELDS)
def snake_case(key: str) -> str:
    """`UserPhoneNumber`, `userPhoneNumber` and `user-phone-number` become `user_phone_number`."""
    key = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", key)
    key = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", key)
    return re.sub(r"[\W_]+", "_", key).strip("_").lower() or key


def normalize_key(key: str) -> str:
    """A key without its casing and separators, for comparison (M2)."""
    return key.replace("_", "").replace("-", "").lower()


def free_name(key: str, taken: Container[str]) -> str:
    """A name for the key; one that would come twice stays as the vendor wrote it."""
    name = snake_case(key)
    if name in taken:
        name = key
    while name in taken:
        name += "_"
    return name


def as_key(value: object) -> str:
    """An id as text of at most 255 characters; a longer one becomes its hash."""
    text = str(value)
    if len(text) <= MAX_KEY_LENGTH:
        return text
    return hashlib.sha256(text.encode()).hexdigest()


def as_text(value: t.Any) -> str:
    """Text; numbers and booleans as JSON writes them. Raises ConversionError."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    raise ConversionError


def as_integer(value: t.Any) -> int | None:
    """Integers of 64 bits, also as text or with a zero fraction; "" is null.

    Raises ConversionError.
    """
    if type(value) is int and -INT64 <= value < INT64:  # a bool is not one
        return value
    if type(value) is str and len(value) < 19 and value.isascii() and value.isdigit():  # noqa: PLR2004
        return int(value)
    if value == "":
        return None
    if (isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,19}\s*", value)) or (
        isinstance(value, float) and value.is_integer()
    ):
        return as_integer(int(value))
    raise ConversionError


def as_number(value: t.Any) -> float | None:
    """Finite numbers, also as text; "" is null. Raises ConversionError."""
    if value == "":
        return None
    if type(value) is int and -INT64 <= value < INT64:
        return value
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ConversionError
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ConversionError from None
    if math.isfinite(number):
        return number
    raise ConversionError


def as_boolean(value: t.Any) -> bool | None:
    """Booleans, also as 0 and 1 or as text; "" is null (W19). Raises ConversionError."""
    if value == "":
        return None
    try:
        return {"1": True, "true": True, "0": False, "false": False}[str(value).lower()]
    except KeyError:
        raise ConversionError from None


def as_timestamp(value: t.Any) -> str | None:
    """The fixed-width UTC form; "" is null (W19). Raises ConversionError."""
    normalized = normalize_timestamp(value)
    if normalized is None and value != "":
        raise ConversionError
    return normalized


def clean_json(value: t.Any, depth: int = 0) -> t.Any:
    """A value of unknown shape, its keys in snake_case; raises RowTooLargeError."""
    if type(value) in PLAIN:
        return value
    if depth > MAX_DEPTH:
        raise RowTooLargeError
    if isinstance(value, dict):
        if len(value) > MAX_FIELDS:
            raise RowTooLargeError
        result: dict[str, t.Any] = {}
        for key, item in value.items():
            result[free_name(key, result)] = clean_json(item, depth + 1)
        return result
    if isinstance(value, list):
        return [clean_json(item, depth + 1) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
