"""Checks that the documentation matches the code, as far as a script can tell.

- Every M and W code in the tap, the tests and the sandbox has a section in
  docs/api-assumptions.md, and every section has a test that exists.
- Every log line and error in docs/troubleshooting.md occurs in the code.
- Every relative link leads to a file.
- Every column of every schema, nested ones too, has a class (`x-phi`) that privacy profiles know.

Lists what is wrong, and exits with 1 if anything is.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import typing as t
from pathlib import Path

from tap_medchat_swell.privacy.profiles import CLASSES, fields_of

if t.TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
ASSUMPTIONS = "docs/api-assumptions.md"
TROUBLESHOOTING = "docs/troubleshooting.md"
SOURCES = ("tap_medchat_swell", "tests", "sandbox")
CODE = re.compile(r"\b[MW][1-9]\d?\b")
RANGE = re.compile(r"\b([MW])(\d+)(?: to |\.\.)\1(\d+)\b")
SHORTEST_FRAGMENT = 3
VALUE = "\0"  # in place of what a sentence is formatted with


def read(name: str) -> str:
    """The text of a file."""
    return (ROOT / name).read_text(encoding="utf-8")


def sources(*folders: str) -> Iterator[Path]:
    """All Python files in some folders."""
    for folder in folders:
        yield from (ROOT / folder).rglob("*.py")


def codes_in(text: str) -> set[str]:
    """The codes in a text; those of test names and ranges (M1..M20) included."""
    found = set(CODE.findall(text))
    for vendor, first, last in RANGE.findall(text):
        found |= {f"{vendor}{number}" for number in range(int(first), int(last) + 1)}
    return found | {code.upper() for name in tests_in(text) for code in test_codes(name)}


def tests_in(text: str) -> set[str]:
    """The names of the tests that a source defines."""
    return set(re.findall(r"^ *def (test_\w+)", text, re.MULTILINE))


def test_codes(name: str) -> list[str]:
    """The codes in a test's name, such as `m15` in `test_m15_empty_collection`."""
    return re.findall(r"(?<=_)[mw]\d+(?=_)", name)


def assumption_problems(document: str, used: set[str], tests: set[str]) -> Iterator[str]:
    """What is wrong with docs/api-assumptions.md."""
    sections = dict(
        re.findall(r"^### ([MW]\d+)\.(.*?)(?=^##|\Z)", document, re.MULTILINE | re.DOTALL)
    )
    for code in sorted(used - sections.keys()):
        yield f"{ASSUMPTIONS}: no section about {code}"
    tested = {code.upper() for name in tests for code in test_codes(name)}
    for code, text in sections.items():
        named = set(re.findall(r"`(test_\w+)`", text))
        if code not in tested and not named:
            yield f"{ASSUMPTIONS}: {code} has no test"
        for name in sorted(named - tests):
            yield f"{ASSUMPTIONS}: {code} names {name}, which does not exist"


def sentences(source: str) -> Iterator[str]:
    """All texts in a source, without docstrings; formatted values are cut out."""
    tree = ast.parse(source)
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield re.sub(r"%[sd]|%\.\df|\{\w*\}", VALUE, node.value)
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else VALUE for part in node.values
            )


def log_lines(document: str) -> Iterator[str]:
    """The first column of the troubleshooting table."""
    _, _, rest = document.partition("| the log says | what to do |\n| -- | -- |\n")
    for row in rest.partition("\n\n")[0].splitlines():
        yield row.split("|")[1].strip()


def log_line_problems(document: str, texts: list[str]) -> Iterator[str]:
    """Log lines with a fragment that is not in the code.

    Fragments end at `...`, `(...)`, a vendor's name, a status and an end of a sentence.
    """
    lines = list(log_lines(document))
    if not lines:
        yield f"{TROUBLESHOOTING}: no table of log lines"
    for line in lines:
        fragments = re.split(r"\.\.\.|\([^)]*\)|MedChat|Swell|\d{3}|\. ", line)
        parts = [part.strip(" .,:;'") for part in fragments]
        known = [part for part in parts if len(part) >= SHORTEST_FRAGMENT]
        if not known or not all(any(part in text for text in texts) for part in known):
            yield f"{TROUBLESHOOTING}: the code does not say: {line}"


def link_problems(name: str) -> Iterator[str]:
    """Relative links of a document that lead nowhere."""
    for link in re.findall(r"\]\(([^)#\s]+)", read(name)):
        if "://" not in link and not (ROOT / name).parent.joinpath(link).exists():
            yield f"{name}: {link} does not exist"


def class_problems(name: str, properties: dict[str, t.Any]) -> Iterator[str]:
    """Columns of a schema without a known class."""
    for column, definition in properties.items():
        if definition.get("x-phi") not in CLASSES:
            yield f"{name}: {column} has no x-phi of {', '.join(CLASSES)}"
        yield from class_problems(f"{name}: {column}", fields_of(definition))


def problems() -> Iterator[str]:
    """Everything that is wrong."""
    texts = {path: path.read_text(encoding="utf-8") for path in sources(*SOURCES)}
    used = set().union(*map(codes_in, texts.values()))
    tests = set().union(*(tests_in(texts[path]) for path in sources("tests")))
    yield from assumption_problems(read(ASSUMPTIONS), used, tests)
    said = [text for path in sources("tap_medchat_swell") for text in sentences(texts[path])]
    yield from log_line_problems(read(TROUBLESHOOTING), said)
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "sandbox" / "README.md"]:
        yield from link_problems(str(path.relative_to(ROOT)))
    for path in (ROOT / "tap_medchat_swell" / "schemas").glob("*.json"):
        yield from class_problems(path.name, json.loads(path.read_text("utf-8"))["properties"])


def main() -> None:
    """List what is wrong."""
    found = list(problems())
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
