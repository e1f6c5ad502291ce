"""The floor: threads, urllib3 and msgspec, no checks, no types, no state, no retries.

`--raw` only fetches, without decoding or writing: what the sandbox can serve at most.
"""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, timezone
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import urllib3

THREADS = 8
PAGE_SIZE = 100
ENCODE = msgspec.json.Encoder().encode


class Floor:
    """Fetches everything with a pool of threads and writes it as it comes."""

    def __init__(self, config: dict[str, str], *, raw: bool) -> None:
        self._config = config
        self._raw = raw
        self._http = urllib3.PoolManager(maxsize=THREADS)
        self._pool = ThreadPoolExecutor(THREADS)
        self._lock = threading.Lock()

    def get(self, url: str, headers: dict[str, str]) -> bytes:
        """One answer."""
        answer = self._http.request("GET", url, headers=headers, retries=False)
        if answer.status != 200:  # noqa: PLR2004
            raise SystemExit(answer.data.decode())
        return answer.data

    def write(self, stream: str, rows: list[Any]) -> None:
        """Rows as Singer records."""
        lines = [b'{"type":"RECORD","stream":"%b","record":%b}' % (stream.encode(), ENCODE(row))
                 for row in rows]  # fmt: skip
        with self._lock:
            sys.stdout.buffer.write(b"\n".join(lines) + b"\n")

    def chats(self) -> None:
        """Pages of chats, every thread taking the next one until one is empty."""
        numbers, over = count(), threading.Event()
        list(self._pool.map(lambda _: self._chats_in_turn(numbers, over), range(THREADS)))

    def _chats_in_turn(self, numbers: count[int], over: threading.Event) -> None:
        config = self._config
        base = f"{config['medchat_api_url']}/external/orgs/{config['medchat_org_id']}/smsChats"
        headers = {
            "Accept": "application/vnd.medchat+json;v=1.0",
            "Authorization": f"Bearer {config['medchat_access_token']}",
        }
        while not over.is_set():
            skip = next(numbers) * PAGE_SIZE
            url = f"{base}?$orderby=CreatedDateTime&$expand=Messages&$top=100&$skip={skip}"
            body = self.get(url, headers)
            if len(body) < 10:  # noqa: PLR2004 - an empty array
                over.set()
            elif not self._raw:
                self._write_chats(msgspec.json.decode(body))

    def _write_chats(self, chats: list[dict[str, Any]]) -> None:
        messages = [row for chat in chats for row in chat.pop("messages")]
        self.write("sms_chats", chats)
        self.write("sms_messages", messages)

    def swell(self) -> None:
        """First pages of all weeks, then all others."""
        first = date.fromisoformat(self._config["start_date"][:10])
        days = (datetime.now(timezone.utc).date() - first).days + 1
        weeks = [first + timedelta(days=day) for day in range(0, days, 7)]
        lasts = self._pool.map(lambda week: self._swell_page(week, 1), weeks)
        rest = [
            (week, page)
            for week, last in zip(weeks, lasts, strict=True)
            for page in range(2, last + 1)
        ]
        list(self._pool.map(lambda ask: self._swell_page(*ask), rest))

    def _swell_page(self, week: date, page: int) -> int:
        config = self._config
        url = (
            f"{config['swell_api_url']}/messages?token={config['swell_api_token']}"
            f"&from_date={week}&to_date={week + timedelta(days=6)}"
            f"&per_page={PAGE_SIZE}&page={page}"
        )
        body = self.get(url, {"Accept": "application/json"})
        if self._raw and page > 1:
            return 0
        document = msgspec.json.decode(body)
        if not self._raw:
            self.write("swell_messages", document["data"])
        return int(document["meta"]["last_page"])


def main() -> None:
    """Read everything."""
    config = json.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_text())
    floor = Floor(config, raw="--raw" in sys.argv)
    floor.chats()
    floor.swell()
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
