"""Builds wheel and sdist into `dist/`, inspects them, and tries the wheel as a user would.

`python scripts/package.py` does all of it, in an environment without development extras, and
writes the SBOM of the locked dependencies beside the packages. `... pythons` prints the Python
versions that the wheel's classifiers name, as a JSON list.
"""

from __future__ import annotations

import email
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import typing as t
import zipfile
from pathlib import Path

from medchat_swell_sandbox import Dataset, Sandbox

if t.TYPE_CHECKING:
    from email.message import Message

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
UV = ROOT / ".venvs" / "uv" / "bin" / "uv"
PACKAGE = "tap_medchat_swell"
CHATS = 20
PYTHON_CLASSIFIER = "Programming Language :: Python :: "


def main() -> None:
    """Build, inspect and try, or print the Python versions."""
    if sys.argv[1:] == ["pythons"]:
        print(json.dumps(pythons(metadata(only("*.whl")))))
        return
    shutil.rmtree(DIST, ignore_errors=True)
    run(UV, "build", "--quiet", "--no-build-isolation", "--python", sys.executable)
    write_sbom()
    wheel = only("*.whl")
    inspect(wheel, only("*.tar.gz"))
    with tempfile.TemporaryDirectory() as folder:
        try_out(wheel, Path(folder))
    print(*(path.relative_to(ROOT) for path in sorted(DIST.iterdir())), sep="\n")


def run(*command: object) -> str:
    """Run a program; returns what it prints, or ends with what it said."""
    done = subprocess.run(  # noqa: S603 - uv, git and the tap
        [*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return done.stdout


def only(pattern: str) -> Path:
    """The one package in dist/."""
    (path,) = DIST.glob(pattern)
    return path


def write_sbom() -> None:
    """The dependencies that the lock installs with the tap, as CycloneDX."""
    sbom = run(UV, "export", "--quiet", "--locked", "--format", "cyclonedx1.5")
    (DIST / f"{PACKAGE}.cdx.json").write_text(sbom, "utf-8")


def metadata(wheel: Path) -> Message:
    """The wheel's METADATA."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def pythons(headers: Message) -> list[str]:
    """Python versions, such as 3.10, in the order of the classifiers."""
    classifiers: list[str] = headers.get_all("Classifier", [])
    return [
        text.removeprefix(PYTHON_CLASSIFIER)
        for text in classifiers
        if text.startswith(PYTHON_CLASSIFIER)
    ]


def inspect(wheel: Path, sdist: Path) -> None:
    """Check that both packages hold the source files, and the wheel nothing else."""
    tracked = run("git", "ls-files", "--cached", "--others", "--exclude-standard", PACKAGE)
    wanted = set(tracked.split())
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    if found != wanted:
        sys.exit(f"{wheel.name} should hold the package's files only: {sorted(found ^ wanted)}")
    with tarfile.open(sdist) as archive:
        shipped = {name.partition("/")[2] for name in archive.getnames()}
    if missing := wanted - shipped:
        sys.exit(f"{sdist.name} lacks {sorted(missing)}")


def try_out(wheel: Path, folder: Path) -> None:
    """Install the wheel alone and run the tap against the sandbox."""
    constraints = folder / "constraints.txt"
    constraints.write_text(
        run(UV, "export", "--quiet", "--locked", "--no-emit-workspace", "--no-hashes"), "utf-8"
    )
    run(UV, "venv", "--quiet", "--python", sys.executable, folder / "venv")
    python = folder / "venv" / "bin" / "python"
    run(UV, "pip", "install", "--quiet", "--python", python, "--constraints", constraints, wheel)
    tap = folder / "venv" / "bin" / "tap-medchat-swell"
    config = folder / "config.json"
    with Sandbox(Dataset.generate(seed=1, chats=CHATS, swell_messages=40, days=30)) as sandbox:
        config.write_text(json.dumps(sandbox.tap_config()), "utf-8")
        for flags in (["--help"], ["--version"], ["--about"], ["--discover"]):
            run(tap, "--config", config, *flags)
        written = [json.loads(line) for line in run(tap, "--config", config).split("\n") if line]
    chats = {
        message["record"]["id"]
        for message in written
        if message["type"] == "RECORD" and message["stream"] == "sms_chats"
    }
    if len(chats) != CHATS:
        sys.exit(f"The wheel read {len(chats)} of {CHATS} chats.")


if __name__ == "__main__":
    main()
