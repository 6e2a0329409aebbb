"""What is wrong with a text that is not YAML, in words that say what to change.

Parsers report the character at which they gave up. Of a tab or of bytes that are not UTF-8 that says little.
"""

from __future__ import annotations

import re
from typing import Final

REPLACED: Final = "\N{REPLACEMENT CHARACTER}"
"""What stands in a text for bytes that are not UTF-8."""
_INDENTED_BY_TAB: Final = re.compile(r"[ ]*\t")

_VARIABLE: Final = re.compile(r"(?<!\$)\$\{(\w+)")


def not_utf8(text: str) -> tuple[str, int | None, str] | None:
    """Find the first line that held bytes which are not UTF-8: message, line and hint."""
    for number, line in enumerate(text.split("\n"), 1):
        if REPLACED in line:
            return f"not UTF-8 text, in column {line.index(REPLACED) + 1}", number, "save the file as UTF-8"
    return None


def not_yaml(text: str, problem: str, line: int | None) -> tuple[str, int | None, str]:
    """Describe what a parser's problem means: message, line and hint. problem: the parser's words."""
    lines = text.split("\n")
    if line is not None and line <= len(lines) and _INDENTED_BY_TAB.match(lines[line - 1]):
        return (
            "this line is indented with a tab, and YAML allows only spaces",
            line,
            "replace the tab with spaces",
        )
    return f"not valid YAML: {problem}", line, ""


def unquoted_hint(text: str, line: int | None) -> str:
    """Explain why a variable's value is not a string where a field requires one; "" for no variable."""
    lines = text.split("\n")
    found = _VARIABLE.search(lines[line - 1]) if line is not None and line <= len(lines) else None
    if found is None:
        return ""
    name = found[1]
    return (
        f"kustomize drops the quotes around ${{{name}}}, and YAML then reads a number or a boolean: "
        f"put quotes into the value itself, as in {name}='\"8080\"'"
    )
