"""Every way in which the real vendors may differ, as one switch each.

The defaults are the most plausible plain vendor. M and W numbers name the open
questions about MedChat and Swell that the switch gives one answer to.
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
    """How both vendors behave. Replace as a whole: ``sandbox.quirks = Quirks(...)``."""

    medchat_envelope: str = "array"
    """M1: ``array`` for a bare one, else the wrapper's key (value, Value, items...)."""
    medchat_empty: Literal["envelope", "204", "empty_body"] = "envelope"
    """M1: what answers a query that finds nothing."""
    medchat_casing: Casing = "camel"
    """M2: casing of keys; ``rotating`` changes with every request."""
    medchat_casing_with_expand: Casing | None = None
    """M2: casing when ``$expand`` is sent, where it differs."""
    medchat_casing_nested: Casing | None = None
    """M2: casing of the rows inside a chat, where it differs."""
    medchat_max_top: int | None = None
    """M3: a ``$top`` above this is a 400 that names the limit."""
    medchat_page_cap: int | None = None
    """M3: no page is longer than this, silently; also the page without ``$top``."""
    medchat_next_link: Literal["absent", "present", "always", "other_origin"] = "absent"
    """M4: ``always`` shows one though nothing follows. A bare array has none."""
    medchat_next_link_name: str = "@odata.nextLink"
    """M4: the link's key in the envelope."""
    medchat_skip_ignored: bool = False
    """M5: every page is the first."""
    medchat_order: Literal["stable", "shuffled_ties", "unstable"] = "stable"
    """M6: ties, or all rows, come in another order with each request."""
    medchat_orderby_ignored: bool = False
    """M6: rows come in the order of their ids, whatever ``$orderby`` asks for."""
    medchat_date_zone: Literal["Z", "none", "+00:00", "+05:00"] = "Z"
    """M10: how an instant's zone is written; ``+05:00`` shifts the clock as well."""
    medchat_date_digits: Literal[0, 3, 6, 7] | None = 3
    """M10: fractional digits, cut off; None drops trailing zeros as .NET does."""
    medchat_chat_date_null_every: int = 0
    """M10: about one chat in n, by id, shows a null CreatedDateTime."""
    medchat_message_date_null_every: int = 0
    """M10: about one message in n, by id, shows a null CreatedDateTime."""
    medchat_case_sensitive_names: bool = False
    """M13: only PascalCase property names are known."""
    medchat_chat_id_name: str | None = "id"
    """M14: name of a chat's id, in camelCase; None leaves it out."""
    medchat_message_id_name: str | None = "id"
    """M14: name of a message's id, in camelCase; None leaves it out."""
    medchat_message_chat_id: bool = False
    """M14: whether a message repeats its chat's id, as ``smsChatId``."""
    medchat_expanded: Literal["present", "absent", "null"] = "present"
    """M15: how a collection that ``$expand`` asked for shows."""
    medchat_expanded_empty: Literal["array", "omitted", "null"] = "array"
    """M15: how an expanded collection without rows shows."""
    medchat_expanded_cap: int | None = None
    """M15: expanded collections are cut after so many rows."""
    medchat_expanded_cap_link: bool = False
    """M15: a cut collection shows ``Messages@odata.nextLink``, which works."""
    medchat_text_bot_scope_required: bool = False
    """M16: expanding TextBotExecutions needs ``read.text_bot_executions`` too."""
    medchat_version: str = "1.0"
    """M17: the only version served."""
    medchat_version_refusal: Literal[400, 406, 415] = 406
    """M17: status that refuses another Accept."""
    medchat_content_type_refused: bool = True
    """M17: a Content-Type on GET wins over Accept and is refused with 415."""
    medchat_bad_query_status: Literal[400, 500] = 400
    """M18: status that refuses a bad query."""
    medchat_error_shape: Literal["message", "Message", "error"] = "message"
    """M18: ``{"message"}``, ``{"Message"}`` or OData's ``{"error": {"message"}}``."""
    medchat_filter_ignored: bool = False
    """M19: ``$filter`` is read and then forgotten."""
    medchat_max_filter_nodes: int = 100
    """A ``$filter`` of more nodes is a 400 (OData's MaxNodeCount)."""
    medchat_strict_plus: bool = True
    """M12: a raw ``+`` in the query is refused, not read as a space."""
    medchat_throttle_per_minute: int | None = None
    """M20: requests per window; above it 429 without any header that helps."""
    medchat_numbers_as_strings: bool = False
    """Numbers in rows are written as strings."""

    swell_to_date: Literal["inclusive", "exclusive"] = "inclusive"
    """W1: ``exclusive`` ends at midnight before ``to_date``'s day."""
    swell_max_range_days: int = 7
    """W2: largest difference of the dates; 6 if the vendor counts calendar days."""
    swell_tomorrow_refused: bool = False
    """W3: a ``to_date`` after today (in the filter's zone) is a 422."""
    swell_today_refused: bool = False
    """W3: a ``to_date`` after yesterday is a 422."""
    swell_filter_zone: float | str = "UTC"
    """W4: zone of the dates in filters: IANA name or hours."""
    swell_date_sent_zone: float | str = "UTC"
    """W5: zone of ``date_sent``: IANA name or hours."""
    swell_date_sent: Literal["string", "object", "null"] = "string"
    """W6: form of ``date_sent``."""
    swell_date_sent_null_every: int = 0
    """W6: every n-th id has no ``date_sent``."""
    swell_date_sent_shift_hours: float = 0
    """W6: how far ``date_sent`` lies from the row's own, on every row."""
    swell_created_at: Literal["all", "some", "none"] = "all"
    """Which rows show ``created_at``; ``some`` is every fourth id."""
    swell_created_at_zone: float | str = "America/Denver"
    """Zone in which ``created_at`` is written, offset included."""
    swell_links: Literal[
        "page_only", "full", "full_no_token", "http", "other_host", "null", "absent"
    ] = "page_only"
    """W8: what ``links`` carry; ``full`` has the token in it."""
    swell_meta: Literal["present", "simple", "absent"] = "present"
    """W9: ``simple`` has neither last_page nor total."""
    swell_last_page_shift: int = 0
    """W9: how wrong ``meta.last_page`` is."""
    swell_total_shift: int = 0
    """W9: how wrong ``meta.total`` is."""
    swell_hints: Literal["agree", "next_null", "last_page_now"] = "agree"
    """W9: ``links.next`` null, or ``last_page`` this page, though more follows."""
    swell_order: Literal["id", "latest", "unspecified", "unstable"] = "id"
    """W10: order of rows; ``unspecified`` is arbitrary but the same each time."""
    swell_per_page_clamp: int | None = None
    """W11: no page is longer than this, whatever ``per_page`` says."""
    swell_per_page_over: Literal["422", "clamp"] = "422"
    """W11: what becomes of ``per_page`` above 100."""
    swell_updated_after: Literal["any", "Y-m-d", "Y-m-d H:i", "none"] = "any"
    """W12: the format understood; all else is a 422."""
    swell_updated_after_hours: int = 96
    """W12: how far back it may reach: three days, and a day for dates without a time."""
    swell_repeat_across_locations: bool = False
    """W13: a row comes once for each asked location that its contact is in."""
    swell_count_date: Literal["day", "today", "ignored"] = "day"
    """W14: what ``date`` means to ``count``."""
    swell_count_to_date: Literal["inclusive", "exclusive"] = "inclusive"
    """W14: whether ``to_date``'s day is counted."""
    swell_count_cumulative: bool = False
    """W14: ``count`` starts at the first message, whatever day it is asked for."""
    swell_count_without_dates: Literal["all", "today"] = "all"
    """W14: what ``count`` covers when no date is sent."""
    swell_counts_as_strings: bool = False
    """W14: ``{"received": "48"}``."""
    swell_auth_failure: Literal["401", "403", "422", "302", "html"] = "401"
    """W17: what answers a bad token; ``html`` is a 200."""
    swell_validation_failure: Literal["422", "302", "html"] = "422"
    """W17: what answers a bad parameter."""
    swell_accept_required: bool = True
    """W17: without ``Accept: application/json`` errors are a 302 to the login page."""
    swell_ids_as_strings: bool = False
    """W19: every id is a numeric string."""
    swell_read_as_int: bool = False
    """W19: ``read`` is 0 or 1."""
    swell_tags: Literal["strings", "objects", "empty"] = "strings"
    """W19: form of ``contact.tags``; objects carry a pivot."""
    swell_empty_dates: Literal["null", "empty_string"] = "null"
    """W19: how a missing date shows."""
    swell_nulls: bool = False
    """W19: everything that may be null is null."""
    swell_closed_word: str = "Close"
    """W20: the word that rows show; the filter takes ``Close``."""
    swell_filters_ignored: bool = False
    """W22: dates, status, locations, teams and contacts are all ignored."""
    swell_retention_days: float | None = None
    """W23: older messages are gone."""
    swell_throttle_per_minute: int | None = None
    """W21: requests per window and token, with Laravel's headers."""
    throttle_window_seconds: float = 60
    """M20, W21: length of the fixed windows in which both vendors count."""

    def __post_init__(self) -> None:
        """Refuse values that no switch has."""
        check_fields(self)

    def replace(self, **changes: object) -> Quirks:
        """Return a copy with some switches changed, values checked."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, object]:
        """Return every switch by its name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def parse(cls, pairs: list[str]) -> Quirks:
        """Read ``name=value`` pairs as typed on a command line."""
        return cls().replace(**dict(_typed(pair) for pair in pairs))


def _typed(pair: str) -> tuple[str, object]:
    name, _, text = pair.partition("=")
    hints = field_types(Quirks)
    if name not in hints:
        message = f"no such quirk: {name}"
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
