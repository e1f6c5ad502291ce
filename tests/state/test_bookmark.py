from __future__ import annotations

from datetime import datetime, timezone

import pytest

from tap_medchat_swell import bookmark as bookmarks
from tap_medchat_swell.errors import TapError
from tap_medchat_swell.medchat.bookmark import History, Window
from tap_medchat_swell.swell.bookmark import DayBookmark
from tap_medchat_swell.time_ranges import TimeRange
from tap_medchat_swell.timestamps import parse_timestamp

UTC = timezone.utc
NOW = datetime(2024, 2, 29, 12, 30, 15, 250_000, tzinfo=UTC)
SCOPE = bookmarks.Scope("now", "before")
DETAILS = {"since": "2024-01-01"}


def good(**changes: object) -> bookmarks.Bookmark:
    bookmark: bookmarks.Bookmark = {}
    bookmarks.write(bookmark, key="created_at", value=NOW, scope=SCOPE, details=DETAILS)
    return bookmark | changes


class TestLoad:
    def test_what_was_written_is_loaded(self) -> None:
        assert bookmarks.load(good(), SCOPE) == (good(), None)

    @pytest.mark.parametrize("bookmark", [{}, {"starting_replication_value": "x"}])
    def test_a_new_bookmark_is_empty_without_complaint(self, bookmark: bookmarks.Bookmark) -> None:
        assert bookmarks.load(bookmark, SCOPE) == ({}, None)

    @pytest.mark.parametrize("version", [0, -1, None, "1", [1], {}, True, 1.5])
    def test_an_unknown_version(self, version: object) -> None:
        assert bookmarks.load(good(version=version, scope="now"), SCOPE)[0] == {}

    def test_without_version(self) -> None:
        bookmark = good()
        del bookmark["version"]

        assert bookmarks.load(bookmark, SCOPE) == ({}, "was not written by this tap")

    def test_states_of_version_1_that_were_merged_keep_its_scope(self) -> None:
        assert bookmarks.load(good(scope="before"), SCOPE) == (good(scope="before"), None)

    @pytest.mark.parametrize("scope", ["other", None, 5])
    def test_another_scope(self, scope: object) -> None:
        bookmark, reason = bookmarks.load(good(scope=scope), SCOPE)

        assert bookmark == {}
        assert reason == "was written with other settings (account, address, filters or privacy)"


class TestScope:
    def test_same_settings_same_scope(self) -> None:
        scope = bookmarks.scope_of("default", "https://a/", a=("1", "2"), b="x")

        assert scope == bookmarks.scope_of("default", "https://a", b="x", a=("1", "2"))

    @pytest.mark.parametrize(
        ("account", "url", "filters"),
        [
            ("default", "https://a", {"a": ("1",)}),
            ("default", "https://a", {"a": ("2", "1")}),
            ("default", "https://a", {"b": ("1", "2")}),
            ("default", "https://b", {"a": ("1", "2")}),
            ("clinic", "https://a", {"a": ("1", "2")}),
        ],
    )
    def test_other_settings_other_scope(
        self, account: str, url: str, filters: dict[str, object]
    ) -> None:
        scope = bookmarks.scope_of("default", "https://a", a=("1", "2"))

        assert bookmarks.scope_of(account, url, **filters).current != scope.current

    def test_it_shows_no_setting(self) -> None:
        assert "0b7c1d52" not in str(bookmarks.scope_of("default", "https://a", org="0b7c1d52"))

    def test_version_1_knew_no_account(self) -> None:
        """So only the account that has no name of its own may go on with its bookmarks."""
        assert bookmarks.scope_of("clinic", "https://a", a="1").version_1 is None
        one, other = (bookmarks.scope_of("default", url, a="1") for url in ("https://a", "b"))
        assert one.version_1 == other.version_1 == bookmarks.fingerprint(a="1")


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

    def test_a_newer_version(self) -> None:
        bookmarks.check_state({"bookmarks": {"a": good()}})
        with pytest.raises(TapError, match=r"newer tap-medchat-swell \(bookmark version 3;"):
            bookmarks.check_state({"bookmarks": {"a": {}, "b": good(version=3)}})


def test_write_replaces_all_that_was_there() -> None:
    bookmark: bookmarks.Bookmark = {"progress_markers": 1, "at": "old"}
    details = {"since": "2024-01-01", "at": None}

    bookmarks.write(bookmark, key="date", value=NOW, scope=SCOPE, details=details)

    assert bookmark == {
        "replication_key": "date",
        "replication_key_value": "2024-02-29T12:30:15.250000Z",
        "version": bookmarks.VERSION,
        "scope": "now",
        "since": "2024-01-01",
        "at": None,  # a key that is left out would survive where Meltano merges states
    }


@pytest.mark.parametrize("value", [None, 5, "soon", ["2024-01-01"]])
def test_what_is_no_instant(value: object) -> None:
    assert parse_timestamp(value) is None


def version_1(**details: object) -> bookmarks.Bookmark:
    return {
        "replication_key": "created_at",
        "replication_key_value": "2024-02-26T00:00:00.000000Z",
        "version": 1,
        "scope": "before",
        **details,
    }


def scan_of_1(started: int, start: int, *parts: tuple[int, int]) -> dict[str, object]:
    """A scan as version 1 kept it; times are seconds of the 1st of January 1970."""
    return {
        "started": _second(started),
        "start": _second(start),
        "covers": _second(start),
        "settings": "x",
        "windows": [[end, chats, "ff"] for end, chats in parts],
    }


def _second(number: int) -> str:
    return f"1970-01-01T00:{number // 60:02}:{number % 60:02}.000000Z"


def window(start: int, end: int, chats: int, read: int) -> Window:
    return Window(TimeRange(start, end), chats, read, digests=(None,))


class TestVersion1:
    def test_only_with_the_scope_of_that_version(self) -> None:
        bookmark = version_1(since="2024-01-01", scope="now")

        assert bookmarks.load(bookmark, SCOPE)[0] == {}
        assert bookmarks.load(version_1(since="2024-01-01"), bookmarks.Scope("now"))[0] == {}

    def test_days_go_on_and_changes_are_asked_for_since_the_last_run(self) -> None:
        finished = "2024-02-28T01:02:03.000000Z"
        document = version_1(since="2024-01-01", finished=finished)

        bookmark, reason = bookmarks.load(document, SCOPE)

        assert reason is None
        days = DayBookmark.from_bookmark(bookmark)
        assert (str(days.since), str(days.value), days.at) == ("2024-01-01", "2024-02-26", None)
        assert days.changes_since == days.finished == parse_timestamp(finished)

    def test_parts_become_windows_without_digests(self) -> None:
        document = version_1(finished=scan_of_1(900, 100, (200, 7), (300, 8)), sweep=None)

        bookmark, reason = bookmarks.load(document, SCOPE)

        assert reason is None
        assert History.from_bookmark(bookmark) == History(
            (window(100, 200, 7, 900), window(200, 300, 8, 900))
        )

    def test_an_interrupted_scan_goes_on(self) -> None:
        document = version_1(
            finished=scan_of_1(900, 100, (200, 7), (300, 8), (400, 9)),
            sweep=scan_of_1(950, 100, (200, 7), (310, 9)),
        )

        history = History.from_bookmark(bookmarks.load(document, SCOPE)[0])

        assert history.scan_started == 950
        assert history.windows == (
            window(100, 200, 7, 950),
            window(200, 310, 9, 950),
            window(310, 400, 9, 900),
        )

    def test_a_first_scan_goes_on(self) -> None:
        document = version_1(finished=None, sweep=scan_of_1(950, 100, (200, 7)))

        history = History.from_bookmark(bookmarks.load(document, SCOPE)[0])

        assert history == History((window(100, 200, 7, 950),), 950)

    def test_a_scan_that_had_read_nothing(self) -> None:
        document = version_1(finished=None, sweep=scan_of_1(950, 100))

        assert History.from_bookmark(bookmarks.load(document, SCOPE)[0]) == History((), 950)

    def test_a_scan_left_over_where_states_were_merged(self) -> None:
        finished = scan_of_1(900, 100, (200, 7))
        document = version_1(finished=finished, sweep=scan_of_1(900, 100, (150, 3)))

        history = History.from_bookmark(bookmarks.load(document, SCOPE)[0])

        assert history == History((window(100, 200, 7, 900),))

    @pytest.mark.parametrize(
        "finished",
        [
            None,
            5,
            "soon",
            [],
            {"started": None},
            {**scan_of_1(900, 100), "started": "soon"},
            {**scan_of_1(900, 100), "windows": None},
            {**scan_of_1(900, 100), "windows": [[1, 2]]},
            {**scan_of_1(900, 100), "windows": [["x", 2, "ff"]]},
            {**scan_of_1(900, 100), "windows": [[200, None, "ff"]]},
        ],
    )
    def test_damaged(self, finished: object) -> None:
        document = version_1(finished=finished, sweep=None)

        assert bookmarks.load(document, SCOPE) == ({}, "is damaged")
