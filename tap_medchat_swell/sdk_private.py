"""Everything that this tap uses of singer_sdk's private parts, and why.

The SDK may change these in any release. `tests/streams/test_sdk_private.py` fails if the
installed SDK lacks one of them, or if the tap uses one that is not listed here.
"""

from __future__ import annotations

# Modules, or `module:class`; then what is used of it.
PRIVATE: dict[str, dict[str, str]] = {
    "singer_sdk.helpers._catalog": {
        "get_selected_schema": "setup_mapper registers the selected part of each schema.",
    },
    "singer_sdk.streams.core:Stream": {
        "_sync_records": "Overridden: the SDK's record loop knows nothing of windows.",
        "_write_schema_message": "Overridden: SCHEMA is written once, before the first record.",
        "_write_record_message": "For records that stream maps or flattening must see.",
        "_generate_record_messages": "Overridden: flattening drops columns that are null.",
        "_stream_version": "Versioned records are written by the SDK.",
    },
}

# Texts that only the SDK's source defines.
TEXTS: dict[str, dict[str, str]] = {
    "singer_sdk.metrics": {
        "METRIC: %s": "The SDK's formatter needs the arguments of these log records as they are.",
    },
    "singer_sdk.tap_base": {
        "Skipping deselected stream": "Left out, because it is the same every night.",
    },
    "singer_sdk.plugin_base": {
        "Skipping parse of env": "Left out, because it is the same every night.",
    },
    "singer_sdk.streams.core": {
        "Beginning sync of": "A stream that is read along says so, once.",
    },
    "singer_sdk.mapper": {
        "property_name: str | None": "A failing stream map's column is found by this parameter.",
        "logging.getLogger(__name__)": "At DEBUG, this logger's arguments contain records.",
    },
}
