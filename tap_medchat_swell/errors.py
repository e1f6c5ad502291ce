"""Every failure that this tap names itself.

TapError                 its text is one sentence, free of secrets and patient data
├── SyncFailedError           at least one stream failed; raised when all have run
└── VendorError          an answer that cannot be used, after the retries it deserved
    └── PageTooLargeError     MedChat refused `$top`, or a page is over the size limit (M3)
ShutdownRequested                  SIGTERM or SIGINT arrived
OutputClosedError               standard output cannot be written any more
CancelledError                the reading that a worker was fetching for has ended
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping


class TapError(Exception):
    """A failure whose text may be shown as it is: no secret, no patient data."""


class SyncFailedError(TapError):
    """Streams could not be read to their end.

    Its sentence repeats why: the last line is all that some orchestrators show.
    """

    def __init__(self, failures: Mapping[str, Exception]) -> None:
        reasons = dict.fromkeys(
            str(error) if isinstance(error, TapError) else f"{type(error).__name__}: see above."
            for error in failures.values()
        )
        super().__init__(
            f"Not read to the end: {', '.join(failures)}. The state keeps what was read; the "
            f"next run goes on from there. {' '.join(reasons)}"
        )


OK, SERVER_ERROR = 200, 500


class VendorError(TapError):
    """A vendor's answer cannot be used.

    `status` is its HTTP status, if it had one, `where` the request that it answers.
    """

    status: int | None = None
    where: str = ""

    @property
    def is_refusal(self) -> bool:
        """Whether the vendor will not answer this question, however often it is asked.

        Frameworks may say so with a 500, a redirect or a web page. 401 and 403 refuse the
        user, not the question.
        """
        status = self.status or 0
        return OK <= status <= SERVER_ERROR and status not in {401, 403, 408, 425}

    def __str__(self) -> str:
        sentence = super().__str__()
        return f"{self.where}: {sentence}" if self.where else sentence


class PageTooLargeError(VendorError):
    """Fewer rows per page are needed; `limit` is the vendor's number, if it said one."""

    def __init__(self, sentence: str, limit: int | None = None) -> None:
        super().__init__(sentence)
        self.limit = limit


class ShutdownRequested(BaseException):
    """The process was told to stop. Not an Exception, so that no handler swallows it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class OutputClosedError(BaseException):
    """Standard output cannot be written any more. No Exception, as ShutdownRequested is none: the
    SDK would call it an unhandled error of the stream.
    """

    def __init__(self, cause: OSError) -> None:
        super().__init__(
            "The target has gone: it reads no more."
            if isinstance(cause, BrokenPipeError)
            else f"The output cannot be written: {cause.strerror}."
        )


class CancelledError(BaseException):
    """Raised in a worker whose answer nobody waits for any more."""
