from __future__ import annotations

import typing as t

from tap_medchat_swell.medchat.digest import ALWAYS, Changes, Known, Range

CUT = "2024-06-01T00:00:00.000000Z"
NEXT_CUT = "2024-06-02T00:00:00.000000Z"
OLD = "2024-05-01T00:00:00.000000Z"
NEW = "2024-06-01T12:00:00.000000Z"
NEWEST = "2024-06-02T12:00:00.000000Z"
Rows = list[tuple[bytes, str | None]]


def swept(rows: Rows, cut: str, start: int = 0, end: int = 100) -> Range:
    """What a sweep that began at `cut` remembers of a window."""
    changes = Changes(Known(), cut)
    for encoded, created in rows:
        changes.add(encoded, encoded, created, ALWAYS)
    return Range(start, end, len(rows), changes.digest)


def written(known: Known, rows: Rows, bounds: tuple[int, int] = (0, 100)) -> list[bytes]:
    """What the next sweep writes of these rows, all of chats in range 0."""
    changes = Changes(known, NEXT_CUT)
    for encoded, created in rows:
        changes.add(encoded, encoded, created, 0)
    return t.cast("list[bytes]", changes.to_write(*bounds))


BEFORE: Rows = [(b"a", OLD), (b"b", OLD), (b"a", OLD)]
KNOWN = Known(CUT, [swept(BEFORE, CUT)])


def test_without_knowledge_everything_is_written() -> None:
    changes = Changes(Known(), CUT)
    changes.add(b"a", b"a", OLD, ALWAYS)

    assert changes.to_write(0, 100) == [b"a"]


def test_nothing_changed_nothing_written() -> None:
    assert written(KNOWN, BEFORE) == []


def test_order_does_not_matter() -> None:
    assert written(KNOWN, BEFORE[::-1]) == []


def test_only_what_is_newer_is_written() -> None:
    assert written(KNOWN, [*BEFORE, (b"c", NEW)]) == [b"c"]


def test_a_changed_row_writes_the_range() -> None:
    changed = [(b"A", OLD), *BEFORE[1:]]

    assert written(KNOWN, changed) == [b"A", b"b", b"a"]


def test_opposite_changes_do_not_cancel_each_other() -> None:
    names = [f"{number * 2654435761:032x}" for number in range(500)]
    read = [swept([(f"{name}: 0".encode(), OLD)], CUT).digest for name in names]
    unread = [swept([(f"{name}: 1".encode(), OLD)], CUT).digest for name in names]
    differences = {(after - before) % 2**64 for before, after in zip(read, unread, strict=True)}

    assert len(differences) == len(names)


def test_a_backdated_row_writes_the_range() -> None:
    """Its date lies before the last sweep, yet it was not there then."""
    assert written(KNOWN, [*BEFORE, (b"late", OLD)]) == [b"a", b"b", b"a", b"late"]


def test_a_row_that_is_gone_writes_the_range() -> None:
    assert written(KNOWN, BEFORE[:-1]) == [b"a", b"b"]


def test_two_equal_rows_are_not_none() -> None:
    """A sum that knew only which rows there are, not how often, would miss this."""
    assert written(KNOWN, [*BEFORE, (b"b", OLD)]) != []


def test_a_row_without_date_counts_as_old() -> None:
    rows: Rows = [(b"a", None)]

    assert written(Known(CUT, [swept(rows, CUT)]), rows) == []
    assert written(Known(CUT, [swept(rows, CUT)]), [(b"b", None)]) == [b"b"]


def test_what_came_during_the_last_sweep_is_written_again() -> None:
    """It may have come before or after its window was read."""
    rows: Rows = [(b"a", OLD), (b"during", NEW)]
    known = Known(CUT, [swept(rows, CUT)])

    assert written(known, rows) == [b"during"]


def test_the_next_digest_holds_what_is_older_than_this_sweep() -> None:
    changes = Changes(KNOWN, NEXT_CUT)
    for encoded, created in [*BEFORE, (b"c", NEW), (b"d", NEWEST)]:
        changes.add(encoded, encoded, created, 0)

    assert changes.digest == swept([*BEFORE, (b"c", NEW)], NEXT_CUT).digest


def test_a_range_that_was_read_only_in_part_is_written() -> None:
    assert written(KNOWN, BEFORE, (1, 100)) != []
    assert written(KNOWN, BEFORE, (0, 99)) != []


def test_an_empty_range_that_stays_empty() -> None:
    known = Known(CUT, [Range(0, 50, 0, 0)])

    assert written(known, []) == []
    assert written(known, [(b"late", OLD)]) == [b"late"]


def test_ranges_are_told_apart() -> None:
    known = Known(CUT, [swept([(b"a", OLD)], CUT, 0, 50), swept([(b"b", OLD)], CUT, 50, 100)])
    changes = Changes(known, NEXT_CUT)
    changes.add(b"a", b"a", OLD, 0)
    changes.add(b"B", b"B", OLD, 1)

    assert changes.to_write(0, 100) == [b"B"]


def test_places() -> None:
    known = Known(CUT, [Range(10, 20, 1, 0), Range(20, 30, 1, 0), Range(40, 50, 1, 0)])

    assert [known.place(at) for at in (10, 19, 20, 29, 40, 49)] == [0, 0, 1, 1, 2, 2]
    assert {known.place(at) for at in (9, 30, 39, 50, 99, None)} == {ALWAYS}
    assert Known().place(15) == ALWAYS
