"""MedChat's query options, parsed from the raw query string."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from medchat_swell_sandbox.http import parameters
from medchat_swell_sandbox.odata_filter import Property, QueryError, find_property

if TYPE_CHECKING:
    from medchat_swell_sandbox.quirks import Quirks

OPTIONS = frozenset({"$filter", "$expand", "$orderby", "$top", "$skip"})
EXPANDABLE = {name.lower(): name for name in ("Messages", "Memberships", "TextBotExecutions")}
INT32_MAX = 2**31 - 1


@dataclass(frozen=True)
class Ordering:
    """One property of ``$orderby``."""

    known: Property
    descending: bool


@dataclass(frozen=True)
class Query:
    """The query options; ``filter_text`` is not yet parsed."""

    filter_text: str | None
    expand: tuple[str, ...]
    orderby_text: str
    ordering: tuple[Ordering, ...]
    top: int | None
    skip: int


def parse_query(query: str, quirks: Quirks) -> Query:
    """Parse the options; raises ``QueryError`` for anything MedChat does not document."""
    options = _options(query, quirks)
    orderby = options.get("$orderby", "")
    return Query(
        filter_text=options.get("$filter"),
        expand=_expand(options.get("$expand")),
        orderby_text=orderby,
        ordering=_ordering(orderby, quirks) if "$orderby" in options else (),
        top=_count("$top", options.get("$top"), quirks.medchat_max_top),
        skip=_count("$skip", options.get("$skip"), quirks.medchat_max_skip) or 0,
    )


def _options(query: str, quirks: Quirks) -> dict[str, str]:
    if quirks.medchat_strict_plus and "+" in query:
        message = "Syntax error: '+' is not a space in this query; send %20."
        raise QueryError(message)
    options: dict[str, str] = {}
    for name, value in parameters(query, plus_is_space=True):
        if name not in OPTIONS:
            message = f"Query option '{name}' is not allowed."
            raise QueryError(message)
        if name in options:
            message = f"Query option '{name}' was specified more than once."
            raise QueryError(message)
        options[name] = value
    return options


def _expand(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name.lower() not in EXPANDABLE:
            message = f"Could not find a property named '{name}' to expand."
            raise QueryError(message)
    return tuple(sorted({EXPANDABLE[name.lower()] for name in names}))


def _ordering(text: str, quirks: Quirks) -> tuple[Ordering, ...]:
    return tuple(_order_item(item, quirks) for item in text.split(","))


def _order_item(item: str, quirks: Quirks) -> Ordering:
    match item.split():
        case [name]:
            direction = "asc"
        case [name, ("asc" | "desc") as direction]:
            pass
        case _:
            message = f"Syntax error in $orderby at '{item}'."
            raise QueryError(message)
    known = find_property(name, case_sensitive=quirks.medchat_case_sensitive_names)
    return Ordering(known, direction == "desc")


def _count(name: str, text: str | None, limit: int | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) > INT32_MAX:
        message = f"Invalid value '{text}' for {name} query option found."
        raise QueryError(message)
    number = int(text)
    if limit is not None and number > limit:
        # The message of ASP.NET's OData library; clients parse the limit from it.
        message = (
            f"The query specified in the URI is not valid. The limit of '{limit}' for "
            f"{name[1:].title()} query has been exceeded. The value from the incoming request is "
            f"'{number}'."
        )
        raise QueryError(message)
    return number
