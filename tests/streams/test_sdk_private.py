"""The private parts of the SDK that the tap relies on exist, and are all listed."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import typing as t
from pathlib import Path

import pytest
import singer_sdk

import tap_medchat_swell
from tap_medchat_swell.sdk_private import PRIVATE, TEXTS

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

MEMBERS = [(owner, name) for owner, names in PRIVATE.items() for name in names]
STRINGS = [(module, text) for module, texts in TEXTS.items() for text in texts]
SOURCES = sorted(Path(tap_medchat_swell.__file__).parent.rglob("*.py"))
SDK_MODULES = ("plugin_base", "tap_base", "streams.core", "pagination", "mapper")


def defines(source: str, name: str) -> bool:
    """Whether a class or module defines a function, or sets an attribute, of this name."""
    return bool(re.search(rf"\bdef {name}\b|\bself\.{name}\b[^=\n]* = ", source))


@pytest.mark.parametrize(("owner", "name"), MEMBERS)
def test_the_sdk_has_it(owner: str, name: str) -> None:
    module, _, class_name = owner.partition(":")
    found: t.Any = importlib.import_module(module)
    found = getattr(found, class_name) if class_name else found

    assert defines(inspect.getsource(found), name)


@pytest.mark.parametrize(("module", "text"), STRINGS)
def test_the_sdk_says_it(module: str, text: str) -> None:
    assert text in inspect.getsource(importlib.import_module(module))


def test_the_sdk_lacks_anything_else() -> None:
    """So the tests above can fail."""
    assert not defines(inspect.getsource(singer_sdk.Stream), "_no_such_member")


def private_names(module: ModuleType) -> set[str]:
    source = inspect.getsource(module)
    return set(re.findall(r"(?:\bself\.|\bdef )(_[a-z]\w+)", source))


def used(source: str) -> Iterator[str]:
    """The private names that a module uses or overrides, and the private modules it imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("singer_sdk"):
            if "._" in str(node.module):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (alias.name for alias in node.names if alias.name.startswith("_"))


def used_by_the_tap() -> dict[str, str]:
    """The names, and a file that each is used in."""
    sources = {path.name: path.read_text("utf-8") for path in SOURCES}
    return {
        name: file
        for file, source in sources.items()
        if "singer_sdk" in source and file != "sdk_private.py"
        for name in used(source)
    }


def test_nothing_else_is_used() -> None:
    modules = [importlib.import_module(f"singer_sdk.{name}") for name in SDK_MODULES]
    private = set().union(*map(private_names, modules))
    listed = {name for _, name in MEMBERS} | {f"{owner}.{name}" for owner, name in MEMBERS}

    assert {
        name: file
        for name, file in used_by_the_tap().items()
        if (name in private or name.startswith("singer_sdk.")) and name not in listed
    } == {}


def test_all_of_it_is_used() -> None:
    names = set(used_by_the_tap())

    assert [(o, n) for o, n in MEMBERS if not {n, f"{o}.{n}"} & names] == []
