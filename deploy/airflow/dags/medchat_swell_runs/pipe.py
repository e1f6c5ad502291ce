"""One run of `tap | target`, which keeps the states that the target has confirmed."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import subprocess
import tempfile
import threading
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from medchat_swell_runs.states import StateStore

Json = dict[str, t.Any]
log = logging.getLogger(__name__)
# What the programs get of the worker's environment: nothing of Airflow's own.
KEPT = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR"),
    *("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"),
)
STORE_SECONDS = 20
TARGET_LOG = "target.log"
END_SECONDS = 60  # how long the target may take to store what it has received
# The next run, with the same settings, would end in the same way.
HOPELESS = re.compile(r"rejected the credentials|denied access|Config validation failed")


class RunFailed(Exception):
    """The run failed; the text is a sentence without secrets and patient data."""

    def __init__(self, sentence: str, report: Json) -> None:
        super().__init__(sentence)
        self.report = report
        self.is_hopeless = bool(HOPELESS.search(sentence))


@dataclass(frozen=True)
class Programs:
    """Tap and target as commands, and the target's settings as variables."""

    tap: list[str]
    target: list[str]
    target_settings: Mapping[str, t.Any] = field(default_factory=dict)

    def environment(self, settings: Mapping[str, t.Any]) -> dict[str, str]:
        """Settings as variables: no secret is written to a disk."""
        passed = (*KEPT, *(name for name in os.environ if name.startswith("TAP_MEDCHAT_SWELL_")))
        variables = {name: os.environ[name] for name in passed if name in os.environ}
        return variables | {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in settings.items()
        }


def tap_variables(settings: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The tap's settings under the names of variables."""
    return {f"TAP_MEDCHAT_SWELL_{name.upper()}": value for name, value in settings.items()}


def run(
    programs: Programs,
    settings: Mapping[str, t.Any],
    store: StateStore | None = None,
    state_name: str = "",
) -> Json:
    """Run tap and target from the stored state; returns the tap's report. Raises RunFailed.

    Without a store, everything is read and no state is kept.
    """
    with tempfile.TemporaryDirectory() as name:
        folder, report = Path(name), Path(name, "report.json")
        arguments = ["--config", "ENV"]
        state = store.get(state_name) if store else None
        if state is not None:
            Path(name, "state.json").write_text(json.dumps(state), "utf-8")
            arguments += ["--state", str(folder / "state.json")]
        variables = tap_variables({**settings, "report_path": str(report)})
        save = (lambda state: store.put(state_name, state)) if store else None
        with _piped(programs, arguments, variables, folder) as (tap, target, errors):
            _keep_confirmed(tap, target, save)
        document = json.loads(report.read_text("utf-8")) if report.exists() else {}
        sentence = _failure(tap, target, errors, folder / TARGET_LOG)
    if sentence:
        raise RunFailed(sentence, document)
    return t.cast("Json", document)


def check(programs: Programs, settings: Mapping[str, t.Any]) -> Json:
    """What the tap's --check=json prints. Raises RunFailed if a sync would not work."""
    done = subprocess.run(  # noqa: S603 - no shell
        [*programs.tap, "--config", "ENV", "--check=json"],
        env=programs.environment(tap_variables(settings)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    document: Json = json.loads(done.stdout) if done.stdout else {"vendors": []}
    if done.returncode:
        findings = [each for vendor in document["vendors"] for each in vendor["findings"]]
        errors = [each["meaning"] for each in findings if each["verdict"] == "problem"]
        _listen(done.stderr.splitlines(), errors)
        raise RunFailed(" ".join(errors) or "The tap's --check failed.", document)
    return document


@contextlib.contextmanager
def _piped(
    programs: Programs, arguments: list[str], variables: Json, folder: Path
) -> Iterator[tuple[subprocess.Popen[str], subprocess.Popen[str], list[str]]]:
    """Both programs while they run, and the tap's errors once they have ended."""
    with contextlib.ExitStack() as stack:
        tap = stack.enter_context(
            subprocess.Popen(  # noqa: S603 - no shell
                [*programs.tap, *arguments],
                cwd=folder,
                env=programs.environment(variables),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        target = stack.enter_context(
            subprocess.Popen(  # noqa: S603 - no shell
                programs.target,
                cwd=folder,
                env=programs.environment(programs.target_settings),
                stdin=tap.stdout,
                stdout=subprocess.PIPE,
                stderr=stack.enter_context((folder / TARGET_LOG).open("wb")),
                text=True,
            )
        )
        t.cast("t.IO[str]", tap.stdout).close()  # so that the tap notices when the target ends
        errors: list[str] = []
        listener = threading.Thread(target=_listen, args=(tap.stderr, errors), daemon=True)
        listener.start()
        try:
            yield tap, target, errors
        finally:
            for process in (tap, target):
                process.kill()  # does nothing to one that has ended
            listener.join(END_SECONDS)


def _listen(lines: Iterable[str], errors: list[str]) -> None:
    """Log the tap's lines, and collect its errors."""
    for line in lines:
        log.info("%s", line.rstrip())
        if " | ERROR " in line:
            errors.append(line.rstrip().rpartition(" | ")[2])


def _keep_confirmed(
    tap: subprocess.Popen[str],
    target: subprocess.Popen[str],
    save: Callable[[Json], None] | None,
) -> None:
    """Wait for the end, and keep the states that the target writes.

    Told to stop, let the tap end and the target store what it has received.
    """
    lines = t.cast("t.IO[str]", target.stdout)
    try:
        _save_lines(lines, save)
        tap.wait(END_SECONDS)
        target.wait(END_SECONDS)
    except BaseException:
        tap.terminate()
        late = threading.Timer(END_SECONDS, target.kill)
        late.start()
        _save_lines(lines, save)
        late.cancel()
        raise


def _save_lines(lines: Iterable[str], save: Callable[[Json], None] | None) -> None:
    last, saved = "", time.monotonic()
    try:
        for line in lines:
            last = line.strip() or last
            if save and last and time.monotonic() - saved > STORE_SECONDS:
                save(json.loads(last))
                last, saved = "", time.monotonic()
    finally:
        if save and last:
            save(json.loads(last))


def _failure(
    tap: subprocess.Popen[str], target: subprocess.Popen[str], errors: list[str], target_log: Path
) -> str | None:
    """What went wrong, in a sentence. The target's own words may quote patient data."""
    if tap.returncode < 0:
        return f"The tap was killed by signal {-tap.returncode}."
    if target.returncode:
        kinds = re.findall(
            r"^[\w.]*(?:Error|Exception)\b", target_log.read_text("utf-8", "replace"), re.MULTILINE
        )
        kind = f" ({kinds[-1]})" if kinds else ""
        return (
            f"The target ended with exit code {target.returncode}{kind}. Its log is not shown, "
            "because it may quote records: run it by hand to see it."
        )
    if tap.returncode:
        return errors[-1] if errors else f"The tap ended with exit code {tap.returncode}."
    return None
