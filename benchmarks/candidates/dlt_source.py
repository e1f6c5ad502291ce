"""dlt's `rest_api` source, declared as its documentation shows, with its parallel settings.

`--steps extract` stops after the extract step, `--steps all` goes on through normalize
and load into local files. Messages stay inside their chats in the extract step; normalize
gives them a table of their own.
"""

from __future__ import annotations

import argparse
import json
import os
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.update(
    EXTRACT__WORKERS="16",
    EXTRACT__MAX_PARALLEL_ITEMS="64",
    RUNTIME__DLTHUB_TELEMETRY="false",
    RUNTIME__LOG_LEVEL="ERROR",
)

import dlt
from dlt.sources.rest_api import rest_api_resources

if TYPE_CHECKING:
    from collections.abc import Iterator


def medchat(config: dict[str, str]) -> dict[str, Any]:
    """Chats by offsets until an empty page."""
    return {
        "client": {
            "base_url": f"{config['medchat_api_url']}/external/orgs/{config['medchat_org_id']}/",
            "headers": {"Accept": "application/vnd.medchat+json;v=1.0"},
            "auth": {"type": "bearer", "token": config["medchat_access_token"]},
        },
        "resources": [
            {
                "name": "sms_chats",
                "primary_key": "id",
                "write_disposition": "append",
                "parallelized": True,
                "endpoint": {
                    "path": "smsChats",
                    "params": {"$orderby": "CreatedDateTime", "$expand": "Messages"},
                    "paginator": {
                        "type": "offset",
                        "limit": 100,
                        "limit_param": "$top",
                        "offset_param": "$skip",
                        "total_path": None,
                        "stop_after_empty_page": True,
                    },
                    "data_selector": "$[*]",
                },
            }
        ],
    }


def swell(config: dict[str, str]) -> dict[str, Any]:
    """Messages of each week, weeks side by side."""

    @dlt.resource(name="weeks", selected=False)
    def weeks() -> Iterator[list[dict[str, str]]]:
        first = date.fromisoformat(config["start_date"][:10])
        days = (datetime.now(timezone.utc).date() - first).days + 1
        starts = [first + timedelta(days=day) for day in range(0, days, 7)]
        yield [{"first": str(day), "last": str(day + timedelta(days=6))} for day in starts]

    return {
        "client": {
            "base_url": f"{config['swell_api_url']}/",
            "headers": {"Accept": "application/json"},
            "auth": {
                "type": "api_key",
                "name": "token",
                "api_key": config["swell_api_token"],
                "location": "query",
            },
        },
        "resources": [
            weeks(),
            {
                "name": "swell_messages",
                "primary_key": "id",
                "write_disposition": "append",
                "parallelized": True,
                "endpoint": {
                    "path": "messages",
                    "params": {
                        "from_date": "{resources.weeks.first}",
                        "to_date": "{resources.weeks.last}",
                        "per_page": 100,
                    },
                    "paginator": {
                        "type": "page_number",
                        "base_page": 1,
                        "page_param": "page",
                        "total_path": "meta.last_page",
                    },
                    "data_selector": "data",
                },
            },
        ],
    }


def main() -> None:
    """Run the pipeline in a folder of its own."""
    options = argparse.ArgumentParser()
    options.add_argument("--config", type=Path)
    options.add_argument("--work", type=Path)
    options.add_argument("--steps", choices=["extract", "all"])
    given = options.parse_args()
    config = json.loads(given.config.read_text())
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(given.work / "pipelines"),
        destination=dlt.destinations.filesystem((given.work / "loaded").as_uri()),
        dataset_name="messages",
    )
    resources = [*rest_api_resources(medchat(config)), *rest_api_resources(swell(config))]
    if given.steps == "extract":
        pipeline.extract(resources)
    else:
        pipeline.run(resources)


if __name__ == "__main__":
    main()
