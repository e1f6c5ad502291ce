from __future__ import annotations

import typing as t
from datetime import datetime, timezone

import pytest

from tap_medchat_swell import bookmark as bookmarks
from tap_medchat_swell.errors import TapError
from tap_medchat_swell.medchat.progress import Progress
from tap_medchat_swell.time_ranges import from_epoch, to_epoch
from tap_medchat_swell.timestamps import parse_timestamp

UTC = timezone.utc
NOW = datetime(2024, 2, 29, 12, 30, 15, 250_000, tzinfo=UTC)


def good(**changes: object) -> bookmarks.Bookmark:
    bookmark: bookmarks.Bookmark = {}
    bookmarks.write(bookmark, key="created_at", value=NOW, scope="s")
    return bookmark | changes


class TestTrust:
    def test_what_was_written_is_trusted(self) -> None:
        assert bookmarks.trusted(good(), "s") == (good(), None)

    @pytest.mark.parametrize("bookmark", [{}, {"starting_replication_value": "x"}])
    def test_a_new_bookmark_is_empty_without_complaint(self, bookmark: bookmarks.Bookmark) -> None:
        assert bookmarks.trusted(bookmark, "s") == ({}, None)

    @pytest.mark.parametrize("version", [0, 2, None, "1", [1]])
    def test_another_version(self, version: object) -> None:
        trusted, reason = bookmarks.trusted(good(version=version), "s")

        assert trusted == {}
        assert reason is not None
        assert "version" in reason

    def test_without_version(self) -> None:
        bookmark = good()
        del bookmark["version"]

        assert bookmarks.trusted(bookmark, "s")[0] == {}

    @pytest.mark.parametrize("scope", ["other", None, 5])
    def test_another_scope(self, scope: object) -> None:
        trusted, reason = bookmarks.trusted(good(scope=scope), "s")

        assert trusted == {}
        assert reason is not None
        assert "filter settings" in reason


class TestScope:
    def test_same_settings_same_scope(self) -> None:
        assert bookmarks.scope_of(a=("1", "2"), b="x") == bookmarks.scope_of(b="x", a=("1", "2"))

    @pytest.mark.parametrize("other", [{"a": ("1",)}, {"a": ("2", "1")}, {"b": ("1", "2")}, {}])
    def test_other_settings_other_scope(self, other: dict[str, t.Any]) -> None:
        assert bookmarks.scope_of(a=("1", "2")) != bookmarks.scope_of(**other)

    def test_it_shows_no_setting(self) -> None:
        assert "0b7c1d52" not in bookmarks.scope_of(org="0b7c1d52")


class TestShape:
    @pytest.mark.parametrize("document", [{}, {"bookmarks": {}}, {"bookmarks": {"a": {}}}])
    def test_good(self, document: object) -> None:
        bookmarks.check_state(document)

    @pytest.mark.parametrize(
        "document",
        [None, [], "state", 5, {"bookmarks": None}, {"bookmarks": []}, {"bookmarks": {"a": 1}}],
    )
    def test_bad(self, document: object) -> None:
        with pytest.raises(TapError, match="must be a JSON object"):
            bookmarks.check_state(document)

    def test_something_else(self) -> None:
        with pytest.raises(TapError, match="has no bookmarks"):
            bookmarks.check_state({"swell_api_token": "x"})


def test_write_replaces_all_that_was_there() -> None:
    bookmark: bookmarks.Bookmark = {"progress_markers": 1, "at": "old"}

    bookmarks.write(bookmark, key="date", value=NOW, scope="s", since="2024-01-01", at=None)

    assert bookmark == {
        "replication_key": "date",
        "replication_key_value": "2024-02-29T12:30:15.250000Z",
        "version": bookmarks.VERSION,
        "scope": "s",
        "since": "2024-01-01",
    }


@pytest.mark.parametrize("value", [None, 5, "soon", ["2024-01-01"]])
def test_what_is_no_instant(value: object) -> None:
    assert parse_timestamp(value) is None


class TestProgress:
    """What MedChat's bookmarks remember of a sweep."""

    start = NOW.replace(microsecond=0)
    document: t.ClassVar[dict[str, t.Any]] = {
        "started": "2024-03-01T00:00:00.000000Z",
        "start": "2024-02-29T12:30:15.000000Z",
        "covers": "2023-01-01T00:00:00.000000Z",
        "settings": "x",
        "unsure": 1709210000,
        "windows": [
            [to_epoch(start) + 10, 3, "ff"],
            [to_epoch(start) + 10, 0, "0"],
            [to_epoch(start) + 20, 1, "1"],
        ],
    }

    def test_there_and_back(self) -> None:
        progress = Progress.from_json(self.document)

        assert progress is not None
        assert progress.to_json() == self.document
        assert progress.end == from_epoch(to_epoch(self.start) + 20)
        assert [r.digest for r in progress.ranges] == [255, 0, 1]

    def test_without_windows_it_stands_at_its_start(self) -> None:
        progress = Progress.from_json({**self.document, "windows": []})

        assert progress is not None
        assert progress.end == self.start

    @pytest.mark.parametrize(
        "changes",
        [
            {"started": None},
            {"started": "soon"},
            {"start": 5},
            {"covers": "all"},
            {"unsure": "soon"},
            {"unsure": None},
            {"windows": None},
            {"windows": [[1, 2]]},
            {"windows": [[to_epoch(start) + 10, 3, "ff"], [to_epoch(start) + 5, 3, "ff"]]},
            {"windows": [[to_epoch(start) - 1, 3, "ff"]]},
            {"windows": [[to_epoch(start) + 10, 3, "no number"]]},
            {"windows": [[to_epoch(start) + 10, "x", "ff"]]},
            {"windows": [["x", 3, "ff"]]},
            {"windows": "2024"},
            {"windows": {"a": 1}},
            {"windows": [[10**17, 3, "ff"]]},
            {"windows": [[to_epoch(start) + 10, 3, 255]]},
        ],
    )
    def test_damaged(self, changes: dict[str, t.Any]) -> None:
        assert Progress.from_json({**self.document, **changes}) is None

    @pytest.mark.parametrize("document", [None, 5, "x", [], {}])
    def test_something_else(self, document: object) -> None:
        assert Progress.from_json(document) is None
