"""MedChat's responses: what to do about refusals, and what they may wrap their rows in (M1)."""

from __future__ import annotations

import typing as t

from tap_medchat_swell.conversions import normalize_key
from tap_medchat_swell.http.responses import Vendor, names_error, unexpected_payload

if t.TYPE_CHECKING:
    from tap_medchat_swell.record_mapper import Row

MEDCHAT = Vendor(
    "MedChat",
    advice={
        200: "Check medchat_api_url.",
        301: "Check medchat_api_url.",
        302: "Check medchat_api_url and medchat_access_token.",
        303: "Check medchat_api_url and medchat_access_token.",
        307: "Check medchat_api_url and medchat_access_token.",
        308: "Check medchat_api_url.",
        400: "If it is about the version, check medchat_accept; if medchat_filter is set, check "
        "its property names.",
        401: "Check medchat_access_token: it may be wrong or expired (Admin > Developer "
        "> MedChat Auth).",
        403: "The token needs the scope read.sms_chats; text bot executions may also need "
        "read.text_bot_executions, and memberships one that MedChat does not document.",
        404: "Check medchat_org_id and medchat_api_url.",
        406: "Check medchat_accept.",
        415: "Check medchat_accept.",
    },
)
WRAPPERS = ("value", "items", "data", "results", "$values")


def unwrapped(document: t.Any) -> t.Any:
    """What an object wraps under one of the usual names; None if nothing (M1)."""
    if not isinstance(document, dict):
        return document
    by_key = {normalize_key(key): value for key, value in document.items()}
    return next((by_key[name] for name in WRAPPERS if name in by_key), None)


def rows_in(document: t.Any, what: str) -> list[Row]:
    """The objects in a document: a bare list, or one wrapped in an object.

    None, for a 204 or an empty body, holds none. Raises ResponseError, whose sentence says
    `what` they should have been.
    """
    if document is None:
        return []
    rows = unwrapped(document)
    if not isinstance(rows, list):
        raise unexpected_payload(MEDCHAT, f"JSON without a list of {what}")
    if not all(isinstance(row, dict) for row in rows):
        raise unexpected_payload(MEDCHAT, f"a list that holds something other than {what}")
    if not rows and names_error(document):
        raise unexpected_payload(MEDCHAT, f"an error in place of {what}")
    return rows
