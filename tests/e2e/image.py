"""What the first stage of deploy/airflow/Containerfile makes, by running its own steps."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import typing as t

from .tools import ROOT, plain_environment, programs

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTAINERFILE = ROOT / "deploy" / "airflow" / "Containerfile"


def steps() -> Iterator[tuple[str, str]]:
    """The instructions of the first stage, such as ("RUN", "python -m venv uv")."""
    text = CONTAINERFILE.read_text("utf-8").replace("\\\n", " ")
    for line in text.splitlines()[: text.splitlines().index("")]:
        instruction, _, rest = line.partition(" ")
        if instruction != "#":
            yield instruction, rest.strip()


def build(folder: Path) -> Path:
    """Run the steps in a folder, from what the project has; returns what stands for /opt."""
    context, work, opt = folder / "context", folder / "build", folder / "opt"
    context.mkdir()
    work.mkdir()
    (context / "locks").symlink_to(ROOT / "locks")
    python = shlex.quote(sys.executable)
    command = [programs("uv") / "uv", "build", "--quiet", "--wheel", "--no-build-isolation"]
    command += ["--python", sys.executable, "--out-dir", context / "dist", ROOT]
    _run(command, folder)
    for instruction, rest in steps():
        if instruction == "COPY":
            source, target = rest.split()
            for path in context.glob(source):
                _copy(path, work / target)
        elif instruction == "RUN":
            shell = rest.replace("/opt/", f"{opt}/").replace("python -m", f"{python} -m")
            _run(["/bin/sh", "-ec", shell], work)
        else:
            assert instruction in {"FROM", "ENV", "WORKDIR"}, instruction
    return opt


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy(source, target)


def _run(command: t.Sequence[object], folder: Path) -> None:
    done = subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env=plain_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
