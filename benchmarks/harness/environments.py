"""One virtual environment per candidate, made by uv from pinned requirements."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import typing as t

from harness.places import CACHE, REQUIREMENTS, ROOT

if t.TYPE_CHECKING:
    from pathlib import Path

# What each environment gets from the tree, on top of its requirements.
FROM_TREE = {"tap": ROOT, "sandbox": ROOT / "sandbox"}
PINS = {"tap": "singer", "plain": "singer"}
NAMES = ("sandbox", "tap", "plain", "floor", "dlt", "airbyte")


def python(name: str) -> Path:
    """The interpreter of an environment."""
    return CACHE / "environments" / name / "bin" / "python"


def prepare() -> None:
    """Make what is missing or out of date; the tree's own packages always anew."""
    for name in NAMES:
        _prepare(name)


def _prepare(name: str) -> None:
    pins = REQUIREMENTS / f"{PINS.get(name, name)}.txt"
    folder = python(name).parent.parent
    stamp = folder / "made-from"
    made_from = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != made_from:
        sys.stderr.write(f"Making the environment {name}\n")
        _uv("venv", "--clear", "--python", sys.executable, folder)
        _install(name, "-r", pins)
        stamp.write_text(made_from)
    if name in FROM_TREE:
        _install(name, "--no-deps", "--reinstall", "--no-cache", FROM_TREE[name])


def _install(name: str, *what: str | Path) -> None:
    _uv("pip", "install", "--compile-bytecode", "--python", python(name), *what)


def _uv(*arguments: str | Path) -> None:
    command = [_uv_path(), *map(str, arguments)]
    environment = {key: os.environ[key] for key in os.environ if key != "VIRTUAL_ENV"}
    done = subprocess.run(  # noqa: S603
        command, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command[:3])} failed:\n{done.stderr}")


def _uv_path() -> str:
    """The uv at hand, or one installed into the cache."""
    found = shutil.which("uv")
    if found:
        return found
    folder = CACHE / "uv"
    if not (folder / "bin" / "uv").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)  # noqa: S603
        subprocess.run([folder / "bin" / "pip", "install", "-q", "uv"], check=True)  # noqa: S603
    return str(folder / "bin" / "uv")
