"""Validation of the body of Swell's ``POST /messages``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from medchat_swell_sandbox.laravel_rules import validation_message

if TYPE_CHECKING:
    from collections.abc import Container

    from medchat_swell_sandbox.laravel import Errors

Row = dict[str, Any]

MAX_SUBLINES = 15


def create_errors(body: Row, known_contacts: Container[int], version: int) -> Errors:
    """Return the validation errors of a new message, by field."""
    broken = _broken_rules(body)
    if not all(number in known_contacts for number in id_list(body.get("contact_id"))):
        broken["contact_id"] = "exists"
    return {
        field: [validation_message(rule, field, version, max=MAX_SUBLINES)]
        for field, rule in broken.items()
    }


def id_list(given: object) -> list[int]:
    """Return the integers of one id or a list of ids."""
    ids = given if isinstance(given, list) else [given]
    return [number for number in ids if isinstance(number, int)]


def sublines_shown(body: Row) -> list[Row]:
    """Return the sublines of a new message as the response shows them."""
    given = body.get("message_sublines", [])
    return [
        {"line_header": None, "body_type": "none", "priority": place, **line}
        for place, line in enumerate(given, start=1)
    ]


def _broken_rules(body: Row) -> dict[str, str]:
    """Return the violated rule of each invalid field."""
    sublines = body.get("message_sublines", [])
    few = isinstance(sublines, list) and len(sublines) <= MAX_SUBLINES
    text = body.get("message")
    checks = (
        ("contact_id", "required", bool(id_list(body.get("contact_id")))),
        ("message", "required", isinstance(text, str) and bool(text)),
        ("direction", "in", body.get("direction", "outbound") in ("inbound", "outbound")),
        ("media_type", "in", body.get("media_type", "text") in ("text", "multiline")),
        ("message_sublines", "max_items", few),
        ("message_sublines.body", "required", not few or all(map(_has_body, sublines))),
    )
    return {field: rule for field, rule, kept in checks if not kept}


def _has_body(line: object) -> bool:
    return isinstance(line, dict) and bool(line.get("body"))
