"""The command line: reading its files and variables, and how a run ends.

Exit codes: 0 success, 1 failure, 2 wrong usage, 128 + N stopped by signal N.
"""

from __future__ import annotations

import json
import os
import sys
import typing as t

import dotenv
from singer_sdk.plugin_base import SingerCommand
from typing_extensions import override

from tap_medchat_swell import redaction
from tap_medchat_swell.errors import (
    OutputClosedError,
    ShutdownRequested,
    TapError,
    did_you_mean,
    similar,
)
from tap_medchat_swell.settings import ENV_PREFIX, REFUSED, is_blank

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    import click

Json = dict[str, t.Any]

FAILED = 1
NO_RUN = {"--about", "--check", "--discover", "--merge-states", "--test"}  # options in place of one
BOOLEANS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off"), False),
}
# How a variable's text is read, by the first JSON type here that its setting takes.
PARSERS: dict[str, tuple[str, Callable[[str], t.Any]]] = {
    "string": ("text", str),
    "integer": ("a whole number", int),
    "boolean": ("true or false", lambda text: BOOLEANS[text.lower()]),
    "object": ("a JSON object", json.loads),
}
OBJECTS = ("stream_maps", "stream_map_config", "faker_config")


class TapCommand(SingerCommand):
    """The SDK's command; failures end it with one sentence in place of a traceback."""

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note whether the tap is to run before the configuration is read."""
        ctx.meta["is_run"] = not any(arg.partition("=")[0] in NO_RUN for arg in args)
        return super().parse_args(ctx, args)

    @override
    def main(self, *args: t.Any, **kwargs: t.Any) -> t.Any:
        """Run, and turn every exception into a log line and an exit code."""
        try:
            return super().main(*args, **kwargs)
        except OutputClosedError as closed:
            self._end_without_output(closed)
        except ShutdownRequested as shutdown:
            self.logger.warning("Stopped by signal %d.", shutdown.signum)
            sys.exit(128 + shutdown.signum)
        except Exception as error:  # noqa: BLE001 - the last resort
            if isinstance(error, OSError) and error.filename is None:
                self._end_without_output(OutputClosedError(error))
            self.logger.error("%s", redaction.explain(error))  # noqa: TRY400 - no traceback
            sys.exit(FAILED)

    def _end_without_output(self, closed: OutputClosedError) -> t.NoReturn:
        self.logger.error("%s", closed)
        # Keeps Python from failing to flush standard output when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)


def read_object(file: t.IO[str], kind: str) -> Json:
    """The JSON object in a file of this kind; raises TapError if there is none.

    An empty state file is an empty state: a pipeline may create the file before its first run.
    """
    what = f"The {kind} file {file.name}"
    try:
        text = file.read().removeprefix("\ufeff").strip()
        document = json.loads("{}" if kind == "state" and not text else text)
    except UnicodeDecodeError:
        raise TapError(f"{what} is not UTF-8 text.") from None
    except (ValueError, RecursionError) as error:
        place = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise TapError(f"{what} is not JSON{place}.") from None
    if not isinstance(document, dict):
        raise TapError(f"{what} must contain a JSON object.")
    return document


def load_config(path: str) -> Json:
    """The configuration in a file; raises TapError if it cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - Path fails on odd texts
            return read_object(file, "configuration")
    except OSError as error:
        if "{" in path or "=" in path:
            # It may be the configuration itself, whose secrets are not known yet.
            raise TapError(
                "--config takes the path of a file, not the configuration itself."
            ) from None
        raise TapError(f"The configuration file {path} cannot be read: {error.strerror}.") from None


def read_environment(properties: Mapping[str, Json]) -> Json:
    """The settings that the environment, or a `.env` file in this or a parent folder, holds.

    Blank variables count as unset. Raises TapError for a value of the wrong type.
    """
    _load_dotenv()
    properties = {**properties, **{name: {"type": "string"} for name in REFUSED}}
    variables = {name: f"{ENV_PREFIX}{name.upper()}" for name in properties}
    texts = {name: os.environ.get(variable, "") for name, variable in variables.items()}
    redaction.protect_config(texts)  # before any sentence about them
    return {
        name: _parsed(variables[name], text.strip(), properties[name].get("type", ()))
        for name, text in texts.items()
        if not is_blank(text)
    }


def _load_dotenv() -> None:
    path = dotenv.find_dotenv(usecwd=True)
    if not path:
        return
    try:
        dotenv.load_dotenv(path, encoding="utf-8-sig")
        redaction.protect_environment()
    except UnicodeDecodeError:
        raise TapError(f"{path} is not UTF-8 text.") from None
    except OSError as error:
        raise TapError(f"{path} cannot be read: {error.strerror}.") from None


def _parsed(variable: str, text: str, types: Collection[str]) -> t.Any:
    """A variable's value, by the JSON types of its setting; settings that take text get text."""
    what, parse = next((PARSERS[kind] for kind in PARSERS if kind in types), PARSERS["object"])
    try:
        return parse(text)
    except (ValueError, KeyError, RecursionError):
        raise TapError(f"{variable} must be {what}.") from None


def log_level_is_wanted() -> bool:
    """Whether Meltano's log configuration would hide the level that the user wants.

    It sets Meltano's own level. Without it, lines are plain text, which Meltano always shows.
    """
    variables = ("SINGER_SDK_LOG_CONFIG", "MELTANO_EXTRACTOR_NAME")
    return all(map(os.environ.get, (*variables, f"{ENV_PREFIX}LOGLEVEL")))


def unknown_settings(config: Collection[str], known: Collection[str]) -> Iterator[str]:
    """A sentence for each unknown setting and variable, with the name that may be meant."""
    for variable in os.environ:
        name = variable.removeprefix(ENV_PREFIX)
        if name != variable and not _is_known_variable(name, {*known, *config}):
            if name.lower() in REFUSED:
                yield f"{variable} (ignored): {name.lower()} {REFUSED[name.lower()]}."
                continue
            near = similar(name, known)
            yield _unknown(variable, [f"{ENV_PREFIX}{near.upper()}"] if near else [])
    for name in set(config) - set(known) - set(REFUSED):
        yield _unknown(name, known)


def _is_known_variable(name: str, known: Iterable[str]) -> bool:
    """Whether a variable is a setting, or one that Meltano sets besides.

    Meltano spreads objects over several variables, has settings of its own with two underscores,
    and sets the variables of plugins that inherit from this one, whose prefix is longer.
    """
    settings = [setting.upper() for setting in (*known, "loglevel")]
    parts = [f"_{name.upper()}_" for name in OBJECTS]
    return (
        "__" in f"_{name}"
        or any(f"_{name}".endswith(f"_{setting}") for setting in settings)
        or any(part in f"_{name}" for part in parts)
    )


def _unknown(name: str, known: Iterable[str]) -> str:
    return f"Unknown setting '{name}' (ignored).{did_you_mean(name, known)}"
