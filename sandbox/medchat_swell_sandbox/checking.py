"""Validation of quirks and faults, so that a typo fails where it is made."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast, get_type_hints

import msgspec

if TYPE_CHECKING:
    from collections.abc import Hashable


@cache
def field_types(settings: Hashable) -> dict[str, Any]:
    """Return the declared type of each field of a dataclass."""
    return get_type_hints(settings)


def check_fields(settings: object) -> None:
    """Raise ``ValueError`` if a field does not match its declared type."""
    # mypy does not know that classes are hashable.
    kind = cast("Hashable", type(settings))
    for name, declared in field_types(kind).items():
        _check(name, getattr(settings, name), declared)


def _check(name: str, value: object, declared: object) -> None:
    try:
        msgspec.convert(value, declared)
    except msgspec.ValidationError as error:
        message = f"{name}: {error}"
        raise ValueError(message) from error
