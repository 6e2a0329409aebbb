"""The project's text uses the plain words of the field, in documents, messages and docstrings."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REPLACEMENTS = {
    r"anew": "again, or recreate",
    r"besides?": "alongside, next to, or in addition to",
    r"strangers?": "others, or unexpected",
    r"twins?": "duplicates",
    r"tell|tells|told|telling": "report, show, or determine",
    r"betray(s|ed)?": "contradict",
    r"amid": "during",
    r"at\s+hand": "available",
    r"by\s+itself": "automatically, or on its own",
    r"(has|have|had)\s+to": "must, or need to",
    r"spares?": "skip, or save",
    r"foretells?": "compute, or predict",
}
UNUSUAL = re.compile("|".join(rf"\b({word})\b" for word in REPLACEMENTS), re.IGNORECASE)
CODE = re.compile(r"`[^`]*`")
DANGLING = re.compile(r"(?<!thing )(?<!body )(?<!one )\b(or )?else( \"\")?\.?$")
"""A sentence that ends in "else": "otherwise" or "by default" says it."""
SUSPECT = re.compile(r"\belse( \"\")?\.?(\"|$)", re.MULTILINE)
"""Where a source may have such a sentence."""
PACKAGES = sorted({path.name for path in (ROOT / "gitops_run").iterdir()} - {"__pycache__", "py.typed"})
DOCUMENTS = sorted(
    {
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        *ROOT.glob("Pulumi.yaml"),
        *(ROOT / "stacks").glob("Pulumi.example-*.yaml"),
        *(ROOT / "platform").rglob("Pulumi*.yaml"),
    }
)


def faults(text: str) -> list[str]:
    """Name each unusual word of a text, with what to write instead."""
    plain = CODE.sub("", text)
    found = [
        f"{match.group()!r}: write {replacement}"
        for match in UNUSUAL.finditer(plain)
        for word, replacement in REPLACEMENTS.items()
        if re.fullmatch(word, match.group(), re.IGNORECASE)
    ]
    return found + [
        f"{match.group()!r}: write otherwise, or by default" for match in DANGLING.finditer(plain)
    ]


def prose_of(source: str) -> Iterator[tuple[int, str]]:
    """Yield the comments, docstrings and messages of a module, with their lines."""
    # Most modules have none of these words, even in names, and are not parsed: that takes a second for all.
    if not UNUSUAL.search(source) and not SUSPECT.search(source):
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        # A string without a space is a name, a key or a pattern, and no text that a person reads.
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield node.lineno, node.value


def modules_of(package: str) -> Iterator[Path]:
    """Yield the modules below gitops_run/PACKAGE, or the module of that name."""
    place = ROOT / "gitops_run" / package
    yield from [place] if place.is_file() else sorted(place.rglob("*.py"))


def test_the_documents_are_written_in_plain_words() -> None:
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in DOCUMENTS}
    assert {name: found for name, text in texts.items() if (found := faults(text))} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_text_of_the_code_is_written_in_plain_words(package: str) -> None:
    assert [
        f"{path.relative_to(ROOT)}:{line}: {fault}"
        for path in modules_of(package)
        for line, text in prose_of(path.read_text(encoding="utf-8"))
        for fault in faults(text)
    ] == []


@pytest.mark.parametrize(
    "text", ["The save is told.", "it begins anew", "at the default, else", "has\nto wait"]
)
def test_an_unusual_word_is_found(text: str) -> None:
    assert faults(text)
