"""The data of a sandbox: both vendors' tables, generated from a seed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from medchat_swell_sandbox import mutations, truth
from medchat_swell_sandbox.clock import utc_now
from medchat_swell_sandbox.generate import History
from medchat_swell_sandbox.tables import Tables

if TYPE_CHECKING:
    from datetime import datetime


class Dataset(Tables):
    """The tables, with generated rows, random changes and the expected records."""

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
        campaigns: int = 0,
        campaign_size: int = 200,
        now: datetime | None = None,
    ) -> Dataset:
        """Generate ``days`` of history up to ``now`` (default: the current time, in UTC).

        Equal arguments, including ``now``, give equal rows. ``messages_per_chat`` is a
        mean: some chats are empty, a few are very long. Each of the ``campaigns`` adds
        ``campaign_size`` Swell messages with the same ``created``.
        """
        # Not used for secrets.
        rng = random.Random(seed)
        history = History(rng, now or utc_now(), days)
        dataset = cls()
        dataset.load_chats(history.chats(chats, messages_per_chat))
        places = history.locations(locations)
        contacts = history.contacts(max(1, swell_messages // 8), places)
        messages = history.swell_messages(swell_messages, contacts)
        dataset.load_swell(places, contacts, messages)
        for _ in range(campaigns):
            dataset.add_campaign(campaign_size, created=history.moment())
        return dataset

    def truth(self) -> truth.Truth:
        """Return the current rows of each stream, unaffected by quirks."""
        with self.lock:
            return truth.rows_held(self)

    def mutate(self, rng: random.Random, kind: str | None = None) -> mutations.Change:
        """Make one realistic change, of a random kind unless ``kind`` is given."""
        with self.lock:
            return mutations.mutate(self, rng, kind)
