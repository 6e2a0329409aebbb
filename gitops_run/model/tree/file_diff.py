"""What a save changed in each of its files, as a unified diff for a person."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

LINES_MAX: Final = 400
BYTES_MAX: Final = 200_000
FILES_MAX: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """Hold a unified diff without its two head lines. note: why there is none, or ""."""

    path: str
    lines: tuple[str, ...] = ()
    note: str = ""


def file_change(
    path: str, before: bytes | None, after: bytes | None, mask: Callable[[str], str]
) -> FileChange:
    """Compare two contents; None where there is no such file. mask: takes values of Secrets out of a line."""
    if max(len(before or b""), len(after or b"")) > BYTES_MAX:
        return FileChange(path=path, note=f"it is larger than {BYTES_MAX:,} bytes")
    try:
        old, new = ((content or b"").decode() for content in (before, after))
    except UnicodeDecodeError:
        return FileChange(path=path, note="it is not text")
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=3))[2:]
    kept = tuple(mask(line) for line in lines[:LINES_MAX])
    more = len(lines) - len(kept)
    note = f"and {more:,} lines more" if more else ""
    if before is None or after is None:
        note = "; ".join(text for text in ("created" if before is None else "deleted", note) if text)
    return FileChange(path=path, lines=kept, note=note)


def changed_paths(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """List the paths whose contents differ. before, after: names of contents by path."""
    return tuple(sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path)))
