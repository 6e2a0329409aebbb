"""Which files git tracks, read from the bytes of its index: no rule of git ignores those.

This module knows the index's versions 2 to 4 and both lengths of object names. A split index lists only what
changed since another file was written, and is not read. A sparse one lists folders that are not on disk,
which are left out. It reads no disk. Source: gitformat-index(5), git's read-cache.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

SHA1_BYTES: Final = 20
SHA256_BYTES: Final = 32
_HEADER: Final = struct.Struct(">4sLL")
_MODE_AT: Final = 24
_NAME_AT: Final = 40
"""Where an entry's object name begins; its flags and its path follow."""
_EXTENDED: Final = 0x4000
_LENGTH: Final = 0xFFF
_SUBMODULE: Final = 0o160000
_FOLDER: Final = 0o040000
_PREFIXED_VERSION: Final = 4
_VERSIONS: Final = (2, 3, _PREFIXED_VERSION)
_EXTENSION_HEAD: Final = 8
_SPLIT: Final = b"link"


@dataclass(frozen=True, slots=True)
class GitIndex:
    """Hold what a work tree tracks, relative to its top. folders: of tracked files and of submodules."""

    files: frozenset[str]
    folders: frozenset[str]
    submodules: frozenset[str]

    def tracks(self, path: str) -> bool:
        """Report whether a file, or any file of a folder, is tracked."""
        return path in self.files or path in self.folders

    def submodule_around(self, path: str) -> str | None:
        """Find the submodule that a path lies in."""
        while path := path.rpartition("/")[0]:
            if path in self.submodules:
                return path
        return None


def parse_git_index(content: bytes, *, name_bytes: int = SHA1_BYTES) -> GitIndex | None:
    """Read an index; None where it is broken, split, or of a version that isn't known.

    name_bytes: how long the repository's object names are.
    """
    try:
        entries = list(_entries(content, name_bytes))
    except (struct.error, ValueError, IndexError):
        return None
    files = frozenset(path for path, mode in entries if mode not in (_SUBMODULE, _FOLDER))
    submodules = frozenset(path for path, mode in entries if mode == _SUBMODULE)
    return GitIndex(files, _folders((*files, *submodules)) | submodules, submodules)


def _folders(paths: Iterable[str]) -> frozenset[str]:
    found: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return frozenset(found)


def _entries(content: bytes, name_bytes: int) -> Iterator[tuple[str, int]]:
    """List paths with their modes. Raises ValueError, IndexError or struct.error on what can't be read."""
    signature, version, count = _HEADER.unpack_from(content)
    if signature != b"DIRC" or version not in _VERSIONS:
        raise ValueError(version)
    at, path = _HEADER.size, b""
    for _ in range(count):
        begin, flags_at = at, at + _NAME_AT + name_bytes
        mode = int.from_bytes(content[at + _MODE_AT : at + _MODE_AT + 4], "big")
        (flags,) = struct.unpack_from(">H", content, flags_at)
        at = flags_at + (4 if flags & _EXTENDED else 2)
        if version == _PREFIXED_VERSION:
            dropped, at = _varint(content, at)
            end = content.index(b"\0", at)
            path, at = path[: len(path) - dropped] + content[at:end], end + 1
        else:
            length = flags & _LENGTH
            end = at + length if length < _LENGTH else content.index(b"\0", at)
            path, at = content[at:end], begin + (end - begin + 8) // 8 * 8
        yield path.decode("utf-8", "surrogateescape"), mode & 0o170000
    _refuse_split(content, at, name_bytes)


def _varint(content: bytes, at: int) -> tuple[int, int]:
    byte = content[at]
    value = byte & 0x7F
    while byte & 0x80:
        at += 1
        byte = content[at]
        value = ((value + 1) << 7) | (byte & 0x7F)
    return value, at + 1


def _refuse_split(content: bytes, at: int, name_bytes: int) -> None:
    """Raise ValueError where an extension says that another file holds the rest of the entries."""
    while at + _EXTENSION_HEAD <= len(content) - name_bytes:
        name, size = struct.unpack_from(">4sL", content, at)
        if name == _SPLIT:
            raise ValueError(name)
        at += _EXTENSION_HEAD + size
