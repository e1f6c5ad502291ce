"""Every failure that this tap names itself.

TapError                 its text is one sentence, free of secrets and patient data
├── StateError           the state that was passed in cannot be used
├── SyncFailed           at least one stream failed; raised when all have run
└── VendorError          an answer that cannot be used, after the retries it deserved
    ├── PageTooLarge     MedChat refused `$top`, or a page is over the size limit (M3)
    └── InputRefused     422: the vendor refused a parameter (W3, W12)
Stopped                  SIGTERM or SIGINT arrived
TargetGone               the target has closed the pipe
Cancelled                the reading that a worker was fetching for has ended
"""

from __future__ import annotations


class TapError(Exception):
    """A failure whose text may be shown as it is: no secret, no patient data."""


class StateError(TapError):
    """The state that was passed in cannot be used."""


class SyncFailed(TapError):
    """At least one stream could not be read to its end."""


class VendorError(TapError):
    """A vendor's answer cannot be used.

    `status` is its HTTP status, if it had one, `where` the request that it answers.
    """

    status: int | None = None
    where: str = ""

    def __str__(self) -> str:
        sentence = super().__str__()
        return f"{self.where}: {sentence}" if self.where else sentence


class PageTooLarge(VendorError):
    """Fewer rows per page are needed; `limit` is the vendor's number, if it said one."""

    def __init__(self, sentence: str, limit: int | None = None) -> None:
        super().__init__(sentence)
        self.limit = limit


class InputRefused(VendorError):
    """The vendor refused a parameter's value (422)."""


class Stopped(BaseException):
    """The process was told to stop. Not an Exception, so that no handler swallows it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class TargetGone(BaseException):
    """The target has closed the pipe. No Exception, as Stopped is none: the SDK would
    call it an unhandled error of the stream.
    """


class Cancelled(BaseException):
    """Raised in a worker whose answer nobody waits for any more."""
