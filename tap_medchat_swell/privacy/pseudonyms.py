"""Codes in place of names, phone numbers, email addresses and IDs: HMAC-SHA-256 in hex.

A value is brought into one form first: the same phone number has the same pseudonym however
it is written.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import typing as t
import unicodedata

if t.TYPE_CHECKING:
    from collections.abc import Callable

Code = t.Callable[[t.Any], str | None]
CACHED = 10_000  # pseudonyms remembered per kind: parsing a phone number takes most of the time
CACHED_IDS = 100  # a chat's messages come together
SURROGATE_LENGTH = 32
BLOCK = 64  # bytes, of SHA-256
# What most numbers look like; parsing them takes fifty times as long, and gives the same.
_NORTH_AMERICAN = re.compile(
    r"(?:\+?1[ .-]?)?\(?([2-9]\d\d)\)?[ .-]?(\d{3})[ .-]?(\d{4})", re.ASCII
)


def keyed_hash(key: bytes) -> Callable[[bytes], str]:
    """HMAC-SHA-256 (RFC 2104) in hex, under one key.

    The key's own part is hashed once: `hmac` does that for each message, which takes five times
    as long.
    """
    block = (hashlib.sha256(key).digest() if len(key) > BLOCK else key).ljust(BLOCK, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ pad for byte in block)) for pad in (0x36, 0x5C))

    def code(message: bytes) -> str:
        inside, result = inner.copy(), outer.copy()
        inside.update(message)
        result.update(inside.digest())
        return result.hexdigest()

    return code


def normalize_name(text: str) -> str:
    """NFKC, case-folded, white space folded."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def normalize_email(text: str) -> str:
    """Trimmed, in lower case."""
    return text.strip().lower()


def is_region(name: str) -> bool:
    """Whether phone numbers without a country code can be read as of this region."""
    if name == "US":
        return True
    import phonenumbers  # noqa: PLC0415 - as below

    return name in phonenumbers.SUPPORTED_REGIONS


def normalize_phone(text: str, region: str) -> str:
    """E.164, without an extension; what is no phone number is normalized like a name."""
    if region == "US" and (common := _NORTH_AMERICAN.fullmatch(text)):
        return "+1" + "".join(common.groups())
    import phonenumbers  # noqa: PLC0415 - a tenth of a second that most runs need not spend

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return normalize_name(text)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def pseudonymizers(key: str, region: str) -> dict[str, Code]:
    """A function per kind (name, phone, email); null for null and for blank text.

    `region` is where phone numbers without a country code are from.
    """
    phone = functools.partial(normalize_phone, region=region)
    forms: dict[str, Callable[[str], str]] = {
        "name": normalize_name,
        "phone": phone,
        "email": normalize_email,
    }
    return {kind: _pseudonymizer(key, kind, normalize) for kind, normalize in forms.items()}


def _pseudonymizer(key: str, kind: str, normalize: Callable[[str], str]) -> Code:
    code = keyed_hash(key.encode())

    @functools.lru_cache(CACHED)
    def of_text(text: str) -> str | None:
        form = normalize(text)
        return code(_message(kind, form)) if form else None

    def pseudonym(value: t.Any) -> str | None:
        if value is None:
            return None
        return of_text(value if isinstance(value, str) else json.dumps(value))

    return pseudonym


def surrogate(key: str, *scope: str) -> Code:
    """A function that gives an ID of this scope its surrogate; null for null."""
    code, prefix = keyed_hash(key.encode()), _message("surrogate", *scope, "")

    @functools.lru_cache(CACHED_IDS)
    def of_id(value: t.Any) -> str | None:
        if value is None:
            return None
        return code(prefix + _message(str(value)))[:SURROGATE_LENGTH]

    return of_id


def _message(*parts: str) -> bytes:
    return "\0".join(parts).encode("utf-8", "surrogatepass")  # JSON may hold lone surrogates
