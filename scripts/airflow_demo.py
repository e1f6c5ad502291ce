"""`make airflow-demo`: Airflow reads three simulated clinics into DuckDB; one has a wrong token."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from medchat_swell_sandbox import Dataset, Sandbox

ROOT = Path(__file__).resolve().parent.parent
AIRFLOW = ROOT / ".venvs" / "airflow" / "bin" / "airflow"
TARGET = ROOT / ".venvs" / "target-duckdb" / "bin" / "target-duckdb"
DATABASE = ROOT / "output" / "airflow-demo.duckdb"
CLINICS = ("north", "south", "west")


def connection(**extra: object) -> str:
    """An Airflow connection as the text of a variable."""
    return json.dumps({"conn_type": "generic", "extra": extra})


def main() -> None:
    """Run the demo."""
    os.umask(0o077)
    DATABASE.parent.mkdir(exist_ok=True)
    DATABASE.unlink(missing_ok=True)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        config = folder / "duckdb.json"
        settings = {"filepath": str(DATABASE), "default_target_schema": "clinics"}
        config.write_text(json.dumps(settings), "utf-8")
        environment = os.environ | {
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "deploy" / "airflow" / "dags"),
            "MEDCHAT_SWELL_TAP": shlex.join((sys.executable, "-m", "tap_medchat_swell")),
            "MEDCHAT_SWELL_TARGET": shlex.join((str(TARGET), "--config", str(config))),
            "MEDCHAT_SWELL_STATES": str(folder / "states"),
            "AIRFLOW_CONN_MEDCHAT_SWELL_ACCOUNTS": connection(accounts=CLINICS),
            "AIRFLOW_CONN_MEDCHAT_SWELL_TARGET": connection(),
            "MEDCHAT_SWELL_RETRIES": "0",
        }
        for number, name in enumerate(CLINICS):
            data = Dataset.generate(seed=number, chats=100, swell_messages=200, days=60)
            account = stack.enter_context(Sandbox(data)).tap_config()
            if name == "south":
                account["swell_api_token"] = "wrong"  # noqa: S105 - it is
            environment[f"AIRFLOW_CONN_MEDCHAT_SWELL_{name.upper()}"] = connection(**account)
        log = ROOT / "output" / "airflow-demo.log"
        print(f"Airflow runs medchat_swell_nightly for {', '.join(CLINICS)}. Its log: {log}")
        with log.open("w", encoding="utf-8") as file:
            for command in (["db", "migrate"], ["dags", "test", "medchat_swell_nightly"]):
                subprocess.run(  # noqa: S603 - no shell
                    [AIRFLOW, *command], env=environment, stdout=file, stderr=file, check=False
                )
        show(log.read_text("utf-8"))


def show(log: str) -> None:
    """Print the report out of the log, or fail without one."""
    lines = log.splitlines()
    try:
        start = next(n for n, line in enumerate(lines) if line.startswith("account "))
    except StopIteration:
        sys.exit("Airflow did not come to the report: see its log.")
    print("\n".join(lines[start : start + 1 + len(CLINICS)]))
    print(f"The rows are in {DATABASE}, schema clinics. Next: deploy/airflow/README.md")


if __name__ == "__main__":
    main()
