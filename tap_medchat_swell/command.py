"""The command line: every way in which a run can end, said in plain words.

0 is success, 1 a failure, 2 wrong usage, 128 + N the signal N.
"""

from __future__ import annotations

import json
import os
import sys
import typing as t

from singer_sdk.exceptions import ConfigValidationError
from singer_sdk.plugin_base import SingerCommand

from tap_medchat_swell.errors import Stopped, TapError, TargetGone
from tap_medchat_swell.redaction import explain

FAILED = 1


class TapCommand(SingerCommand):
    """The SDK's command, without tracebacks for what a user can mend."""

    def main(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        """Run, and turn whatever comes into a line and an exit code."""
        try:
            return super().main(*args, **kwargs)
        except ConfigValidationError as error:
            for problem in error.errors:
                self.logger.error("%s", problem)  # noqa: TRY400 - no traceback
            sys.exit(FAILED)
        except (TargetGone, BrokenPipeError):
            self.logger.error("The target has gone: it reads no more.")  # noqa: TRY400
            silence_stdout()
            sys.exit(FAILED)
        except Stopped as stopped:
            self.logger.warning("Stopped by signal %d.", stopped.signum)
            sys.exit(128 + stopped.signum)
        except Exception as error:  # noqa: BLE001 - the last resort
            self.logger.error("%s", explain(error))  # noqa: TRY400 - tells what may be told
            sys.exit(FAILED)


def silence_stdout() -> None:
    """Keep Python from flushing into the broken pipe, and complaining, as it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def load_document(file: t.IO[str], what: str) -> dict[str, t.Any]:
    """The JSON object in a file; raises TapError where there is none."""
    try:
        document = json.load(file)
    except (ValueError, RecursionError) as error:
        place = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        msg = f"The {what} file {file.name} is not JSON{place}."
        raise TapError(msg) from None
    if not isinstance(document, dict):
        msg = f"The {what} file {file.name} must hold a JSON object."
        raise TapError(msg)
    return document


def load_config(path: str) -> dict[str, t.Any]:
    """A configuration file; raises TapError where it cannot be read."""
    if path.lstrip().startswith("{"):
        # Its secrets are not known yet, so the path must not be named.
        msg = "--config takes the path of a file, not the configuration itself."
        raise TapError(msg)
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - load_document's type
            return load_document(file, "configuration")
    except OSError as error:
        msg = f"The configuration file {path} cannot be read: {error.strerror}."
        raise TapError(msg) from None
