"""A declarative Airbyte source, read through the CDK's own entrypoint to stdout.

All streams are incremental by date slices, which is what the CDK reads side by side.
Messages of chats are a stream of their own, by the CDK's record expander; as its streams
share no answers, MedChat is asked twice.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from airbyte_cdk.entrypoint import launch
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)

CONCURRENCY = 16
SCHEMA = {"type": "object", "additionalProperties": True, "properties": {}}


def slices(field: str, step: str, grain: str, formats: list[str]) -> dict[str, Any]:
    """Date slices of a stream."""
    return {
        "type": "DatetimeBasedCursor",
        "cursor_field": field,
        "datetime_format": formats[0],
        "cursor_datetime_formats": formats,
        "start_datetime": {
            "type": "MinMaxDatetime",
            "datetime": "{{ config['start_date'] }}",
            "datetime_format": "%Y-%m-%dT%H:%M:%SZ",
        },
        "step": step,
        "cursor_granularity": grain,
    }


def stream(name: str, requester: dict[str, Any], **parts: Any) -> dict[str, Any]:
    """A stream over HTTP."""
    return {
        "type": "DeclarativeStream",
        "name": name,
        "primary_key": ["id"],
        "schema_loader": {"type": "InlineSchemaLoader", "schema": SCHEMA},
        "incremental_sync": parts["slices"],
        "retriever": {
            "type": "SimpleRetriever",
            "requester": {"type": "HttpRequester", "http_method": "GET", **requester},
            "record_selector": {
                "type": "RecordSelector",
                "extractor": {"type": "DpathExtractor", **parts["extractor"]},
            },
            "paginator": {
                "type": "DefaultPaginator",
                "pagination_strategy": parts["strategy"],
                **parts.get("page_token", {}),
            },
        },
    }


def page_in(parameter: str) -> dict[str, Any]:
    """Where the page goes."""
    option = {
        "type": "RequestOption",
        "inject_into": "request_parameter",
        "field_name": parameter,
    }
    return {"page_token_option": option}


def chats() -> dict[str, Any]:
    """Chats alone."""
    return medchat(
        "sms_chats",
        {},
        extractor={"field_path": []},
        page_token=page_in("$skip"),
        strategy={"type": "OffsetIncrement", "page_size": 100},
    )


def chats_messages() -> dict[str, Any]:
    """The messages in chats, each with its chat's id."""
    expander = {
        "type": "RecordExpander",
        "expand_records_from_field": ["messages"],
        "parent_fields": [
            {"type": "ParentFieldPath", "parent_path": ["id"], "record_path": ["sms_chat_id"]}
        ],
    }
    page = "next_page_token['next_page_token']"
    return medchat(
        "sms_messages",
        {
            "$expand": "Messages",
            # OffsetIncrement would count the messages
            "$skip": f"{{{{ {page} * 100 if next_page_token else 0 }}}}",
        },
        extractor={"field_path": [], "record_expander": expander},
        strategy={"type": "PageIncrement", "page_size": 100},
    )


def medchat(name: str, parameters: dict[str, str], **parts: Any) -> dict[str, Any]:
    """What is in chats, by offsets, a month at a time."""
    created = "CreatedDateTime"
    return stream(
        name,
        {
            "url_base": "{{ config['medchat_api_url'] }}",
            "path": "/external/orgs/{{ config['medchat_org_id'] }}/smsChats",
            "request_headers": {"Accept": "application/vnd.medchat+json;v=1.0"},
            "authenticator": {
                "type": "BearerAuthenticator",
                "api_token": "{{ config['medchat_access_token'] }}",
            },
            "request_parameters": {
                "$filter": f"{created} ge {{{{ stream_interval.start_time }}}} and "
                f"{created} le {{{{ stream_interval.end_time }}}}",
                "$orderby": created,
                "$top": "100",
                **parameters,
            },
        },
        slices=slices("createdDateTime", "P30D", "PT0.001S", ["%Y-%m-%dT%H:%M:%S.%_msZ"]),
        **parts,
    )


def swell() -> dict[str, Any]:
    """Messages by page numbers, a week at a time."""
    return stream(
        "swell_messages",
        {
            "url_base": "{{ config['swell_api_url'] }}",
            "path": "/messages",
            "request_headers": {"Accept": "application/json"},
            "authenticator": {
                "type": "ApiKeyAuthenticator",
                "api_token": "{{ config['swell_api_token'] }}",
                "inject_into": {
                    "type": "RequestOption",
                    "inject_into": "request_parameter",
                    "field_name": "token",
                },
            },
            "request_parameters": {
                "from_date": "{{ stream_interval.start_time }}",
                "to_date": "{{ stream_interval.end_time }}",
                "per_page": "100",
            },
        },
        slices=slices("created_at", "P7D", "P1D", ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z"]),
        extractor={"field_path": ["data"]},
        page_token=page_in("page"),
        strategy={"type": "PageIncrement", "start_from_page": 1, "page_size": 100},
    )


def manifest() -> dict[str, Any]:
    """The whole source."""
    return {
        "version": "7.0.0",
        "type": "DeclarativeSource",
        "check": {"type": "CheckStream", "stream_names": ["sms_chats"]},
        "streams": [chats(), chats_messages(), swell()],
        "concurrency_level": {
            "type": "ConcurrencyLevel",
            "default_concurrency": CONCURRENCY,
            "max_concurrency": CONCURRENCY,
        },
        "spec": {
            "type": "Spec",
            "connection_specification": {"type": "object", "additionalProperties": True},
        },
    }


def catalog() -> dict[str, Any]:
    """All streams, incrementally."""
    return {
        "streams": [
            {
                "stream": {
                    "name": name,
                    "json_schema": SCHEMA,
                    "supported_sync_modes": ["full_refresh", "incremental"],
                },
                "sync_mode": "incremental",
                "destination_sync_mode": "append",
            }
            for name in ("sms_chats", "sms_messages", "swell_messages")
        ]
    }


def main() -> None:
    """Read."""
    options = argparse.ArgumentParser()
    options.add_argument("--config", type=Path)
    options.add_argument("--work", type=Path)
    given = options.parse_args()
    config = json.loads(given.config.read_text())
    configured = given.work / "catalog.json"
    configured.write_text(json.dumps(catalog()))
    source = ConcurrentDeclarativeSource(
        catalog=ConfiguredAirbyteCatalogSerializer.load(catalog()),
        config=config,
        state=None,
        source_config=manifest(),
    )
    launch(source, ["read", "--config", str(given.config), "--catalog", str(configured)])


if __name__ == "__main__":
    main()
