"""What records become under each privacy profile, without the tap's own code."""

from __future__ import annotations

import hashlib
import hmac
import typing as t
import unicodedata

if t.TYPE_CHECKING:
    from support.tap_process import Json

KEY = "a-key-of-the-test"
SIGNALS = "text_length has_link opt_out_keyword opt_in_keyword opt_out_likely"
# Columns that stay under pseudonymized, and those that pseudonyms are made of.
KEPT = {
    "sms_chats": "account_name id created_date_time status",
    "sms_messages": f"account_name id sms_chat_id created_date_time direction status {SIGNALS}",
    "sms_memberships": "account_name id sms_chat_id created_date_time user_id",
    "sms_text_bot_executions": "account_name id sms_chat_id created_date_time text_bot_id status",
    "swell_messages": "account_name id contact_id date_sent date_sent_utc read status origin "
    f"message_type invite_id created_at {SIGNALS}",
    "swell_message_counts": "account_name date location_id team_id received sent",
}
CODED = {
    "name": "name",
    "user_phone_number": "phone",
    "sender_phone_number": "phone",
    "recipient_phone_number": "phone",
    "phone": "phone",
    "email": "email",
}
# Columns that stay under safe_harbor, those of which the year stays, and surrogates.
PLAIN = {
    "sms_chats": "account_name status",
    "sms_messages": f"account_name direction status {SIGNALS}",
    "sms_memberships": "account_name",
    "sms_text_bot_executions": "account_name status",
    "swell_messages": f"account_name read status origin message_type {SIGNALS}",
    "swell_message_counts": "account_name received sent",
}
DATES = ("created_date_time", "date", "date_sent", "date_sent_utc", "created_at", "updated_at")
SURROGATES = {
    **dict.fromkeys(KEPT, ("id", "sms_chat_id")),
    "swell_message_counts": ("date", "location_id", "team_id"),
}


def code(kind: str, value: str | None) -> str | None:
    """A pseudonym, made of a value as the sandbox generates it."""
    if not value:
        return None
    folded = " ".join(unicodedata.normalize("NFKC", value).casefold().split())
    form = {
        "phone": f"+1{value[-10:]}",
        "email": value.lower(),
        "name": folded,
    }[kind]
    return hmac.new(KEY.encode(), f"{kind}\0{form}".encode(), hashlib.sha256).hexdigest()


def coded(record: Json) -> Json:
    return {
        f"{name}_pseudonym": code(kind, record[name])
        for name, kind in CODED.items()
        if name in record
    }


def pseudonymized(stream: str, record: Json) -> Json:
    """What a record must become."""
    expected = {name: record[name] for name in KEPT[stream].split()} | coded(record)
    if stream == "swell_messages":
        contact = record["contact"]
        tags = [
            {k: tag[k] for k in ("id", "type", "team_id", "created_at", "updated_at")}
            for tag in contact["tags"]
        ]
        places = [{"id": place["id"]} for place in contact["locations"]]
        kept = {"id": contact["id"], "source": contact["source"]}
        expected["contact"] = {**kept, **coded(contact), "tags": tags, "locations": places}
    return {**expected, "pseudonym_key_id": "1"}


def years(record: Json) -> Json:
    return {
        f"{name}_year": record[name] and int(record[name][:4]) for name in DATES if name in record
    }


def safe(stream: str, record: Json, written: Json) -> Json:
    """What a record must become; its surrogates are checked elsewhere."""
    expected = {name: record[name] for name in PLAIN[stream].split()} | years(record)
    if stream == "swell_messages":
        contact = record["contact"]
        tags = [{"type": tag["type"], **years(tag)} for tag in contact["tags"]]
        expected["contact"] = {"source": contact["source"], "tags": tags}
    surrogates = {name: written[name] for name in SURROGATES[stream] if name in record}
    return {**expected, **surrogates, "pseudonym_key_id": "1"}
