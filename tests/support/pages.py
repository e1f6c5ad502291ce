"""Pages for paginators, without any HTTP."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from singer_sdk.pagination import BaseAPIPaginator


@dataclass
class Page:
    """A page with what it hints about those after it."""

    ids: Sequence[t.Any] = field(default_factory=list)
    has_next_link: bool | None = None
    last_page: int | None = None
    total: int | None = None


def advance(paginator: BaseAPIPaginator[int], page: Page) -> None:
    """Give the page to the paginator, which takes pages where the SDK's take responses."""
    paginator.advance(t.cast("t.Any", page))
