"""The commands of docs/operations.md."""

from __future__ import annotations

import re
import shlex
import typing as t

from support import ROOT

if t.TYPE_CHECKING:
    from pathlib import Path

DOCUMENT = (ROOT / "docs" / "operations.md").read_text("utf-8")
[EXPORT] = re.findall(r"^export .*$", DOCUMENT, re.MULTILINE)


def commands(heading: str, language: str = "bash") -> list[str]:
    """The blocks below a heading."""
    section = DOCUMENT.partition(f"\n### {heading}\n")[2].partition("\n### ")[0]
    found = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found


def cron_command(line: str, folder: Path) -> str:
    """What cron's shell is given of a line for this folder: an unescaped % would end it."""
    command = line.split(maxsplit=5)[5].replace("/srv/messages", shlex.quote(str(folder)))
    assert not re.search(r"(?<!\\)%", command)
    return command.replace("\\%", "%")
