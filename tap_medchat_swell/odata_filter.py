"""Checks a `$filter` before it is sent: whether it is what MedChat documents of OData."""

from __future__ import annotations

import re

_TEXT = "'(?:[^']|'')*'"
_NAME = r"\b[A-Za-z_][\w/]*"
_VALUE = rf"(?:{_TEXT}|true|false|null|[\da-fA-F]{{8}}-[\da-fA-F-]{{27}}|-?\d[\w.:+-]*)"
_CONDITION = re.compile(
    rf"{_NAME} +(?:eq|ne|gt|ge|lt|le) +{_VALUE}(?!\w)"
    rf"|\b(?:startswith|endswith)\( *{_NAME} *, *{_TEXT} *\)"
)
_GROUP = re.compile(r"\( *\? *\)|\? +(?:and|or) +\?")


def filter_problem(text: str) -> str | None:
    """What is wrong with a filter, or None. Nothing of it is quoted: it may name a patient."""
    if not text.isprintable():
        return "must be one line of printable characters"
    if text.count("'") % 2:
        return "has a quote without its partner (a quote within text is written twice)"
    outside = re.sub(_TEXT, "", text)
    if outside.count("(") != outside.count(")"):
        return "has a parenthesis without its partner"
    rest = "" if "?" in outside else _CONDITION.sub("?", text)
    while (shorter := _GROUP.sub("?", rest)) != rest:
        rest = shorter
    if rest != "?":
        return (
            "must be made of comparisons (eq, ne, gt, ge, lt, le), startswith(Name, 'text'), "
            "endswith(Name, 'text'), and, or, and parentheses, such as "
            "Status eq 'Active' or startswith(Name, 'A')"
        )
    return None
