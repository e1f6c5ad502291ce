"""Whether a question's messages have all come, or must be read once more (W10)."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from tap_medchat_swell.pagination import PageLinksPaginator

MAX_READINGS = 50
MAX_ALIKE = 4  # readings of the same rows in the same order
# Readings that bring nothing new. In an order that changes from page to page, each one
# shows a given message with a probability of over 1 - 1/e.
MAX_IN_VAIN = 12


@dataclass
class Trust:
    """What has been learnt of Swell; shared by all windows."""

    in_totals: bool = True
    in_order: bool = False  # rows that come twice are copies (W13), no sign of motion


class Readings:
    """The readings of one question, `over` when another would bring nothing.

    As long as no row moves, a reading has as many rows as there are. With fewer
    different messages, either copies were among them or others are still missing.
    """

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._in_vain = self._alike = self._order = 0
        self._found = -1
        self.count = 0
        self.over = self.some_missing = False

    def add(self, pages: PageLinksPaginator, found: int) -> None:
        """Count a reading; `found` messages are known out of all readings."""
        self.count += 1
        self._in_vain = self._in_vain + 1 if found == self._found else 0
        self._alike = self._alike + 1 if pages.order == self._order else 1
        self._found, self._order = found, pages.order
        if self._alike == MAX_ALIKE and found < pages.rows:
            self._trust.in_order = True
        self._judge(pages.rows, pages.totals)

    def _judge(self, rows: int, totals: set[int]) -> None:
        has_every_row = self._found >= rows or self._trust.in_order
        adds_up = totals <= {self._found, rows} or not self._trust.in_totals
        stayed = len(totals) <= 1
        if has_every_row and adds_up and stayed:
            self.over = True
        elif self._in_vain >= (1 if has_every_row else MAX_IN_VAIN) or self.count >= MAX_READINGS:
            self.over = True
            # With more than Swell counts, rows came and went meanwhile.
            self.some_missing = not totals or self._found < max(totals)
            self._trust.in_totals &= not (has_every_row and stayed)
