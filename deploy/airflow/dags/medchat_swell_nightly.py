"""Every night: `tap | target` for each account, a task per account; then one report over all."""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone

from airflow.sdk import CronDataIntervalTimetable, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException
from medchat_swell_runs import deployment
from medchat_swell_runs.report import is_complete, table


@dag(
    schedule=CronDataIntervalTimetable("0 3 * * *", timezone="UTC"),
    start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
)
def medchat_swell_nightly() -> None:
    """Credentials are in the connections medchat_swell_<account>."""

    @task
    def accounts() -> list[str]:
        return deployment.account_names()

    @task(map_index_template="{{ account }}", **deployment.LIMITS)
    def load(account: str) -> None:
        context: t.Any = get_current_context()
        if context["dag_run"].run_type == "backfill":  # reads its range again, past the state
            start, end = context["data_interval_start"], context["data_interval_end"]
            dates = {"start_date": start.isoformat(), "end_date": end.isoformat()}
            deployment.load(account, None, **dates)
        else:
            deployment.load(account, account)

    @task(trigger_rule="all_done")
    def report(names: list[str]) -> None:
        ti: t.Any = get_current_context()["ti"]
        found = ti.xcom_pull(task_ids="load", key="report", map_indexes=range(len(names)))
        reports = dict(zip(names, found, strict=True))
        print(table(reports))
        failed = [name for name in names if not is_complete(reports[name])]
        if failed:
            raise AirflowFailException(
                f"{len(failed)} of {len(names)} accounts are not complete: {', '.join(failed)}"
            )

    names = accounts()
    load.expand(account=names) >> report(names)


medchat_swell_nightly()
