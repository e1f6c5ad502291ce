"""What this deployment says, in variables MEDCHAT_SWELL_... and in Airflow connections.

Credentials are read in the task that needs them, and given to the tap alone: they are in no
XCom, log, template or file.
"""

from __future__ import annotations

import os
import shlex
import typing as t
from datetime import timedelta
from pathlib import Path

from airflow.sdk import Connection, get_current_context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from medchat_swell_runs import pipe
from medchat_swell_runs.states import StateStore, open_store

CONNECTION = "medchat_swell_{}"  # of an account, or of the target: settings in its "extra"


def variable(name: str, default: str = "") -> str:
    """MEDCHAT_SWELL_<name> of the environment."""
    return os.environ.get(f"MEDCHAT_SWELL_{name}") or default


# Of each task that reads: how many at once (the cap on both vendors), and when it is tried again.
LIMITS: dict[str, t.Any] = {
    "max_active_tis_per_dag": int(variable("AT_ONCE", "4")),
    "retries": int(variable("RETRIES", "2")),
    "retry_delay": timedelta(seconds=int(variable("RETRY_SECONDS", "300"))),
}


def account_names() -> list[str]:
    """One name per line of the file MEDCHAT_SWELL_ACCOUNTS, or `accounts` of a connection."""
    path = variable("ACCOUNTS")
    names = Path(path).read_text("utf-8").split() if path else _extra("accounts")["accounts"]
    return t.cast("list[str]", names)


def settings_of(account: str) -> dict[str, t.Any]:
    """The tap's settings for an account, credentials included."""
    return {"account_name": account, **_extra(account)}


def tap() -> list[str]:
    """The tap's command."""
    return shlex.split(variable("TAP", "tap-medchat-swell"))


def store() -> StateStore:
    """Where states are kept."""
    return open_store(variable("STATES", "states"))


def _extra(name: str) -> dict[str, t.Any]:
    connection = Connection.get(CONNECTION.format(name))
    return t.cast("dict[str, t.Any]", connection.extra_dejson)


def check(account: str) -> dict[str, t.Any]:
    """What the tap's --check=json finds. Raises AirflowException where a sync would not work."""
    try:
        return pipe.check(pipe.Programs(tap(), []), settings_of(account))
    except pipe.RunFailed as failed:
        raise _airflow_error(failed) from None


def load(account: str, state_name: str | None, **dates: str) -> None:
    """Run `tap | target` for an account, and push the run's report as XCom `report`.

    Raises AirflowException with the tap's sentence; wrong credentials are not tried again.
    """
    context: t.Any = get_current_context()
    context["account"] = account
    target = shlex.split(variable("TARGET", "target-postgres --config ENV"))
    programs = pipe.Programs(tap(), target, _extra("target"))
    settings = settings_of(account) | dates
    keep = store() if state_name else None
    report = {"account_name": account, "result": "failed", "streams": []}
    try:
        report |= pipe.run(programs, settings, keep, state_name or "")
    except pipe.RunFailed as failed:
        report |= {**failed.report, "result": "failed", "verdict": str(failed)}
        raise _airflow_error(failed) from None
    finally:
        context["ti"].xcom_push(key="report", value=report)


def _airflow_error(failed: pipe.RunFailed) -> AirflowException:
    kind = AirflowFailException if failed.is_hopeless else AirflowException
    return kind(str(failed))
