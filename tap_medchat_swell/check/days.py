"""Which days a range means: its zone (W4), and whether its last day is part of it (W1).

Each hypothesis predicts whether a known message is in a range of days. Questions are chosen that
split the hypotheses best; what Swell answers leaves those that are right.
"""

from __future__ import annotations

import itertools
import typing as t
from datetime import timedelta

from tap_medchat_swell.time_ranges import DAY, DayRange, midnight

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

INCLUSIVE, EXCLUSIVE = "inclusive", "exclusive: ends at its midnight"
UP_TO_NOW = "ends at the current time of that day"
_PARTS = (-9.5, -3.5, -2.5, 3.5, 4.5, 5.5, 5.75, 6.5, 8.75, 9.5, 10.5, 12.75, 13.75)
OFFSETS = sorted(timedelta(hours=hours) for hours in (*range(-12, 15), *_PARTS))
MAX_QUESTIONS = 12
GRACE = timedelta(seconds=2)  # nothing is decided by a message at the very end of a day


class Hypothesis(t.NamedTuple):
    """What a range of days may mean."""

    ending: str
    offset: timedelta

    def holds(self, days: DayRange, created: datetime, now: datetime) -> bool | None:
        """Whether a message is in a range; None if it lies too near an end."""
        start = midnight(days.first) - self.offset
        end = midnight(days.last) - self.offset
        if self.ending == INCLUSIVE:
            end += DAY
        elif self.ending == UP_TO_NOW:
            local = now + self.offset
            end += local - midnight(local.date())
        if abs(created - start) < GRACE or abs(created - end) < GRACE:
            return None
        return start <= created < end


ENDINGS = (INCLUSIVE, EXCLUSIVE, UP_TO_NOW)
HYPOTHESES = [Hypothesis(*pair) for pair in itertools.product(ENDINGS, OFFSETS)]


class Question(t.NamedTuple):
    """Whether the message with this id is in these days."""

    number: int
    created: datetime
    days: DayRange


def questions(moments: Iterable[tuple[int, datetime]]) -> list[Question]:
    """All that can be asked about messages: days near them, alone and in pairs."""
    return [
        Question(number, created, DayRange(first, first + DAY * length))
        for number, created in moments
        for first in (created.date() + DAY * shift for shift in (-2, -1, 0, 1))
        for length in (0, 1)
    ]


def narrowed(
    asked: list[Question], is_in: Callable[[Question], bool | None], now: datetime
) -> tuple[list[Hypothesis], int]:
    """The hypotheses that fit all answers, and how many answers there were.

    `is_in` answers a question, None if it could not tell.
    """
    left, number = HYPOTHESES, 0
    while number < MAX_QUESTIONS and (question := _best(left, asked, now)):
        number += 1
        answer = is_in(question)
        if answer is None:
            asked = [other for other in asked if other.number != question.number]
        else:
            left = _fitting(left, question, now, answer=answer)
    for wanted in (True, False):  # one question to which the first says yes, and one to which no
        for question in asked[::-1]:
            if left and left[0].holds(question.days, question.created, now) is wanted:
                number += 1
                left = _fitting(left, question, now, answer=is_in(question) is True)
                break
    return left, number


def _fitting(
    left: list[Hypothesis], question: Question, now: datetime, *, answer: bool
) -> list[Hypothesis]:
    """The hypotheses that an answer leaves."""
    return [
        one for one in left if one.holds(question.days, question.created, now) in {answer, None}
    ]


def _best(left: list[Hypothesis], asked: list[Question], now: datetime) -> Question | None:
    """The question that splits the hypotheses best; None if none does."""

    def split(question: Question) -> int:
        told = [one.holds(question.days, question.created, now) for one in left]
        return min(told.count(True), told.count(False))

    question = max(asked, key=split, default=None)
    return question if question and split(question) else None


def offset_text(offset: timedelta) -> str:
    """UTC, UTC-7 or UTC+5:30."""
    minutes = int(offset.total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    text = f"{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02d}" if rest else "")
    return f"UTC{text if minutes else ''}"
