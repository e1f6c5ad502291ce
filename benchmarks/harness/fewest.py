"""The fewest requests that the paging rules allow, out of what the sandbox holds.

Swell: windows of at most 6 days' difference that share a day, from start_date's day to
today, 100 a page, one page where there is nothing. MedChat: pages of 100 that overlap
by one chat, over the whole history, and a last page without a new chat.
`fewest.py TRUTH START` prints one JSON object.
"""

from __future__ import annotations

import json
import sys
from bisect import bisect_left, bisect_right
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

PAGE_SIZE = 100
WINDOW = timedelta(days=6)


def swell(days: list[str], first: date, last: date) -> int:
    """Requests for messages created on these days."""
    days = sorted(days)
    requests = 0
    while True:
        end = min(first + WINDOW, last)
        rows = bisect_right(days, str(end)) - bisect_left(days, str(first))
        requests += max(1, -(-rows // PAGE_SIZE))
        if end >= last:
            return requests
        first = end


def medchat(chats: int) -> int:
    """Requests for so many chats."""
    after_first = max(0, chats - PAGE_SIZE)
    return 1 + -(-after_first // (PAGE_SIZE - 1)) + 1


def main() -> None:
    """Count."""
    truth = json.loads(Path(sys.argv[1]).read_text())
    days = [row["created_at"][:10] for row in truth["swell_messages"]]
    first, today = date.fromisoformat(sys.argv[2][:10]), datetime.now(timezone.utc).date()
    fewest = {"medchat": medchat(len(truth["sms_chats"])), "swell": swell(days, first, today)}
    json.dump(fewest, sys.stdout)


if __name__ == "__main__":
    main()
