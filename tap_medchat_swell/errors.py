"""Every failure that this tap raises itself.

TapError                 its text is one sentence without secrets and patient data
└── VendorError          a response that cannot be used, after all retries
    └── PageTooLargeError    MedChat refused `$top`, or a page is over the size limit (M3)
ShutdownRequested        SIGTERM or SIGINT arrived
OutputClosedError        standard output cannot be written to any more
CancelledError           the client was closed while a worker waited
"""

from __future__ import annotations

import difflib
import typing as t

from typing_extensions import override

if t.TYPE_CHECKING:
    from collections.abc import Iterable


class TapError(Exception):
    """A failure whose text may be shown as it is: no secrets, no patient data."""


class VendorError(TapError):
    """A vendor's response cannot be used.

    `status` is its HTTP status, if there was a response. `fields` are the query parameters
    that it rejected by name. `where` names the request.
    """

    status: int | None = None
    fields: frozenset[str] = frozenset()
    where: str = ""

    @property
    def is_refusal(self) -> bool:
        """Whether the vendor rejects this question, however often it is asked.

        Everything else may be an outage, or concerns the credentials.
        """
        return self.status in {400, 422} and "token" not in self.fields

    @property
    def sentence(self) -> str:
        """What happened, without the request."""
        return super().__str__()

    @override
    def __str__(self) -> str:
        return f"{self.sentence} [{self.where}]" if self.where else self.sentence


class PageTooLargeError(VendorError):
    """Fewer rows per page are needed; `limit` is the vendor's number, if it named one."""

    def __init__(self, sentence: str, limit: int | None = None) -> None:
        super().__init__(sentence)
        self.limit = limit


class ShutdownRequested(BaseException):
    """The process was told to stop. Not an Exception, so that no handler swallows it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class OutputClosedError(BaseException):
    """Standard output cannot be written to any more.

    Not an Exception, because the SDK would log those as unhandled errors of the stream.
    """

    def __init__(self, cause: OSError) -> None:
        super().__init__(
            "The target closed the pipe; nothing more can be written."
            if isinstance(cause, BrokenPipeError)
            else f"The output cannot be written: {cause.strerror}."
        )


class CancelledError(BaseException):
    """Raised in a worker whose response is no longer needed."""


def similar(name: str, known: Iterable[str]) -> str | None:
    """The known name that an unknown one is most like, if any; case does not matter."""
    by_lower = {other.lower(): other for other in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name."""
    near = similar(name, known)
    return f" Did you mean '{near}'?" if near else ""
