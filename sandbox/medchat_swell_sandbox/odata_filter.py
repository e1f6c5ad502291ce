"""The part of OData's ``$filter`` language that MedChat documents.

gt ge lt le eq ne, and, or, parentheses, startswith, endswith. Property names are case
insensitive by default. Date-times are unquoted and have a zone; strings are in single
quotes, with quotes doubled. Anything else raises ``QueryError``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from medchat_swell_sandbox.clock import UTC
from medchat_swell_sandbox.rows import Chat

if TYPE_CHECKING:
    from collections.abc import Iterator

Predicate = Callable[[Chat], bool]

TOKEN = re.compile(
    r"""(?P<space>[ \t]+)
      | (?P<date>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,12})?)?
          (?:Z|[+-]\d\d:\d\d)(?![\w.]))
      | (?P<number>-?\d+(?:\.\d+)?(?![\w.:-]))
      | (?P<text>'(?:[^']|'')*')
      | (?P<word>[A-Za-z_]\w*)
      | (?P<mark>[(),])""",
    re.VERBOSE,
)
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
FUNCTIONS: dict[str, Callable[[str, str], bool]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
}
CONSTANTS = {"true": True, "false": False, "null": None}


class QueryError(Exception):
    """An invalid query; the message is for the client."""


@dataclass(frozen=True)
class Property:
    """A property available in queries: PascalCase name, type and getter."""

    name: str
    kind: type
    read: Callable[[Chat], Any]


PROPERTIES = {
    known.name.lower(): known
    for known in (
        Property("Id", str, operator.attrgetter("id")),
        Property("CreatedDateTime", datetime, operator.attrgetter("created")),
        Property("Status", str, operator.attrgetter("status")),
        Property("Name", str, operator.attrgetter("name")),
        Property("UserPhoneNumber", str, operator.attrgetter("user_phone")),
        Property("OrganizationPhoneNumber", str, operator.attrgetter("organization_phone")),
        Property("ChannelId", str, operator.attrgetter("channel_id")),
        Property("UnreadMessageCount", float, operator.attrgetter("unread_count")),
    )
}


def find_property(name: str, *, case_sensitive: bool) -> Property:
    """Return a property by its name in a query (M13)."""
    known = PROPERTIES.get(name.lower())
    if known is None or (case_sensitive and known.name != name):
        message = f"Could not find a property named '{name}' on type 'SmsChat'."
        raise QueryError(message)
    return known


@dataclass(frozen=True)
class Filter:
    """A compiled ``$filter``: a half-open range of CreatedDateTime and a predicate.

    The range only limits which rows are tested by ``matches``.
    """

    matches: Predicate
    start: datetime | None = None
    end: datetime | None = None


def parse_filter(text: str, *, case_sensitive: bool = False, max_nodes: int = 100) -> Filter:
    """Compile a ``$filter``; raises ``QueryError`` with the vendor's message."""
    return _Parser(text, case_sensitive=case_sensitive, max_nodes=max_nodes).parse()


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None or match.lastgroup is None:
            message = f"Syntax error at position {place} in '{text}'."
            raise QueryError(message)
        place = match.end()
        yield match.lastgroup, match.group()
    yield "end", ""


class _Parser:
    def __init__(self, text: str, *, case_sensitive: bool, max_nodes: int) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._place = 0
        self._case_sensitive = case_sensitive
        self._nodes_left = max_nodes

    def parse(self) -> Filter:
        self._blank()
        whole = self._either()
        self._blank()
        if self._kind() != "end":
            raise self._syntax_error()
        return whole

    def _either(self) -> Filter:
        parts = [self._both()]
        while self._joined_by("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else _any_of(parts)

    def _both(self) -> Filter:
        parts = [self._term()]
        while self._joined_by("and"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else _all_of(parts)

    def _joined_by(self, word: str) -> bool:
        here = self._tokens[self._place : self._place + 3]
        kinds = [kind for kind, _ in here]
        joined = kinds[:2] == ["space", "word"] and here[1][1] == word
        if joined and kinds[2] in ("space", "mark"):
            self._count_node()
            self._place += 2
            self._blank()
            return True
        return False

    def _term(self) -> Filter:
        if self._peek() == ("mark", "("):
            return self._group()
        word = self._take("word")
        if self._peek() == ("mark", "("):
            return self._call(word)
        return self._comparison(word)

    def _group(self) -> Filter:
        self._mark("(")
        inner = self._either()
        self._mark(")")
        return inner

    def _call(self, word: str) -> Filter:
        function = FUNCTIONS.get(word)
        if function is None:
            message = f"An unknown function with name '{word}' was found."
            raise QueryError(message)
        self._mark("(")
        known = self._property(self._take("word"))
        self._mark(",")
        wanted = _unquoted(self._take("text"))
        self._mark(")", space_after=False)
        if known.kind is not str:
            raise _type_error(known)
        self._count_node(3)
        return Filter(_text_test(known, function, wanted))

    def _comparison(self, name: str) -> Filter:
        known = self._property(name)
        self._take("space")
        word = self._take("word")
        if word not in OPERATORS:
            raise self._syntax_error()
        self._take("space")
        value = self._literal(known)
        self._count_node(3)
        return _comparison(known, word, value)

    def _literal(self, known: Property) -> Any:
        kind, text = self._peek()
        self._place += 1
        match kind:
            case "date":
                value: object = _moment(text)
            case "number":
                value = float(text)
            case "text":
                value = _unquoted(text)
            case "word" if text in CONSTANTS:
                value = CONSTANTS[text]
            case _:
                raise self._syntax_error()
        if value is not None and not isinstance(value, known.kind):
            raise _type_error(known)
        return value

    def _property(self, name: str) -> Property:
        return find_property(name, case_sensitive=self._case_sensitive)

    def _count_node(self, nodes: int = 1) -> None:
        self._nodes_left -= nodes
        if self._nodes_left < 0:
            message = "The node count limit has been exceeded (MaxNodeCount)."
            raise QueryError(message)

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._place]

    def _kind(self) -> str:
        return self._tokens[self._place][0]

    def _take(self, kind: str) -> str:
        if self._kind() != kind:
            raise self._syntax_error()
        self._place += 1
        return self._tokens[self._place - 1][1]

    def _blank(self) -> None:
        if self._kind() == "space":
            self._place += 1

    def _mark(self, mark: str, *, space_after: bool = True) -> None:
        self._blank()
        if self._peek() != ("mark", mark):
            raise self._syntax_error()
        self._place += 1
        if space_after and mark != ")":
            self._blank()

    def _syntax_error(self) -> QueryError:
        place = sum(len(text) for _, text in self._tokens[: self._place])
        return QueryError(f"Syntax error at position {place} in '{self._text}'.")


def _all_of(parts: list[Filter]) -> Filter:
    tests = [part.matches for part in parts]
    starts = [part.start for part in parts if part.start]
    ends = [part.end for part in parts if part.end]
    return Filter(
        lambda chat: all(test(chat) for test in tests),
        max(starts, default=None),
        min(ends, default=None),
    )


def _any_of(parts: list[Filter]) -> Filter:
    tests = [part.matches for part in parts]
    return Filter(lambda chat: any(test(chat) for test in tests))


def _comparison(known: Property, word: str, value: Any) -> Filter:
    compare, read = OPERATORS[word], known.read
    if value is None or word in ("eq", "ne"):
        wanted_null = value is None and word in ("ge", "le", "gt", "lt")
        return Filter(lambda chat: not wanted_null and compare(read(chat), value))

    def matches(chat: Chat) -> bool:
        held = read(chat)
        return held is not None and compare(held, value)

    if known.kind is not datetime:
        return Filter(matches)
    start = value if word in ("gt", "ge") else None
    after = value + timedelta(microseconds=1) if word == "le" else value
    return Filter(matches, start, after if word in ("lt", "le") else None)


def _text_test(known: Property, function: Callable[[str, str], bool], wanted: str) -> Predicate:
    read = known.read
    return lambda chat: read(chat) is not None and function(read(chat), wanted)


def _unquoted(text: str) -> str:
    return text[1:-1].replace("''", "'")


def _moment(text: str) -> datetime:
    match = re.fullmatch(r"(.{16})(:\d\d)?(?:\.(\d+))?(Z|[+-].+)", text)
    if match is None:
        raise AssertionError(text)
    minute, second, fraction, offset = match.groups()
    micros = (fraction or "")[:6].ljust(6, "0")
    offset = "+00:00" if offset == "Z" else offset
    try:
        moment = datetime.fromisoformat(f"{minute}{second or ':00'}.{micros}{offset}")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        message = f"Unrecognized 'Edm.DateTimeOffset' literal '{text}'."
        raise QueryError(message) from error


def _type_error(known: Property) -> QueryError:
    return QueryError(
        "A binary operator with incompatible types was detected. "
        f"The literal does not fit '{known.name}'."
    )
