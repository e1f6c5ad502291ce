"""Tokens and scopes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

CHATS_SCOPE = "read.sms_chats"
EXECUTIONS_SCOPE = "read.text_bot_executions"


@dataclass
class Credentials:
    """The valid tokens. Change them at any time to revoke access."""

    medchat_org_id: str = "0b7c1d52-6f0e-4a39-9c55-2f1f4d1b8a10"
    medchat_access_token: str = "sandbox-medchat-token-Zm9vYmFy"  # noqa: S105
    medchat_scopes: frozenset[str] = frozenset({CHATS_SCOPE, EXECUTIONS_SCOPE})
    medchat_expires: datetime | None = None
    swell_api_token: str = "sandboxSwellToken0xiZZPW7TTxyLd9j5hXUM4EPfxFmW9uNVO"  # noqa: S105
