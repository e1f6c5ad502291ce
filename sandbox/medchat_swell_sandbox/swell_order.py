"""Order and paging of Swell's rows."""

from __future__ import annotations

import random
from hashlib import blake2b
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    from datetime import datetime

    from medchat_swell_sandbox.quirks import Quirks
    from medchat_swell_sandbox.rows import SwellMessage


def ordered(rows: list[SwellMessage], quirks: Quirks) -> list[SwellMessage]:
    """Sort rows, as far as the order is the same for every page (W10)."""
    match quirks.swell_order:
        case "latest":
            return sorted(rows, key=lambda row: (row.created, row.id), reverse=True)
        case "unspecified":
            return sorted(rows, key=lambda row: crc32(str(row.id).encode()))
        case _:
            return sorted(rows, key=lambda row: row.id)


def page_of(
    rows: list[SwellMessage], limit: int, offset: int, quirks: Quirks, number: int
) -> list[SwellMessage]:
    """Return one page of sorted rows; ``number`` is the request counter (W10)."""
    match quirks.swell_order:
        case "postgres":
            rows = _postgres(rows, limit, offset)
        case "unstable":
            # Not used for secrets.
            rows = random.Random(number).sample(rows, len(rows))
    return rows[offset : offset + limit]


def _postgres(rows: list[SwellMessage], limit: int, offset: int) -> list[SwellMessage]:
    """Sort like PostgreSQL does for ORDER BY created_at DESC LIMIT OFFSET.

    Beyond half of the rows, all are sorted: one order of ties per question. Before that, a heap
    keeps only as many rows as the page needs, of ties those that were stored first. So some of
    many ties are on no page of any size.
    """
    bound = limit + offset
    if 2 * bound < len(rows):
        rows = sorted(sorted(rows, key=lambda row: row.id), key=_created, reverse=True)[:bound]
    salt = f"{len(rows)} {rows[0].id if rows else 0}"

    def key(row: SwellMessage) -> tuple[object, bytes]:
        return row.created, blake2b(f"{row.id} {salt}".encode(), digest_size=8).digest()

    return sorted(rows, key=key, reverse=True)


def _created(row: SwellMessage) -> datetime:
    return row.created
