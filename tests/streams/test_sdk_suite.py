"""The SDK's standard tests, against a sandbox.

Two of them cannot fail in singer-sdk 0.54: the one for unique keys compares generator
objects, the one for the final state looks for markers where they never are. Both are
replaced by ones that can.
"""

from __future__ import annotations

import typing as t
from datetime import datetime
from unittest.mock import Mock

import pytest
from medchat_swell_sandbox import Dataset, Sandbox
from singer_sdk.testing import SuiteConfig, get_tap_test_class
from singer_sdk.testing.suites import (
    SingerTestSuite,
    tap_stream_attribute_tests,
    tap_stream_tests,
    tap_tests,
)
from singer_sdk.testing.tap_tests import (
    StreamCatalogSchemaMatchesRecordTest,
    StreamPrimaryKeysTest,
    TapValidFinalStateTest,
)
from singer_sdk.testing.templates import StreamTestTemplate, TapTestTemplate
from support.tap_runs import STREAMS, discover, only, select, signal_handlers_kept

from tap_medchat_swell.tap import TapMedchatSwell

if t.TYPE_CHECKING:
    from collections.abc import Iterator

# Some columns are null in all records here; that the streams have records is tested apart.
pytestmark = pytest.mark.filterwarnings("ignore:No records were available to test")

# The test class asks for its streams when it is made, so the sandbox is there by then.
# It serves only while the tests of this module run.
SANDBOX = Sandbox(
    Dataset.generate(seed=3, chats=25, messages_per_chat=3, swell_messages=40, days=10)
)


@pytest.fixture(scope="module", autouse=True)
def _serving() -> Iterator[None]:
    with SANDBOX, signal_handlers_kept():
        config.update(SANDBOX.tap_config())
        yield


config: dict[str, t.Any] = {
    "medchat_org_id": SANDBOX.medchat_org_id,
    "medchat_access_token": SANDBOX.medchat_access_token,
    "swell_api_token": SANDBOX.swell_api_token,
    "start_date": "2026-01-01",
}


class UniqueKeysTest(StreamTestTemplate):
    """Keys are never null, and no two records have the same."""

    name = "keys_are_unique"

    def test(self) -> None:
        keys = self.stream.primary_keys
        assert keys
        values = [tuple(record[key] for key in keys) for record in self.stream_records]
        assert not [value for value in values if None in value]
        assert len(set(values)) == len(values)


class FinalStateTest(TapTestTemplate):
    """The last state has a bookmark for every stream that was read, and no markers."""

    name = "final_state"

    def test(self) -> None:
        bookmarks = self.runner.state_messages[-1]["value"]["bookmarks"]
        assert "progress_markers" not in str(bookmarks)
        for stream in {message["stream"] for message in self.runner.record_messages} - {
            "sync_windows"
        }:
            value = bookmarks[stream]["replication_key_value"]
            assert datetime.fromisoformat(value.replace("Z", "+00:00"))


class SchemaMatchesRecordTest(StreamTestTemplate):
    """Records hold every column of the schema; the SDK's test only warns."""

    name = "every_column_is_there"

    def test(self) -> None:
        columns = set(self.stream.stream_maps[-1].transformed_schema["properties"])
        for record in self.stream_records:
            assert set(record) == columns


REPLACED = {
    TapValidFinalStateTest: FinalStateTest,
    StreamPrimaryKeysTest: UniqueKeysTest,
    StreamCatalogSchemaMatchesRecordTest: SchemaMatchesRecordTest,
}


def replaced(suite: SingerTestSuite[t.Any]) -> SingerTestSuite[t.Any]:
    tests = [REPLACED.get(test, test) for test in suite.tests]
    return SingerTestSuite(kind=suite.kind, tests=tests)


with signal_handlers_kept():
    catalog = select(discover(config), only(*STREAMS))
    TestTap: t.Any = get_tap_test_class(
        TapMedchatSwell,
        config=config,
        catalog=catalog,
        parse_env_config=False,
        include_tap_tests=False,
        include_stream_tests=False,
        include_stream_attribute_tests=False,
        custom_suites=[
            replaced(tap_tests),
            replaced(tap_stream_tests),
            replaced(tap_stream_attribute_tests),
        ],
        suite_config=SuiteConfig(max_records_limit=None),
    )


def test_the_suite_is_whole() -> None:
    """Every one of the SDK's own tests is there, or its replacement."""
    suites = (tap_tests, tap_stream_tests, tap_stream_attribute_tests)
    wanted = {
        f"test_{suite.kind}_{REPLACED.get(test, test).name}"
        for suite in suites
        for test in suite.tests
    }

    # no column is a plain number; all tests of columns are made for those that there are
    assert wanted - set(dir(TestTap)) <= {"test_tap_stream_attribute_is_numeric"}


@pytest.mark.parametrize(
    ("records", "error"),
    [
        ([{"id": 1}, {"id": 1}], AssertionError),
        ([{"id": 1}, {"id": None}], AssertionError),
        ([{"id": 1}, {}], KeyError),
    ],
)
def test_the_test_of_keys_can_fail(records: list[dict[str, t.Any]], error: type[Exception]) -> None:
    check = UniqueKeysTest()
    check.stream = Mock(primary_keys=["id"])
    check.stream_records = records

    with pytest.raises(error):
        check.test()


@pytest.mark.parametrize(
    "bookmark",
    [
        {"progress_markers": {}, "replication_key_value": "2026-01-01T00:00:00Z"},
        {},
        {"replication_key_value": "soon"},
    ],
)
def test_the_test_of_the_final_state_can_fail(bookmark: dict[str, t.Any]) -> None:
    check = FinalStateTest()
    check.runner = Mock(
        state_messages=[{"value": {"bookmarks": {"s": bookmark}}}],
        record_messages=[{"stream": "s"}],
    )

    with pytest.raises((AssertionError, KeyError, ValueError)):
        check.test()
