"""The modules have no circular imports, including imports for type checking."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import medchat_swell_sandbox
import pytest

PACKAGE = medchat_swell_sandbox.__name__
SOURCES = {path.stem: path for path in Path(medchat_swell_sandbox.__file__).parent.glob("*.py")}


def imports(source: str) -> set[str]:
    """Return the modules of the package that a source imports, also if only for types."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE:
            found |= {alias.name for alias in node.names} & SOURCES.keys()
        elif isinstance(node, ast.ImportFrom) and node.module:
            package, _, module = node.module.partition(".")
            found |= {module} if package == PACKAGE else set()
    return found


def test_no_circular_imports() -> None:
    graph = {name: imports(path.read_text(encoding="utf-8")) for name, path in SOURCES.items()}
    assert graph["sandbox"] >= {"admin", "medchat", "quirks"}
    TopologicalSorter(graph).prepare()


def test_imports_for_types_count() -> None:
    source = "if TYPE_CHECKING:\n    from medchat_swell_sandbox.sandbox import Sandbox\n"
    graph = {"sandbox": {"admin"}, "admin": imports(source)}
    with pytest.raises(CycleError):
        TopologicalSorter(graph).prepare()
