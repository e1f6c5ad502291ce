"""Every setting that the SDK reads on behalf of a tap is declared or refused."""

from __future__ import annotations

import ast
import typing as t
from pathlib import Path

import singer_sdk
from singer_sdk.helpers import _flattening

from tap_medchat_swell.settings import REFUSED
from tap_medchat_swell.tap import TapMedchatSwell

if t.TYPE_CHECKING:
    from collections.abc import Iterator

# What targets, SQL taps, taps over files, REST streams and their authentication read.
OTHERS = ("sinks", "sql", "contrib/filesystem", "streams/rest.py", "authenticators.py")
IN_FAKER_CONFIG = {"seed", "locale"}


def keys_read(source: str) -> Iterator[str]:
    """The constant keys that are looked up in anything named like a configuration."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            owner, key = node.func.value, node.args[0]
        elif isinstance(node, ast.Subscript):
            owner, key = node.value, node.slice
        elif isinstance(node, ast.Compare):
            owner, key = node.comparators[0], node.left
        else:
            continue
        name = ast.unparse(owner).rpartition(".")[2]
        if isinstance(key, ast.Constant) and name.endswith("config"):
            yield str(key.value)


def read_by_the_sdk() -> set[str]:
    root = Path(singer_sdk.__file__).parent
    paths = {path: path.relative_to(root).as_posix() for path in root.rglob("*.py")}
    sources = [path.read_text("utf-8") for path in paths if not paths[path].startswith(OTHERS)]
    return {key for source in sources for key in keys_read(source)}


def test_all_of_them_are_declared_or_refused() -> None:
    known = {*TapMedchatSwell.known_settings(), *REFUSED, *IN_FAKER_CONFIG}

    assert read_by_the_sdk() - known == set()
    assert set(_flattening.PluginFlatteningConfig.__annotations__) - known == set()


def test_they_are_found() -> None:
    """So the test above can fail."""
    found = read_by_the_sdk()

    assert found >= {"batch_config", "emit_activate_version_messages", "stream_maps", "start_date"}
    assert set(keys_read("self.config['a'], config.get('b', 1), 'c' in tap.config")) == {*"abc"}
