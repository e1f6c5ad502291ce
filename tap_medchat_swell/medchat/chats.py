"""What a chat's row holds: the chat itself, and the collections that `$expand` adds."""

from __future__ import annotations

import collections
import hashlib
import typing as t
from dataclasses import dataclass

import msgspec

from tap_medchat_swell.conversions import as_key, normalize_key
from tap_medchat_swell.errors import TapError
from tap_medchat_swell.http.responses import unexpected_payload
from tap_medchat_swell.medchat.nested_pages import is_link
from tap_medchat_swell.medchat.responses import MEDCHAT, unwrapped
from tap_medchat_swell.privacy.pseudonyms import surrogate
from tap_medchat_swell.record_mapper import Row, key_finder, per_shape
from tap_medchat_swell.timestamps import normalize_timestamp

if t.TYPE_CHECKING:
    import logging
    from collections.abc import Iterator, Mapping

    from tap_medchat_swell.settings import Options

EXPANDS = ("Messages", "Memberships", "TextBotExecutions")
CHAT_IDS = ("id", "chatId", "smsChatId")
ENOUGH_OF_A_PART = 100
SUSPICIOUS_CHATS, ROUND = 3, 10
Derive = t.Callable[..., str]


def derived_key(*parts: object) -> str:
    """A stable key for what has no id: a hash of what identifies it (M14)."""
    encoded = msgspec.json.encode(parts, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:32]


def key_maker(options: Options) -> Derive:
    """What makes keys of rows without an id, under the settings' privacy profile.

    A plain hash can be found by trying all phone numbers, so a profile takes a keyed one.
    """
    if options.privacy_profile == "none":
        return derived_key
    if options.privacy_profile == "safe_harbor":
        return _refuse
    code = surrogate(options.pseudonym_key, "derived")
    return lambda *parts: str(code(derived_key(*parts)))


def _refuse(*_: object) -> str:
    raise TapError(
        "MedChat sent a row without an ID, and privacy_profile safe_harbor permits no key that is "
        "derived from its phone number, time or text. Deselect the stream, or use pseudonymized."
    )


def _instant(value: t.Any) -> t.Any:
    """A date alike however it is written, as keys must stay."""
    return normalize_timestamp(value) or value


@dataclass
class Chat:
    """A chat's row without its collections, and the collections by expand name.

    A collection is None where the row has it as null, and missing where it has not.
    """

    id: str
    row: Row
    collections: dict[str, list[t.Any] | None]
    cut_short: frozenset[str]


class ChatRows:
    """Finds a chat's id, time and collections in its row.

    `derive` makes a key of what identifies a row without an id.
    """

    def __init__(self, derive: Derive = derived_key) -> None:
        self._derive = derive
        self._id = key_finder(*CHAT_IDS)
        self._created = key_finder("CreatedDateTime")
        self._phone = key_finder("UserPhoneNumber")
        self._child_keys = per_shape(_keys_of_children)

    def created(self, row: Row) -> t.Any:
        """The chat's CreatedDateTime as it came."""
        return self._created(row)

    def identify(self, row: Row) -> str:
        """The chat's id, or a key derived from when and with whom it began."""
        value = self._id(row)
        if value is not None and value != "":
            return as_key(value)
        created, phone = self._created(row), self._phone(row)
        if created is None and phone is None:
            own = {key: row[key] for key in row if _expand_of(key) is None}
            return self._derive(own)
        return self._derive(_instant(created), phone)

    def take(self, chat_id: str, row: Row) -> Chat:
        """Take the collections out of a row, which is changed. Raises VendorError."""
        found: dict[str, list[t.Any] | None] = {}
        cut_short = set()
        for key, expand, is_note in self._child_keys(tuple(row)):
            value = row.pop(key)
            if is_note:
                cut_short.add(expand)
            elif value is None or isinstance(value, list):
                found[expand] = value
            elif isinstance(value, dict):
                rows = unwrapped(value)
                found[expand] = rows if isinstance(rows, list) else [value]
            else:
                raise unexpected_payload(MEDCHAT, f"{expand} that is no list").error
        return Chat(chat_id, row, found, frozenset(cut_short))


def _keys_of_children(shape: tuple[str, ...]) -> list[tuple[str, str, bool]]:
    """A row's keys that belong to collections, and whether each is a nextLink."""
    keys = ((key, _expand_of(key), "@" in key) for key in shape)
    return [
        (key, expand, is_note)
        for key, expand, is_note in keys
        if expand and (not is_note or is_link(key))
    ]


def _expand_of(key: str) -> str | None:
    base = normalize_key(key.partition("@")[0])
    return next((expand for expand in EXPANDS if normalize_key(expand) == base), None)


class ChildRows:
    """One kind of collection, and what has been seen of it in this scan."""

    def __init__(self, expand: str, *ids: str, derive: Derive = derived_key) -> None:
        self.expand = expand
        self._derive = derive
        self._id = key_finder(*ids)
        self._identity = [
            key_finder(name) for name in ("CreatedDateTime", "Direction", "Text", "UserId")
        ]
        self._seen: collections.Counter[str] = collections.Counter()
        self._sizes: collections.Counter[int] = collections.Counter()
        self._cut_short = 0

    def rows(self, chat: Chat) -> Iterator[tuple[Row, str]]:
        """The collection's rows with their ids, which are never empty; raises VendorError."""
        items = chat.collections.get(self.expand)
        self._note(chat, items)
        used: collections.Counter[str] = collections.Counter()
        for row in items or ():
            if not isinstance(row, dict):
                raise unexpected_payload(
                    MEDCHAT, f"{self.expand} of something else than objects"
                ).error
            value = self._id(row)
            if value is None or value == "":
                created, *rest = (find(row) for find in self._identity)
                parts = [_instant(created), *rest]
                key = self._derive(chat.id, *(parts if any(parts) else [row]))
                used[key] += 1
                value = key if used[key] == 1 else self._derive(key, used[key])
            yield row, as_key(value)

    def _note(self, chat: Chat, items: list[t.Any] | None) -> None:
        if items is not None:
            self._seen["list"] += 1
            self._sizes[len(items)] += 1
        else:
            self._seen["null" if self.expand in chat.collections else "missing"] += 1
        self._cut_short += self.expand in chat.cut_short

    @property
    def was_returned(self) -> bool:
        """Whether the collection came at least once, even if it was empty."""
        return self._seen["list"] > 0

    def is_missing(self, *, of_all: bool) -> bool:
        """Whether MedChat does not send what was asked for, after a reading (M15).

        null in every chat is possible for collections that nobody uses, but a thread
        without any message is none. A part of all chats may well have none of something.
        """
        if self.was_returned:
            return False
        if of_all:
            return self.expand == "Messages" or self._seen["null"] == 0
        return self._seen["null"] == 0 and self._seen["missing"] >= ENOUGH_OF_A_PART

    def warn_if_truncated(self, logger: logging.Logger) -> None:
        """Warn where MedChat seems to have cut collections short (M15)."""
        if self._cut_short:
            logger.warning(
                "MedChat truncated %s in %d chats; what it left out is not read.",
                self.expand,
                self._cut_short,
            )
        if size := likely_limit(self._sizes):
            logger.warning(
                "%d chats have exactly %d %s and none has more: MedChat may truncate long threads.",
                self._sizes[size],
                size,
                self.expand,
            )


def likely_limit(sizes: Mapping[int, int]) -> int:
    """The size at which a server seems to cut collections short (M15); 0 if it does not.

    `sizes` are how many collections there are of each size. A round size is one at which
    many end, and none is larger.
    """
    size, chats = max(sizes.items(), default=(0, 0))
    is_pile = chats >= SUSPICIOUS_CHATS and chats > sizes.get(size - 1, 0)
    return size if is_pile and size >= ROUND and size % ROUND == 0 else 0
