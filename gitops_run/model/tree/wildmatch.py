"""One line of an ignore file as git reads it: what it matches, and whether it hides or brings back.

This module knows git's matcher to the byte, its quirks too, by turning a pattern into a regular expression.
The libraries for it raise where git matches nothing ("[z-a]", a last backslash) or differ at bracket
expressions and slashes. It knows nothing of files and directories of rules: that is `model.ignore`.

No pattern takes exponential time. What follows a wildcard is matched at the first place where it fits, and
that choice is final (an atomic group): a later place never helps, since the next wildcard can take what lies
between. Only the last wildcard of a pattern is bound to the end of the text.
Source: git 2.39, dir.c (parse_path_pattern, match_pathname) and wildmatch.c.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_SPECIAL: Final = re.compile(rb"[*?\[\\]")
_NEVER: Final = rb"(?!)"
_IN_NAME: Final = b"*"
_FOLDERS: Final = b"**/"
_SOME_FOLDERS: Final = rb"**\/"
"""The wildcards that match texts of any length: within a name, folders or none, at least one folder."""
_SLASH: Final = ord("/")
_CLASSES: Final = {
    b"alnum": string.ascii_letters + string.digits,
    b"alpha": string.ascii_letters,
    b"blank": " \t",
    b"cntrl": "".join(map(chr, [*range(32), 127])),
    b"digit": string.digits,
    b"graph": string.ascii_letters + string.digits + string.punctuation,
    b"lower": string.ascii_lowercase,
    b"print": string.ascii_letters + string.digits + string.punctuation + " ",
    b"punct": string.punctuation,
    b"space": string.whitespace,
    b"upper": string.ascii_uppercase,
    b"xdigit": string.hexdigits,
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """Match paths. is_negative: brings back what an earlier line hid."""

    fits: Callable[[bytes], object]
    is_negative: bool
    is_for_names: bool
    is_for_folders: bool

    def matches(self, path: bytes, *, is_dir: bool) -> bool:
        """Report whether a path, relative to the folder of the rules, is meant."""
        if self.is_for_folders and not is_dir:
            return False
        return bool(self.fits(path.rpartition(b"/")[2] if self.is_for_names else path))


def parse_pattern(line: str) -> Pattern | None:
    """Read one line without its line break; None for an empty one or a comment. It ends at a NUL."""
    raw = line.encode("utf-8", "surrogateescape")
    if not raw or raw.startswith(b"#"):
        return None
    body = _without_trailing_spaces(raw.removesuffix(b"\r").partition(b"\0")[0])
    is_negative, body = body.startswith(b"!"), body.removeprefix(b"!")
    is_for_folders, body = body.endswith(b"/"), body.removesuffix(b"/")
    is_for_names = b"/" not in body
    if not is_for_names:
        body = body.removeprefix(b"/")
    return Pattern(_matcher(body, is_for_names=is_for_names), is_negative, is_for_names, is_for_folders)


def _without_trailing_spaces(raw: bytes) -> bytes:
    kept = raw.rstrip(b" ")
    escapes = len(kept) - len(kept.rstrip(b"\\"))
    return kept + b" " if escapes % 2 and kept != raw else kept


def _matcher(body: bytes, *, is_for_names: bool) -> Callable[[bytes], object]:
    """Translate a pattern. Up to its first wildcard git compares plainly, and begins again after that."""
    special = _SPECIAL.search(body)
    if special is None:
        return body.__eq__ if body else _matches_nothing
    split = 0 if is_for_names else special.start()
    expression = re.escape(body[:split]) + _wild(body[split:])
    return re.compile(expression, re.DOTALL).fullmatch


def _matches_nothing(text: bytes) -> bool:
    del text
    return False


def _wild(pattern: bytes) -> bytes:
    """Join the translated parts; all wildcards but the last within the text's last folders are final."""
    sections: list[list[bytes]] = [[b""]]
    at = 0
    while at < len(pattern):
        part, at = _next(pattern, at)
        if part is _IN_NAME:
            sections[-1].append(b"")
        elif part is _FOLDERS:
            sections.append([b""])
        elif part is _SOME_FOLDERS:
            sections[-1].append(b"/")
            sections.append([b""])
        else:
            sections[-1][-1] += part
    *inner, last = sections
    first, *others = [*(_section(chunks, is_last=False) for chunks in inner), _section(last, is_last=True)]
    if not others:
        return first
    skipped = [rb"(?>(?:[^/]*/)*?" + section + b")" for section in others[:-1]]
    return first + b"".join(skipped) + rb"(?:[^/]*/)*?" + others[-1]


def _section(chunks: Sequence[bytes], *, is_last: bool) -> bytes:
    """Join chunks of fixed length by wildcards that stay within a name."""
    first, *others = chunks
    if not others:
        return first
    final = others.pop() if is_last else None
    joined = first + b"".join(rb"(?>[^/]*?" + chunk + b")" for chunk in others)
    return joined if final is None else joined + b"[^/]*" + final


def _next(pattern: bytes, at: int) -> tuple[bytes, int]:
    """Translate what stands at a place, and return where the rest begins."""
    char = pattern[at : at + 1]
    if char == b"\\":
        escaped = pattern[at + 1 : at + 2]
        return (re.escape(escaped) if escaped else _NEVER), at + 2
    if char == b"?":
        return b"[^/]", at + 1
    if char == b"*":
        return _stars(pattern, at)
    if char == b"[":
        return _bracket(pattern, at + 1)
    return re.escape(char), at + 1


def _stars(pattern: bytes, at: int) -> tuple[bytes, int]:
    """Translate asterisks. Bordered by slashes or ends, two or more match across folders."""
    end = at
    while pattern[end : end + 1] == b"*":
        end += 1
    rest = pattern[end:]
    is_bordered = at == 0 or pattern[at - 1 : at] == b"/"
    if end - at == 1 or not is_bordered or not (not rest or rest.startswith((b"/", rb"\/"))):
        return _IN_NAME, end
    if not rest:
        return b".*", end
    return (_FOLDERS, end + 1) if rest.startswith(b"/") else (_SOME_FOLDERS, end + 2)


def _bracket(pattern: bytes, at: int) -> tuple[bytes, int]:
    """Translate a bracket expression; one that doesn't end matches nothing."""
    is_negated = pattern[at : at + 1] in (b"!", b"^")
    try:
        members, end = _members(pattern, at + is_negated)
    except (IndexError, KeyError):
        return _NEVER, len(pattern)
    meant = (set(range(256)) - members if is_negated else members) - {_SLASH}
    return (b"[" + b"".join(_ranges(meant)) + b"]" if meant else _NEVER), end


def _ranges(members: set[int]) -> Iterator[bytes]:
    """Write bytes as ranges."""
    for first in sorted(byte for byte in members if byte - 1 not in members):
        last = next(byte for byte in range(first, 257) if byte + 1 not in members)
        yield b"\\x%02x-\\x%02x" % (first, last)


def _members(pattern: bytes, at: int) -> tuple[set[int], int]:
    """Collect the bytes of a bracket expression. Raises IndexError or KeyError on a broken one."""
    members: set[int] = set()
    previous = -1
    is_first = True
    while is_first or pattern[at] != ord("]"):
        is_first = False
        char = pattern[at]
        named = re.compile(rb"\[:([^\]]*):\]").match(pattern, at)
        if named:
            members.update(_CLASSES[named[1]].encode())
            previous, at = -1, named.end()
        elif char == ord("-") and previous >= 0 and pattern[at + 1] != ord("]"):
            at += 2 if pattern[at + 1] == ord("\\") else 1
            members.update(range(previous, pattern[at] + 1))
            previous, at = -1, at + 1
        else:
            at += char == ord("\\")
            members.add(pattern[at])
            previous, at = pattern[at], at + 1
    return members, at + 1
