"""Findings: what was asked, what was seen, and which reading of the API that proves."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass, field, replace

from tap_medchat_swell.errors import TapError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tap_medchat_swell.check.estimate import Estimate
    from tap_medchat_swell.http.client import Client, Request
    from tap_medchat_swell.record_mapper import Row

Verdict = t.Literal["ok", "warning", "problem", "could not tell"]
UNKNOWN: Verdict = "could not tell"
MAX_REQUESTS = 50


@dataclass
class Finding:
    """One line of the page; a reading that is told is ok unless its verdict says otherwise.

    `question` may end with the code of a section in docs/api-assumptions.md. A problem keeps a
    sync from working. Nothing here comes out of a row but names of fields.
    """

    vendor: str
    question: str
    asked: str
    seen: str
    reading: str = UNKNOWN
    meaning: str = ""
    verdict: Verdict = UNKNOWN

    def __post_init__(self) -> None:
        if self.reading != UNKNOWN and self.verdict == UNKNOWN:
            self.verdict = "ok"


Probe = t.Callable[[t.Any], t.Iterator[Finding]]


@dataclass
class VendorCheck:
    """All that is known of one vendor after the check; `rows` are by stream."""

    vendor: str
    url: str
    findings: list[Finding] = field(default_factory=list)
    rows: dict[str, list[Row]] = field(default_factory=dict)
    estimate: Estimate | None = None
    requests: int = 0

    @property
    def works(self) -> bool:
        """Whether a sync of the selected streams would work."""
        return all(finding.verdict != "problem" for finding in self.findings)


@dataclass
class Answer:
    """A page and the document that it was made of; an empty body has no bytes."""

    page: t.Any = None
    document: t.Any = None
    size: int = 0


@dataclass
class Asker:
    """Asks one vendor, no more than MAX_REQUESTS times, and measures how long answers take."""

    client: Client
    seconds: list[float] = field(default_factory=list)

    def ask(self, request: Request) -> Answer:
        """The answer; raises VendorError, or TapError if there have been enough requests."""
        if self.client.requests_sent >= MAX_REQUESTS:
            raise TapError(f"The {MAX_REQUESTS} requests of the check are used up.")
        answer = Answer()

        def read(document: t.Any, size: int) -> t.Any:
            answer.document, answer.size = document, size
            return request.read(document, size)

        sent, started = self.client.requests_sent, time.monotonic()
        answer.page = self.client.fetch(replace(request, read=read))
        if self.client.requests_sent == sent + 1:  # else it waited before a retry
            self.seconds.append(time.monotonic() - started)
        return answer


def gather(vendor: str, probes: Mapping[str, Probe], subject: t.Any) -> Iterator[Finding]:
    """The findings of probes by question. One that fails could not tell; the first must not."""
    for number, (question, probe) in enumerate(probes.items()):
        try:
            yield from probe(subject)
        except TapError as error:  # noqa: PERF203 - one probe at a time
            seen = str(error)
            if number == 0:
                yield Finding(vendor, question, "one row", seen, "no", seen, "problem")
                return
            yield Finding(vendor, question, _first_line(probe), seen)


def _first_line(probe: Callable[..., t.Any]) -> str:
    return (probe.__doc__ or "").partition("\n")[0].rstrip(".")
