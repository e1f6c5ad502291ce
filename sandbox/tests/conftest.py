from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from medchat_swell_sandbox import Dataset, Sandbox
from sandbox_clients import MedChat, Swell

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """An empty sandbox; tests add their own rows."""
    with Sandbox(Dataset()) as running:
        yield running


@pytest.fixture
def medchat(sandbox: Sandbox) -> MedChat:
    return MedChat(sandbox)


@pytest.fixture
def swell(sandbox: Sandbox) -> Swell:
    return Swell(sandbox)
