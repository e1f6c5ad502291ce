"""What of a window is written again, by its digests."""

from __future__ import annotations

import random
import typing as t

import pytest
from support.medchat_fake import Source, chat

from tap_medchat_swell.medchat.bookmark import Window
from tap_medchat_swell.medchat.changes import MAX_WINDOW_BYTES, WindowRecords
from tap_medchat_swell.medchat.chats import ChatRows
from tap_medchat_swell.time_ranges import TimeRange

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_medchat_swell.record_mapper import Row

FIRST, SECOND = 1_700_000_000, 1_700_100_000  # when the scans started
START, END = FIRST - 1000, FIRST + 200_000
PER_WINDOW = 10


class Fingerprinted(Source):
    output_fingerprint = b"another map"


def history(count: int = 6) -> list[Row]:
    return [chat(number, START + 10 * number, status="Active") for number in range(count)]


def window(*digests: int | None, chats: int = 6, read: int = FIRST) -> Window:
    return Window(TimeRange(START, END), chats, read, digests=digests)


def records_of(known: Window, scan_started: int, *sources: Source) -> WindowRecords:
    return WindowRecords(sources or [Source()], known, scan_started, ChatRows().take)


def add(records: WindowRecords, rows: Sequence[Row]) -> None:
    chats = ChatRows()
    created = [START + 10 * int(row["id"][1:]) for row in rows]
    records.add([chats.identify(row) for row in rows], [dict(row) for row in rows], created)


def read(known: Window, rows: Sequence[Row], started: int = SECOND) -> tuple[int, Window]:
    """How many records are written, and what is kept of the window."""
    records = records_of(known, started)
    add(records, rows)
    written = len(records.ready().items[0]) + len(records.rest().items[0])
    [piece] = records.pieces(known.range.end, PER_WINDOW)
    return written, piece


def first_reading(rows: Sequence[Row]) -> Window:
    return read(window(None, read=0), rows, FIRST)[1]


def test_a_first_reading_writes_all() -> None:
    written, piece = read(window(None, read=0), history(), FIRST)

    assert written == 6
    assert (piece.chats, piece.read, piece.range) == (6, FIRST, window().range)
    assert piece.digests[0] is not None
    assert not piece.changed


def test_the_same_is_not_written_again() -> None:
    known = first_reading(history())

    written, piece = read(known, history())

    assert written == 0
    assert piece.digests == known.digests
    assert not piece.changed


def test_the_order_makes_no_difference() -> None:
    rows = history()
    known = first_reading(rows)
    random.Random(2).shuffle(rows)

    assert read(known, rows)[0] == 0


def test_the_order_within_a_chat_makes_no_difference() -> None:
    one, other = ([{**history()[0], "messages_at": times}] for times in ([START, 9], [9, START]))

    class Unordered(Source):
        def records_of(self, chat: t.Any) -> list[Row]:
            return [{"created_date_time": str(second)} for second in chat.row["messages_at"]]

    digests = []
    for rows in (one, other):
        records = records_of(window(None), SECOND, Unordered())
        add(records, rows)
        digests.append(records.pieces(END, PER_WINDOW)[0].digests)
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: [{**rows[0], "status": "Ended"}, *rows[1:]],
        lambda rows: [{**rows[0], "messages_at": [FIRST - 1]}, *rows[1:]],
        lambda rows: rows[1:],
        lambda rows: [{**row, "new_column": 1} for row in rows],
    ],
    ids=["another status", "a backdated message", "a deleted chat", "a new column"],
)
def test_what_changed_has_the_window_written_whole(
    change: t.Callable[[list[Row]], list[Row]],
) -> None:
    known, rows = first_reading(history()), change(history())

    written, piece = read(known, rows)

    assert written == len(rows) + sum(len(row.get("messages_at", ())) for row in rows)
    assert piece.changed
    assert read(piece, rows, SECOND + 1)[0] == 0


def test_only_what_is_newer_is_written() -> None:
    """A new chat, and a new message in an old one."""
    known = first_reading(history())
    first, *others = history()
    new = {**chat(20_000, 0), "createdDateTime": "2023-11-15T00:00:00Z"}
    rows = [{**first, "messages_at": [FIRST + 5]}, *others, new]

    written, piece = read(known, rows)

    assert written == 2
    assert piece.changed, "the window is active"
    assert read(piece, rows, SECOND + 1)[0] == 0


def test_what_is_newer_than_the_scan_is_written_again_by_the_next() -> None:
    """It may have come after its page, so no digest covers it."""
    late = {**chat(20_000, 0), "createdDateTime": "2030-01-01T00:00:00Z"}
    known = first_reading([*history(), late])

    assert read(known, [*history(), late])[0] == 1


def test_an_unknown_digest_has_all_written_as_it_comes() -> None:
    records = records_of(window(None), SECOND)
    add(records, history())

    assert records.held_bytes == 0
    assert len(records.ready().items[0]) == 6
    assert records.ready().items == [[]]
    assert records.rest().items == [[]]


def test_a_known_digest_holds_all_until_the_window_has_come() -> None:
    records = records_of(window(1), SECOND)
    add(records, history())

    assert records.ready().items == [[]]
    assert records.held_bytes > 0
    assert len(records.rest().items[0]) == 6


def test_another_output_has_all_written() -> None:
    known = first_reading(history())
    records = records_of(known, SECOND, Fingerprinted())
    add(records, history())

    assert len(records.rest().items[0]) == 6


def test_each_stream_has_its_own_digest() -> None:
    known = first_reading(history())
    both = window(*known.digests, 5)
    records = records_of(both, SECOND, Source(), Source())
    add(records, history())

    assert [len(items) for items in records.rest().items] == [0, 6]


def test_a_chat_that_comes_twice_is_taken_once() -> None:
    known = first_reading(history())
    records = records_of(known, SECOND)
    add(records, history())
    add(records, history()[:3])

    assert records.rest().items == [[]]
    assert records.pieces(END, PER_WINDOW)[0].chats == 6


class TestSize:
    def test_a_window_is_cut_when_it_has_doubled(self) -> None:
        records = records_of(window(None), SECOND)
        add(records, history(2 * PER_WINDOW - 1))
        assert not records.is_full(PER_WINDOW)

        add(records, history(2 * PER_WINDOW))
        assert records.is_full(PER_WINDOW)

    def test_a_known_window_is_held_until_it_has_grown_fourfold(self) -> None:
        records = records_of(window(1), SECOND)
        add(records, history(4 * PER_WINDOW - 1))
        assert not records.is_full(PER_WINDOW)

        add(records, history(4 * PER_WINDOW))

        assert records.is_full(PER_WINDOW)
        assert records.held_bytes == 0
        assert len(records.ready().items[0]) == 4 * PER_WINDOW, "all is written, to free memory"
        assert all(piece.changed for piece in records.pieces(END, PER_WINDOW))

    def test_large_chats_fill_a_window_too(self) -> None:
        records = records_of(window(None), SECOND)
        big = {**history()[0], "text": "x" * (2 * MAX_WINDOW_BYTES)}
        add(records, [big])

        assert records.is_full(PER_WINDOW)

    @pytest.mark.parametrize(
        ("count", "sizes"), [(19, [19]), (20, [10, 10]), (35, [11, 12, 12]), (40, [10] * 4)]
    )
    def test_a_window_that_has_doubled_is_split(self, count: int, sizes: list[int]) -> None:
        records = records_of(window(None), SECOND)
        add(records, history(count))

        pieces = records.pieces(END, PER_WINDOW)

        assert [piece.chats for piece in pieces] == sizes
        assert (pieces[0].range.start, pieces[-1].range.end) == (START, END)

    def test_digests_of_pieces_add_up(self) -> None:
        rows = history(20)
        whole = first_reading(rows[:19])
        records = records_of(window(None, read=0), FIRST)
        add(records, rows[:19])
        first = records.cut(START + 100)
        [rest] = records.pieces(END, PER_WINDOW)

        assert (first.range.end, first.chats, rest.chats) == (rest.range.start, 10, 9)
        total = sum(piece.digests[0] or 0 for piece in (first, rest)) % (1 << 64)
        assert (total,) == whole.digests

    def test_a_piece_is_read_alone_in_the_next_scan(self) -> None:
        records = records_of(window(None, read=0), FIRST)
        add(records, history(20))
        first, rest = records.pieces(END, PER_WINDOW)

        assert read(first, history(10))[0] == 0
        assert read(rest, history(20)[10:])[0] == 0

    def test_chats_without_a_date_belong_to_the_last_piece(self) -> None:
        records = records_of(window(None, read=0), FIRST)
        rows = history(3)
        records.add(["c0", "c1", "c2"], rows, [START, None, START + 20])

        assert records.cut(START + 30).chats == 2
        assert [piece.chats for piece in records.pieces(END, PER_WINDOW)] == [1]

    def test_a_chat_that_seems_to_be_created_at_the_end_belongs_to_the_window(self) -> None:
        """M10: vendors round what they show."""
        records = records_of(window(None, read=0), FIRST)
        records.add(["c0"], history(1), [END])

        assert [piece.chats for piece in records.pieces(END, PER_WINDOW)] == [1]
