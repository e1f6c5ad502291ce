"""Reading MedChat's chats: none that is held all the time is missed, whatever the server does."""

from __future__ import annotations

import itertools
import random
import typing as t
from dataclasses import replace

import pytest
from support.medchat_fake import FakeMedChat, FakeScan, chat, unread

from tap_medchat_swell import pipeline
from tap_medchat_swell.errors import VendorError
from tap_medchat_swell.medchat import reader
from tap_medchat_swell.medchat.bookmark import Window
from tap_medchat_swell.stream import ENCODER

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_medchat_swell.record_mapper import Row

BEGIN = 1_690_000_000
HOUR = 3600
END = BEGIN + 1000 * HOUR
WHOLE = unread(BEGIN, END)
WORKERS = pytest.mark.parametrize("workers", [1, 2, 8])
HISTORIES: dict[str, t.Callable[[int, random.Random], int]] = {
    "spread": lambda number, _: BEGIN + number * HOUR,
    "bursts": lambda number, _: BEGIN + number // 15 * HOUR,
    "random": lambda _, rng: BEGIN + int(1000 * HOUR * rng.random() ** 3),
    "one second": lambda *_: BEGIN + 5,
}


def history(name: str, seed: int = 0, count: int = 200) -> list[Row]:
    rng = random.Random(f"{name} {seed}")
    return [chat(number, HISTORIES[name](number, rng)) for number in range(count)]


def scan(
    server: FakeMedChat, due: Sequence[Window] = (WHOLE,), workers: int = 2, **settings: int
) -> FakeScan:
    scan = FakeScan(server, due, **settings)
    pipeline.run([scan], workers, lambda: None)
    return scan


def ids(rows: Sequence[Row]) -> set[str]:
    return {row["id"] for row in rows}


def assert_contiguous(scan: FakeScan) -> None:
    """The pieces are the windows that were due, cut but without gaps."""
    ends = {window.range.end for window in scan.due}
    starts = {window.range.start for window in scan.due}
    for piece, following in itertools.pairwise(scan.pieces):
        assert piece.range.end == following.range.start or piece.range.end in ends
    assert {piece.range.start for piece in scan.pieces} >= starts
    assert {piece.range.end for piece in scan.pieces} >= ends


def assert_complete(scan: FakeScan, held: set[str]) -> None:
    assert scan.error is None
    assert held <= scan.written.keys()
    assert_contiguous(scan)


ODDITIES: dict[str, dict[str, t.Any]] = {
    "stable": {},
    "ties": {"order": "ties"},
    "ids": {"order": "ids"},
    "random": {"order": "random"},
    "capped": {"cap": 4},
    "capped ties": {"cap": 4, "order": "ties"},
    "top refused": {"max_top": 3},
    "undated": {"undated": True},
    "undated ids": {"undated": True, "order": "ids"},
    "rounding": {"rounds_up": True},
    "rounding ties": {"rounds_up": True, "order": "ties"},
}


@WORKERS
@pytest.mark.parametrize("name", HISTORIES)
@pytest.mark.parametrize("oddity", ODDITIES)
def test_a_first_load_misses_nothing(oddity: str, name: str, workers: int) -> None:
    rows = history(name)

    scanned = scan(FakeMedChat(rows, **ODDITIES[oddity]), workers=workers)

    assert_complete(scanned, ids(rows))
    assert sum(piece.chats for piece in scanned.pieces) == len(rows)


@WORKERS
@pytest.mark.parametrize(
    ("oddity", "name"),
    [
        (oddity, name)
        for oddity, name in itertools.product(ODDITIES, HISTORIES)
        # Where a whole window lies in the second that is rounded, the next scan may fail once.
        if "undated" not in oddity and ("rounding" not in oddity or name != "one second")
    ],
)
def test_a_second_scan_writes_what_changed(oddity: str, name: str, workers: int) -> None:
    """Nothing where nothing did: so pieces and digests do not depend on the order of rows."""
    rows = history(name)
    if name == "one second":  # a window that is four times too large is always written
        rows = rows[:100]
    first = scan(FakeMedChat(rows, **ODDITIES[oddity]), workers=workers)

    same = scan(FakeMedChat(rows), first.pieces, workers, started=first.started + 1)
    changed = [{**rows[0], "status": "Ended"}, *rows[2:], chat(999, BEGIN + 7)]
    server = FakeMedChat(changed, **ODDITIES[oddity])
    later = scan(server, first.pieces, workers, started=first.started + 1)

    assert_complete(same, set())
    if "rounding" not in oddity:  # else the records differ
        assert same.times_written == 0
    assert_complete(later, {"c0", "c999"})
    target = {**first.written, **later.written}
    assert b"Ended" in target["c0"]
    assert target.keys() == ids(rows) | ids(changed)


def removing(*numbers: int, at: int) -> t.Callable[[FakeMedChat], None]:
    """Chats are deleted just before a request is answered."""

    def before(server: FakeMedChat) -> None:
        if len(server.asked) == at:
            server.rows = [row for row in server.rows if row["id"] not in names]

    names = {f"c{number}" for number in numbers}
    return before


def inserting(seed: int) -> t.Callable[[FakeMedChat], None]:
    """Chats appear in the past, some just before each request is answered."""
    rng = random.Random(seed)

    def before(server: FakeMedChat) -> None:
        if len(server.asked) <= 20:
            server.rows = [
                *server.rows,
                chat(10_000 + len(server.asked), BEGIN + rng.randrange(200) * HOUR),
            ]

    return before


@WORKERS
@pytest.mark.parametrize("name", ["spread", "bursts", "random"])
@pytest.mark.parametrize("oddity", ["stable", "ties", "ids", "capped", "undated"])
@pytest.mark.parametrize("known", [False, True])
def test_chats_that_move_while_they_are_read(
    oddity: str,
    name: str,
    workers: int,
    known: bool,  # noqa: FBT001
) -> None:
    rows = history(name)
    due = scan(FakeMedChat(rows)).pieces if known else [WHOLE]
    for seed in range(1, 30, 7):
        changes = (removing(3, 60, 140, at=seed), inserting(seed))
        for before_each in changes:
            server = FakeMedChat([*rows], before_each=before_each, **ODDITIES[oddity])
            due = [replace(window, digests=(None,)) for window in due]
            scanned = scan(server, due, workers)

            assert_complete(scanned, ids(rows) & ids(server.rows))


def test_a_second_that_never_stays_the_same_ends_with_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader, "MAX_PASSES", 2)

    scanned = scan(FakeMedChat(history("one second"), "random", max_top=10))

    assert "came in another order each of 2 times" in str(scanned.error)
    assert all(piece.chats == 0 for piece in scanned.pieces)


@pytest.mark.parametrize("known", [False, True])
def test_an_ignored_skip_ends_with_one_sentence(known: bool) -> None:  # noqa: FBT001
    rows = history("one second")
    due = scan(FakeMedChat(rows)).pieces if known else [WHOLE]

    scanned = scan(FakeMedChat(rows, ignores_skip=True, max_top=10), due)

    assert "it ignores $skip" in str(scanned.error)
    assert all(piece.chats == 0 for piece in scanned.pieces)


def test_an_ignored_filter_ends_with_one_sentence() -> None:
    rows = [*history("spread"), chat(999, END + 10)]

    scanned = scan(FakeMedChat(rows, ignores_filter=True))

    assert "it ignores the $filter" in str(scanned.error)


def test_pages_of_one_chat_end_with_one_sentence() -> None:
    scanned = scan(FakeMedChat(history("spread"), cap=1))

    assert "MedChat sends one chat per page" in str(scanned.error)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_chats(count: int) -> None:
    rows = history("spread", count=count)

    assert_complete(scan(FakeMedChat(rows, empty=None)), ids(rows))


def test_no_chats_at_all() -> None:
    scanned = scan(FakeMedChat([]))

    assert_complete(scanned, set())
    assert scanned.pieces == [Window(WHOLE.range, 0, scanned.started, digests=(0,))]


@pytest.mark.parametrize("known", [False, True])
def test_an_empty_body_is_no_proof_that_there_are_no_chats(known: bool) -> None:  # noqa: FBT001
    """The window stays unread."""
    window = Window(WHOLE.range, 0, BEGIN, digests=(0,)) if known else WHOLE

    scanned = scan(FakeMedChat([], empty=None), [window])

    assert scanned.error is None
    assert scanned.pieces == []


@pytest.mark.parametrize("empty", [[], None])
def test_a_window_that_held_chats_is_not_believed_to_be_empty(empty: object) -> None:
    known = Window(WHOLE.range, 5, BEGIN, digests=(17,))

    scanned = scan(FakeMedChat([], empty=empty), [known])

    assert isinstance(scanned.error, VendorError)
    read = [piece for piece in scanned.pieces if piece.read]
    assert read == []


def test_the_next_run_believes_that_they_were_deleted() -> None:
    first = scan(FakeMedChat([]), [Window(WHOLE.range, 5, BEGIN, digests=(17,))])

    second = scan(FakeMedChat([]), first.pieces)

    assert_complete(second, set())


def test_one_chat_may_have_been_deleted() -> None:
    assert_complete(scan(FakeMedChat([]), [Window(WHOLE.range, 1, BEGIN, digests=(17,))]), set())


def fewest(chats: int, page_size: int = 10) -> int:
    """Requests for a window: pages that share a chat, and the last, which brings nothing new."""
    return 1 if chats == 0 else 1 + -(-max(1, chats - 1) // (page_size - 1))


@WORKERS
def test_known_windows_are_read_with_the_fewest_requests(workers: int) -> None:
    rows = history("spread")
    known = scan(FakeMedChat(rows)).pieces
    server = FakeMedChat(rows)

    scan(server, known, workers)

    assert len(server.asked) == sum(fewest(window.chats) for window in known)
    assert len({tuple(query.items()) for query in server.asked}) == len(server.asked)


@WORKERS
def test_a_first_load_adds_only_probes(workers: int) -> None:
    rows = history("spread")
    server = FakeMedChat(rows)

    pieces = scan(server, workers=workers).pieces

    probes = [query for query in server.asked if query["$top"] == "1"]
    assert [piece.chats for piece in pieces] == [40] * 5
    assert len(probes) == len(pieces) + 1
    assert len(server.asked) - len(probes) <= sum(fewest(piece.chats) for piece in pieces) + workers


def test_a_capped_page_costs_few_requests_more() -> None:
    """M3: pages are fetched ahead as long as they really are."""
    rows = history("spread")
    known = scan(FakeMedChat(rows)).pieces
    server = FakeMedChat(rows, cap=5)

    scan(server, known, workers=8)

    assert len(server.asked) <= sum(fewest(window.chats, 5) for window in known) + 8


def test_a_refused_page_size_is_asked_for_once_per_worker() -> None:
    rows = history("spread")
    server = FakeMedChat(rows, max_top=6)

    scanned = scan(server, workers=2)

    refused = [query for query in server.asked if int(query["$top"]) > 6]
    assert scanned.api.page_size <= 6
    assert len(refused) <= 8


def test_windows_that_doubled_are_split() -> None:
    rows = history("spread")
    known = Window(WHOLE.range, 40, BEGIN, digests=(17,))

    scanned = scan(FakeMedChat(rows), [known])

    assert_complete(scanned, ids(rows))
    assert max(piece.chats for piece in scanned.pieces) < 80
    assert sum(piece.chats for piece in scanned.pieces) == scanned.times_written == len(rows)
    again = scan(FakeMedChat(rows), scanned.pieces, started=scanned.started + 1)
    assert_complete(again, set())
    assert again.times_written == 0


@WORKERS
def test_a_window_without_probes_is_bookmarked_piece_by_piece(workers: int) -> None:
    """M5: where probes do not help, a first load is one window."""
    rows = history("spread", count=400)
    planned = Window(WHOLE.range, 0, 1, digests=(None,))
    server = FakeMedChat(rows)

    scanned = scan(server, [planned], workers)

    assert_complete(scanned, ids(rows))
    assert max(piece.chats for piece in scanned.pieces) < 80
    assert sum(piece.chats for piece in scanned.pieces) == scanned.times_written == 400
    assert len(server.asked) <= 1.2 * fewest(400) + workers
    assert max(int(query["$skip"]) for query in server.asked) <= 100


def test_what_is_written_is_what_was_sent() -> None:
    rows = history("spread", count=3)

    written = scan(FakeMedChat(rows)).written

    assert written["c1"] == ENCODER.encode(
        {**rows[1], "created_date_time": rows[1]["createdDateTime"]}
    )
