"""The data that a sandbox serves: both vendors' tables, made from a seed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from medchat_swell_sandbox import mutations, truth
from medchat_swell_sandbox.chat_table import ChatTable
from medchat_swell_sandbox.clock import utc_now
from medchat_swell_sandbox.generate import History
from medchat_swell_sandbox.swell_table import SwellTable

if TYPE_CHECKING:
    from datetime import datetime


class Dataset(ChatTable, SwellTable):
    """Rows of both vendors; change them at any time, served or not."""

    @classmethod
    def generate(  # noqa: PLR0913 - one keyword per size
        cls,
        *,
        seed: int = 1,
        chats: int = 200,
        messages_per_chat: int = 5,
        swell_messages: int = 600,
        days: float = 400,
        locations: int = 4,
        now: datetime | None = None,
    ) -> Dataset:
        """Make a history of ``days`` up to ``now`` (default: the present, in UTC).

        Equal arguments, ``now`` included, make equal rows. ``messages_per_chat`` is a
        mean: some chats are empty, a few are very long.
        """
        # Reproducible rows, not secrets.
        rng = random.Random(seed)
        history = History(rng, now or utc_now(), days)
        dataset = cls()
        dataset.load_chats(history.chats(chats, messages_per_chat))
        places = history.locations(locations)
        contacts = history.contacts(max(1, swell_messages // 8), places)
        messages = history.swell_messages(swell_messages, contacts)
        dataset.load_swell(places, contacts, messages)
        return dataset

    def oldest(self) -> datetime:
        """Return when the oldest row was created (the present if there is none)."""
        with self.lock:
            moments = [row.created for row in self.chats_created(None, None)[:1]]
            moments += [row.created for row in self.messages_created(None, None)[:1]]
        return min(moments, default=utc_now())

    def truth(self) -> truth.Truth:
        """Return the rows held now, per stream, in a form no quirk touches."""
        with self.lock:
            return truth.rows_held(self)

    def mutate(self, rng: random.Random, kind: str | None = None) -> mutations.Change:
        """Make one plausible change, of a random kind unless one is named."""
        with self.lock:
            return mutations.mutate(self, rng, kind)
