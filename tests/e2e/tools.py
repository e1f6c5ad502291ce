"""What the tests of this folder run the tap with: Meltano, PostgreSQL, S3, singer-check-tap."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

import requests

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from medchat_swell_sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".venvs"
SCHEMA = "tap_medchat_swell"
# A wildcard does not select the optional streams.
EVERYTHING = ("*.*", "sms_memberships.*", "sms_text_bot_executions.*")
Row = dict[str, t.Any]


def programs(name: str) -> Path:
    """The folder of an environment's programs."""
    folder = TOOLS / name / "bin"
    assert folder.is_dir(), f"{folder} is missing: run `make test-tools`"
    return folder


def plain_environment() -> dict[str, str]:
    """This process's environment without what would steer the tap, a target or Meltano."""
    drop = ("TAP_", "TARGET_", "MELTANO_", "PG", "PYTHONDONTWRITEBYTECODE")
    return {name: text for name, text in os.environ.items() if not name.startswith(drop)}


def run_program(
    command: Sequence[object], folder: Path, environment: Mapping[str, str], *, seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever its exit code; standard output has standard error too."""
    return subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=seconds,
        check=False,
    )


@dataclass
class MeltanoProject:
    """A copy of this project's meltano.yml, in a folder that keeps its plugins."""

    folder: Path
    database: Path
    variables: dict[str, str] = field(default_factory=dict)

    @classmethod
    def copied(cls, folder: Path, database: Path) -> MeltanoProject:
        """Copy meltano.yml: its relative paths become those of this project."""
        text = (ROOT / "meltano.yml").read_text("utf-8")
        text = text.replace("pip_url: -e . ", f"pip_url: -e '{ROOT}' ")
        text = text.replace("${MELTANO_PROJECT_ROOT}/dbt", f"{ROOT}/dbt")
        text = text.replace(" -c locks/", f" -c '{ROOT}'/locks/")
        (folder / "output").mkdir(parents=True, exist_ok=True)
        (folder / "meltano.yml").write_text(text, "utf-8")
        return cls(folder, database)

    def point_at(self, sandbox: Sandbox, extractor: str, **settings: object) -> None:
        """Let an extractor read a sandbox."""
        prefix = extractor.upper().replace("-", "_")
        for name, value in sandbox.tap_config(**settings).items():
            self.variables[f"{prefix}_{name.upper()}"] = str(value)
        self.variables[f"{prefix}__SELECT"] = json.dumps(EVERYTHING)

    def meltano(self, *arguments: str, code: int = 0) -> str:
        """Run Meltano; returns its log."""
        environment = plain_environment() | self.variables
        environment |= {
            "MELTANO_DATABASE_URI": f"sqlite:///{self.database}",
            "MELTANO_ENVIRONMENT": "sandbox",
            "NO_COLOR": "1",
        }
        command = [programs("meltano") / "meltano", *arguments]
        done = run_program(command, self.folder, environment, seconds=600)
        assert done.returncode == code, done.stdout[-6000:]
        assert "Unknown setting" not in done.stdout, "variables that Meltano sets are known"
        return done.stdout


class PostgreSQL:
    """A server of our own on a free port, reached by TCP."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        [binaries] = TOOLS.glob("postgres/lib/python3*/site-packages/*pgserver/pginstall")
        self._install = binaries
        self._user: dict[str, t.Any] = {}
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root, and others may not be let into our folders.
            nobody = pwd.getpwnam("nobody")
            self._user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            packages = binaries.parents[1]
            self._install = folder / binaries.relative_to(packages)
            shutil.copytree(binaries, self._install, symlinks=True)
            for libraries in packages.glob("*pgserver.libs"):
                shutil.copytree(libraries, folder / libraries.name)
            folder.chmod(0o755)
            (folder / "data").mkdir()
            os.chown(folder / "data", nobody.pw_uid, nobody.pw_gid)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._run(
            "initdb",
            "-D",
            folder / "data",
            "-U",
            "tap",
            "--auth=trust",
            "-N",
            "-E",
            "UTF8",
            "--no-locale",
        )
        self._server = subprocess.Popen(
            [
                *(self._install / "bin" / "postgres", "-D", folder / "data", "-F"),
                *("-p", str(self.port), "-c", "listen_addresses=127.0.0.1"),
                *("-c", "unix_socket_directories="),
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._user,
        )
        self._wait()

    def _run(self, program: str, *arguments: object) -> str:
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [self._install / "bin" / program, *map(str, arguments)],
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "PGCLIENTENCODING": "UTF8"},
            check=False,
            **self._user,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _wait(self) -> None:
        ready = (self._install / "bin" / "pg_isready", "-q", "-h", "127.0.0.1", "-p")
        for _ in range(400):
            if subprocess.run([*ready, str(self.port)], check=False).returncode == 0:
                return
            time.sleep(0.05)
        self.stop()
        message = "PostgreSQL did not start"
        raise AssertionError(message)

    def query(self, sql: str) -> str:
        """What psql prints for a query."""
        return self._run(
            "psql",
            "-XAtq",
            "-h",
            "127.0.0.1",
            "-p",
            self.port,
            "-U",
            "tap",
            "-d",
            "postgres",
            "-c",
            sql,
        )

    def rows(self, table: str, schema: str = SCHEMA) -> list[Row]:
        """A table's rows."""
        answer = self.query(f'SELECT row_to_json(t) FROM "{schema}"."{table}" t')
        # Texts may hold what str.splitlines would take for the end of a line.
        return [json.loads(line) for line in answer.split("\n") if line]

    def stop(self) -> None:
        """End the server at once."""
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait(20)


class S3:
    """An object store of our own on a free port: moto."""

    def __init__(self, folder: Path) -> None:
        self._session = requests.Session()
        self._session.headers["Authorization"] = (
            "AWS4-HMAC-SHA256 Credential=any/any/us-east-1/s3/any"
        )
        log = folder / "moto.log"
        with log.open("wb") as output:
            self._server = subprocess.Popen(
                [programs("moto") / "moto_server", "-H", "127.0.0.1", "-p", "0"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=plain_environment(),
            )
        for _ in range(400):
            if found := re.search(r"Running on (http://127\.0\.0\.1:\d+)", log.read_text()):
                self.url = found[1]
                return
            time.sleep(0.05)
        self.stop()
        raise AssertionError(log.read_text())

    def bucket(self, name: str) -> str:
        """A bucket that exists; its name."""
        self._session.put(f"{self.url}/{name}").raise_for_status()
        return name

    def objects(self, bucket: str, stream: str) -> list[bytes]:
        """The objects that have a stream's name behind a slash, in the order of their keys."""
        listing = self._get(f"{bucket}?list-type=2").decode()
        keys = sorted(re.findall("<Key>(.*?)</Key>", listing))
        wanted = [key for key in keys if re.search(rf"/{stream}[-./]", key)]
        return [self._get(f"{bucket}/{key}") for key in wanted]

    def _get(self, path: str) -> bytes:
        response = self._session.get(f"{self.url}/{path}")
        response.raise_for_status()
        return response.content

    def stop(self) -> None:
        """End the server."""
        self._server.terminate()
        self._server.wait(20)


NO_STATISTICS = {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}


class Dbt:
    """A process that has dbt loaded, and forks for each run."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [
                programs("dbt") / "python",
                "-W",
                "ignore",
                Path(__file__).with_name("dbt_process.py"),
            ],
            cwd=ROOT / "dbt",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env=plain_environment() | NO_STATISTICS,
        )

    def run(self, *arguments: object, folder: Path, output: Path, **variables: str) -> str:
        """Run dbt in a folder; returns what it says. Every failed test is a failure."""
        given = {"DBT_TARGET_PATH": str(output / "target"), "DBT_LOG_PATH": str(output / "logs")}
        job = {
            "arguments": [str(argument) for argument in arguments],
            "folder": str(folder),
            "environment": plain_environment() | NO_STATISTICS | given | variables,
            "output": str(output / "dbt.txt"),
        }
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(job), file=self._process.stdin, flush=True)
        code = self._process.stdout.readline().strip()
        said = (output / "dbt.txt").read_text("utf-8")
        assert code == "0", said[-6000:]
        return said

    def stop(self) -> None:
        """End the process."""
        self._process.communicate(timeout=120)


def check_tap(messages: bytes) -> str:
    """What singer-check-tap says to a tap's output, fed through a pipe."""
    done = subprocess.run(
        [programs("singer-tools") / "singer-check-tap"],
        input=messages,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=plain_environment(),
        check=False,
        timeout=120,
    )
    report = done.stdout.decode("utf-8")
    assert done.returncode == 0, report
    return report


def tap_command(*arguments: str) -> list[str]:
    """The tap as a command."""
    return [sys.executable, "-m", "tap_medchat_swell", *arguments]
