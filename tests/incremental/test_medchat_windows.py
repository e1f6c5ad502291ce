"""MedChat's windows: how a bookmark keeps them, how they fit a range, and which are due."""

from __future__ import annotations

import copy
import itertools
import random
import typing as t
from dataclasses import replace

import pytest

from tap_medchat_swell.medchat.bookmark import MODULUS, History, Window, combine, due, fit
from tap_medchat_swell.time_ranges import TimeRange

DAY = 86_400
NOW = 20_000 * DAY


def window(
    start: int,
    end: int,
    chats: int = 5,
    read: int = 0,
    *digests: int | None,
    changed: bool = False,
) -> Window:
    return Window(TimeRange(start, end), chats, read, changed, digests or (None,))


def ranges(history: History) -> list[tuple[int, int]]:
    return [(window.range.start, window.range.end) for window in history.windows]


def fitted(*windows: Window, start: int = 0, end: int = 100, streams: int = 1) -> History:
    return fit(History(windows), TimeRange(start, end), 10, streams)


class TestDocument:
    history = History(
        (window(0, 10, 3, 7, 255), window(10, 20, 0, 0), window(20, 30, 4, 9, 0, changed=True)), 9
    )

    @pytest.mark.parametrize("started", [0, 9])
    def test_there_and_back(self, started: int) -> None:
        history = replace(self.history, scan_started=started)

        assert History.from_bookmark(history.details(0)) == history

    def test_each_stream_keeps_its_own_digests(self) -> None:
        history = History((window(0, 10, 3, 7, 255, 1),))

        kept = [History.from_bookmark(history.details(number)) for number in (0, 1)]

        assert kept == [History((window(0, 10, 3, 7, digest),)) for digest in (255, 1)]

    def test_a_new_stream_has_no_history(self) -> None:
        assert History.from_bookmark({}) == History()

    def test_digests_of_another_algorithm_are_unknown(self) -> None:
        document = {**self.history.details(0), "digest": "crc32"}

        windows = History.from_bookmark(document).windows

        assert [window.digests for window in windows] == [(None,)] * 3
        assert [window.read for window in windows] == [7, 0, 9]

    @pytest.mark.parametrize("name", ["since", "digest", "windows", "scan_started"])
    def test_a_key_is_missing(self, name: str) -> None:
        document = self.history.details(0)
        del document[name]

        with pytest.raises(ValueError):  # noqa: PT011 - it has no text
            History.from_bookmark(document)

    @pytest.mark.parametrize(
        "changes",
        [
            {"since": None},
            {"since": "soon"},
            {"since": 5},
            {"scan_started": "soon"},
            {"scan_started": 5},
            {"scan_started": "1970-01-01T00:00:08.000000Z"},  # before the last reading
            {"windows": None},
            {"windows": "2024"},
            {"windows": 5},
            {"windows": {"a": 1}},
            {"windows": [None]},
            {"windows": [[10, 3, 7, 0]]},
            {"windows": [[10, 3, 7, 0, "f", 1]]},
            {"windows": [["x", 3, 7, 0, "f"]]},
            {"windows": [[10, "x", 7, 0, "f"]]},
            {"windows": [[10, 3, None, 0, "f"]]},
            {"windows": [[10, 3, 7, 0, 255]]},
            {"windows": [[10, 3, 7, 0, "no number"]]},
            {"windows": [[0, 3, 7, 0, "f"]]},
            {"windows": [[10, 3, 7, 0, "f"], [5, 3, 7, 0, "f"]]},
            {"windows": [[float("inf"), 3, 7, 0, "f"]]},
        ],
    )
    def test_damaged(self, changes: dict[str, t.Any]) -> None:
        document = {**copy.deepcopy(self.history.details(0)), **changes}

        with pytest.raises(ValueError):  # noqa: PT011 - it has no text
            History.from_bookmark(document)


class TestCompleteUntil:
    def test_the_first_unread_window(self) -> None:
        history = History((window(0, 10, 3, 7), window(10, 20), window(20, 30, 4, 7)))

        assert history.complete_until == 10

    def test_all_have_been_read(self) -> None:
        assert History((window(0, 10, 3, 7), window(10, 20, 3, 7))).complete_until == 20


class TestReplace:
    history = History((window(0, 10, 3, 7, 1), window(10, 20, 5, 7, 2), window(20, 30, 4, 7, 3)))

    def test_a_whole_window(self) -> None:
        piece = window(10, 20, 6, 9, 4)

        assert self.history.replace(piece).windows == (
            self.history.windows[0],
            piece,
            self.history.windows[2],
        )

    def test_a_piece_leaves_a_rest_without_digest(self) -> None:
        piece = window(10, 14, 2, 9, 4)

        rest = self.history.replace(piece).windows[2]

        assert rest == window(14, 20, 3, 7, None)

    def test_piece_by_piece(self) -> None:
        pieces = [window(10, 14, 4, 9, 4), window(14, 17, 4, 9, 5), window(17, 20, 0, 9, 6)]
        history = self.history
        for piece in pieces:
            history = history.replace(piece)

        assert history.windows == (self.history.windows[0], *pieces, self.history.windows[2])


class TestFit:
    def test_nothing_is_known(self) -> None:
        assert fitted(streams=2) == History((window(0, 100, 0, 0, None, None),))

    def test_known_windows_stay(self) -> None:
        windows = (window(0, 50, 10, 7, 1), window(50, 100, 10, 7, 2))

        assert fitted(*windows).windows == windows

    def test_an_earlier_start_adds_an_unread_window(self) -> None:
        known = window(50, 100, 10, 7, 1)

        assert fitted(known).windows == (window(0, 50, 0, 0, None), known)

    def test_a_later_start_cuts_and_the_digest_is_unknown(self) -> None:
        windows = (window(0, 50, 10, 7, 1), window(50, 100, 10, 7, 2))

        assert fitted(*windows, start=30).windows == (window(30, 50, 0, 0, None), windows[1])

    def test_an_earlier_end_cuts(self) -> None:
        windows = (window(0, 50, 10, 7, 1), window(50, 100, 10, 7, 2))

        assert fitted(*windows, end=60).windows == (windows[0], window(50, 60, 0, 0, None))

    def test_nothing_of_what_is_known_is_wanted(self) -> None:
        assert ranges(fitted(window(0, 10, 5, 7, 1), start=50)) == [(50, 100)]
        assert ranges(fitted(window(200, 300, 5, 7, 1))) == [(0, 100)]

    def test_new_time_extends_the_last_window_where_few_chats_are_expected(self) -> None:
        extended = fitted(window(0, 80, 4, 7, 1))

        assert extended.windows == (window(0, 100, 4, 7, 1),)

    def test_new_time_is_a_window_of_its_own_where_many_are_expected(self) -> None:
        known = window(0, 80, 9, 7, 1)

        assert fitted(known).windows == (known, window(80, 100, 0, 0, None))

    def test_an_unread_last_window_is_not_extended_as_if_it_had_been_read(self) -> None:
        history = fitted(window(0, 50, 9, 7, 1), window(50, 80, 0, 0))

        assert history.complete_until == 50
        assert ranges(history)[-1][1] == 100

    @pytest.mark.parametrize(
        ("one", "other", "digest"),
        [(MODULUS - 1, 3, 2), (1, 2, 3), (None, None, None)],
    )
    def test_small_neighbors_are_merged(
        self, one: int | None, other: int | None, digest: int | None
    ) -> None:
        merged = fitted(window(0, 50, 5, 7, one), window(50, 100, 5, 7, other, changed=True))

        assert merged.windows == (window(0, 100, 10, 7, digest, changed=True),)

    @pytest.mark.parametrize(
        "other",
        [
            window(50, 100, 6, 7, 2),
            window(50, 100, 5, 8, 2),
            window(50, 100, 5, 7, None),
        ],
        ids=["together too large", "read at another time", "unknown digest"],
    )
    def test_others_are_not(self, other: Window) -> None:
        one = window(0, 50, 5, 7, 1)

        assert fitted(one, other).windows == (one, other)

    def test_whatever_the_windows_the_range_is_covered_without_gaps(self) -> None:
        rng = random.Random(3)
        for _ in range(300):
            ends = sorted(rng.sample(range(1, 200), rng.randrange(6)))
            known = [
                window(start, end, rng.randrange(9), rng.choice((0, 7, 8)), rng.choice((1, None)))
                for start, end in itertools.pairwise(ends)
            ]
            start = rng.randrange(0, 190)
            history = fitted(*known, start=start, end=start + 10)

            covered = ranges(history)
            assert covered[0][0] == start
            assert covered[-1][1] == start + 10
            assert all(a[1] == b[0] for a, b in itertools.pairwise(covered))


class TestCombine:
    def test_equal_windows(self) -> None:
        one = History((window(0, 10, 3, 7, 1), window(10, 20, 3, 9, 2)), 9)
        other = History((window(0, 10, 3, 7, 5), window(10, 20, 3, 9, 6, changed=True)), 9)

        assert combine([one, other]) == History(
            (window(0, 10, 3, 7, 1, 5), window(10, 20, 3, 9, 2, 6, changed=True)), 9
        )

    def test_a_stream_that_is_new(self) -> None:
        one = History((window(0, 10, 3, 7, 1),), 9)

        assert combine([History(), one]) == History((window(0, 10, 3, 0, None, 1),))

    def test_windows_that_differ_are_unread(self) -> None:
        one = History((window(0, 10, 3, 7, 1), window(10, 30, 3, 7, 2)))
        other = History((window(0, 10, 3, 7, 5), window(10, 20, 3, 7, 6), window(20, 30, 1, 7, 7)))

        assert [(w.read, w.digests) for w in combine([one, other]).windows] == [
            (7, (1, 5)),
            (0, (None, 6)),
            (0, (None, 7)),
        ]

    def test_the_earlier_reading_counts(self) -> None:
        one, other = (History((window(0, 10, 3, read, 1),)) for read in (7, 9))

        assert combine([one, other]).windows[0].read == 7

    def test_scans_that_differ_are_not_resumed(self) -> None:
        one, other = (History((window(0, 10, 3, 7, 1),), started) for started in (8, 9))

        assert combine([one, other]).scan_started == 0


class TestDue:
    def test_all_windows_are_due_in_every_scan(self) -> None:
        windows = (window(0, 10, 3, NOW - DAY), window(10, 20), window(20, 30, 3, NOW - 9 * DAY))

        assert due(History(windows), NOW, None) == list(windows)

    @pytest.mark.parametrize("days", [None, 7])
    def test_an_interrupted_scan_resumes_behind_what_it_has_read(self, days: int | None) -> None:
        """A window before that was not due when the scan started, unless it was never read."""
        old = NOW - 30 * DAY
        windows = [
            window(10 * n, 10 * n + 10, 3, read) for n, read in enumerate((old, 0, NOW, old, 0))
        ]

        assert due(History(tuple(windows), NOW), NOW, days) == [windows[n] for n in (1, 3, 4)]

    @pytest.mark.parametrize(
        "active",
        [
            window(0, 10, 3, 0),
            window(0, 10, 3, NOW - DAY, changed=True),
            window(NOW - 8 * DAY, NOW - 6 * DAY, 3, NOW - DAY),
            window(0, 10, 3, NOW - 7 * DAY),
        ],
        ids=["never read", "changed", "recent chats", "long unread"],
    )
    def test_windows_that_cannot_wait(self, active: Window) -> None:
        quiet = [window(n, n + 1, 100, NOW - DAY) for n in range(20, 30)]

        assert active in due(History((active, *quiet)), NOW, 7)

    def test_the_longest_unread_come_first(self) -> None:
        quiet = [window(n, n + 1, 10, NOW - DAY * (1 + n % 5)) for n in range(10)]

        chosen = due(History(tuple(quiet)), NOW, 10)

        assert chosen == [quiet[4]], "a tenth of the chats"

    def test_in_the_order_of_time(self) -> None:
        windows = [window(n, n + 1, 1, NOW - (n + 1) * DAY) for n in range(5)]

        chosen = due(History(tuple(windows)), NOW, 2)

        assert chosen == sorted(chosen, key=lambda window: window.range)

    @pytest.mark.parametrize("days", [1, 3, 7, 30])
    @pytest.mark.parametrize("every_hours", [6, 24, 31])
    def test_over_months_every_window_is_read_often_enough_and_evenly(
        self, days: int, every_hours: int
    ) -> None:
        rng = random.Random(days)
        sizes = [rng.randrange(50, 150) for _ in range(200)]
        history = History(tuple(window(n, n + 1, size, NOW) for n, size in enumerate(sizes)))
        period, step, loads = days * DAY, every_hours * 3600, list[int]()
        for started in range(NOW + step, NOW + 3 * period + 30 * step, step):
            chosen = {window.range for window in due(history, started, days)}
            loads.append(sum(w.chats for w in history.windows if w.range in chosen))
            assert max(started - w.read for w in history.windows) <= max(period, step)
            history = History(
                tuple(replace(w, read=started) if w.range in chosen else w for w in history.windows)
            )
        assert max(loads) <= sum(sizes) / max(1, period // step) + max(sizes)
