"""Whether a question's messages have all come, or must be read once more (W10)."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from tap_medchat_swell.pagination import PageLinksPaginator

MAX_READINGS = 50
MOST_DISAGREEING = 3
ENOUGH_ALIKE = 30  # messages that came in the same order again: no chance any more
# Readings that bring nothing new. In an order that changes from page to page, each one
# shows a given message with a probability of over 1 - 1/e.
MAX_IN_VAIN = 12


@dataclass
class Trust:
    """What has been learnt of Swell; shared by all windows."""

    disagreed: int = 0  # windows in a row whose total stayed another one than their rows
    hollow: int = 0  # empty pages in a row that stayed so, though they tell of messages
    alike: int = 0

    @property
    def in_totals(self) -> bool:
        """Whether totals count what is asked for: one window's may be wrong, not each one's."""
        return self.disagreed < MOST_DISAGREEING

    @property
    def in_hints(self) -> bool:
        """Whether a page is likely to be empty by accident, where it tells of messages."""
        return self.hollow < MOST_DISAGREEING

    @property
    def in_order(self) -> bool:
        """Whether rows that come twice are copies (W13), and no sign of motion."""
        return self.alike >= ENOUGH_ALIKE


class Readings:
    """The readings of one question, `over` when another would bring nothing.

    As long as no row moves, a reading has as many rows as there are. With fewer
    different messages, either copies were among them or others are still missing.
    """

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._ids: set[int] = set()  # of the readings since rows came or went
        self._rows = self._order = self._in_vain = 0
        self._found = -1
        self._stayed = True
        self.count = 0
        self.over = self.some_missing = False

    def add(self, pages: PageLinksPaginator, found: int) -> None:
        """Count a reading; `found` messages are known out of all readings."""
        self.count += 1
        self._in_vain = self._in_vain + 1 if found == self._found else 0
        self._found = found
        if pages.rows != self._rows or not self._stayed:
            self._ids = set()
        self._ids |= pages.ids
        self._rows, self._stayed = pages.rows, len(pages.totals) <= 1
        self._compare(pages.order)
        self._judge(pages)

    def _compare(self, order: int) -> None:
        if order == self._order and len(self._ids) < self._rows:
            self._trust.alike += len(self._ids) - 1
        elif order != self._order and self.count > 1:
            self._trust.alike = 0
        self._order = order

    def _judge(self, pages: PageLinksPaginator) -> None:
        totals = pages.totals
        is_whole = pages.is_single or self._trust.in_order  # and may hold copies (W13)
        has_every_row = is_whole or len(self._ids) >= self._rows
        agrees = totals <= {len(self._ids), self._rows}
        is_void = not self._ids and any(totals) and self._trust.in_hints
        adds_up = agrees or not (self._trust.in_totals or is_void)
        # Without a total nothing tells of a row that slipped between two pages.
        is_sure = totals or pages.is_single or self._in_vain
        if has_every_row and adds_up and self._stayed and is_sure:
            self.over = True
        elif not (self._stayed or pages.has_shrunk) and len(pages.ids) >= min(totals):
            # Messages only came. They push others to later pages, where those come twice.
            self.over = True
        elif self._in_vain >= (1 if has_every_row else MAX_IN_VAIN) or self.count >= MAX_READINGS:
            self.over = True
            # With more than Swell counts, rows came and went meanwhile.
            self.some_missing = not totals or self._found < max(totals)
        if self.over and has_every_row and self._stayed and totals and not is_void:
            self._trust.disagreed = 0 if agrees else self._trust.disagreed + 1
