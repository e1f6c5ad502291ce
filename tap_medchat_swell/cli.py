"""The command line: every way in which a run can end, said in plain words.

0 is success, 1 a failure, 2 wrong usage, 128 + N the signal N.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import typing as t
import warnings

import click
from singer_sdk.plugin_base import SingerCommand

from tap_medchat_swell.errors import OutputClosedError, ShutdownRequested, TapError
from tap_medchat_swell.redaction import explain

FAILED = 1


class TapCommand(SingerCommand):
    """The SDK's command, without tracebacks for what a user can mend."""

    def main(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        """Run, and turn whatever comes into a line and an exit code."""
        try:
            return super().main(*args, **kwargs)
        except OutputClosedError as gone:
            self._end_without_output(gone)
        except ShutdownRequested as stopped:
            self.logger.warning("Stopped by signal %d.", stopped.signum)
            sys.exit(128 + stopped.signum)
        except Exception as error:  # noqa: BLE001 - the last resort
            if isinstance(error, OSError) and error.filename is None:
                self._end_without_output(OutputClosedError(error))
            self.logger.error("%s", explain(error))  # noqa: TRY400 - tells what may be told
            sys.exit(FAILED)

    def _end_without_output(self, gone: OutputClosedError) -> t.NoReturn:
        self.logger.error("%s", gone)
        # Keep Python from flushing what cannot be written, and complaining, as it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)

    def invoke(self, ctx: click.Context) -> t.Any:
        """Run past the SDK's own, whose last line says only that validation failed.

        The last line is all that `meltano config test` shows.
        """
        logging.captureWarnings(capture=True)
        warnings.filterwarnings("once", category=DeprecationWarning)
        return click.Command.invoke(self, ctx)


def load_document(file: t.IO[str], what: str) -> dict[str, t.Any]:
    """The JSON object in a file; raises TapError where there is none."""
    try:
        document = json.loads(file.read().removeprefix("\ufeff"))
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
    if "{" in path or "=" in path:
        # Its secrets are not known yet, so the path must not be named.
        msg = "--config takes the path of a file, not the configuration itself."
        raise TapError(msg)
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - load_document's type
            return load_document(file, "configuration")
    except OSError as error:
        msg = f"The configuration file {path} cannot be read: {error.strerror}."
        raise TapError(msg) from None
