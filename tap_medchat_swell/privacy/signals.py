"""What a message's text says about consent, without the text.

The opt-out keywords are those that 47 CFR 64.1200(a)(10) names, and STOPALL; Spanish ones are
no part of that rule and have a prefix. Opt-in keywords are the carriers' usual ones.
"""

from __future__ import annotations

import functools
import re
import typing as t
import unicodedata

# By their letters, the values of the columns.
OPT_OUT = {
    **{word: word for word in ("stop", "stopall", "quit", "end", "revoke", "cancel")},
    "unsubscribe": "unsubscribe",
    "optout": "opt out",
    "alto": "es:alto",
    "parar": "es:parar",
}
OPT_IN = {
    **{word: word for word in ("start", "unstop", "yes", "subscribe")},
    "optin": "opt in",
}
LONGEST_KEYWORD_TEXT = 40  # with all the punctuation around it
_LINK = re.compile(
    r"https?://\S|\bwww\.\S|\b[\w-]{1,63}(?:\.[\w-]{1,63}){0,5}\.[a-z]{2,24}/\S"
    r"|\b[\w-]{1,63}\.(?:com|org|net|edu|gov|info|health|io|co|us|me|ly)\b(?!@)",
    re.IGNORECASE,
)
# Most texts hold none of these, and need no closer look.
_DOT = re.compile(r"\.\w")
_STEMS = (
    *("stop", "subscri", "opt", "remove me", "take me off", "alone", "quit", "cease"),
    *("don", "do not", "never", "no ", "dej", "parar", "alto"),
)
_ABOUT = r"(?:text|txt|messag|msg|contact|sms|call|send|mensaje|bother)\w*"
_LIKELY = re.compile(
    r"\bunsubscri\w+|\bopt(?:ed|ing)? (?:me )?out\b"
    r"|\bremove me\b|\btake me off\b|\bleave me alone\b"
    rf"|\b(?:stop|quit|cease)\b.{{0,30}}\b{_ABOUT}"
    rf"|\b(?:do not|don t|dont|never|no more|no longer)\b.{{0,30}}\b{_ABOUT}"
    r"|\bplease stop\b|\bstop please\b|\bstop it\b|\bstop stop\b|\bstop now\b"
    r"|\bno (?:me |nos )?(?:envi|mand|escrib)\w+|\bdej\w+ de (?:envi|mand|escrib)\w+"
    r"|\bno mas mensajes\b|\b(?:parar|alto)\b.{0,20}\bmensajes\b"
)
# The sender's own notice ("Reply STOP to opt out") asks for nothing.
_NOTICE = re.compile(
    r"\b(?:reply|text|txt|send|responda|envie)\b(?: with| back)? "
    r"(?:stop|end|quit|cancel|unsubscribe|opt out|alto|parar)\b"
)


def _words(text: str) -> str:
    """Words in lower case without accents, single spaces in place of all between them."""
    letters = re.sub("[\u0300-\u036f]+", "", unicodedata.normalize("NFKD", text).casefold())
    return re.sub(r"[\W_]+", " ", letters).strip()


@functools.lru_cache(1000)
def _keyword(text: str) -> str:
    return _words(text).replace(" ", "")


def opt_out_keyword(text: str) -> str | None:
    """The keyword that is all of the text, in one spelling."""
    return OPT_OUT.get(_keyword(text)) if len(text) <= LONGEST_KEYWORD_TEXT else None


def opt_in_keyword(text: str) -> str | None:
    """The keyword that is all of the text, in one spelling."""
    return OPT_IN.get(_keyword(text)) if len(text) <= LONGEST_KEYWORD_TEXT else None


def opt_out_likely(text: str) -> bool:
    """Whether the wording, which is no keyword alone, seems to ask for no more messages."""
    lower = text.lower()
    if not any(map(lower.__contains__, _STEMS)) or opt_out_keyword(text):
        return False
    words = _words(text)
    return bool(_LIKELY.search(words)) and not _NOTICE.search(words)


def has_link(text: str) -> bool:
    """Whether the text contains a web address, with or without https://."""
    return bool(_DOT.search(text) and _LINK.search(text))


# The columns, each made of the column `text` unless that is null.
SIGNALS: dict[str, t.Callable[[str], t.Any]] = {
    "text_length": len,
    "has_link": has_link,
    "opt_out_keyword": opt_out_keyword,
    "opt_in_keyword": opt_in_keyword,
    "opt_out_likely": opt_out_likely,
}
