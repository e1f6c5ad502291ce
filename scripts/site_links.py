"""A hook of MkDocs: links from docs/ to other files of the project lead to the repository."""

from __future__ import annotations

import typing as t


def on_page_markdown(markdown: str, *, config: t.Any, **_: object) -> str:
    """Every page is directly in docs/."""
    return markdown.replace("](../", f"]({config.repo_url}/blob/main/")
