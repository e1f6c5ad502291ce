"""What MedChat's answers may wrap their rows in (M1)."""

from __future__ import annotations

import typing as t

from tap_medchat_swell.answers import Vendor, names_error, wrong_shape
from tap_medchat_swell.rows import Row, folded

NAMES = ("value", "items", "data", "results", "$values")


def unwrapped(document: t.Any) -> t.Any:
    """What an object wraps, by the names in use for that; None if nothing."""
    if not isinstance(document, dict):
        return document
    by_key = {folded(key): value for key, value in document.items()}
    return next((by_key[name] for name in NAMES if name in by_key), None)


def rows_in(vendor: Vendor, document: t.Any, what: str) -> list[Row]:
    """The objects in a document: a bare list or one wrapped in an object.

    None, which stands for a 204 or an empty body, is none. Raises Unusable, whose sentence
    says `what` they should have been.
    """
    if document is None:
        return []
    rows = unwrapped(document)
    if not isinstance(rows, list):
        raise wrong_shape(vendor, f"JSON that is no list of {what}")
    if not all(isinstance(row, dict) for row in rows):
        raise wrong_shape(vendor, f"a list of something else than {what}")
    if not rows and names_error(document):
        raise wrong_shape(vendor, f"an error in place of {what}")
    return rows
