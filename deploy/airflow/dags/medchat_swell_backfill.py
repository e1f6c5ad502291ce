"""A long history in parts: plan, a task per part, then one state for the nightly run."""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone

from airflow.sdk import Param, dag, get_current_context, task
from medchat_swell_runs import deployment, parts


@dag(
    schedule=None,
    start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
    params={
        "account": Param("default", type="string"),
        "parts": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            maximum=parts.MAX_PARTS,
            description=f"Default: parts of about {parts.PART_MINUTES} minutes, by --check",
        ),
        "end": Param(None, type=["null", "string"], description="Default: up to now"),
    },
)
def medchat_swell_backfill() -> None:
    """Parts that have been read are not read again by a second run with the same plan."""

    @task
    def plan() -> list[parts.Part]:
        params: t.Any = get_current_context()["params"]
        account = params["account"]
        start = deployment.settings_of(account)["start_date"]
        count = params["parts"] or parts.suggested_count(deployment.check(account))
        return parts.plan(account, start, params["end"], count)

    @task(map_index_template="{{ part }}", **deployment.LIMITS)
    def read(part: parts.Part) -> None:
        context: t.Any = get_current_context()
        context["part"] = part["state_name"]
        deployment.load(part["account"], part["state_name"], **part["dates"])

    @task
    def gather(planned: list[parts.Part]) -> None:
        parts.gather(deployment.tap(), deployment.store(), planned)

    planned = plan()
    read.expand(part=planned) >> gather(planned)


medchat_swell_backfill()
