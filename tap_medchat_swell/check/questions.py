"""How a question is put to a vendor, and what is made of the answer.

To ask something new, write a probe and give it a line in the table QUESTIONS of medchat.py,
swell.py or connection.py. Its line on the page is decided there, and nowhere else.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import replace

from tap_medchat_swell.errors import TapError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from tap_medchat_swell.http.client import Client, Request
    from tap_medchat_swell.settings import Options

Verdict = t.Literal["ok", "warning", "problem", "could not tell"]
UNKNOWN: t.Final = "could not tell"
MAX_REQUESTS = 50
Finding = dict[str, str]


class Unclear(TapError):
    """The experiment decides nothing; the text says what was seen."""


class Seen(t.NamedTuple):
    """What a probe saw, which reading that proves, and what it means for the settings.

    Nothing here comes out of a row but names of fields. A problem keeps a sync from working.
    """

    seen: str
    reading: str = UNKNOWN
    meaning: str = ""
    verdict: Verdict = "ok"


class Question(t.NamedTuple):
    """A line of the page; `text` may end with its section in docs/api-assumptions.md.

    The probe is given a Subject. It returns None where there is nothing to ask. It raises Unclear,
    or any other TapError, if it could not tell.
    """

    text: str
    asked: str
    probe: Callable[[t.Any], Seen | None]


class Answer(t.NamedTuple):
    """A page and the document that it was made of; an empty body has no bytes."""

    page: t.Any
    document: t.Any
    size: int


class Subject:
    """A vendor that is asked, no more than MAX_REQUESTS times, and what its probes share.

    Each kind has `access`, which sends a first request and raises VendorError if nothing can be
    asked at all; `rows_by_stream`, all rows that came; and `estimate`, None if too little is known.
    """

    name: str

    def __init__(
        self, url: str, client: Client, options: Options, selected: Collection[str]
    ) -> None:
        self.url = url
        self.client = client
        self.options = options
        self.selected = selected
        self.requests = 0
        self.seconds: list[float] = []  # that answers took

    def send(self, request: Request, client: Client | None = None) -> Answer:
        """The answer; raises VendorError, or Unclear if there have been enough requests."""
        if self.requests >= MAX_REQUESTS:
            raise Unclear(f"The {MAX_REQUESTS} requests of the check are used up.")
        client = client or self.client
        read_from: tuple[t.Any, int] = None, 0

        def read(document: t.Any, size: int) -> t.Any:
            nonlocal read_from
            read_from = document, size
            return request.read(document, size)

        sent, started = client.requests_sent, time.monotonic()
        try:
            page = client.fetch(replace(request, read=read))
        finally:
            tries = client.requests_sent - sent
            self.requests += tries
        if tries == 1:  # else it waited before a retry
            self.seconds.append(time.monotonic() - started)
        return Answer(page, *read_from)


def answers(subject: Subject, questions: Iterable[Question]) -> Iterator[Finding]:
    """Ask every question; one that fails could not tell."""
    for text, asked, probe in questions:
        try:
            seen = probe(subject)
        except TapError as error:
            seen = Seen(str(error))
        if seen:
            yield finding(subject, text, asked, seen)


def finding(subject: Subject, question: str, asked: str, seen: Seen) -> Finding:
    """A line of the page; without a reading it is not simply ok."""
    if (seen.reading, seen.verdict) == (UNKNOWN, "ok"):
        seen = seen._replace(verdict=UNKNOWN)
    return {"vendor": subject.name, "question": question, "asked": asked, **seen._asdict()}
