"""One switch for each way in which the real vendors may differ.

The defaults describe the most likely vendor. M and W numbers refer to the open questions
about MedChat and Swell; each value of a switch is one possible answer.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, fields
from typing import Literal

import msgspec

from medchat_swell_sandbox.checking import check_fields, field_types

Casing = Literal["camel", "pascal", "lower", "mixed", "rotating"]


@dataclass(frozen=True, kw_only=True)
class Quirks:
    """How both vendors behave. Immutable; assign a new one: ``sandbox.quirks = Quirks(...)``."""

    medchat_envelope: str = "array"
    """M1: ``array`` for a bare array, otherwise the name of the wrapper key (value, items)."""
    medchat_empty: Literal["envelope", "204", "empty_body", "null"] = "envelope"
    """M1: the response when no chat matches."""
    medchat_casing: Casing = "camel"
    """M2: casing of keys; ``rotating`` changes on every request."""
    medchat_casing_with_expand: Casing | None = None
    """M2: casing when ``$expand`` is sent, if different."""
    medchat_casing_nested: Casing | None = None
    """M2: casing of nested rows, if different."""
    medchat_max_top: int | None = None
    """M3: a larger ``$top`` returns a 400 that states the limit."""
    medchat_max_skip: int | None = None
    """M5: a larger ``$skip`` returns a 400 that states the limit."""
    medchat_page_cap: int | None = None
    """M3: silent maximum page size, with or without ``$top``."""
    medchat_short_pages: int | None = None
    """M3: a page has anything from this many rows up to a full page, whatever follows it.

    The same query always gets the same page.
    """
    medchat_next_link: Literal["absent", "present", "always", "relative", "other_origin"] = "absent"
    """M4: ``always`` also shows one on the last page. A bare array never has one.

    ``relative`` is relative to the request URL: ``smsChats?...``.
    """
    medchat_next_link_name: str = "@odata.nextLink"
    """M4: name of the link in the envelope."""
    medchat_skip_ignored: bool = False
    """M5: every request returns the first page."""
    medchat_order: Literal["stable", "shuffled_ties", "unstable", "postgres"] = "stable"
    """M6: ties, or all rows, are reordered on every request.

    ``postgres`` reorders ties by ``$skip`` plus ``$top``: the same query gets the same page.
    """
    medchat_orderby_ignored: bool = False
    """M6: rows are always sorted by id."""
    medchat_date_zone: Literal["Z", "none", "+00:00", "+05:00"] = "Z"
    """M10: how the time zone is written; ``+05:00`` also converts the time."""
    medchat_date_digits: Literal[0, 3, 6, 7] | None = 3
    """M10: number of fractional digits (truncated); None drops trailing zeros like .NET."""
    medchat_chat_date_null_every: int = 0
    """M10: about one in n chats (by id) has a null CreatedDateTime."""
    medchat_message_date_null_every: int = 0
    """M10: about one in n messages (by id) has a null CreatedDateTime."""
    medchat_case_sensitive_names: bool = False
    """M13: only PascalCase property names are accepted in queries."""
    medchat_chat_id_name: str | None = "id"
    """M14: name of the chat id, in camelCase; None omits it."""
    medchat_message_id_name: str | None = "id"
    """M14: name of the message id, in camelCase; None omits it."""
    medchat_message_chat_id: bool = False
    """M14: whether messages include the chat id, as ``smsChatId``."""
    medchat_expanded: Literal["present", "absent", "null"] = "present"
    """M15: how a collection requested by ``$expand`` appears."""
    medchat_expanded_empty: Literal["array", "omitted", "null"] = "array"
    """M15: how an empty expanded collection appears."""
    medchat_expanded_cap: int | None = None
    """M15: expanded collections are truncated to this many rows."""
    medchat_expanded_cap_link: bool = False
    """M15: a truncated collection has a working ``Messages@odata.nextLink``."""
    medchat_text_bot_scope_required: bool = False
    """M16: expanding TextBotExecutions also requires ``read.text_bot_executions``."""
    medchat_forbidden_expands: tuple[str, ...] = ()
    """M16: expanding any of these (PascalCase) returns a 403."""
    medchat_scope_named: Literal["no", "header", "message"] = "no"
    """M16: where a 403 names the missing scope."""
    medchat_version: str = "1.0"
    """M17: the only supported version."""
    medchat_version_refusal: Literal[400, 406, 415] = 406
    """M17: status for an unsupported Accept header."""
    medchat_content_type_refused: bool = True
    """M17: a Content-Type on GET overrides Accept and returns a 415."""
    medchat_bad_query_status: Literal[400, 500] = 400
    """M18: status for an invalid query."""
    medchat_error_shape: Literal["message", "Message", "error"] = "message"
    """M18: ``{"message"}``, ``{"Message"}`` or OData's ``{"error": {"message"}}``."""
    medchat_filter_ignored: bool = False
    """M19: ``$filter`` is parsed but not applied."""
    medchat_max_filter_nodes: int = 100
    """A ``$filter`` with more nodes returns a 400 (OData's MaxNodeCount)."""
    medchat_strict_plus: bool = True
    """M12: a raw ``+`` in the query returns a 400 instead of meaning a space."""
    medchat_throttle_per_minute: int | None = None
    """M20: requests per throttle window; more return a 429 without helpful headers."""
    medchat_numbers_as_strings: bool = False
    """Numbers in rows are strings."""

    swell_to_date: Literal["inclusive", "exclusive"] = "inclusive"
    """W1: ``exclusive`` ends at the start of ``to_date``."""
    swell_max_range_days: int = 7
    """W2: maximum days from ``from_date`` to ``to_date``; 6 for 7 calendar days."""
    swell_tomorrow_refused: bool = False
    """W3: a ``to_date`` after today (in the filter zone) returns a 422."""
    swell_today_refused: bool = False
    """W3: a ``to_date`` after yesterday returns a 422."""
    swell_filter_zone: float | str = "UTC"
    """W4: time zone of dates in filters: IANA name or UTC offset in hours."""
    swell_date_sent_zone: float | str = "UTC"
    """W5: time zone of ``date_sent``: IANA name or UTC offset in hours."""
    swell_date_sent: Literal["string", "object", "null"] = "string"
    """W6: format of ``date_sent``."""
    swell_date_sent_null_every: int = 0
    """W6: every n-th id has no ``date_sent`` (0: none)."""
    swell_date_sent_shift_hours: float = 0
    """W6: hours added to every ``date_sent``."""
    swell_created_at: Literal["all", "some", "none"] = "all"
    """Which rows include ``created_at``; ``some`` means every fourth id."""
    swell_created_at_zone: float | str = "America/Denver"
    """Time zone of ``created_at``, which includes the offset."""
    swell_links: Literal[
        "page_only", "full", "full_no_token", "http", "other_host", "null", "absent"
    ] = "page_only"
    """W8: what ``links`` contain; ``full`` includes the token."""
    swell_meta: Literal["present", "simple", "absent"] = "present"
    """W9: ``simple`` omits ``last_page`` and ``total`` (simplePaginate)."""
    swell_last_page_shift: int = 0
    """W9: added to ``meta.last_page``."""
    swell_total_shift: int = 0
    """W9: added to ``meta.total``."""
    swell_distinct_total: bool = False
    """W9: ``total`` and ``last_page`` count a row once per location of its contact.

    Rows are returned once, so the last pages are empty (``distinct()->paginate()``).
    """
    swell_meta_links: bool = False
    """W9: ``meta`` includes the ``links`` array, and ``per_page`` is a string if it was sent."""
    swell_hints: Literal["agree", "next_null", "last_page_now"] = "agree"
    """W9: ``links.next`` is null, or ``last_page`` the current page, on every page."""
    swell_data_as_object: bool = False
    """W9: from page 2 on, ``data`` is an object with numeric keys (a filtered PHP array)."""
    swell_order: Literal["id", "latest", "unspecified", "unstable", "postgres"] = "id"
    """W10: order of rows; ``unspecified`` is arbitrary but consistent.

    ``postgres`` is latest first. The order of rows with the same ``created_at`` depends on
    ``per_page`` times ``page`` and on the other filters, and is consistent for the same query:
    rows repeat, some are on no page of any size, and ``total`` is correct.
    """
    swell_per_page_clamp: int | None = None
    """W11: silent maximum page size."""
    swell_per_page_max: int = 100
    """W11: the largest valid ``per_page``."""
    swell_per_page_over: Literal["422", "clamp", "unchecked"] = "422"
    """W11: what a larger ``per_page`` does.

    ``unchecked`` accepts any number; 0 means the default, and anything else returns a 500.
    """
    swell_per_page_in: tuple[int, ...] = ()
    """W11: if not empty, any other ``per_page`` returns a 422."""
    swell_updated_after: Literal["any", "Y-m-d", "Y-m-d H:i", "Y-m-d H:i:s", "iso", "none"] = "any"
    """W12: the valid format; others return a 422. ``iso`` requires T, seconds and an offset.

    The filter uses the exact time given.
    """
    swell_updated_after_hours: int = 96
    """W12: how far back it may go; the default allows a date three days ago."""
    swell_repeat_across_locations: bool = False
    """W13: a row repeats for each requested location of its contact."""
    swell_count_date: Literal["day", "today", "ignored"] = "day"
    """W14: what ``date`` means for ``count``."""
    swell_count_to_date: Literal["inclusive", "exclusive"] = "inclusive"
    """W14: whether ``to_date`` itself is counted."""
    swell_count_cumulative: bool = False
    """W14: ``count`` always starts at the first message."""
    swell_count_without_dates: Literal["all", "today"] = "all"
    """W14: what ``count`` covers without any date."""
    swell_counts_as_strings: bool = False
    """W14: counts are strings: ``{"received": "48"}``."""
    swell_auth_failure: Literal["401", "403", "422", "302", "html"] = "401"
    """W17: the response to an invalid token; ``html`` is a 200."""
    swell_validation_failure: Literal["422", "302", "html"] = "422"
    """W17: the response to an invalid parameter; ``html`` is a 200."""
    swell_laravel: Literal[8, 9, 10] = 9
    """W17: the Laravel version whose validation messages are used."""
    swell_bearer: bool = False
    """W17: also accept the token from ``Authorization: Bearer``."""
    swell_max_url: int | None = None
    """W17: a longer path and query returns the web server's 414."""
    swell_maintenance: Literal["off", "503", "302"] = "off"
    """W17: maintenance mode: every request returns an HTML page or a redirect."""
    swell_maintenance_retry_after: int | None = None
    """W17: ``Retry-After`` in maintenance mode, in seconds."""
    swell_json: Literal["plain", "laravel"] = "plain"
    """``laravel`` escapes slashes and non-ASCII characters, and indents errors."""
    swell_content_length: bool = True
    """Whether responses have a Content-Length; otherwise they are chunked."""
    swell_accept_required: bool = True
    """W17: without ``Accept: application/json``, errors redirect to the login page."""
    swell_ids_as_strings: bool = False
    """W19: ids are numeric strings."""
    swell_read_as_int: bool = False
    """W19: ``read`` is 0 or 1."""
    swell_tags: Literal["strings", "objects", "empty"] = "strings"
    """W19: format of ``contact.tags``; objects include a pivot."""
    swell_empty_dates: Literal["null", "empty_string"] = "null"
    """W19: how a missing date appears."""
    swell_nulls: bool = False
    """W19: every nullable field is null."""
    swell_closed_word: str = "Close"
    """W20: the status in rows; the filter accepts ``Close``."""
    swell_filters_ignored: bool = False
    """W22: all filters are ignored."""
    swell_retention_days: float | None = None
    """W23: older messages are not returned."""
    swell_throttle_per_minute: int | None = None
    """W21: requests per throttle window and token, with Laravel's headers."""
    throttle_window_seconds: float = 60
    """M20, W21: length of the throttle window."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for an invalid value."""
        check_fields(self)

    def replace(self, **changes: object) -> Quirks:
        """Return a copy with these switches changed; raises ``ValueError`` if invalid."""
        given = {name: _hashable(value) for name, value in changes.items()}
        return dataclasses.replace(self, **given)  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, object]:
        """Return all switches by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def parse(cls, pairs: list[str]) -> Quirks:
        """Parse ``name=value`` pairs from the command line."""
        return cls().replace(**dict(_typed(pair) for pair in pairs))


def _hashable(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _typed(pair: str) -> tuple[str, object]:
    name, _, text = pair.partition("=")
    hints = field_types(Quirks)
    if name not in hints:
        message = f"unknown quirk: {name}"
        raise ValueError(message)
    try:
        return name, msgspec.convert(_json_or_text(text), hints[name])
    except msgspec.ValidationError:
        return name, msgspec.convert(text, hints[name])


def _json_or_text(text: str) -> object:
    lowered = {"True": True, "False": False, "None": None}
    if text in lowered:
        return lowered[text]
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
