"""How any text is written to a terminal: nothing in it steers the terminal or looks like another line."""

from __future__ import annotations

from typing import Final

from gitops_run.model.text.problem import printable

_NAMED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_BREAKS: Final = "\u2028\u2029"
_DIRECTIONS: Final = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""What reverses the order of the characters that follow; https://trojansource.codes."""
_ESCAPES: Final = {
    **{code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))},
    **{ord(character): escape for character, escape in _NAMED.items()},
    **{ord(character): f"\\u{ord(character):04x}" for character in _BREAKS + _DIRECTIONS},
}


def for_terminal(line: str) -> str:
    """Write one line; control characters and line breaks in it are escaped."""
    return printable(line).translate(_ESCAPES)


def lines_after(mark: str, text: str) -> str:
    """Write a text after a mark; what a message has as further lines is indented below."""
    first, *more = text.splitlines() or [""]
    return "\n".join([for_terminal(f"{mark} {first}"), *(for_terminal(f"  {line}") for line in more)])
